/*
 * Making a world: the number of follows of each user first, because it sizes
 * the file; then, user after user, that many different authors drawn by
 * popularity; then the same edges turned round by a counting sort; then rates.
 * Each user has random numbers of his own, so none of it depends on order.
 *
 * A popularity rank is spread over the users by a permutation, so that an
 * author's fame says nothing about where he stands in memory or on disk.
 */
#include "tests/bench/world.h"

#include "ops/kit/error.h"
#include "tests/bench/alias.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#define WORLD_MAGIC "COMBGR01"
#define GRAPH_G 2.28
#define GRAPH_SHIFT 20
#define POPULARITY_CAP 0.1
#define FOLLOWS_MEDIAN 60.0
#define FOLLOWS_SIGMA 1.3
#define FOLLOWS_MAX 5000.0
#define HEAVY_EVERY 10000
#define HEAVY_AT 7
#define HEAVY_MIN 50000
#define HEAVY_MAX 200000
#define RATE_POWER 0.4
#define STREAM_RATES (G_GUINT64_CONSTANT(1) << 40)

/* Rank to index: a multiplication by a number that shares no factor with any
   size that we use. */
#define SPREAD G_GUINT64_CONSTANT(2147483647)

/* ---- the file ---- */

static gsize
world_bytes(guint64 users, guint64 edges)
{
    return sizeof(WorldHeader) + (users + 1) * sizeof(guint64) +
           (users + 2) * sizeof(guint64) + (users + 1) * sizeof(float) +
           2 * edges * sizeof(guint32);
}

static void
world_lay_out(World *world, guint64 users, guint64 edges)
{
    world->follows_at = (guint64 *)(world->header + 1);
    world->followers_at = world->follows_at + users + 1;
    world->rates = (float *)(world->followers_at + users + 2);
    world->follows = (guint32 *)(world->rates + users + 1);
    world->followers = world->follows + edges;
}

static void
world_set_error(GError **error, const char *path)
{
    int code = errno;
    g_set_error(error, COMB_ERROR,
                code == ENOSPC ? COMB_ERROR_FULL : COMB_ERROR_IO, "%s: %s",
                path, g_strerror(code));
}

static World *
world_map(const char *path, int fd, gsize bytes, int access, GError **error)
{
    void *at = mmap(NULL, bytes, access, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED) {
        world_set_error(error, path);
        return NULL;
    }
    World *world = g_new0(World, 1);
    world->header = at;
    world->bytes = bytes;
    return world;
}

static World *
world_create(const char *path, guint32 users, guint64 edges, GError **error)
{
    gsize bytes = world_bytes(users, edges);
    int fd = g_open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0 || posix_fallocate(fd, 0, (off_t)bytes) != 0) {
        world_set_error(error, path);
        if (fd >= 0) {
            close(fd);
        }
        return NULL;
    }
    World *world = world_map(path, fd, bytes, PROT_READ | PROT_WRITE, error);
    close(fd);
    if (world != NULL) {
        world_lay_out(world, users, edges);
    }
    return world;
}

static gboolean
world_is_whole(const World *world)
{
    return memcmp(world->header->magic, WORLD_MAGIC, 8) == 0 &&
           world->bytes ==
               world_bytes(world->header->users, world->header->edges);
}

World *
world_open(const char *path, GError **error)
{
    struct stat info;
    int fd = g_open(path, O_RDONLY | O_CLOEXEC, 0);
    if (fd < 0 || fstat(fd, &info) != 0) {
        world_set_error(error, path);
        if (fd >= 0) {
            close(fd);
        }
        return NULL;
    }
    gsize bytes = (gsize)info.st_size;
    World *world = bytes < sizeof(WorldHeader)
                       ? NULL
                       : world_map(path, fd, bytes, PROT_READ, error);
    close(fd);
    if (world == NULL || !world_is_whole(world)) {
        g_clear_error(error);
        g_set_error(error, COMB_ERROR, COMB_ERROR_CORRUPT,
                    "%s is no whole graph; remove it", path);
        g_clear_pointer(&world, world_close);
        return NULL;
    }
    world_lay_out(world, world->header->users, world->header->edges);
    return world;
}

void
world_close(World *world)
{
    munmap(world->header, world->bytes);
    g_free(world);
}

UserId
world_user_id(const World *world, guint32 index)
{
    guint64 within = rng_mix(world->header->seed + index) % 10;
    return (UserId){(gint64)(1 + (guint64)index * 10 + within)};
}

/* ---- making one ---- */

/* The weights by index, scaled so that their sum is what all follow. The cap
   takes from the sum, so the scale is looked for in a few steps. */
static double *
make_popularity(guint32 users)
{
    double *weights = g_new(double, users);
    double cap = users * POPULARITY_CAP;
    double scale = 1;
    for (guint round = 0; round < 8; round++) {
        double sum = 0;
        for (guint32 rank = 0; rank < users; rank++) {
            double w = pow(rank + GRAPH_SHIFT, -1 / (GRAPH_G - 1));
            w = MIN(w * scale, cap);
            weights[rank * SPREAD % users] = w;
            sum += w;
        }
        scale *= (double)users * WORLD_MEAN_FOLLOWS / sum;
    }
    return weights;
}

/* How many @user follows, the celebrity aside. */
static guint32
make_degree(Rng *rng, guint32 user, guint32 users)
{
    double cap = users / 4;
    if (user % HEAVY_EVERY == HEAVY_AT) {
        double heavy = HEAVY_MIN + rng_below(rng, HEAVY_MAX - HEAVY_MIN + 1);
        return (guint32)MIN(heavy, cap);
    }
    double degree = FOLLOWS_MEDIAN * exp(FOLLOWS_SIGMA * rng_normal(rng));
    degree = MIN(degree, FOLLOWS_MAX);
    return (guint32)CLAMP(degree, 1, cap);
}

static guint64 *
make_places(const WorldOptions *options)
{
    guint64 *at = g_new(guint64, (gsize)options->users + 1);
    guint64 edges = 0;
    for (guint32 user = 0; user < options->users; user++) {
        Rng rng;
        rng_init(&rng, options->seed, user);
        at[user] = edges;
        edges += make_degree(&rng, user, options->users) + 1U;
    }
    at[options->users] = edges;
    return at;
}

static void
make_follows(World *world, const WorldOptions *options)
{
    g_autofree double *popularity = make_popularity(options->users);
    g_autofree Alias *alias = alias_new(popularity, options->users);
    /* Whose list an author was last drawn for: no author twice in one. */
    g_autofree guint32 *drawn_for = g_new0(guint32, options->users);
    for (guint32 user = 0; user < options->users; user++) {
        Rng rng;
        rng_init(&rng, options->seed, user);
        (void)make_degree(&rng, user, options->users);
        guint32 *out = world->follows + world->follows_at[user];
        guint32 *end = world->follows + world->follows_at[user + 1] - 1;
        drawn_for[user] = user + 1; /* nobody follows himself */
        while (out < end) {
            guint32 author = alias_draw(alias, &rng);
            if (drawn_for[author] != user + 1) {
                drawn_for[author] = user + 1;
                *out++ = author;
            }
        }
        *out = options->users;
    }
}

static void
make_followers(World *world, guint32 users)
{
    guint64 *at = world->followers_at;
    memset(at, 0, ((gsize)users + 2) * sizeof *at);
    for (guint64 i = 0; i < world->header->edges; i++) {
        at[world->follows[i] + 1]++;
    }
    for (guint32 author = 0; author <= users; author++) {
        at[author + 1] += at[author];
    }
    g_autofree guint64 *next = g_memdup2(at, ((gsize)users + 1) * sizeof *at);
    for (guint32 user = 0; user < users; user++) {
        for (guint64 i = world->follows_at[user];
             i < world->follows_at[user + 1]; i++) {
            world->followers[next[world->follows[i]]++] = user;
        }
    }
}

static void
make_rates(World *world, const WorldOptions *options)
{
    Rng rng;
    rng_init(&rng, options->seed, STREAM_RATES);
    for (guint32 author = 0; author < options->users; author++) {
        gsize n;
        world_followers(world, author, &n);
        double rate = pow((double)MAX(n, 1), RATE_POWER);
        world->rates[author] = (float)(rate * exp(rng_normal(&rng)));
    }
    world->rates[options->users] = 0;
}

static guint64
make_digest(const World *world)
{
    guint64 users = world->header->users;
    XXH64_state_t *state = XXH64_createState();
    XXH64_reset(state, 0);
    XXH64_update(state, world->follows_at,
                 (users + 1) * sizeof *world->follows_at);
    XXH64_update(state, world->follows,
                 world->header->edges * sizeof *world->follows);
    XXH64_update(state, world->rates, (users + 1) * sizeof *world->rates);
    guint64 digest = XXH64_digest(state);
    XXH64_freeState(state);
    return digest;
}

World *
world_make(const char *path, const WorldOptions *options, GError **error)
{
    g_autofree char *temporary = g_strdup_printf("%s.new", path);
    g_autofree guint64 *places = make_places(options);
    guint64 edges = places[options->users];
    World *world = world_create(temporary, options->users, edges, error);
    if (world == NULL) {
        return NULL;
    }
    *world->header = (WorldHeader){
        .seed = options->seed, .edges = edges, .users = options->users};
    memcpy(world->header->magic, WORLD_MAGIC, 8);
    memcpy(world->follows_at, places,
           ((gsize)options->users + 1) * sizeof *places);
    make_follows(world, options);
    make_followers(world, options->users);
    make_rates(world, options);
    world->header->digest = make_digest(world);
    if (g_rename(temporary, path) != 0) {
        world_set_error(error, path);
        world_close(world);
        return NULL;
    }
    return world;
}

double
world_fan_out(const World *world)
{
    double posts = 0;
    double deliveries = 0;
    for (guint32 author = 0; author < world->header->users; author++) {
        gsize n;
        world_followers(world, author, &n);
        posts += (double)world->rates[author];
        deliveries += (double)world->rates[author] * (double)n;
    }
    return deliveries / posts;
}
