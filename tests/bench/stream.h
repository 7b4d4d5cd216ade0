/*
 * stream.h - the posts of a world, one after the other
 *
 * Authors are drawn by their rates, times are a Poisson process, ids ascend
 * strictly. Post number n of a world is the same in every process.
 *
 * The rate is 1e-5 posts a second a user (0.86 a day): 10 posts/s for 1 M
 * users, whose mean inbox then gets about 390 posts a day. It is what sets
 * the gaps between the ids of one inbox, and so the bytes of an entry (B8).
 */
#pragma once

#include "tests/bench/alias.h"
#include "tests/bench/world.h"

#define STREAM_POSTS_PER_USER_S 1e-5
#define STREAM_BODY_MIN 400
#define STREAM_BODY_MAX 600

typedef struct Stream Stream;

typedef struct StreamPost {
    gint64 id;
    guint32 author;
    gsize fan_out; /* how many follow him */
} StreamPost;

/** stream_new() - from post 0 on. @world: borrowed. Owns: stream_free(). */
Stream *stream_new(const World *world);
void stream_free(Stream *stream);

/** stream_next() - the next post. */
StreamPost stream_next(Stream *stream);

/** stream_make() - a post of @author's, in place of the next one's author. */
StreamPost stream_make(Stream *stream, guint32 author);

/**
 * stream_skip() - go on until @deliveries are behind, from here
 *
 * @ret_deliveries: how many they are exactly.
 * Effect: returns the number of posts.
 */
guint64 stream_skip(Stream *stream, guint64 deliveries,
                    guint64 *ret_deliveries);

/* A world's log: what fills the inboxes, then what is measured. */
typedef struct StreamPlan {
    guint64 fill_posts;
    guint64 fill_deliveries; /* what they come to */
    gint64 fill_id;          /* the last one's; 1 where there is none */
    guint64 posts;           /* the measured ones, after them */
    guint64 deliveries;
    gint64 last_id;
} StreamPlan;

/**
 * stream_plan() - where the fill and the measured range end
 *
 * @fill, @measured: deliveries asked for; the plan has the posts that make
 *                   them, and a little more of deliveries.
 */
StreamPlan stream_plan(const World *world, guint64 fill, guint64 measured);

/** stream_id() - the id of the newest post given; 0 before the first. */
gint64 stream_id(const Stream *stream);

/** stream_event() - append the event of @post, as the log has it, to @out. */
void stream_event(const Stream *stream, const StreamPost *post,
                  GByteArray *out);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Stream, stream_free)
