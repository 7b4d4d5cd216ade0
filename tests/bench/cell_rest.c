/*
 * B8. On disk: the cell's RocksDB is opened without the cell, with the options
 * that are written in it, compacted as far as it goes, and asked how much each
 * kind of row takes: the first byte of a key is its kind (cell/key.h). The
 * tail checkpoint is a file. In memory: what an opened, idle cell has more
 * than the process had before; the world is mapped from a file and no part.
 */
#include "cell/followers.h"
#include "tests/bench/bench.h"

#include "tests/bench/usage.h"

#include <rocksdb/c.h>
#include <stdio.h>
#include <stdlib.h>

#define INBOX_LETTER 'i'

typedef struct RestStore {
    rocksdb_t *db;
    rocksdb_options_t *options;
    rocksdb_options_t **family;
    char **names;
    size_t n;
    rocksdb_column_family_handle_t *handle;
    rocksdb_cache_t *cache;
} RestStore;

static void
check_words(const char *words)
{
    if (words != NULL) {
        fprintf(stderr, "comb-bench-cell: %s\n", words);
        exit(EXIT_FAILURE);
    }
}

static void
rest_open(RestStore *store, const char *dir)
{
    char *words = NULL;
    rocksdb_env_t *env = rocksdb_create_default_env();
    store->cache = rocksdb_cache_create_lru((size_t)64 << 20);
    rocksdb_load_latest_options(dir, env, true, store->cache, &store->options,
                                &store->n, &store->names, &store->family,
                                &words);
    check_words(words);
    rocksdb_env_destroy(env);
    if (store->n != 1) {
        check_words("more than one column family");
    }
    const char *const names[] = {store->names[0]};
    const rocksdb_options_t *const family[] = {store->family[0]};
    store->db = rocksdb_open_column_families(store->options, dir, 1, names,
                                             family, &store->handle, &words);
    check_words(words);
}

static void
rest_close(RestStore *store)
{
    rocksdb_column_family_handle_destroy(store->handle);
    rocksdb_close(store->db);
    rocksdb_load_latest_options_destroy(store->options, store->names,
                                        store->family, store->n);
    rocksdb_cache_destroy(store->cache);
}

static guint64
rest_letter_bytes(RestStore *store, char letter)
{
    char *words = NULL;
    char after = (char)(letter + 1);
    const char *const from[] = {&letter};
    const char *const to[] = {&after};
    const size_t len[] = {1};
    uint64_t bytes = 0;
    rocksdb_approximate_sizes_cf(store->db, store->handle, 1, from, len, to,
                                 len, &bytes, &words);
    check_words(words);
    return bytes;
}

int
bench_rest(const Bench *bench)
{
    RestStore store = {0};
    g_autofree char *dir = g_build_filename(bench->cell, "store", NULL);
    uint64_t tables = 0;
    usage_pin(USAGE_SERVER_CORE);
    rest_open(&store, dir);
    rocksdb_compact_range_cf(store.db, store.handle, NULL, 0, NULL, 0);
    (void)rocksdb_property_int_cf(store.db, store.handle,
                                  "rocksdb.total-sst-files-size", &tables);
    printf("{\"rows\":{");
    for (char letter = 'a'; letter <= 'z'; letter++) {
        guint64 bytes = rest_letter_bytes(&store, letter);
        if (bytes > 0) {
            printf("\"%c\":%" G_GUINT64_FORMAT ",", letter, bytes);
        }
    }
    guint64 inbox = rest_letter_bytes(&store, INBOX_LETTER);
    rest_close(&store);
    guint64 tails = usage_tree_bytes(bench->cell, "tails");
    guint64 old = usage_tree_bytes(bench->cell, "tails.old");
    printf("\"all\":%" G_GUINT64_FORMAT "},\"inbox\":%" G_GUINT64_FORMAT
           ",\"tails\":%" G_GUINT64_FORMAT "}\n",
           (guint64)tables, inbox, tails - old);
    return 0;
}

static int
compare_u32(gconstpointer a, gconstpointer b)
{
    guint32 left = *(const guint32 *)a;
    guint32 right = *(const guint32 *)b;
    return (left > right) - (left < right);
}

/* What users cost in memory: each alike, and the blocks of their tails. */
static void
print_users(const Rig *rig)
{
    const Inbox *inbox = rig->state->inbox;
    guint32 users = inbox_users(inbox);
    g_autofree guint32 *blocks = g_new0(guint32, users);
    guint64 all = 0;
    TailCopy tail;
    for (guint32 i = 0; i < users; i++) {
        tails_copy(inbox_tails(inbox), i, &tail);
        blocks[i] =
            tail.n > 0 ? arena_class_bytes(arena_class_for(tail.bytes)) : 0;
        all += blocks[i];
    }
    qsort(blocks, users, sizeof *blocks, compare_u32);
    guint64 edges = followers_edges(rig->state->followers);
    printf("\"user_bytes\":%.1f,\"tail_p1\":%u,\"tail_p50\":%u,"
           "\"tail_p99\":%u,\"edge_bytes\":%.2f,",
           (double)(inbox_live_bytes(inbox) - all) / users, blocks[users / 100],
           blocks[users / 2], blocks[users - 1 - users / 100],
           (double)followers_bytes(rig->state->followers) / (double)edges);
}

int
bench_memory(const Bench *bench)
{
    usage_pin(USAGE_SERVER_CORE);
    guint64 before = usage_status("RssAnon:");
    double begin = usage_now_us();
    Rig *rig = bench_rig(bench, G_MAXUINT64);
    atomic_store(&rig->end, rig->next); /* nothing is applied */
    rig_start(rig);
    while (!atomic_load(&rig->state->ready)) {
        g_usleep(1000);
    }
    double took = usage_now_us() - begin;
    guint64 after = usage_status("RssAnon:");
    printf("{");
    print_users(rig);
    printf("\"anon\":%" G_GUINT64_FORMAT
           ",\"open_s\":%.3f,\"applied\":%" G_GUINT64_FORMAT "}\n",
           after - before, took / 1e6, rig->next);
    rig_close(rig);
    return 0;
}
