/*
 * effects.h - what a batch of events does to inboxes
 *
 * Facts first: a batch's events are joined into rows, and what they mean for
 * inboxes is noted here. What brings ids into inboxes is done before the rows
 * are committed, what takes them out after it (cut.h says why): a new follow
 * inserts the author's posts, a post goes to all who follow its author now, an
 * unfollow takes the author's posts out. Each can be repeated without harm,
 * which is what replay does.
 *
 * Thread: the apply thread.
 */
#pragma once

#include "cell/fanout.h"

typedef struct Effects Effects;

/** effects_new() - no effects yet, on @state, borrowed; free them before. */
Effects *effects_new(State *state);
void effects_free(Effects *effects);

/** effects_fanout() - its fan-outs; borrowed. */
Fanout *effects_fanout(Effects *effects);

/** effects_post() - note that a post is to be fanned out; copied. */
void effects_post(Effects *effects, const FanoutPost *post);

/** effects_edge() - note that @user now follows @author, or no longer does. */
void effects_edge(Effects *effects, guint32 user, UserId author,
                  gboolean follows);

/**
 * effects_full() - whether what is noted is enough for one batch
 *
 * Effect: follows cost a timeline each, posts a delivery to each follower.
 */
gboolean effects_full(const Effects *effects);

/**
 * effects_before() - put ids into inboxes; @batch holds the facts, staged
 *
 * Effect: rows may be staged in @batch.
 * Fails:  COMB_ERROR_CORRUPT, _IO: applying must stop.
 */
gboolean effects_before(Effects *effects, StoreBatch *batch, GError **error);

/**
 * effects_after() - the batch is committed: take ids out, and forget it all
 *
 * Fails: as above.
 */
gboolean effects_after(Effects *effects, GError **error);

/**
 * effects_fold() - seal the tails that are full now
 *
 * Effect: in small batches of its own, @batch being empty.
 * Fails:  COMB_ERROR_CORRUPT, _FULL, _IO: applying must stop.
 */
gboolean effects_fold(Effects *effects, StoreBatch *batch, GError **error);
