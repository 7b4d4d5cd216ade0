/*
 * mix.h - 64 bits well mixed: for hash tables and for repeatable chance
 *
 * The finaliser of splitmix64 (Steele, Lea and Flood, "Fast splittable
 * pseudorandom number generators", 2014; constants: Stafford's variant 13).
 * No secret: who chooses the input can choose the output.
 */
#pragma once

#include <glib.h>

/* What splitmix64 adds between two numbers: the golden ratio. */
#define MIX64_STEP G_GUINT64_CONSTANT(0x9e3779b97f4a7c15)

/** mix64() - one to one; each bit of @x changes half of the result. */
static inline guint64
mix64(guint64 x)
{
    x = (x ^ (x >> 30)) * G_GUINT64_CONSTANT(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * G_GUINT64_CONSTANT(0x94d049bb133111eb);
    return x ^ (x >> 31);
}
