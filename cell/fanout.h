/*
 * fanout.h - posts into the inboxes of their authors' followers
 *
 * A post goes to all who follow its author now, before it is committed. Where
 * these are very many it goes by slices instead, between the batches that
 * follow: it is pending meanwhile (pending.h), and a replay must begin at its
 * record or before (fanout_hold_back()), so that a crash half-way repeats all
 * of it (F21 of the crash tests).
 *
 * Thread: the apply thread.
 */
#pragma once

#include "cell/state.h"

typedef struct Fanout Fanout;

/* A post to be fanned out, and where in the log it came from. */
typedef struct FanoutPost {
    UserId author;
    PostId post;
    guint partition;
    guint64 offset;
} FanoutPost;

/** fanout_new() - nothing pending, on @state, borrowed; free it before. */
Fanout *fanout_new(State *state);
void fanout_free(Fanout *fanout);

/**
 * fanout_start() - put the post into all inboxes, or begin to
 *
 * Effect: due before the post is committed. Where PENDING_MAX fan-outs are
 *         under way already, it is done whole.
 */
void fanout_start(Fanout *fanout, const FanoutPost *post);

/**
 * fanout_slice() - go on with what is pending, for one slice
 *
 * Effect: due after a commit. FALSE only with an error.
 * Fails:  COMB_ERROR_IO: a simulated kill.
 */
gboolean fanout_slice(Fanout *fanout, GError **error);

/** fanout_pending() - how many posts are. */
guint fanout_pending(const Fanout *fanout);

/**
 * fanout_hold_back() - lower @next, per partition, to what is pending
 *
 * Effect: replaying from there restores every inbox.
 */
void fanout_hold_back(const Fanout *fanout, guint64 *next);
