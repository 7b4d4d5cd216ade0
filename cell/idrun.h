/*
 * idrun.h - a run of ascending ids as bytes: each by its step from the last
 *
 * An id is milliseconds, then 21 bits of sequence and node (thrift/id.h). Of
 * neighbours in an inbox the milliseconds differ by seconds to hours, and the
 * low bits are mostly alike: one gateway, first of its millisecond. So a step
 * is one or two LEB128 varints:
 *
 *   (ms - ms before) << 1 | other     other = 0: the low bits are the same
 *   low bits                          where other = 1
 *
 * An hour's step is 4 bytes, a second's 2. The first id of a run is a step
 * from 0. Stored in chunk rows and tail files: the coding never changes.
 */
#pragma once

#include "thrift/id.h"

#define IDRUN_LOW_BITS (ID_SEQUENCE_BITS + ID_NODE_BITS)
#define IDRUN_LOW_MASK ((G_GINT64_CONSTANT(1) << IDRUN_LOW_BITS) - 1)

/* Of one step: 43 bits, then 21. */
#define IDRUN_STEP_BYTES_MAX 10

/* A step in its bytes: the first 8 as a little-endian word, and how many. */
typedef struct IdStep {
    guint64 word;
    guint64 rest; /* bytes 9 and 10 */
    guint n;
} IdStep;

/* LEB128 of @v < 2^56 without a branch: seven bits to each byte. */
static inline guint64
idrun_spread(guint64 v, guint *ret_n)
{
    guint n = v == 0 ? 1 : (70 - (guint)__builtin_clzll(v)) / 7;
    guint64 word = (v & 0x7f) | (v & 0x3f80) << 1 | (v & 0x1fc000) << 2 |
                   (v & 0xfe00000) << 3 | (v & 0x7f0000000) << 4 |
                   (v & 0x3f800000000) << 5 | (v & 0x1fc0000000000) << 6 |
                   (v & 0xfe000000000000) << 7;
    guint64 more = G_GUINT64_CONSTANT(0x8080808080808080) &
                   ((G_GUINT64_CONSTANT(1) << (8 * (n - 1))) - 1);
    *ret_n = n;
    return word | more;
}

/** idrun_step() - the step from @before, 0 at the start of a run, to @id. */
static inline IdStep
idrun_step(gint64 before, gint64 id)
{
    guint64 ms = (guint64)((id >> IDRUN_LOW_BITS) - (before >> IDRUN_LOW_BITS));
    guint64 low = (guint64)(id & IDRUN_LOW_MASK);
    guint64 other = low != (guint64)(before & IDRUN_LOW_MASK);
    IdStep step = {0};
    step.word = idrun_spread(ms << 1 | other, &step.n);
    if (G_UNLIKELY(other)) {
        guint n;
        guint64 word = idrun_spread(low, &n);
        step.word |= step.n < 8 ? word << (8 * step.n) : 0;
        step.rest = step.n + n > 8 ? word >> (8 * (8 - step.n)) : 0;
        step.n += n;
    }
    return step;
}

/**
 * idrun_put() - append the step from @before to @id at @at
 *
 * Effect: how many bytes; at most IDRUN_STEP_BYTES_MAX.
 */
guint idrun_put(guint8 *at, gint64 before, gint64 id);

/**
 * idrun_get() - read the id after @before
 *
 * Effect: moves *at on; 0 where the bytes are no ascending step before @end.
 */
gint64 idrun_get(const guint8 **at, const guint8 *end, gint64 before);

/**
 * idrun_decode() - read a whole run of @n ids
 *
 * @ret_ids: room for @n.
 * Effect:   FALSE where [@at, @end) is not exactly that.
 */
gboolean idrun_decode(const guint8 *at, const guint8 *end, guint n,
                      gint64 *ret_ids);

/* Where a run can be cut in two. */
typedef struct IdCut {
    gsize at;     /* bytes before the cut */
    gint64 first; /* the first id of the run */
    gsize second; /* where the step to the second id begins */
    gint64 last;  /* the last id before the cut */
} IdCut;

/**
 * idrun_cut() - where the first @n ids of a run end
 *
 * @n:     at least 1.
 * Effect: FALSE where the bytes are no run of so many.
 */
gboolean idrun_cut(const guint8 *run, gsize bytes, guint n, IdCut *ret_cut);
