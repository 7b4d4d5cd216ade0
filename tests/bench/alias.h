/*
 * alias.h - draw from a list of weights in constant time
 *
 * Walker's alias method with Vose's table (M. D. Vose, "A linear algorithm
 * for generating random numbers with a given distribution", 1991).
 */
#pragma once

#include "tests/bench/rng.h"

typedef struct AliasSlot {
    guint32 cut;   /* below it: this one, of 2^32 */
    guint32 other; /* else: that one */
} AliasSlot;

typedef struct Alias {
    guint32 n;
    AliasSlot slot[];
} Alias;

/** alias_new() - @n weights, none negative, one positive. Owns: g_free(). */
Alias *alias_new(const double *weights, guint32 n);

/** alias_draw() - an index, by weight. */
static inline guint32
alias_draw(const Alias *alias, Rng *rng)
{
    guint64 x = rng_next(rng);
    guint32 i = (guint32)(((x >> 32) * alias->n) >> 32);
    return (guint32)x < alias->slot[i].cut ? i : alias->slot[i].other;
}
