#include "cell/followload.h"

#include "ops/kit/ensure.h"

#include <malloc.h>
#include <pthread.h>

/* A buffer begins with room for so many edges, doubles, and is put in when it
   has so many: 12 bytes each, and a buffer for each shard. */
#define EDGES_MIN 32u
#define EDGES_MAX 32768u
/* Full buffers there are at most, beside one for each shard. */
#define FULL_MAX 32u

typedef struct FollowEdges {
    UserId *authors; /* owned */
    guint32 *users;  /* owned; the follower of each */
    guint n;
    guint capacity;
} FollowEdges;

struct FollowLoad {
    Followers *followers;                  /* borrowed; the thread's, if any */
    FollowEdges *shards[FOLLOWERS_SHARDS]; /* owned; being filled */
    gboolean threaded; /* the first buffer was full: there is a thread */
    pthread_t thread;
    pthread_mutex_t lock;   /* of all below */
    pthread_cond_t changed; /* any of it */
    GQueue full;            /* FollowEdges, owned; to the thread, in order */
    GQueue empty;           /* FollowEdges, owned; from it */
    guint buffers;          /* made for @full and @empty */
    gboolean ended;         /* @full gets no more */
};

static FollowEdges *
edges_new(guint capacity)
{
    FollowEdges *edges = g_new0(FollowEdges, 1);
    edges->authors = g_new(UserId, capacity);
    edges->users = g_new(guint32, capacity);
    edges->capacity = capacity;
    return edges;
}

static void
edges_free(FollowEdges *edges)
{
    g_free(edges->authors);
    g_free(edges->users);
    g_free(edges);
}

static void
edges_grow(FollowEdges *edges)
{
    edges->capacity *= 2;
    edges->authors = g_renew(UserId, edges->authors, edges->capacity);
    edges->users = g_renew(guint32, edges->users, edges->capacity);
}

static void
edges_put(FollowLoad *load, FollowEdges *edges)
{
    followers_add_many(load->followers, edges->authors, edges->users, edges->n);
    edges->n = 0;
}

/* The next full buffer; NULL: there will be none. */
static FollowEdges *
followload_pop(FollowLoad *load)
{
    pthread_mutex_lock(&load->lock);
    while (g_queue_is_empty(&load->full) && !load->ended) {
        pthread_cond_wait(&load->changed, &load->lock);
    }
    FollowEdges *edges = g_queue_pop_head(&load->full);
    pthread_mutex_unlock(&load->lock);
    return edges;
}

static void *
followload_run(void *user_data)
{
    FollowLoad *load = user_data;
    FollowEdges *edges;
    while ((edges = followload_pop(load)) != NULL) {
        edges_put(load, edges);
        pthread_mutex_lock(&load->lock);
        g_queue_push_tail(&load->empty, edges);
        pthread_cond_signal(&load->changed);
        pthread_mutex_unlock(&load->lock);
    }
    return NULL;
}

FollowLoad *
followload_begin(Followers *followers)
{
    FollowLoad *load = g_new0(FollowLoad, 1);
    load->followers = followers;
    pthread_mutex_init(&load->lock, NULL);
    pthread_cond_init(&load->changed, NULL);
    return load;
}

/* A full buffer for an empty one. */
static FollowEdges *
followload_push(FollowLoad *load, FollowEdges *edges)
{
    if (!load->threaded) {
        load->threaded = TRUE;
        int code = pthread_create(&load->thread, NULL, followload_run, load);
        ensure(code == 0);
    }
    pthread_mutex_lock(&load->lock);
    g_queue_push_tail(&load->full, edges);
    pthread_cond_signal(&load->changed);
    while (g_queue_is_empty(&load->empty) && load->buffers == FULL_MAX) {
        pthread_cond_wait(&load->changed, &load->lock);
    }
    FollowEdges *empty = g_queue_pop_head(&load->empty);
    load->buffers += empty == NULL;
    pthread_mutex_unlock(&load->lock);
    return empty != NULL ? empty : edges_new(EDGES_MAX);
}

/* The shard's buffer, with room for an edge. */
static FollowEdges *
followload_room(FollowLoad *load, guint shard)
{
    FollowEdges *edges = load->shards[shard];
    if (edges == NULL) {
        edges = edges_new(EDGES_MIN);
    } else if (edges->n == EDGES_MAX) {
        edges = followload_push(load, edges);
    } else if (edges->n == edges->capacity) {
        edges_grow(edges);
    }
    load->shards[shard] = edges;
    return edges;
}

void
followload_add(FollowLoad *load, const UserId *authors, guint n, guint32 user)
{
    for (guint i = 0; i < n; i++) {
        guint shard = followers_shard(authors[i]);
        FollowEdges *edges = load->shards[shard];
        if (edges == NULL || edges->n == edges->capacity) {
            edges = followload_room(load, shard);
        }
        edges->authors[edges->n] = authors[i];
        edges->users[edges->n++] = user;
    }
}

/* The second thread has put in all that it was given. */
static void
followload_join(FollowLoad *load)
{
    pthread_mutex_lock(&load->lock);
    load->ended = TRUE;
    pthread_cond_signal(&load->changed);
    pthread_mutex_unlock(&load->lock);
    pthread_join(load->thread, NULL);
}

void
followload_end(FollowLoad *load)
{
    if (load->threaded) {
        followload_join(load);
    }
    for (guint i = 0; i < FOLLOWERS_SHARDS; i++) {
        if (load->shards[i] != NULL) {
            edges_put(load, load->shards[i]);
            edges_free(load->shards[i]);
        }
    }
    g_queue_clear_full(&load->empty, (GDestroyNotify)edges_free);
    if (load->threaded) {
        /* Sets lie behind the buffers: the allocator would keep the gap. */
        malloc_trim(0);
    }
    pthread_cond_destroy(&load->changed);
    pthread_mutex_destroy(&load->lock);
    g_free(load);
}
