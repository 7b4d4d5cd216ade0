/*
 * merge.h - a user's dashboard ids from the timelines of those followed
 *
 * What an inbox would hold, derived without one: for history below the
 * inbox's window (I2). Costs one seek for each author followed.
 */
#pragma once

#include "cell/store.h"

typedef struct MergeRange {
    UserId user;
    gboolean older; /* ids below @from, falling; FALSE: above it, rising */
    gint64 from;    /* exclusive */
    gint64 to;      /* exclusive bound at the other end */
    guint max;      /* ids wanted, at least 1 */
} MergeRange;

/**
 * merge_read() - append the ids of @range to @out (gint64), in its direction
 *
 * Effect: STORE_FOUND: @max were appended, there may be more beyond the last;
 *         STORE_MISSING: fewer were, maybe none: the range is exhausted. No
 *         id comes twice.
 * Fails:  STORE_FAILED: the store cannot be read or the user's edges are
 *         damaged; @out is as it was.
 * Thread: any.
 */
StoreOutcome merge_read(Store *store, const StoreSnapshot *snapshot,
                        const MergeRange *range, GArray *out);
