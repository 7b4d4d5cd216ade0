/*
 * followers.h - author -> the homed users who follow, for fan-out
 *
 * An index in memory over the edge rows: per author an ascending set of local
 * user indexes, so that fan-out walks memory forwards. Changes are cheap for
 * an author of any size. Rebuilt from the rows at start. An author gets a
 * small index of its own, for good, when first named; 10 million authors are
 * foreseen.
 *
 * Thread: the apply thread, no other.
 */
#pragma once

#include "cell/idmap.h"
#include "thrift/id.h"

typedef struct Followers Followers;

/* What the caller knows of an author's posts. */
typedef enum FollowersPosts {
    POSTS_UNKNOWN, /* nobody has looked */
    POSTS_NONE,    /* there is no post by the author */
    POSTS_SOME,    /* there is at least one */
} FollowersPosts;

/** followers_new() - nobody follows anybody. Owns: the caller frees. */
Followers *followers_new(void);
void followers_free(Followers *followers);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Followers, followers_free)

/** followers_author() - the author's index, given at the first call. */
guint32 followers_author(Followers *followers, UserId author);

/** followers_find() - the author's index, or IDMAP_NONE. */
guint32 followers_find(const Followers *followers, UserId author);

/**
 * followers_add() - @user follows @author from now on
 *
 * Effect: FALSE: did so already, nothing changed. Appending (a @user above
 *         all others of a small set) costs nothing to speak of; other
 *         additions move at most 16 KiB.
 * Fails:  never; @author is from followers_author(), @user not IDMAP_NONE.
 */
gboolean followers_add(Followers *followers, guint32 author, guint32 user);

/**
 * followers_add_many() - each of @n @users follows the author beside it
 *
 * Effect: as followers_author() and followers_add() of each, in order; what
 *         they look at is fetched ahead. Fastest where the authors are of one
 *         shard.
 */
void followers_add_many(Followers *followers, const UserId *authors,
                        const guint32 *users, guint n);

/* Authors are dealt out to so many shards, by a hash: those of one lie near
   each other. */
#define FOLLOWERS_SHARDS IDMAP_SHARDS

/** followers_shard() - the author's, below FOLLOWERS_SHARDS. Thread: any. */
guint followers_shard(UserId author);

/** followers_remove() - no longer. FALSE: did not, nothing changed. */
gboolean followers_remove(Followers *followers, guint32 author, guint32 user);

/** followers_count() - how many homed users follow @author. */
guint followers_count(const Followers *followers, guint32 author);

/**
 * followers_read() - the next followers of @author, ascending
 *
 * Effect: fills @ret_users with up to @max users that are not below @from;
 *         how many there were. Less than @max: there are no more. A fan-out in
 *         slices goes on with the last one + 1: it meets every user who
 *         follows all the while once, whatever else is added or removed.
 */
guint followers_read(const Followers *followers, guint32 author, guint32 from,
                     guint32 *ret_users, guint max);

/** followers_posts() - what followers_set_posts() said last, for @author. */
FollowersPosts followers_posts(const Followers *followers, guint32 author);

/** followers_set_posts() - keep a word on the author's posts; unused here. */
void followers_set_posts(Followers *followers, guint32 author,
                         FollowersPosts posts);

/** followers_edges() - how many edges there are. */
guint64 followers_edges(const Followers *followers);

/**
 * followers_bytes() - memory held, in bytes, allocator's headers included
 *
 * Effect: a running count. What popular authors hold is looked at again after
 *         every 1,024 changes of one, so that it may be slightly behind.
 */
gsize followers_bytes(const Followers *followers);
