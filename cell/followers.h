/*
 * followers.h - author -> the homed users who follow, for fan-out
 *
 * An index in memory over the edge rows: per author one array of local user
 * indexes, so that fan-out walks memory forwards. Rebuilt from the rows at
 * start. The apply thread owns it.
 */
#pragma once

#include "thrift/id.h"

typedef struct Followers Followers;

/** followers_new() - nobody follows anybody. Owns: the caller frees. */
Followers *followers_new(void);
void followers_free(Followers *followers);

/** followers_add() - @user follows @author from now on, and did not before. */
void followers_add(Followers *followers, UserId author, guint32 user);

/** followers_remove() - no longer; linear in the author's followers. */
void followers_remove(Followers *followers, UserId author, guint32 user);

/** followers_get() - the author's homed followers, in no order; borrowed. */
const guint32 *followers_get(Followers *followers, UserId author, guint *ret_n);

/** followers_edges() - how many edges there are. */
guint64 followers_edges(const Followers *followers);
