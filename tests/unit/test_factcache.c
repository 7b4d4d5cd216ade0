/*
 * factcache.h: a fact is given only to those whose snapshot says the same;
 * what is hot survives a scan; memory is bounded; readers and a writer at
 * once (the value of a fact is the commit that it is of).
 */
#include "cell/factcache.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

static void
put(FactCache *cache, gint64 id, guint64 commits, guint64 value)
{
    FactQuery query = {FACT_POST, id, commits};
    WireBytes head = {(const guint8 *)&value, sizeof value};
    cachedfact_unref(factcache_put(cache, &query, head, (WireBytes){NULL, 0}));
}

/* The value as a reader whose snapshot has @commits gets it; 0: none. */
static guint64
get(FactCache *cache, gint64 id, guint64 commits)
{
    FactQuery query = {FACT_POST, id, commits};
    g_autoptr(CachedFact) fact = factcache_get(cache, &query);
    guint64 value = 0;
    if (fact != NULL) {
        memcpy(&value, cachedfact_bytes(fact).data, sizeof value);
    }
    return value;
}

static void
change(FactCache *cache, gint64 id, guint64 commits)
{
    factcache_changes(cache, key_post((PostId){id}));
    factcache_commits(cache, commits);
}

static void
test_commits(void)
{
    g_autoptr(FactCache) cache = factcache_new(1 << 20);
    g_assert_cmpuint(get(cache, 1, 10), ==, 0);
    put(cache, 1, 10, 100);
    g_assert_cmpuint(get(cache, 1, 10), ==, 100);
    g_assert_cmpuint(get(cache, 1, 5), ==, 100); /* nothing has changed it */
    change(cache, 1, 12);
    g_assert_cmpuint(get(cache, 1, 12), ==, 0); /* it is older */
    g_assert_cmpuint(get(cache, 1, 11), ==, 0); /* cannot be told: refused */
    /* One who read before, and is late, does not bring the old fact back. */
    put(cache, 1, 11, 100);
    g_assert_cmpuint(get(cache, 1, 12), ==, 0);
    put(cache, 1, 12, 101);
    g_assert_cmpuint(get(cache, 1, 12), ==, 101);
    g_assert_cmpuint(get(cache, 1, 13), ==, 101);
    g_assert_cmpuint(get(cache, 1, 11), ==, 0); /* to that one it is to come */
    put(cache, 1, 11, 100);
    g_assert_cmpuint(get(cache, 1, 12), ==, 101);
}

/* Each row that a fact is made of changes it, others do not. */
static void
test_kinds(void)
{
    const struct {
        Key key;
        FactKind kind;
    } rows[] = {
        {key_post((PostId){7}), FACT_POST},
        {key_tombstone((PostId){7}, (UserId){9}), FACT_POST},
        {key_edges((UserId){7}, (UserId){9}), FACT_FOLLOWS},
        {key_chunk((UserId){7}, (PostId){9}), FACT_INBOX},
        {key_floor((UserId){7}), FACT_INBOX},
        {key_timeline((UserId){7}, (PostId){9}), (FactKind)99},
        {key_meta("home"), (FactKind)99},
        {key_position(7), (FactKind)99},
    };
    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(FactCache) cache = factcache_new(1 << 20);
        for (FactKind kind = FACT_POST; kind <= FACT_INBOX; kind++) {
            FactQuery query = {kind, 7, 1};
            WireBytes none = {NULL, 0};
            cachedfact_unref(factcache_put(cache, &query, none, none));
        }
        factcache_changes(cache, rows[i].key);
        factcache_commits(cache, 2);
        for (FactKind kind = FACT_POST; kind <= FACT_INBOX; kind++) {
            FactQuery query = {kind, 7, 2};
            g_autoptr(CachedFact) fact = factcache_get(cache, &query);
            g_assert_cmpint(fact == NULL, ==, kind == rows[i].kind);
        }
    }
}

static void
test_bounds(void)
{
    gsize bytes = 1 << 16;
    g_autoptr(FactCache) cache = factcache_new(bytes);
    g_autofree guint8 *body = g_malloc0(bytes);
    for (gint64 id = 1; id < 5000; id++) {
        FactQuery query = {FACT_POST, id, 1};
        WireBytes head = {body, (gsize)(id % 700)};
        cachedfact_unref(
            factcache_put(cache, &query, head, (WireBytes){body, 3}));
        g_assert_cmpuint(factcache_bytes(cache), <=, bytes);
    }
    g_assert_cmpuint(factcache_bytes(cache), >, bytes / 2);
    FactQuery query = {FACT_POST, 6000, 1};
    g_autoptr(CachedFact) large =
        factcache_put(cache, &query, (WireBytes){body, bytes}, (WireBytes){0});
    g_assert_cmpuint(cachedfact_bytes(large).len, ==, bytes);
    g_assert_null(factcache_get(cache, &query)); /* was given, not kept */
}

static void
test_none(void)
{
    g_autoptr(FactCache) cache = factcache_new(0);
    put(cache, 1, 1, 5);
    g_assert_cmpuint(get(cache, 1, 1), ==, 0);
    change(cache, 1, 2);
    g_assert_cmpuint(factcache_bytes(cache), ==, 0);
}

/* A hundred hot facts and a scan of a hundred thousand cold ones. */
static void
test_scan(void)
{
    g_autoptr(FactCache) cache = factcache_new(1 << 16);
    guint lost = 0;
    for (guint round = 0; round < 3; round++) {
        for (gint64 id = 1; id <= 100; id++) {
            put(cache, id, 1, 5);
            get(cache, id, 1);
        }
    }
    for (gint64 id = 1000; id < 101000; id++) {
        put(cache, id, 1, 6);
        gint64 hot = 1 + id % 100;
        if (get(cache, hot, 1) == 0) {
            lost++;
            put(cache, hot, 1, 5);
        }
    }
    g_assert_cmpuint(lost, <, 100);
}

/* ---- readers beside a writer ---- */

#define IDS 40u
#define COMMITS 20000u

typedef struct World {
    FactCache *cache;
    _Atomic guint64 commits;    /* made */
    _Atomic guint64 truth[IDS]; /* the store: the commit that changed it */
    _Atomic gboolean ended;
} World;

/* A fact says the commit that made it. A reader must not see one that came
   after its snapshot, nor one that another had replaced before it. */
static void *
read_facts(void *user_data)
{
    World *world = user_data;
    g_autoptr(GRand) rand = g_rand_new_with_seed(7);
    while (!atomic_load(&world->ended)) {
        guint id = (guint)g_rand_int_range(rand, 0, IDS);
        guint64 commits = atomic_load(&world->commits);
        /* The snapshot: this id as it is now. It may be newer than @commits. */
        guint64 truth = atomic_load(&world->truth[id]);
        guint64 told = get(world->cache, id + 1, commits);
        if (told != 0) {
            g_assert_cmpuint(told, ==, truth);
        } else {
            put(world->cache, id + 1, commits, truth);
        }
    }
    return NULL;
}

static void
test_beside_writer(void)
{
    World world = {.cache = factcache_new(4096)};
    pthread_t readers[2];
    g_autoptr(GRand) rand = g_rand_new_with_seed(8);
    for (guint i = 0; i < IDS; i++) {
        atomic_store(&world.truth[i], 1);
    }
    atomic_store(&world.commits, 1);
    for (guint i = 0; i < 2; i++) {
        pthread_create(&readers[i], NULL, read_facts, &world);
    }
    for (guint64 commit = 2; commit < COMMITS; commit++) {
        guint id = (guint)g_rand_int_range(rand, 0, IDS);
        change(world.cache, id + 1, commit);
        atomic_store(&world.truth[id], commit);
        atomic_store(&world.commits, commit);
    }
    atomic_store(&world.ended, TRUE);
    for (guint i = 0; i < 2; i++) {
        pthread_join(readers[i], NULL);
    }
    factcache_free(world.cache);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/factcache/commits", test_commits);
    g_test_add_func("/factcache/kinds", test_kinds);
    g_test_add_func("/factcache/bounds", test_bounds);
    g_test_add_func("/factcache/none", test_none);
    g_test_add_func("/factcache/scan", test_scan);
    g_test_add_func("/factcache/beside-writer", test_beside_writer);
    return g_test_run();
}
