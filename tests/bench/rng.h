/*
 * rng.h - the benchmarks' random numbers: the same everywhere, for ever
 *
 * xoshiro256** by David Blackman and Sebastiano Vigna, seeded by splitmix64
 * (both public domain: https://prng.di.unimi.it/). Not GLib's, whose sequence
 * is GLib's to change: a world is named by its seed.
 */
#pragma once

#include "ops/kit/mix.h"

#include <math.h>

typedef struct Rng {
    guint64 s[4];
} Rng;

/** rng_mix() - splitmix64: one step from @x, all bits of it mixed. */
static inline guint64
rng_mix(guint64 x)
{
    return mix64(x + MIX64_STEP);
}

/** rng_init() - the sequence number @stream of @seed. */
static inline void
rng_init(Rng *rng, guint64 seed, guint64 stream)
{
    guint64 x = rng_mix(seed) ^ rng_mix(~stream);
    for (guint i = 0; i < 4; i++) {
        x += G_GUINT64_CONSTANT(0x9e3779b97f4a7c15);
        rng->s[i] = rng_mix(x);
    }
}

/** rng_rotate() - @x turned left by @by bits, 1 to 63. */
static inline guint64
rng_rotate(guint64 x, guint by)
{
    return (x << by) | (x >> (64 - by));
}

/** rng_next() - 64 random bits. */
static inline guint64
rng_next(Rng *rng)
{
    guint64 *s = rng->s;
    guint64 result = rng_rotate(s[1] * 5, 7) * 9;
    guint64 t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rng_rotate(s[3], 45);
    return result;
}

/** rng_below() - 0 to @n - 1; the bias of a multiplication, under 2^-32. */
static inline guint32
rng_below(Rng *rng, guint32 n)
{
    return (guint32)(((rng_next(rng) >> 32) * n) >> 32);
}

/** rng_unit() - above 0, below 1. */
static inline double
rng_unit(Rng *rng)
{
    return ((double)(rng_next(rng) >> 11) + 0.5) * 0x1.0p-53;
}

/** rng_normal() - mean 0, deviation 1 (Box and Muller). */
static inline double
rng_normal(Rng *rng)
{
    double radius = sqrt(-2 * log(rng_unit(rng)));
    return radius * cos(2 * G_PI * rng_unit(rng));
}
