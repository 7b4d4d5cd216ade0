/*
 * chunks.h over a real store against a model: the set of ids of each user.
 * After every commit the rows in the store must hold the model, apart from
 * each other, in order, each linked to the one before.
 */
#include "cell/chunks.h"
#include "cell/ids.h"
#include "ops/kit/error.h"
#include "tests/kit/tmpdir.h"

#define USERS 3
#define CHUNK_IDS 10
#define ID_MAX 4000

typedef struct Fixture {
    char *dir;
    Store *store;
    StoreBatch *batch;
    Chunks *chunks;
    ChunkTip tips[USERS];
    GArray *model[USERS]; /* gint64, ascending */
    guint rows[USERS];    /* in the store, when last looked at */
} Fixture;

static void
open_store(Fixture *fixture)
{
    g_autofree char *dir = g_build_filename(fixture->dir, "s", NULL);
    StoreOptions options = {dir, TRUE, FALSE, 1 << 20, 1 << 20};
    fixture->store = store_open(&options, NULL);
    g_assert_nonnull(fixture->store);
    fixture->batch = store_batch_new(fixture->store);
    fixture->chunks = chunks_new(fixture->store, CHUNK_IDS);
}

static void
close_store(Fixture *fixture)
{
    chunks_free(fixture->chunks);
    store_batch_free(fixture->batch);
    store_close(fixture->store);
}

/* As a restart has it: rows, and no tip known. */
static void
reopen(Fixture *fixture)
{
    g_assert_true(store_flush(fixture->store, NULL));
    close_store(fixture);
    open_store(fixture);
    for (guint i = 0; i < USERS; i++) {
        fixture->tips[i] = (ChunkTip){0};
    }
}

static void
set_up(Fixture *fixture, gconstpointer unused)
{
    (void)unused;
    fixture->dir = tmpdir_new();
    open_store(fixture);
    for (guint i = 0; i < USERS; i++) {
        fixture->model[i] = g_array_new(FALSE, FALSE, sizeof(gint64));
    }
}

static void
tear_down(Fixture *fixture, gconstpointer unused)
{
    (void)unused;
    close_store(fixture);
    tmpdir_free(fixture->dir);
    for (guint i = 0; i < USERS; i++) {
        g_array_unref(fixture->model[i]);
    }
}

static UserId
user_id(guint user)
{
    return (UserId){500 + user};
}

static void
commit(Fixture *fixture)
{
    g_assert_true(store_batch_commit(fixture->batch, NULL));
    chunks_refresh(fixture->chunks);
}

/* ---- the model ---- */

static void
model_change(Fixture *fixture, guint user, const ChunkChange *change)
{
    GArray *old = fixture->model[user];
    gint64 *ids = (gint64 *)(gpointer)old->data;
    gsize kept = ids_subtract(ids, old->len, change->remove, change->n_remove);
    fixture->model[user] = g_array_new(FALSE, FALSE, sizeof(gint64));
    ids_union(fixture->model[user], ids, kept, change->add, change->n_add);
    g_array_unref(old);
}

/* The rows of @user in the store are a chain and hold the model; *ret_last is
   the last of them. Returns how many. */
static guint
check_rows(Fixture *fixture, guint user, Chunk *ret_last)
{
    g_autoptr(StoreIter) iter = store_iter_new(fixture->store, NULL);
    const GArray *model = fixture->model[user];
    WireBytes key;
    WireBytes value;
    guint rows = 0;
    guint at = 0;
    gint64 before = 0;
    guint32 serial = 0;
    for (store_iter_seek(iter, key_chunk(user_id(user), (PostId){0}));
         store_iter_get(iter, &key, &value) == STORE_FOUND &&
         key_is(key, 'i', KEY_PAIR_BYTES) && key_i64(key, 1) == user_id(user).v;
         store_iter_next(iter)) {
        g_assert_true(chunk_decode(value, ret_last));
        g_assert_cmpint(ret_last->ids[0], ==, key_i64(key, KEY_PAIR_SECOND));
        if (rows > 0) {
            g_assert_cmpint(ret_last->before, ==, before);
            g_assert_cmpuint(ret_last->serial, ==, serial + 1);
        }
        g_assert_cmpuint(ret_last->n, <, 2 * CHUNK_IDS);
        for (guint i = 0; i < ret_last->n; i++) {
            g_assert_cmpuint(at, <, model->len);
            g_assert_cmpint(ret_last->ids[i], ==,
                            g_array_index(model, gint64, at++));
        }
        before = ret_last->ids[0];
        serial = ret_last->serial;
        rows++;
    }
    g_assert_cmpuint(at, ==, model->len);
    fixture->rows[user] = rows;
    return rows;
}

/* The rows, and what the tip says of them. */
static void
check_user(Fixture *fixture, guint user)
{
    Chunk last;
    const ChunkTip *tip = &fixture->tips[user];
    guint rows = check_rows(fixture, user, &last);
    if (tip->known && rows > 0) {
        g_assert_cmpint(tip->last, ==, last.ids[last.n - 1]);
        g_assert_cmpint(tip->first, ==, last.ids[0]);
        g_assert_cmpuint(tip->serial, ==, last.serial);
        g_assert_cmpuint(tip->rows, >=, rows);
    } else if (tip->known) {
        g_assert_cmpint(tip->last, ==, 0);
    }
}

static void
stage(Fixture *fixture, guint user, const ChunkChange *change)
{
    g_autoptr(GError) error = NULL;
    chunks_change(fixture->chunks, fixture->batch, user_id(user), change,
                  &fixture->tips[user], &error);
    g_assert_no_error(error);
    model_change(fixture, user, change);
}

/* Add @n ids from @first, @step apart. */
static void
add_range(Fixture *fixture, guint user, gint64 first, gint64 step, guint n)
{
    g_autofree gint64 *ids = g_new(gint64, n);
    for (guint i = 0; i < n; i++) {
        ids[i] = first + (gint64)i * step;
    }
    stage(fixture, user, &(ChunkChange){.add = ids, .n_add = n});
    commit(fixture);
    check_user(fixture, user);
}

/* ---- changes ---- */

static gsize
random_ids(GRand *rand, gint64 *ids, gsize max, gint64 low, gint64 high)
{
    gsize n = (gsize)g_rand_int_range(rand, 0, (gint32)max + 1);
    gsize kept = 0;
    gint64 id = low;
    for (gsize i = 0; i < n && id < high; i++) {
        id += g_rand_int_range(rand, 1, 30);
        ids[kept++] = id;
    }
    return kept;
}

static void
random_change(Fixture *fixture, GRand *rand, guint user, gint64 *newest)
{
    gint64 add[60];
    gint64 gone[60];
    ChunkChange change = {.add = add, .remove = gone};
    gint64 low = *newest;
    if (g_rand_int_range(rand, 0, 3) == 0) {
        low = g_rand_int_range(rand, 0, ID_MAX);
    }
    change.n_add = random_ids(rand, add, G_N_ELEMENTS(add), low, ID_MAX);
    if (g_rand_int_range(rand, 0, 3) == 0) {
        low = g_rand_int_range(rand, 0, ID_MAX);
        change.n_remove =
            random_ids(rand, gone, G_N_ELEMENTS(gone), low, ID_MAX);
    }
    if (change.n_add > 0) {
        *newest = MAX(*newest, add[change.n_add - 1]);
    }
    stage(fixture, user, &change);
}

/* Whatever is added and taken out, in whatever order and with restarts between
   - tips not known then - the rows are the set, in a chain. */
static void
test_random(Fixture *fixture, gconstpointer unused)
{
    (void)unused;
    guint32 seed = (guint32)g_test_rand_int_range(1, G_MAXINT32);
    g_test_message("seed %u", seed);
    g_autoptr(GRand) rand = g_rand_new_with_seed(seed);
    gint64 newest[USERS] = {0};
    for (guint round = 0; round < 400; round++) {
        for (guint user = 0; user < USERS; user++) {
            random_change(fixture, rand, user, &newest[user]);
        }
        commit(fixture);
        for (guint user = 0; user < USERS; user++) {
            check_user(fixture, user);
        }
        if (round % 80 == 79) {
            reopen(fixture);
        }
        if (round % 100 == 99) {
            newest[round / 100 % USERS] = 0;
        }
    }
}

/* New ids on top become a row of their own and leave the others alone, unless
   they are few enough to share the newest; rows are of even size. */
static void
test_on_top(Fixture *fixture, gconstpointer unused)
{
    (void)unused;
    add_range(fixture, 0, 1, 1, CHUNK_IDS / 2);
    add_range(fixture, 0, 41, 1, CHUNK_IDS / 2);
    g_assert_cmpuint(fixture->rows[0], ==, 1);
    add_range(fixture, 0, 71, 1, 1);
    g_assert_cmpuint(fixture->rows[0], ==, 2);
    g_assert_cmpuint(fixture->tips[0].serial, ==, 2);
    add_range(fixture, 0, 101, 1, 5 * CHUNK_IDS + 3);
    g_assert_cmpuint(fixture->rows[0], ==, 7);
    g_assert_cmpuint(fixture->tips[0].serial, ==, 7);
    g_assert_cmpuint(fixture->tips[0].rows, ==, 7);
}

/* A late id rewrites the rows from its own upwards, and none below. */
static void
test_late(Fixture *fixture, gconstpointer unused)
{
    (void)unused;
    for (guint i = 0; i < 5; i++) {
        add_range(fixture, 0, 1000 * (i + 1), 10, CHUNK_IDS);
    }
    /* What is damaged below is neither read nor written. */
    Key below = key_chunk(user_id(0), (PostId){2000});
    g_auto(StoreValue) value = {0};
    g_assert_cmpint(store_get(fixture->store, NULL, below, &value), ==,
                    STORE_FOUND);
    store_batch_put(fixture->batch, below, "rubbish", 7);
    commit(fixture);
    gint64 late = 3005;
    stage(fixture, 0, &(ChunkChange){.add = &late, .n_add = 1});
    commit(fixture);
    store_batch_put(fixture->batch, below, value.bytes.data, value.bytes.len);
    commit(fixture);
    check_user(fixture, 0);
    g_assert_cmpuint(fixture->rows[0], ==, 5);
    g_assert_cmpuint(fixture->tips[0].rows, ==, 5);
}

/* Taking out all of the newest rows leaves those below, and what comes next
   goes on with their chain. */
static void
test_remove_top(Fixture *fixture, gconstpointer unused)
{
    (void)unused;
    gint64 gone[2 * CHUNK_IDS];
    for (guint i = 0; i < 4; i++) {
        add_range(fixture, 0, 1000 * (i + 1), 10, CHUNK_IDS);
    }
    for (guint i = 0; i < CHUNK_IDS; i++) {
        gone[i] = 3000 + 10 * (gint64)i;
        gone[CHUNK_IDS + i] = 4000 + 10 * (gint64)i;
    }
    ChunkChange change = {.remove = gone, .n_remove = G_N_ELEMENTS(gone)};
    stage(fixture, 0, &change);
    commit(fixture);
    check_user(fixture, 0);
    g_assert_cmpuint(fixture->rows[0], ==, 2);
    add_range(fixture, 0, 5000, 10, CHUNK_IDS);
    g_assert_cmpuint(fixture->rows[0], ==, 3);
    g_assert_cmpuint(fixture->tips[0].serial, ==, 3);
}

/* What is taken out and added in one change is there afterwards. */
static void
test_remove_and_add(Fixture *fixture, gconstpointer unused)
{
    (void)unused;
    static const gint64 ids[] = {5, 15, 25};
    add_range(fixture, 0, 5, 10, 30);
    ChunkChange change = {ids, 2, ids, 3};
    stage(fixture, 0, &change);
    commit(fixture);
    check_user(fixture, 0);
    g_assert_cmpuint(fixture->model[0]->len, ==, 29);
}

/* Removing from a user who has no chunks stages nothing. */
static void
test_remove_from_none(Fixture *fixture, gconstpointer unused)
{
    (void)unused;
    static const gint64 ids[] = {5, 15, 25};
    stage(fixture, 1, &(ChunkChange){.remove = ids, .n_remove = 3});
    commit(fixture);
    check_user(fixture, 1);
    g_assert_cmpuint(fixture->rows[1], ==, 0);
    add_range(fixture, 1, 5, 10, 3);
    g_assert_cmpuint(fixture->tips[1].serial, ==, 1);
}

/* ---- the window ---- */

static gint64
drop(Fixture *fixture, guint user, guint32 keep)
{
    g_autoptr(GError) error = NULL;
    gint64 floor = -1;
    chunks_drop(fixture->chunks, fixture->batch, user_id(user), keep,
                &fixture->tips[user], &floor, &error);
    g_assert_no_error(error);
    GArray *model = fixture->model[user];
    gsize below =
        ids_lower_bound((gint64 *)(gpointer)model->data, model->len, floor);
    if (below > 0) {
        g_array_remove_range(model, 0, (guint)below);
    }
    commit(fixture);
    check_user(fixture, user);
    return floor;
}

/* The oldest rows go, the newest stay in their chain, and the floor is the
   first id of the oldest that is left. */
static void
test_drop(Fixture *fixture, gconstpointer unused)
{
    (void)unused;
    for (guint i = 0; i < 8; i++) {
        add_range(fixture, 0, 1000 * (i + 1), 10, CHUNK_IDS);
        add_range(fixture, 1, 1000 * (i + 1), 10, CHUNK_IDS);
    }
    g_assert_cmpint(drop(fixture, 0, 3), ==, 6000);
    g_assert_cmpuint(fixture->rows[0], ==, 3);
    g_assert_cmpuint(fixture->tips[0].rows, ==, 3);
    g_assert_cmpuint(fixture->tips[0].serial, ==, 8);
    g_assert_cmpint(drop(fixture, 0, 3), ==, 0);
    g_assert_cmpint(drop(fixture, 0, 1), ==, 8000);
    g_assert_cmpuint(fixture->rows[0], ==, 1);
    check_user(fixture, 1);
    g_assert_cmpuint(fixture->rows[1], ==, 8);
}

/* After a restart the tip does not know how many rows were dropped; the next
   drop counts them. */
static void
test_drop_after_reopen(Fixture *fixture, gconstpointer unused)
{
    (void)unused;
    for (guint i = 0; i < 8; i++) {
        add_range(fixture, 0, 1000 * (i + 1), 10, CHUNK_IDS);
    }
    drop(fixture, 0, 4);
    reopen(fixture);
    add_range(fixture, 0, 9000, 10, CHUNK_IDS);
    g_assert_cmpuint(fixture->tips[0].rows, >=, 5);
    g_assert_cmpint(drop(fixture, 0, 5), ==, 0);
    g_assert_cmpuint(fixture->tips[0].rows, ==, 5);
    g_assert_cmpint(drop(fixture, 0, 4), ==, 6000);
    g_assert_cmpuint(fixture->rows[0], ==, 4);
}

/* ---- damage ---- */

static void
lose_row(Fixture *fixture, gint64 first)
{
    store_batch_delete(fixture->batch, key_chunk(user_id(0), (PostId){first}));
    commit(fixture);
}

static void
expect_corrupt(Fixture *fixture, const ChunkChange *change)
{
    g_autoptr(GError) error = NULL;
    g_assert_false(chunks_change(fixture->chunks, fixture->batch, user_id(0),
                                 change, &fixture->tips[0], &error));
    g_assert_error(error, COMB_ERROR, COMB_ERROR_CORRUPT);
}

/* A row that is gone fails the change that rewrites its neighbours; the tip
   known or not. */
static void
test_missing_row(Fixture *fixture, gconstpointer unused)
{
    (void)unused;
    gint64 late = 1005;
    for (guint i = 0; i < 5; i++) {
        add_range(fixture, 0, 1000 * (i + 1), 10, CHUNK_IDS);
    }
    lose_row(fixture, 3000);
    expect_corrupt(fixture, &(ChunkChange){.add = &late, .n_add = 1});
    expect_corrupt(fixture, &(ChunkChange){.remove = &late, .n_remove = 1});
    reopen(fixture);
    expect_corrupt(fixture, &(ChunkChange){.add = &late, .n_add = 1});
}

/* A row that is gone fails the drop that comes by; and so does a tip whose
   rows are all gone. */
static void
test_missing_row_drop(Fixture *fixture, gconstpointer unused)
{
    (void)unused;
    g_autoptr(GError) error = NULL;
    gint64 floor;
    for (guint i = 0; i < 5; i++) {
        add_range(fixture, 0, 1000 * (i + 1), 10, CHUNK_IDS);
    }
    lose_row(fixture, 2000);
    g_assert_false(chunks_drop(fixture->chunks, fixture->batch, user_id(0), 2,
                               &fixture->tips[0], &floor, &error));
    g_assert_error(error, COMB_ERROR, COMB_ERROR_CORRUPT);
    g_clear_error(&error);
    ChunkTip tip = {9, 1, 3, 3, 1, TRUE};
    g_assert_false(chunks_drop(fixture->chunks, fixture->batch, user_id(2), 2,
                               &tip, &floor, &error));
    g_assert_error(error, COMB_ERROR, COMB_ERROR_CORRUPT);
}

/* The newest row is gone while the tip knows of it: a change below it must
   not close the chain over the gap. */
static void
test_missing_newest(Fixture *fixture, gconstpointer unused)
{
    (void)unused;
    gint64 late = 1005;
    ChunkChange change = {.add = &late, .n_add = 1};
    g_autoptr(GError) error = NULL;
    for (guint i = 0; i < 3; i++) {
        add_range(fixture, 0, 1000 * (i + 1), 10, CHUNK_IDS);
    }
    lose_row(fixture, 3000);
    g_assert_false(chunks_change(fixture->chunks, fixture->batch, user_id(0),
                                 &change, &fixture->tips[0], &error));
    g_assert_error(error, COMB_ERROR, COMB_ERROR_CORRUPT);
}

/* A damaged row is refused, when it is read for the tip and when it is to be
   rewritten. */
static void
test_damaged_row(Fixture *fixture, gconstpointer unused)
{
    (void)unused;
    gint64 late = 1005;
    ChunkChange change = {.add = &late, .n_add = 1};
    add_range(fixture, 0, 1000, 10, CHUNK_IDS);
    store_batch_put(fixture->batch, key_chunk(user_id(0), (PostId){1000}),
                    "rubbish", 7);
    commit(fixture);
    expect_corrupt(fixture, &change);
    reopen(fixture);
    late = 9000;
    expect_corrupt(fixture, &change);
}

#define ADD(name, func)                                                        \
    g_test_add("/chunks/" name, Fixture, NULL, set_up, func, tear_down)

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("random", test_random);
    ADD("on-top", test_on_top);
    ADD("late", test_late);
    ADD("remove-top", test_remove_top);
    ADD("remove-and-add", test_remove_and_add);
    ADD("remove-from-none", test_remove_from_none);
    ADD("drop", test_drop);
    ADD("drop-after-reopen", test_drop_after_reopen);
    ADD("missing-row", test_missing_row);
    ADD("missing-row-drop", test_missing_row_drop);
    ADD("missing-newest", test_missing_newest);
    ADD("damaged-row", test_damaged_row);
    return g_test_run();
}
