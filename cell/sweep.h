/*
 * sweep.h - a user's dashboard ids out of all posts, in order of id
 *
 * The other way to history below an inbox's window, for readers who follow so
 * many that a seek for each author (merge.h) would keep a thread for seconds.
 * Whoever follows much finds soon what he looks for among everybody's posts;
 * and where not, it can be left off at any place and gone on with.
 */
#pragma once

#include "cell/lookup.h"
#include "cell/merge.h"

/**
 * sweep_read() - append ids of @range to @out (gint64), in its direction
 *
 * @follows: the range's user's.
 * @budget:  how many posts may be looked at, 1 or more; lessened by so many.
 * Effect:   STORE_FOUND: @range->max were appended, or fewer and *budget is 0:
 *           then the last one is the last that was looked at, followed or not.
 *           STORE_MISSING: fewer, and the range is exhausted.
 * Fails:    STORE_FAILED; @out is as it was.
 */
StoreOutcome sweep_read(Follows *follows, const MergeRange *range,
                        guint *budget, GArray *out);
