/*
 * idmap.h: order and lookups against GHashTable, for ids that are alike in
 * some bits; growth; readers while a writer adds (also under TSan).
 */
#include "cell/idmap.h"

#include <pthread.h>

#define READERS 3
#define READ_IDS 300000u

/* A positive id for each number, no two alike (an odd factor modulo 2^63). */
static gint64
nth_id(guint n)
{
    return (gint64)((n + G_GUINT64_CONSTANT(1)) *
                        G_GUINT64_CONSTANT(0x9e3779b97f4a7c15) &
                    G_MAXINT64);
}

/* Indexes are dense, in order of the first insertion, and stay. */
static void
test_order(void)
{
    static const gint64 ids[] = {7, 1, G_MAXINT64, 2, 1LL << 32, 3};
    g_autoptr(IdMap) map = idmap_new();
    g_assert_cmpuint(idmap_find(map, 7), ==, IDMAP_NONE);
    for (guint round = 0; round < 2; round++) {
        for (guint i = 0; i < G_N_ELEMENTS(ids); i++) {
            idmap_prefetch(map, ids[i]);
            g_assert_cmpuint(idmap_add(map, ids[i]), ==, i);
            g_assert_cmpuint(idmap_find(map, ids[i]), ==, i);
            g_assert_cmpint(idmap_id(map, i), ==, ids[i]);
        }
        g_assert_cmpuint(idmap_count(map), ==, G_N_ELEMENTS(ids));
    }
    static const gint64 absent[] = {4, 0, -1, -7, G_MININT64, G_MAXINT64 - 1};
    for (guint i = 0; i < G_N_ELEMENTS(absent); i++) {
        g_assert_cmpuint(idmap_find(map, absent[i]), ==, IDMAP_NONE);
    }
}

/* Ids of one range, of which only some bits differ, shifted to any place. */
static gint64
random_id(GRand *rand)
{
    static const guint shifts[] = {0, 8, 21, 32, 47};
    guint shift = shifts[g_rand_int_range(rand, 0, G_N_ELEMENTS(shifts))];
    return (gint64)g_rand_int_range(rand, 1, 60000) << shift;
}

/* GLib's own looks at the low 32 bits only, and most ids here have none. */
static guint
model_hash(gconstpointer key)
{
    return (guint)(GPOINTER_TO_SIZE(key) % 4294967291u);
}

/* Whatever is added and looked for, the map says what a hash table says. */
static void
test_random(void)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(1);
    g_autoptr(GHashTable) model = g_hash_table_new(model_hash, NULL);
    g_autoptr(IdMap) map = idmap_new();
    for (guint i = 0; i < 400000; i++) {
        gint64 id = random_id(rand);
        gpointer key = GSIZE_TO_POINTER((gsize)id);
        guint32 known = GPOINTER_TO_UINT(g_hash_table_lookup(model, key));
        g_assert_cmpuint(idmap_find(map, id), ==,
                         known != 0 ? known - 1 : IDMAP_NONE);
        if (g_rand_boolean(rand)) {
            guint32 n = g_hash_table_size(model);
            g_assert_cmpuint(idmap_add(map, id), ==,
                             known != 0 ? known - 1 : n);
            if (known == 0) {
                g_hash_table_insert(model, key, GUINT_TO_POINTER(n + 1));
            }
            g_assert_cmpuint(idmap_count(map), ==, g_hash_table_size(model));
        }
    }
    g_assert_cmpuint(idmap_count(map), >, 100000);
}

/* A million ids over many segments and growths, within the memory promised. */
static void
test_growth(void)
{
    g_autoptr(IdMap) map = idmap_new();
    gsize empty = idmap_bytes(map);
    for (guint i = 0; i < 1000000; i++) {
        g_assert_cmpuint(idmap_add(map, nth_id(i)), ==, i);
    }
    for (guint i = 0; i < 1000000; i++) {
        g_assert_cmpuint(idmap_find(map, nth_id(i)), ==, i);
        g_assert_cmpint(idmap_id(map, i), ==, nth_id(i));
        g_assert_cmpuint(idmap_find(map, nth_id(i + 1000000)), ==, IDMAP_NONE);
    }
    gsize bytes = idmap_bytes(map) - empty;
    g_assert_cmpuint(bytes, >, 12 * 1000000);
    g_assert_cmpuint(bytes, <, 36 * 1000000);
}

typedef struct Reader {
    const IdMap *map;
    pthread_t thread;
    guint32 seed;
    guint found; /* of ids at or beyond the count: may be there, or not */
} Reader;

/* What is below the count is there; what is beyond is absent or right; what
   is never added is absent. */
static void *
reader_run(void *data)
{
    Reader *reader = data;
    g_autoptr(GRand) rand = g_rand_new_with_seed(reader->seed);
    guint32 count;
    do {
        count = idmap_count(reader->map);
        guint32 any = (guint32)g_rand_int_range(rand, 0, READ_IDS);
        guint32 near = MIN(count + any % 4, READ_IDS - 1);
        if (count > 0) {
            guint32 index = any % count;
            gint64 id = idmap_id(reader->map, index);
            g_assert_cmpint(id, ==, nth_id(index));
            g_assert_cmpuint(idmap_find(reader->map, id), ==, index);
        }
        idmap_prefetch(reader->map, nth_id(near));
        guint32 index = idmap_find(reader->map, nth_id(near));
        g_assert_true(index == near || (index == IDMAP_NONE && near >= count));
        reader->found += index == near && near >= count;
        g_assert_cmpuint(idmap_find(reader->map, nth_id(READ_IDS + any)), ==,
                         IDMAP_NONE);
    } while (count < READ_IDS);
    return NULL;
}

/* Readers and the one writer, all through growth. */
static void
test_readers(void)
{
    g_autoptr(IdMap) map = idmap_new();
    Reader readers[READERS];
    for (guint i = 0; i < READERS; i++) {
        readers[i] = (Reader){.map = map, .seed = i};
        g_assert_cmpint(
            pthread_create(&readers[i].thread, NULL, reader_run, &readers[i]),
            ==, 0);
    }
    for (guint i = 0; i < READ_IDS; i++) {
        g_assert_cmpuint(idmap_add(map, nth_id(i)), ==, i);
    }
    for (guint i = 0; i < READERS; i++) {
        g_assert_cmpint(pthread_join(readers[i].thread, NULL), ==, 0);
        g_test_message("reader %u found %u just added", i, readers[i].found);
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/idmap/order", test_order);
    g_test_add_func("/idmap/random", test_random);
    g_test_add_func("/idmap/growth", test_growth);
    g_test_add_func("/idmap/readers", test_readers);
    return g_test_run();
}
