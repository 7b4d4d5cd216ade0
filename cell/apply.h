/*
 * apply.h - the thread that ingests the log and keeps checkpoints
 *
 * Founds a new cell, opens the log however long no broker answers, then takes
 * batches (ingest.h) and now and then writes a tail checkpoint (checkpoint.h).
 * What cannot be right stops it for good with a reason (I10); pages are then
 * served as stale.
 */
#pragma once

#include "cell/state.h"
#include "firehose/log_ends.h"

typedef struct Apply Apply;

typedef struct ApplyOptions {
    guint checkpoint_s; /* seconds between them */
} ApplyOptions;

/**
 * apply_start() - start the thread
 *
 * @firehose, @ends: borrowed, outlive the thread; @ends may be NULL where the
 *            log never makes anybody wait.
 * @next:     per partition, where to read from (state_open()); copied.
 */
Apply *apply_start(const ApplyOptions *options, State *state, Log *firehose,
                   LogEnds *ends, const guint64 *next);

/**
 * apply_checkpoint() - have a tail checkpoint written now
 *
 * Effect: waits until the thread has done so.
 * Thread: any but the apply thread's; not after apply_stop().
 * Fails:  COMB_ERROR_IO, _FULL; COMB_ERROR_GAP where applying has stopped.
 */
gboolean apply_checkpoint(Apply *apply, GError **error);

/** apply_stop() - finish the batch, write a checkpoint, join, free. */
void apply_stop(Apply *apply);
