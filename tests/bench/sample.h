/*
 * sample.h - the users who are looked at, what their inboxes must hold, and
 * one number for what they do hold
 *
 * Three ways lead to the same inboxes - the cell's pages, a peer's rows, and
 * sample_inboxes() from the world itself - and a digest of each says whether
 * they agree.
 */
#pragma once

#include "tests/bench/stream.h"

#include <xxhash.h>

#define SAMPLE_MAX 20000

/** sample_count() - all users, at most SAMPLE_MAX. */
guint32 sample_count(const World *world);

/** sample_user() - the @i-th of them, evenly spread over the indexes. */
guint32 sample_user(const World *world, guint32 i);

/**
 * sample_inboxes() - what the inboxes of @n @users get
 *
 * @skip, @posts: of the stream, all but the first @skip, @posts of them.
 * Owns:   the caller: an array of GArray of gint64, ascending;
 *         g_ptr_array_unref().
 */
GPtrArray *sample_inboxes(const World *world, const guint32 *users, guint32 n,
                          guint64 skip, guint64 posts);

/* Folds inboxes into one number: XXH64, seed 0, over each user's id, number of
   posts and ids, newest first, all 8 bytes little-endian. */
typedef struct SampleDigest {
    XXH64_state_t *state; /* owned */
    guint64 entries;      /* in all inboxes */
    gboolean tell;        /* print each inbox's own digest */
} SampleDigest;

/** sample_digest_init() - nothing yet. @tell: a line on stderr each user. */
void sample_digest_init(SampleDigest *digest, gboolean tell);

/** sample_digest_add() - one more user's inbox, newest first. */
void sample_digest_add(SampleDigest *digest, UserId user, const gint64 *ids,
                       gsize n);

/** sample_digest_end() - the number; frees. */
guint64 sample_digest_end(SampleDigest *digest);

/**
 * sample_expected() - the digest that a world's sample must have
 *
 * @skip, @posts: as sample_inboxes().
 */
guint64 sample_expected(const World *world, guint64 skip, guint64 posts,
                        gboolean tell, guint64 *ret_entries);

/**
 * sample_reader() - who reads next: Zipf 0.8 over the 30 % who are active
 *
 * The inverse of the continuous Zipf distribution; a user's rank is spread
 * over the indexes.
 */
guint32 sample_reader(const World *world, Rng *rng);
