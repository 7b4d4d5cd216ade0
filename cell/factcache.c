/*
 * Shards by hash, each with a lock of its own that is held for a look-up or
 * an insertion, never while a store is read or a page is written; what is
 * given out is held by its reference.
 *
 * In a shard: a table of chains, the small and the main queue, and the
 * ghosts, which are the hashes of what left the small queue lately. An entry
 * that is asked for while in the small queue goes on to the main one when its
 * turn comes, one whose ghost is still there goes there at once; the main
 * queue gives as many further rounds as it was asked for, up to three.
 */
#include "cell/factcache.h"

#include "ops/kit/ensure.h"
#include "ops/kit/mix.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

/* A cache of less than so much a shard has one shard. */
#define SHARD_BYTES_MIN ((gsize)1 << 20)
#define SHARDS 16u
/* About what a fact takes: how large the tables are made. */
#define FACT_BYTES_TYPICAL 512u
#define TABLE_MIN 16u
/* Slots that last changes are kept in; 8 bytes each. */
#define SLOTS_MIN 1024u
#define SLOTS_MAX (1u << 18)
/* The small queue is held to this part of the shard. */
#define SMALL_PART 10u
#define ASKED_MAX 3u
/* A fact's head and the first of its bytes. */
#define CACHE_LINE 64u
#define PREFETCH_LINES 4u

typedef struct FactQueue FactQueue;
/* Written under a shard's lock; factcache_prefetch_fact() reads it without. */
typedef CachedFact *_Atomic FactLink;

struct CachedFact {
    _Atomic guint refs; /* readers', and the shard's while it is kept */
    guint8 asked;       /* since it came or had its last round, up to three */
    FactQuery query;
    guint64 hash;
    FactQueue *queue;  /* it is in; NULL: none */
    FactLink chain;    /* the next of its bucket */
    CachedFact *newer; /* in the queue */
    CachedFact *older;
    gsize len;
    guint64 data[]; /* the fact's bytes */
};

struct FactQueue {
    CachedFact *newest;
    CachedFact *oldest;
    gsize bytes;
};

typedef struct FactShard {
    pthread_mutex_t lock;
    FactLink *table; /* chains by hash; owned, references too */
    guint32 *ghosts; /* high halves of hashes, by hash; owned */
    FactQueue small;
    FactQueue main;
} FactShard;

struct FactCache {
    FactShard *shards; /* owned */
    guint n_shards;    /* a power of two; 0: nothing is kept */
    gsize shard_bytes;
    guint table_mask;         /* buckets and ghosts of a shard, less 1 */
    _Atomic guint64 *changed; /* by hash: the last commit that did; owned */
    guint slot_mask;          /* slots of @changed, less 1 */
    GArray *changing;         /* guint: slots the next commit changes */
};

static guint64
fact_hash(FactKind kind, gint64 id)
{
    return mix64((guint64)id ^ ((guint64)kind + 1) << 62);
}

static guint
power_of_two(gsize at_least, guint min, guint max)
{
    guint n = min;
    while (n < at_least && n < max) {
        n *= 2;
    }
    return n;
}

FactCache *
factcache_new(gsize bytes)
{
    FactCache *cache = g_new0(FactCache, 1);
    gsize facts = bytes / FACT_BYTES_TYPICAL;
    guint slots = power_of_two(2 * facts, SLOTS_MIN, SLOTS_MAX);
    cache->changed = g_new0(_Atomic guint64, slots);
    cache->slot_mask = slots - 1;
    cache->changing = g_array_new(FALSE, FALSE, sizeof(guint));
    if (bytes == 0) {
        return cache;
    }
    cache->n_shards = bytes / SHARDS < SHARD_BYTES_MIN ? 1 : SHARDS;
    cache->shard_bytes = bytes / cache->n_shards;
    guint table = power_of_two(facts / cache->n_shards, TABLE_MIN, 1u << 24);
    cache->table_mask = table - 1;
    cache->shards = g_new0(FactShard, cache->n_shards);
    for (guint i = 0; i < cache->n_shards; i++) {
        FactShard *shard = &cache->shards[i];
        pthread_mutex_init(&shard->lock, NULL);
        shard->table = g_new0(FactLink, table);
        shard->ghosts = g_new0(guint32, table);
    }
    return cache;
}

/* ---- facts ---- */

static CachedFact *
cachedfact_new(const FactQuery *query, guint64 hash, WireBytes head,
               WireBytes body)
{
    CachedFact *fact = g_malloc(sizeof *fact + head.len + body.len);
    *fact =
        (CachedFact){.query = *query, .hash = hash, .len = head.len + body.len};
    atomic_init(&fact->refs, 1);
    guint8 *data = (guint8 *)fact->data;
    if (head.len > 0) {
        memcpy(data, head.data, head.len);
    }
    if (body.len > 0) {
        memcpy(data + head.len, body.data, body.len);
    }
    return fact;
}

static CachedFact *
cachedfact_ref(CachedFact *fact)
{
    atomic_fetch_add_explicit(&fact->refs, 1, memory_order_relaxed);
    return fact;
}

void
cachedfact_unref(CachedFact *fact)
{
    if (fact != NULL && atomic_fetch_sub(&fact->refs, 1) == 1) {
        g_free(fact);
    }
}

WireBytes
cachedfact_bytes(const CachedFact *fact)
{
    return (WireBytes){(const guint8 *)fact->data, fact->len};
}

static gsize
cachedfact_cost(const CachedFact *fact)
{
    return sizeof *fact + fact->len;
}

/* ---- queues ---- */

static void
queue_push(FactQueue *queue, CachedFact *fact)
{
    fact->queue = queue;
    fact->newer = NULL;
    fact->older = queue->newest;
    *(queue->newest != NULL ? &queue->newest->newer : &queue->oldest) = fact;
    queue->newest = fact;
    queue->bytes += cachedfact_cost(fact);
}

static void
queue_remove(CachedFact *fact)
{
    FactQueue *queue = fact->queue;
    *(fact->newer != NULL ? &fact->newer->older : &queue->newest) = fact->older;
    *(fact->older != NULL ? &fact->older->newer : &queue->oldest) = fact->newer;
    queue->bytes -= cachedfact_cost(fact);
    fact->queue = NULL;
}

/* ---- a shard, under its lock ---- */

static FactShard *
factcache_shard(const FactCache *cache, guint64 hash)
{
    return &cache->shards[(hash >> 58) & (cache->n_shards - 1)];
}

static CachedFact *
fact_at(const FactLink *link)
{
    return atomic_load_explicit(link, memory_order_relaxed);
}

static void
fact_put_at(FactLink *link, CachedFact *fact)
{
    atomic_store_explicit(link, fact, memory_order_relaxed);
}

static FactLink *
shard_find(const FactCache *cache, FactShard *shard, const FactQuery *query,
           guint64 hash)
{
    FactLink *at = &shard->table[hash & cache->table_mask];
    CachedFact *fact;
    while ((fact = fact_at(at)) != NULL &&
           (fact->query.id != query->id || fact->query.kind != query->kind)) {
        at = &fact->chain;
    }
    return at;
}

static void
shard_drop(const FactCache *cache, FactShard *shard, CachedFact *fact)
{
    FactLink *at = shard_find(cache, shard, &fact->query, fact->hash);
    ensure(fact_at(at) == fact);
    fact_put_at(at, fact_at(&fact->chain));
    queue_remove(fact);
    cachedfact_unref(fact);
}

static guint32 *
shard_ghost(const FactCache *cache, FactShard *shard, guint64 hash)
{
    return &shard->ghosts[hash & cache->table_mask];
}

static void
shard_evict_small(const FactCache *cache, FactShard *shard)
{
    CachedFact *fact = shard->small.oldest;
    if (fact->asked > 0) {
        fact->asked = 0;
        queue_remove(fact);
        queue_push(&shard->main, fact);
        return;
    }
    *shard_ghost(cache, shard, fact->hash) = (guint32)(fact->hash >> 26);
    shard_drop(cache, shard, fact);
}

static void
shard_evict_main(const FactCache *cache, FactShard *shard)
{
    CachedFact *fact = shard->main.oldest;
    if (fact->asked == 0) {
        shard_drop(cache, shard, fact);
        return;
    }
    fact->asked--;
    queue_remove(fact);
    queue_push(&shard->main, fact);
}

static void
shard_evict(const FactCache *cache, FactShard *shard)
{
    while (shard->small.bytes + shard->main.bytes > cache->shard_bytes) {
        if (shard->main.oldest == NULL ||
            shard->small.bytes > cache->shard_bytes / SMALL_PART) {
            shard_evict_small(cache, shard);
        } else {
            shard_evict_main(cache, shard);
        }
    }
}

static void
shard_insert(const FactCache *cache, FactShard *shard, CachedFact *fact)
{
    FactLink *at = shard_find(cache, shard, &fact->query, fact->hash);
    CachedFact *old = fact_at(at);
    FactQueue *queue = &shard->small;
    if (old != NULL) {
        if (old->query.commits >= fact->query.commits) {
            return; /* another reader was quicker */
        }
        queue = old->queue;
        fact->asked = old->asked;
        shard_drop(cache, shard, old);
        at = shard_find(cache, shard, &fact->query, fact->hash);
    } else {
        guint32 *ghost = shard_ghost(cache, shard, fact->hash);
        if (*ghost == (guint32)(fact->hash >> 26)) {
            *ghost = 0;
            queue = &shard->main;
        }
    }
    fact_put_at(at, cachedfact_ref(fact));
    queue_push(queue, fact);
    shard_evict(cache, shard);
}

/* ---- readers ---- */

void
factcache_prefetch(const FactCache *cache, FactKind kind, gint64 id)
{
    if (cache->n_shards > 0) {
        guint64 hash = fact_hash(kind, id);
        const FactShard *shard = factcache_shard(cache, hash);
        __builtin_prefetch(&shard->table[hash & cache->table_mask]);
        __builtin_prefetch(&cache->changed[hash & cache->slot_mask]);
    }
}

void
factcache_prefetch_fact(const FactCache *cache, FactKind kind, gint64 id)
{
    if (cache->n_shards > 0) {
        guint64 hash = fact_hash(kind, id);
        const FactShard *shard = factcache_shard(cache, hash);
        /* An address only: nothing at it is read here. */
        const char *fact =
            (const char *)fact_at(&shard->table[hash & cache->table_mask]);
        for (guint i = 0; fact != NULL && i < PREFETCH_LINES; i++) {
            __builtin_prefetch(fact + i * CACHE_LINE);
        }
    }
}

CachedFact *
factcache_get(FactCache *cache, const FactQuery *query)
{
    if (cache->n_shards == 0) {
        return NULL;
    }
    guint64 hash = fact_hash(query->kind, query->id);
    FactShard *shard = factcache_shard(cache, hash);
    CachedFact *found = NULL;
    pthread_mutex_lock(&shard->lock);
    CachedFact *fact = fact_at(shard_find(cache, shard, query, hash));
    if (fact != NULL) {
        guint64 changed = atomic_load(&cache->changed[hash & cache->slot_mask]);
        fact->asked = (guint8)MIN(fact->asked + 1u, ASKED_MAX);
        if (changed <= MIN(fact->query.commits, query->commits)) {
            found = cachedfact_ref(fact);
        }
    }
    pthread_mutex_unlock(&shard->lock);
    return found;
}

CachedFact *
factcache_put(FactCache *cache, const FactQuery *query, WireBytes head,
              WireBytes body)
{
    guint64 hash = fact_hash(query->kind, query->id);
    CachedFact *fact = cachedfact_new(query, hash, head, body);
    if (cache->n_shards > 0 &&
        cachedfact_cost(fact) <= cache->shard_bytes / 2) {
        FactShard *shard = factcache_shard(cache, hash);
        pthread_mutex_lock(&shard->lock);
        shard_insert(cache, shard, fact);
        pthread_mutex_unlock(&shard->lock);
    }
    return fact;
}

gsize
factcache_bytes(FactCache *cache)
{
    gsize bytes = 0;
    for (guint i = 0; i < cache->n_shards; i++) {
        FactShard *shard = &cache->shards[i];
        pthread_mutex_lock(&shard->lock);
        bytes += shard->small.bytes + shard->main.bytes;
        pthread_mutex_unlock(&shard->lock);
    }
    return bytes;
}

/* ---- the writer ---- */

/* Whether rows of @letter are in a fact of a kind. */
static gboolean
fact_kind_of(guint8 letter, FactKind *ret_kind)
{
    switch (letter) {
    case 'p':
    case 'd':
        *ret_kind = FACT_POST;
        return TRUE;
    case 'f':
        *ret_kind = FACT_FOLLOWS;
        return TRUE;
    case 'i':
    case 'w':
        *ret_kind = FACT_INBOX;
        return TRUE;
    default:
        return FALSE;
    }
}

void
factcache_changes(FactCache *cache, Key key)
{
    FactKind kind;
    if (fact_kind_of(key.data[0], &kind)) {
        gint64 id = key_i64((WireBytes){key.data, key.len}, 1);
        guint slot = (guint)fact_hash(kind, id) & cache->slot_mask;
        g_array_append_val(cache->changing, slot);
    }
}

void
factcache_commits(FactCache *cache, guint64 commits)
{
    for (guint i = 0; i < cache->changing->len; i++) {
        guint slot = g_array_index(cache->changing, guint, i);
        atomic_store(&cache->changed[slot], commits);
    }
    g_array_set_size(cache->changing, 0);
}

/* ---- its end ---- */

static void
shard_clear(const FactCache *cache, FactShard *shard)
{
    while (shard->small.oldest != NULL) {
        shard_drop(cache, shard, shard->small.oldest);
    }
    while (shard->main.oldest != NULL) {
        shard_drop(cache, shard, shard->main.oldest);
    }
    g_free(shard->table);
    g_free(shard->ghosts);
    pthread_mutex_destroy(&shard->lock);
}

void
factcache_free(FactCache *cache)
{
    for (guint i = 0; i < cache->n_shards; i++) {
        shard_clear(cache, &cache->shards[i]);
    }
    g_free(cache->shards);
    g_free(cache->changed);
    g_array_unref(cache->changing);
    g_free(cache);
}
