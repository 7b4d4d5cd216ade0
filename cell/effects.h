/*
 * effects.h - what a batch of events does to inboxes
 *
 * Facts first: a batch's events are joined into rows, and what they mean for
 * inboxes is noted here. Once the rows are committed the effects run on them:
 * a new edge merges the author's posts into the follower's inbox, a lost edge
 * takes them out, a post goes to all who follow its author now. Each can be
 * repeated without harm, which is what replay does.
 *
 * Thread: the apply thread; effects_run() under the state's write lock,
 *         effects_fold() without.
 */
#pragma once

#include "cell/state.h"

typedef struct Effects Effects;

/** effects_new() - no effects yet, on @state, borrowed; free them before. */
Effects *effects_new(State *state);
void effects_free(Effects *effects);

/** effects_post() - note that @author's post @post is to be fanned out. */
void effects_post(Effects *effects, UserId author, PostId post);

/** effects_edge() - note that @user now follows @author, or no longer does. */
void effects_edge(Effects *effects, guint32 user, UserId author,
                  gboolean follows);

/** effects_edges() - how many edges are noted: each costs a timeline. */
guint effects_edges(const Effects *effects);

/**
 * effects_run() - apply what was noted to the inboxes, and forget it
 *
 * Fails: COMB_ERROR_CORRUPT: applying must stop.
 */
gboolean effects_run(Effects *effects, GError **error);

/**
 * effects_fold() - seal the tails that are full now
 *
 * Effect: in small batches of its own, empty @batch; takes the write lock for
 *         the last step of each.
 * Fails:  COMB_ERROR_CORRUPT, _FULL, _IO: applying must stop.
 */
gboolean effects_fold(Effects *effects, StoreBatch *batch, GError **error);
