/*
 * apply.h - the one thread that turns the log into state
 *
 *     log -> decode, check -> facts -> commit -> effects on inboxes
 *
 * It reads batches of records, joins each into the rows (facts.h), commits
 * rows and position together, runs the effects, and now and then writes a
 * tail checkpoint. What is no valid event is set aside and never stops the
 * log (I8). What cannot be right - a gap, a store that fails - stops it for
 * good with a reason (I10); pages are then served as stale.
 */
#pragma once

#include "cell/state.h"
#include "firehose/log.h"

typedef struct Apply Apply;

typedef struct ApplyOptions {
    const char *dir;    /* for tail checkpoints; outlives the thread */
    guint checkpoint_s; /* seconds between them */
} ApplyOptions;

/**
 * apply_start() - start the thread
 *
 * @firehose: borrowed, outlives the thread.
 * @next:     per partition, where to read from (state_open()); copied.
 */
Apply *apply_start(const ApplyOptions *options, State *state, Log *firehose,
                   const guint64 *next);

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
