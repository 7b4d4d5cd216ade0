/*
 * heavy.h - who comes most often, in bounded memory
 *
 * Space-Saving (Metwally, Agrawal, El Abbadi, 2005): so many counters, and a
 * key without one takes over the smallest, with its count. Every key that came
 * more often than total / HEAVY_COUNTERS has a counter, and no count is too
 * small or more than that too large. An addition costs a look-up and a binary
 * search, whatever comes.
 */
#pragma once

#include <glib.h>

#define HEAVY_COUNTERS 64
#define HEAVY_CHAINS 128

typedef struct HeavyEntry {
    gint64 key;
    guint64 count; /* at most so often */
    guint64 error; /* and at least @count - @error */
} HeavyEntry;

typedef struct Heavy {
    guint64 total;                    /* additions */
    guint n;                          /* counters in use */
    HeavyEntry entry[HEAVY_COUNTERS]; /* by place, which never changes */
    guint8 order[HEAVY_COUNTERS];     /* places, the largest count first */
    guint8 rank[HEAVY_COUNTERS];      /* of a place in @order */
    guint8 chain[HEAVY_CHAINS];       /* by hash: 1 + a place; 0: none */
    guint8 next[HEAVY_COUNTERS];      /* likewise, the next of the chain */
} Heavy;

/** heavy_init() - no additions yet; zeroed memory is the same. */
void heavy_init(Heavy *heavy);

/** heavy_add() - @key has come. */
void heavy_add(Heavy *heavy, gint64 key);

/**
 * heavy_merge() - the keys that came most often in all of @sketches
 *
 * Effect: at most @max of them into @ret_top, the most frequent first; gives
 *         how many. Their counts bound the truth as above.
 */
guint heavy_merge(const Heavy *const *sketches, guint n, HeavyEntry *ret_top,
                  guint max);
