/*
 * lookup.h - the facts that a page asks for, by the cache where it has them
 *
 * Each answer is what the cut's snapshot says (factcache.h).
 *
 * Thread: any; one cut is one thread's.
 */
#pragma once

#include "cell/cut.h"
#include "cell/edges.h"
#include "cell/factcache.h"

/* A post. After this head come its bytes, unless it is deleted. */
typedef struct PostFact {
    gint64 author;
    gint64 reply_to;  /* 0: none */
    gint64 reblog_of; /* 0: none */
    gint64 deleted;   /* by its author: 1 */
} PostFact;

/**
 * lookup_post() - a post, deleted or not
 *
 * Effect: STORE_FOUND: *ret_fact is a reference; STORE_MISSING: there is no
 *         such post; STORE_FAILED: a row is damaged.
 */
StoreOutcome lookup_post(const Cut *cut, PostId post, CachedFact **ret_fact);

/** lookup_prefetch() - @n posts are about to be looked up. */
void lookup_prefetch(const Cut *cut, const gint64 *posts, gsize n);

/** post_fact() - its head; borrowed. */
const PostFact *post_fact(const CachedFact *fact);

/** post_fact_bytes() - its bytes; none where it is deleted. Borrowed. */
WireBytes post_fact_bytes(const CachedFact *fact);

/* Whom a user follows, asked many times in one cut. */
typedef struct Follows {
    const Cut *cut; /* borrowed */
    UserId user;
    CachedFact *fact;  /* whom; owned; NULL: not yet asked */
    EdgeReader reader; /* of the rows, where they are too many for a fact */
    gint64 author;     /* asked last; 0: none */
    gboolean follows;  /* its answer */
} Follows;

/** follows_init() - nothing is read yet. */
void follows_init(Follows *follows, const Cut *cut, UserId user);

/** follows_clear() - before the cut is closed. */
void follows_clear(Follows *follows);

/**
 * follows_author() - whether the user follows @author
 *
 * Effect: STORE_FOUND: yes; STORE_MISSING: no; STORE_FAILED: damage.
 */
StoreOutcome follows_author(Follows *follows, UserId author);

/** follows_are_many() - STORE_FOUND: more than InboxTuning.follows_max;
 * STORE_MISSING: not so many; STORE_FAILED: damage. */
StoreOutcome follows_are_many(Follows *follows);

/* Where the rows of an inbox end. */
typedef struct InboxEnds {
    gint64 floor; /* inbox_read_floor() */
    gint64 last;  /* the greatest id in chunks; 0: there is no chunk */
} InboxEnds;

/** lookup_inbox() - of @user's. STORE_FOUND, or STORE_FAILED. */
StoreOutcome lookup_inbox(const Cut *cut, UserId user, InboxEnds *ret_ends);
