/*
 * world.h - a deterministic social graph: who follows whom, who posts how much
 *
 * The same options give the same world on every machine (world_digest() says
 * so; the last digit of libm's functions is the one thing we do not hold).
 *
 *   popularity  Chung-Lu weights (i + 20)^(-1 / (g - 1)), g = 2.28, for rank
 *               i, scaled to the mean, capped at a tenth of the users
 *   follows     log-normal, median 60, sigma 1.3, at most 5,000; one user in
 *               10,000 follows 50,000 to 200,000; nobody over a quarter of all
 *   rates       followers^0.4 x log-normal(0, 1), relative to each other
 *
 * One more author is followed by every user, follows nobody and does not post
 * by himself: the celebrity (B3). The world is a file that is mapped, so that
 * the processes of a benchmark share it and none pays for it in memory.
 */
#pragma once

#include "thrift/id.h"

#define WORLD_SEED G_GUINT64_CONSTANT(20120611)
#define WORLD_MEAN_FOLLOWS 150

/* Follow events have ids from here on, posts from an hour later. */
#define WORLD_FOLLOWS_MS G_GINT64_CONSTANT(1735689600000)
#define WORLD_POSTS_MS (WORLD_FOLLOWS_MS + 3600 * 1000)

typedef struct WorldOptions {
    guint32 users; /* 1,000 or more */
    guint64 seed;
} WorldOptions;

/* The file: this, then the arrays of World in their order. */
typedef struct WorldHeader {
    char magic[8];
    guint64 seed;
    guint64 edges;
    guint64 digest;
    guint32 users;
    guint32 pad;
} WorldHeader;

/* Users are named by index; authors likewise, the celebrity is the last. */
typedef struct World {
    WorldHeader *header;   /* the start of the mapping */
    guint64 *follows_at;   /* users + 1: where each one's begin */
    guint64 *followers_at; /* users + 2 */
    float *rates;          /* users + 1; the celebrity's is 0 */
    guint32 *follows;      /* authors, in no order */
    guint32 *followers;    /* users, ascending */
    gsize bytes;           /* of the mapping */
} World;

/**
 * world_make() - generate a world into the file @path and open it
 *
 * Effect: the file is there whole or not at all.
 * Owns:   the caller; world_close().
 * Fails:  COMB_ERROR_IO, COMB_ERROR_FULL.
 */
World *world_make(const char *path, const WorldOptions *options,
                  GError **error);

/** world_open() - map a file of world_make(). Fails: COMB_ERROR_IO, _CORRUPT.
 */
World *world_open(const char *path, GError **error);

/** world_close() - unmap and free. */
void world_close(World *world);

/** world_celebrity() - the author whom everybody follows. */
static inline guint32
world_celebrity(const World *world)
{
    return world->header->users;
}

/**
 * world_user_id() - the id that the product gave to a user
 *
 * Effect: ascending by index, about every tenth number: the others are homed
 *         elsewhere.
 */
UserId world_user_id(const World *world, guint32 index);

/** world_follows() - whom @user follows; borrowed. */
static inline const guint32 *
world_follows(const World *world, guint32 user, gsize *ret_n)
{
    guint64 at = world->follows_at[user];
    *ret_n = world->follows_at[user + 1] - at;
    return world->follows + at;
}

/** world_followers() - who follows @author, ascending; borrowed. */
static inline const guint32 *
world_followers(const World *world, guint32 author, gsize *ret_n)
{
    guint64 at = world->followers_at[author];
    *ret_n = world->followers_at[author + 1] - at;
    return world->followers + at;
}

/** world_fan_out() - followers of the mean post. */
double world_fan_out(const World *world);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(World, world_close)
