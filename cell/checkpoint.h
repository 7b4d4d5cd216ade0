/*
 * checkpoint.h - a tail checkpoint, taken a few users at a time
 *
 * The tails are copied beside the writer, each whole but at a moment of its
 * own, all after checkpoint_begin(). The file claims the position of the
 * beginning: replay from there repeats what some tails already have, which
 * changes nothing. Before the file takes its place the store is flushed, so
 * that what was sealed out of a tail on the way is safe too.
 */
#pragma once

#include "cell/state.h"

typedef struct Checkpoint Checkpoint;

typedef enum CheckpointOutcome {
    CHECKPOINT_MORE,   /* call again */
    CHECKPOINT_DONE,   /* the new generation is in place */
    CHECKPOINT_FAILED, /* *error says why; the old ones are untouched */
} CheckpointOutcome;

/** checkpoint_new() - of @state, borrowed; none under way. */
Checkpoint *checkpoint_new(State *state);
void checkpoint_free(Checkpoint *checkpoint);

/**
 * checkpoint_begin() - begin one that claims position @next; copied
 *
 * Thread: while nothing is being applied, or the thread that applies.
 */
void checkpoint_begin(Checkpoint *checkpoint, const guint64 *next);

/**
 * checkpoint_step() - copy the tails of up to @users more; the last step
 * flushes and puts the file in place
 *
 * Thread: any one, beside the apply thread.
 * Fails:  COMB_ERROR_IO, COMB_ERROR_FULL.
 */
CheckpointOutcome checkpoint_step(Checkpoint *checkpoint, guint32 users,
                                  GError **error);

/** checkpoint_next() - the position the last one begun claims; borrowed. */
const guint64 *checkpoint_next(const Checkpoint *checkpoint);
