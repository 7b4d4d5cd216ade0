/*
 * walk.h - the ids of an inbox or a timeline, in order, from anywhere
 *
 * Both ways, from an exclusive bound, without doubles. An inbox walk merges
 * the cut's ids with the chunks down to the inbox's floor, and goes on below
 * it with what the timelines of the authors followed give (merge.h): one
 * sequence, wherever the floor is. A timeline walk follows the author's rows.
 */
#pragma once

#include "cell/cut.h"

typedef struct Walk Walk;

typedef enum WalkKind {
    WALK_INBOX,
    WALK_TIMELINE,
} WalkKind;

/**
 * walk_new() - walk @user's ids
 *
 * @cut:   borrowed; for an inbox it holds this user's ids.
 * @older: TRUE: ids below @from, falling. FALSE: ids above, rising.
 */
Walk *walk_new(const Cut *cut, WalkKind kind, UserId user, gboolean older,
               gint64 from);
void walk_free(Walk *walk);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Walk, walk_free)

/**
 * walk_next() - the next id
 *
 * Effect: STORE_MISSING at the end; STORE_FAILED where a row is damaged or a
 *         chunk is missing from its chain.
 */
StoreOutcome walk_next(Walk *walk, PostId *ret_post);

/** walk_gave_up() - whether walk_next() came to no end but looked at so many
 * posts for nothing that somebody else should have the thread. */
gboolean walk_gave_up(const Walk *walk);
