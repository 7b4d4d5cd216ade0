/*
 * followload.h - all edges of a cell into its Followers, at a start
 *
 * Edges are read user after user, sets lie author by author: put in as they
 * come, each edge would miss the cache in the id map, in the set's head and
 * at its end. Here edges are first dealt out by the author's shard of the id
 * map; what is full of one shard is put in at once, by a second thread, and
 * meets what a core's own cache can hold. So reading the rows and building
 * the sets take a core each. A few edges are put in by the caller, at the
 * end: a small cell has no second thread.
 *
 * Thread: the caller's, one. The Followers belong to the load meanwhile.
 */
#pragma once

#include "cell/followers.h"

typedef struct FollowLoad FollowLoad;

/**
 * followload_begin() - nothing is loaded yet
 *
 * Owns: borrows @followers; followload_end() ends it.
 */
FollowLoad *followload_begin(Followers *followers);

/**
 * followload_add() - @user follows @n @authors from now on
 *
 * Effect: of one author, users are put in in the order of their calls:
 *         ascending ones are appended, which is cheap. About 100 MB of memory
 *         while many edges are loaded. May wait for the second thread.
 */
void followload_add(FollowLoad *load, const UserId *authors, guint n,
                    guint32 user);

/** followload_end() - all are in; the Followers are the caller's again. */
void followload_end(FollowLoad *load);
