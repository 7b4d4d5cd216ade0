/*
 * inbox.h, chunks.h and walk.h against a model: a sorted array of ids a user.
 * Random deliveries (in order, late, repeated), merges, removals and folds;
 * after each fold both walks, from everywhere, must give the model.
 */
#include "cell/ids.h"
#include "cell/inbox.h"
#include "cell/walk.h"
#include "tests/kit/tmpdir.h"

#include <string.h>

#define USERS 3

typedef struct Fixture {
    char *dir;
    State *state;
    StoreBatch *batch;
    GArray *model[USERS]; /* gint64, ascending */
} Fixture;

static void
set_up(Fixture *fixture, gconstpointer unused)
{
    (void)unused;
    fixture->dir = tmpdir_new();
    static const InboxTuning tuning = {24, 6, 10, 100000, 8, 4096};
    StateOptions options = {
        .dir = fixture->dir, .identity = {0, "test", 1}, .tuning = &tuning};
    guint64 next;
    g_autoptr(GError) error = NULL;
    fixture->state = state_open(&options, &next, &error);
    g_assert_no_error(error);
    fixture->batch = store_batch_new(fixture->state->store);
    for (guint i = 0; i < USERS; i++) {
        guint32 user = inbox_add_user(fixture->state->inbox, (UserId){100 + i});
        g_assert_cmpuint(user, ==, i);
        fixture->model[i] = g_array_new(FALSE, FALSE, sizeof(gint64));
    }
}

static void
tear_down(Fixture *fixture, gconstpointer unused)
{
    (void)unused;
    store_batch_free(fixture->batch);
    state_close(fixture->state);
    tmpdir_free(fixture->dir);
    for (guint i = 0; i < USERS; i++) {
        g_array_unref(fixture->model[i]);
    }
}

static void
fold(Fixture *fixture)
{
    g_autoptr(GError) error = NULL;
    Inbox *inbox = fixture->state->inbox;
    while (inbox_fold_due(inbox)) {
        inbox_fold(inbox, fixture->batch, &error);
        g_assert_no_error(error);
        store_batch_commit(fixture->batch, &error);
        g_assert_no_error(error);
        inbox_folded(inbox);
    }
}

static const gint64 *
model_ids(Fixture *fixture, guint user)
{
    return (const gint64 *)(gconstpointer)fixture->model[user]->data;
}

static void
model_add(Fixture *fixture, guint user, const gint64 *ids, gsize n)
{
    GArray *old = fixture->model[user];
    fixture->model[user] = g_array_new(FALSE, FALSE, sizeof(gint64));
    ids_union(fixture->model[user], (gint64 *)(gpointer)old->data, old->len,
              ids, n);
    g_array_unref(old);
}

static void
deliver(Fixture *fixture, guint user, gint64 id)
{
    inbox_deliver(fixture->state->inbox, &user, 1, (PostId){id});
    model_add(fixture, user, &id, 1);
}

static void
remove_ids(Fixture *fixture, guint user, const gint64 *ids, gsize n)
{
    GArray *model = fixture->model[user];
    inbox_remove(fixture->state->inbox, user, ids, n);
    gsize left =
        ids_subtract((gint64 *)(gpointer)model->data, model->len, ids, n);
    g_array_set_size(model, (guint)left);
}

/* What a batch with a follow does; removals are folded by the batch's end. */
static void
insert(Fixture *fixture, guint user, const gint64 *ids, gsize n)
{
    g_autoptr(GError) error = NULL;
    InboxNews news = {ids, n, 0};
    fold(fixture);
    inbox_insert(fixture->state->inbox, fixture->batch, user, &news, &error);
    g_assert_no_error(error);
    store_batch_commit(fixture->batch, &error);
    g_assert_no_error(error);
    inbox_inserted(fixture->state->inbox);
    model_add(fixture, user, ids, n);
}

/* Walk from @from and compare with the model, which has @n ids below or
   above it. */
static void
check_walk(Fixture *fixture, guint user, gboolean older, gint64 from)
{
    const gint64 *ids = model_ids(fixture, user);
    gsize n = fixture->model[user]->len;
    gsize at = ids_lower_bound(ids, n, from);
    UserId id = {100 + user};
    g_auto(Cut) cut = {0};
    cut_open(fixture->state, id, &cut);
    g_autoptr(Walk) walk = walk_new(&cut, WALK_INBOX, id, older, from);
    if (!older && at < n && ids[at] == from) {
        at++;
    }
    PostId post;
    StoreOutcome outcome;
    while ((outcome = walk_next(walk, &post)) == STORE_FOUND) {
        g_assert_true(older ? at > 0 : at < n);
        g_assert_cmpint(post.v, ==, older ? ids[--at] : ids[at++]);
    }
    g_assert_cmpint(outcome, ==, STORE_MISSING);
    g_assert_cmpuint(at, ==, older ? 0 : n);
}

static void
check_user(Fixture *fixture, guint user, GRand *rand)
{
    check_walk(fixture, user, TRUE, G_MAXINT64);
    check_walk(fixture, user, FALSE, 0);
    for (guint i = 0; i < 4; i++) {
        gint64 from = g_rand_int_range(rand, 1, 6000);
        check_walk(fixture, user, TRUE, from);
        check_walk(fixture, user, FALSE, from);
    }
}

static void
random_step(Fixture *fixture, GRand *rand, gint64 *newest)
{
    guint user = (guint)g_rand_int_range(rand, 0, USERS);
    gint64 ids[40];
    gint32 what = g_rand_int_range(rand, 0, 100);
    if (what < 70) {
        *newest += g_rand_int_range(rand, 0, 3);
        deliver(fixture, user, MAX(*newest, 1));
    } else if (what < 85) {
        deliver(fixture, user, g_rand_int_range(rand, 1, 6000));
    } else {
        gint64 id = g_rand_int_range(rand, 1, 6000);
        for (guint i = 0; i < G_N_ELEMENTS(ids); i++) {
            ids[i] = id += g_rand_int_range(rand, 1, 30);
        }
        if (what < 97) {
            insert(fixture, user, ids, G_N_ELEMENTS(ids));
        } else {
            remove_ids(fixture, user, ids, G_N_ELEMENTS(ids));
        }
    }
}

/* Whatever the order of operations, the inbox is the set. */
static void
test_random(Fixture *fixture, gconstpointer unused)
{
    (void)unused;
    guint32 seed = (guint32)g_test_rand_int_range(1, G_MAXINT32);
    g_test_message("seed %u", seed);
    g_autoptr(GRand) rand = g_rand_new_with_seed(seed);
    gint64 newest = 0;
    for (guint i = 0; i < 2000; i++) {
        random_step(fixture, rand, &newest);
        if (g_rand_int_range(rand, 0, 20) == 0) {
            fold(fixture);
        }
        if (i % 500 == 499) {
            fold(fixture);
            for (guint user = 0; user < USERS; user++) {
                check_user(fixture, user, rand);
            }
        }
    }
}

/* Taking posts out and putting them back leaves them there, sealed or not. */
static void
test_remove_then_merge(Fixture *fixture, gconstpointer unused)
{
    (void)unused;
    for (gint64 id = 1; id <= 1000; id++) {
        deliver(fixture, 0, id);
    }
    fold(fixture);
    gint64 ids[300];
    for (guint i = 0; i < G_N_ELEMENTS(ids); i++) {
        ids[i] = 3 * (gint64)i + 1;
    }
    remove_ids(fixture, 0, ids, G_N_ELEMENTS(ids));
    insert(fixture, 0, ids, G_N_ELEMENTS(ids));
    check_walk(fixture, 0, TRUE, G_MAXINT64);
    check_walk(fixture, 0, FALSE, 0);
}

/* Removing all leaves an empty inbox that can be filled again. */
static void
test_remove_all(Fixture *fixture, gconstpointer unused)
{
    (void)unused;
    gint64 ids[700];
    for (guint i = 0; i < G_N_ELEMENTS(ids); i++) {
        ids[i] = 10 + (gint64)i;
        deliver(fixture, 1, ids[i]);
    }
    fold(fixture);
    remove_ids(fixture, 1, ids, G_N_ELEMENTS(ids));
    fold(fixture);
    check_walk(fixture, 1, TRUE, G_MAXINT64);
    for (guint i = 0; i < G_N_ELEMENTS(ids); i++) {
        deliver(fixture, 1, ids[i]);
    }
    fold(fixture);
    check_walk(fixture, 1, TRUE, G_MAXINT64);
    check_walk(fixture, 1, FALSE, 0);
}

/* Taking posts out of an inbox that has none changes nothing. */
static void
test_remove_from_empty(Fixture *fixture, gconstpointer unused)
{
    (void)unused;
    const gint64 ids[] = {1, 2};
    remove_ids(fixture, 2, ids, G_N_ELEMENTS(ids));
    fold(fixture);
    check_walk(fixture, 2, TRUE, G_MAXINT64);
    deliver(fixture, 2, 2);
    check_walk(fixture, 2, FALSE, 0);
}

/* The first id of a chunk row below @id. */
static Key
chunk_row_below(Fixture *fixture, guint user, gint64 id)
{
    g_autoptr(StoreIter) iter = store_iter_new(fixture->state->store, NULL);
    WireBytes key;
    WireBytes value;
    UserId owner = {100 + user};
    store_iter_seek_back(iter, key_chunk(owner, (PostId){id}));
    g_assert_cmpint(store_iter_get(iter, &key, &value), ==, STORE_FOUND);
    return key_chunk(owner, (PostId){key_i64(key, KEY_PAIR_SECOND)});
}

/* A chunk that is gone fails the walk that passes its place, either way. */
static void
test_missing_chunk(Fixture *fixture, gconstpointer unused)
{
    (void)unused;
    for (gint64 id = 1; id <= 1000; id++) {
        deliver(fixture, 0, id);
        fold(fixture);
    }
    store_batch_delete(fixture->batch, chunk_row_below(fixture, 0, 500));
    g_assert_true(store_batch_commit(fixture->batch, NULL));
    for (gboolean older = FALSE; older <= TRUE; older++) {
        g_auto(Cut) cut = {0};
        cut_open(fixture->state, (UserId){100}, &cut);
        g_autoptr(Walk) walk = walk_new(&cut, WALK_INBOX, (UserId){100}, older,
                                        older ? G_MAXINT64 : 0);
        PostId post;
        StoreOutcome outcome;
        while ((outcome = walk_next(walk, &post)) == STORE_FOUND) {
        }
        g_assert_cmpint(outcome, ==, STORE_FAILED);
    }
}

/* A floor that rises leaves out what is delivered below it from then on, so
   whoever has cut an older snapshot must look again; but not before. */
static void
test_raised_floor(Fixture *fixture, gconstpointer unused)
{
    (void)unused;
    Inbox *inbox = fixture->state->inbox;
    const Tails *tails = inbox_tails(inbox);
    g_autoptr(GError) error = NULL;
    gint64 ids[] = {20, 30, 40};
    InboxNews news = {ids, G_N_ELEMENTS(ids), ids[0]};
    deliver(fixture, 1, 50);
    guint32 before = tails_shrinks(tails, 1);
    g_assert_true(inbox_insert(inbox, fixture->batch, 1, &news, &error));
    g_assert_cmpuint(tails_shrinks(tails, 1), ==, before);
    g_assert_true(store_batch_commit(fixture->batch, &error));
    inbox_inserted(inbox);
    g_assert_cmpint(inbox_floor(inbox, 1), ==, ids[0]);
    g_assert_cmpuint(tails_shrinks(tails, 1), !=, before);
}

#define ADD(name, func)                                                        \
    g_test_add("/inbox/" name, Fixture, NULL, set_up, func, tear_down)

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("random", test_random);
    ADD("remove-then-merge", test_remove_then_merge);
    ADD("remove-all", test_remove_all);
    ADD("remove-from-empty", test_remove_from_empty);
    ADD("missing-chunk", test_missing_chunk);
    ADD("raised-floor", test_raised_floor);
    return g_test_run();
}
