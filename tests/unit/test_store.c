/*
 * store.h: a batch against a model, which is what the store would be with the
 * batch in it. Batches of random puts and deletes over few keys, so that rows
 * are put, put again, deleted and put once more, in the batch and before it;
 * after each write gets and searches both ways must see the model.
 */
#include "cell/store.h"
#include "tests/kit/tmpdir.h"

#include <string.h>

#define KEYS 20
#define VALUE_MAX 300

typedef struct Fixture {
    char *dir;
    Store *store;
    StoreBatch *batch;
    gint lens[KEYS]; /* the model: length of a row's value; -1: no row */
    GRand *rand;
} Fixture;

static void
set_up(Fixture *fixture, gconstpointer unused)
{
    (void)unused;
    fixture->dir = tmpdir_new();
    StoreOptions options = {fixture->dir, TRUE, FALSE, 1 << 20, 1 << 20};
    fixture->store = store_open(&options, NULL);
    g_assert_nonnull(fixture->store);
    fixture->batch = store_batch_new(fixture->store);
    fixture->rand = g_rand_new_with_seed(7);
    for (guint i = 0; i < KEYS; i++) {
        fixture->lens[i] = -1;
    }
}

static void
tear_down(Fixture *fixture, gconstpointer unused)
{
    (void)unused;
    store_batch_free(fixture->batch);
    store_close(fixture->store);
    tmpdir_free(fixture->dir);
    g_rand_free(fixture->rand);
}

/* Keys of two lengths, one a prefix of others, in ascending order. */
static Key
key_of(guint i)
{
    return i % 5 == 0 ? key_post((PostId){i / 5 + 1})
                      : key_timeline((UserId){i / 5 + 1}, (PostId){i % 5});
}

static gint
key_order(Key a, Key b)
{
    int order = memcmp(a.data, b.data, MIN(a.len, b.len));
    return order != 0 ? order : (gint)a.len - (gint)b.len;
}

/* The value tells its key and its length. */
static void
assert_value(guint i, gint len, WireBytes bytes)
{
    g_assert_cmpuint(bytes.len, ==, (gsize)len);
    for (gint at = 0; at < len; at++) {
        g_assert_cmpuint(bytes.data[at], ==, (guint8)(i + (guint)len));
    }
}

static void
write_one(Fixture *fixture)
{
    guint i = (guint)g_rand_int_range(fixture->rand, 0, KEYS);
    if (g_rand_int_range(fixture->rand, 0, 3) == 0) {
        store_batch_delete(fixture->batch, key_of(i));
        fixture->lens[i] = -1;
        return;
    }
    guint8 value[VALUE_MAX];
    gint len = g_rand_int_range(fixture->rand, 0, VALUE_MAX);
    memset(value, (gint)(guint8)(i + (guint)len), sizeof value);
    store_batch_put(fixture->batch, key_of(i), value, (gsize)len);
    fixture->lens[i] = len;
}

static void
assert_get(Fixture *fixture, guint i)
{
    g_auto(StoreValue) value = {0};
    StoreOutcome outcome = store_batch_get(fixture->batch, key_of(i), &value);
    if (fixture->lens[i] < 0) {
        g_assert_cmpint(outcome, ==, STORE_MISSING);
        return;
    }
    g_assert_cmpint(outcome, ==, STORE_FOUND);
    assert_value(i, fixture->lens[i], value.bytes);
}

/* The row that a search from @from must find; -1: none. */
static gint
nearest(const Fixture *fixture, Key from, gboolean back)
{
    gint best = -1;
    for (guint i = 0; i < KEYS; i++) {
        gint order = key_order(key_of(i), from);
        if (fixture->lens[i] < 0 || (back ? order > 0 : order < 0)) {
            continue;
        }
        if (best < 0 ||
            (key_order(key_of(i), key_of((guint)best)) < 0) != back) {
            best = (gint)i;
        }
    }
    return best;
}

static void
assert_seek(Fixture *fixture, Key from, gboolean back)
{
    g_auto(StoreValue) value = {0};
    Key key = {0};
    gint wanted = nearest(fixture, from, back);
    StoreOutcome outcome =
        back ? store_batch_seek_back(fixture->batch, from, &key, &value)
             : store_batch_seek(fixture->batch, from, &key, &value);
    if (wanted < 0) {
        g_assert_cmpint(outcome, ==, STORE_MISSING);
        return;
    }
    g_assert_cmpint(outcome, ==, STORE_FOUND);
    g_assert_cmpint(key_order(key, key_of((guint)wanted)), ==, 0);
    assert_value((guint)wanted, fixture->lens[wanted], value.bytes);
}

static void
assert_sees_model(Fixture *fixture)
{
    for (guint i = 0; i < KEYS; i++) {
        assert_get(fixture, i);
        assert_seek(fixture, key_of(i), FALSE);
        assert_seek(fixture, key_of(i), TRUE);
    }
    assert_seek(fixture, key_letter('a'), FALSE);
    assert_seek(fixture, key_letter('a'), TRUE);
    assert_seek(fixture, key_letter('z'), FALSE);
    assert_seek(fixture, key_letter('z'), TRUE);
}

static void
test_batch_sees_its_writes(Fixture *fixture, gconstpointer unused)
{
    (void)unused;
    for (guint round = 0; round < 20; round++) {
        gint writes = g_rand_int_range(fixture->rand, 1, 15);
        for (gint i = 0; i < writes; i++) {
            write_one(fixture);
            assert_sees_model(fixture);
        }
        g_assert_true(store_batch_commit(fixture->batch, NULL));
        assert_sees_model(fixture);
    }
}

static void
assert_text(const char *text, WireBytes bytes)
{
    g_assert_cmpuint(bytes.len, ==, strlen(text));
    g_assert_cmpint(memcmp(bytes.data, text, bytes.len), ==, 0);
}

static void
test_others_see_a_batch_when_it_is_committed(Fixture *fixture,
                                             gconstpointer unused)
{
    g_auto(StoreValue) value = {0};
    Key key = key_of(1);
    (void)unused;
    store_batch_put(fixture->batch, key, "first", 5);
    store_batch_put(fixture->batch, key, "last", 4);
    g_assert_cmpint(store_get(fixture->store, NULL, key, &value), ==,
                    STORE_MISSING);
    g_assert_true(store_batch_commit(fixture->batch, NULL));
    g_assert_cmpint(store_get(fixture->store, NULL, key, &value), ==,
                    STORE_FOUND);
    assert_text("last", value.bytes);
}

/* What a caller holds stays while the batch grows. */
static void
test_value_outlives_later_writes(Fixture *fixture, gconstpointer unused)
{
    g_auto(StoreValue) value = {0};
    guint8 large[4096] = {0};
    (void)unused;
    store_batch_put(fixture->batch, key_of(1), "kept", 4);
    g_assert_cmpint(store_batch_get(fixture->batch, key_of(1), &value), ==,
                    STORE_FOUND);
    for (guint i = 0; i < 100; i++) {
        store_batch_put(fixture->batch, key_of(2), large, sizeof large);
    }
    g_assert_true(store_batch_commit(fixture->batch, NULL));
    assert_text("kept", value.bytes);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add("/store/batch-sees-its-writes", Fixture, NULL, set_up,
               test_batch_sees_its_writes, tear_down);
    g_test_add("/store/others-see-a-batch-when-it-is-committed", Fixture, NULL,
               set_up, test_others_see_a_batch_when_it_is_committed, tear_down);
    g_test_add("/store/value-outlives-later-writes", Fixture, NULL, set_up,
               test_value_outlives_later_writes, tear_down);
    return g_test_run();
}
