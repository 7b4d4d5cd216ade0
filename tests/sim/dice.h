/*
 * dice.h - all chance in the simulation
 *
 * A Dice is a seed and nothing else: whoever needs chance of his own, so that
 * others' use of it does not change his, takes a fork.
 * Source: splitmix64, Steele et al., 2014.
 */
#pragma once

#include "ops/kit/mix.h"

typedef struct Dice {
    guint64 state;
} Dice;

/** dice_next() - 64 random bits. */
static inline guint64
dice_next(Dice *dice)
{
    return mix64(dice->state += MIX64_STEP);
}

/** dice_below() - 0 to @n - 1; 0 where @n is 0. */
static inline guint
dice_below(Dice *dice, guint n)
{
    return n > 0 ? (guint)(dice_next(dice) % n) : 0;
}

/** dice_range() - @low to @high, both included. */
static inline guint
dice_range(Dice *dice, guint low, guint high)
{
    return low + dice_below(dice, high - low + 1);
}

/** dice_percent() - TRUE in @percent of a hundred calls. */
static inline gboolean
dice_percent(Dice *dice, guint percent)
{
    return dice_below(dice, 100) < percent;
}

/** dice_log() - 1 to @max, small numbers as likely as large ones. */
static inline guint
dice_log(Dice *dice, guint max)
{
    guint bits = (guint)g_bit_storage(MAX(max, 1));
    guint top = 1U << dice_below(dice, bits);
    guint drawn = dice_range(dice, top, 2 * top - 1);
    return MIN(drawn, MAX(max, 1));
}

/** dice_fork() - dice of one's own. */
static inline Dice
dice_fork(Dice *dice)
{
    return (Dice){dice_next(dice)};
}
