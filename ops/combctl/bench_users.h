/*
 * bench_users.h - who is asked for, and how often: Zipf over a list of ids
 *
 * The list's order has no meaning: it is shuffled by the seed, and rank 1, the
 * most asked for, is whoever comes first then. The same list, exponent and
 * seed give the same calls.
 */
#pragma once

#include "ops/kit/mix.h"

#define USERS_MAX 10000000
#define USERS_ZIPF_MAX 5.0

/* splitmix64 (public domain, by Sebastiano Vigna): small, good, and the same
   on every machine. */
typedef struct Dice {
    guint64 state;
} Dice;

/** dice_next() - 64 random bits. */
static inline guint64
dice_next(Dice *dice)
{
    return mix64(dice->state += MIX64_STEP);
}

/** dice_unit() - above 0, below 1. */
static inline double
dice_unit(Dice *dice)
{
    return ((double)(dice_next(dice) >> 11) + 0.5) * 0x1.0p-53;
}

/** dice_below() - 0 to @n - 1. */
static inline guint64
dice_below(Dice *dice, guint64 n)
{
    return (guint64)(((unsigned __int128)dice_next(dice) * n) >> 64);
}

typedef struct Users Users;

/**
 * users_parse_range() - "FIRST-LAST", both included, or one number
 *
 * Effect: FALSE where it is not that, or more than USERS_MAX, or not 1 to
 *         2^63-1.
 */
gboolean users_parse_range(const char *text, gint64 *ret_first,
                           gint64 *ret_last);

/** users_read() - ids of a file, one a line. Owns: gives, of gint64. Fails:
 * COMB_ERROR_IO, COMB_ERROR_INPUT (names the line), NULL. */
GArray *users_read(const char *path, GError **error);

/**
 * users_new() - draw from @ids
 *
 * @ids:   of gint64, one or more; taken.
 * @zipf:  the exponent, 0 (all alike) to USERS_ZIPF_MAX.
 */
Users *users_new(GArray *ids, double zipf, guint64 seed);

/** users_draw() - whom to ask for next. */
gint64 users_draw(Users *users);

/** users_ids() - all of them, shuffled; borrowed. */
const GArray *users_ids(const Users *users);

/** users_free() - and the ids. */
void users_free(Users *users);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Users, users_free)
