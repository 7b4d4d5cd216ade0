/*
 * The window of an inbox (inbox.h): about so many chunk rows are kept of it,
 * and its floor rises to the oldest that is left, whichever way ids come in.
 */
#include "cell/chunk.h"
#include "cell/inbox.h"
#include "cell/state.h"
#include "tests/kit/tmpdir.h"

#define USER 100
#define WINDOW 4
/* Rows, when an inbox has passed its window by as much as it may. */
#define ROWS_MAX (WINDOW + WINDOW / 4 + 2)

typedef struct Fixture {
    char *dir;
    State *state;
    Inbox *inbox; /* the state's */
    StoreBatch *batch;
    guint32 user; /* local index */
} Fixture;

static void
set_up(Fixture *fixture, gconstpointer unused)
{
    (void)unused;
    static const InboxTuning tuning = {24, 6, 10, WINDOW, 8, 4096};
    guint64 next;
    g_autoptr(GError) error = NULL;
    fixture->dir = tmpdir_new();
    StateOptions options = {
        .dir = fixture->dir, .identity = {0, "test", 1}, .tuning = &tuning};
    fixture->state = state_open(&options, &next, &error);
    g_assert_no_error(error);
    fixture->inbox = fixture->state->inbox;
    fixture->batch = store_batch_new(fixture->state->store);
    fixture->user = inbox_add_user(fixture->inbox, (UserId){USER});
}

static void
tear_down(Fixture *fixture, gconstpointer unused)
{
    (void)unused;
    store_batch_free(fixture->batch);
    state_close(fixture->state);
    tmpdir_free(fixture->dir);
}

static void
fold(Fixture *fixture)
{
    while (inbox_fold_due(fixture->inbox)) {
        g_assert_true(inbox_fold(fixture->inbox, fixture->batch, NULL));
        g_assert_true(store_batch_commit(fixture->batch, NULL));
        inbox_folded(fixture->inbox);
    }
}

static void
deliver(Fixture *fixture, gint64 id)
{
    inbox_deliver(fixture->inbox, &fixture->user, 1, (PostId){id});
}

/* How many rows; *ret_first is the oldest id in them, *ret_n how many ids. */
static guint
count_rows(Fixture *fixture, gint64 *ret_first, guint *ret_n)
{
    g_autoptr(StoreIter) iter = store_iter_new(fixture->state->store, NULL);
    WireBytes key;
    WireBytes value;
    guint rows = 0;
    *ret_first = 0;
    *ret_n = 0;
    for (store_iter_seek(iter, key_letter('i'));
         store_iter_get(iter, &key, &value) == STORE_FOUND &&
         key_is(key, 'i', KEY_PAIR_BYTES);
         store_iter_next(iter), rows++) {
        Chunk chunk;
        g_assert_true(chunk_decode(value, &chunk));
        *ret_first = rows == 0 ? chunk.ids[0] : *ret_first;
        *ret_n += chunk.n;
    }
    return rows;
}

/* Posts in order: the oldest rows go, and the floor is the oldest id left, in
   memory and in the store. */
static void
test_in_order(Fixture *fixture, gconstpointer unused)
{
    (void)unused;
    gint64 first;
    gint64 stored;
    guint n;
    for (gint64 id = 1; id <= 2000; id++) {
        deliver(fixture, id);
        fold(fixture);
        g_assert_cmpuint(count_rows(fixture, &first, &n), <=, ROWS_MAX);
    }
    g_assert_cmpuint(n, >=, (WINDOW - 1) * 10);
    g_assert_cmpint(inbox_floor(fixture->inbox, fixture->user), ==, first);
    g_assert_cmpint(
        inbox_read_floor(fixture->state->store, NULL, (UserId){USER}, &stored),
        ==, STORE_FOUND);
    g_assert_cmpint(stored, ==, first);
}

/* One late post in each run that is sealed, as a catching up of several
   partitions has it. */
static void
test_late(Fixture *fixture, gconstpointer unused)
{
    (void)unused;
    gint64 first;
    guint n;
    for (gint64 i = 1; i <= 2000; i++) {
        deliver(fixture, 1000 + 10 * i);
        if (i % 18 == 0) {
            deliver(fixture, 1000 + 10 * i - 405);
        }
        fold(fixture);
    }
    g_assert_cmpuint(count_rows(fixture, &first, &n), <=, ROWS_MAX);
}

/* Follow upon follow, each of an author with a few posts, and no new post. */
static void
test_follows(Fixture *fixture, gconstpointer unused)
{
    (void)unused;
    gint64 ids[30];
    gint64 first;
    guint n;
    for (guint author = 0; author < 50; author++) {
        for (guint i = 0; i < G_N_ELEMENTS(ids); i++) {
            ids[i] = 1000 + 1000 * (gint64)i + author;
        }
        InboxNews news = {ids, G_N_ELEMENTS(ids), 0};
        g_assert_true(inbox_insert(fixture->inbox, fixture->batch,
                                   fixture->user, &news, NULL));
        g_assert_true(store_batch_commit(fixture->batch, NULL));
        inbox_inserted(fixture->inbox);
        fold(fixture);
    }
    /* An insertion may bring as much as a window at a time. */
    g_assert_cmpuint(count_rows(fixture, &first, &n), <=, 2 * ROWS_MAX);
}

/* Where memory is short and every post is sealed at once, the inbox still
   reaches back about as far. */
static void
test_relieved(Fixture *fixture, gconstpointer unused)
{
    (void)unused;
    gint64 first;
    guint n;
    for (gint64 id = 1; id <= 500; id++) {
        deliver(fixture, id);
        inbox_relieve(fixture->inbox, 1);
        fold(fixture);
    }
    count_rows(fixture, &first, &n);
    g_assert_cmpuint(n, >=, WINDOW * 10 / 2);
}

#define ADD(name, func)                                                        \
    g_test_add("/window/" name, Fixture, NULL, set_up, func, tear_down)

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("in-order", test_in_order);
    ADD("late", test_late);
    ADD("follows", test_follows);
    ADD("relieved", test_relieved);
    return g_test_run();
}
