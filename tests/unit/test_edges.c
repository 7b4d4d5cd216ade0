/*
 * edges.h against a model: the newest word of each edge. Random events of few
 * followers and many followees, in batches that hold several rows of several
 * followers, with repeats and late events; between commits a new writer and a
 * reopened store. Then damage, which must be noticed by whoever meets it.
 */
#include "cell/edges.h"
#include "ops/kit/error.h"
#include "tests/kit/tmpdir.h"

#include <string.h>

#define USERS 4
#define AUTHORS 3000

typedef struct Fixture {
    char *dir;
    Store *store;
    StoreBatch *batch;
    Edges *edges;
    guint64 (*words)[AUTHORS]; /* the model; 0: never heard of */
    GRand *rand;
} Fixture;

static UserId
user_id(guint user)
{
    return (UserId){100 + user};
}

/* Gaps, so that there are followees between two that are known. */
static UserId
author_id(guint author)
{
    return (UserId){(gint64)author * 7 + 1};
}

static void
open_store(Fixture *fixture)
{
    g_autoptr(GError) error = NULL;
    StoreOptions options = {fixture->dir, TRUE, FALSE, 8 << 20, 8 << 20};
    fixture->store = store_open(&options, &error);
    g_assert_no_error(error);
    fixture->batch = store_batch_new(fixture->store);
    fixture->edges = edges_new(fixture->store);
}

static void
close_store(Fixture *fixture)
{
    edges_free(fixture->edges);
    store_batch_free(fixture->batch);
    store_close(fixture->store);
}

static void
set_up(Fixture *fixture, gconstpointer unused)
{
    (void)unused;
    fixture->dir = tmpdir_new();
    fixture->words = g_malloc0(USERS * sizeof *fixture->words);
    fixture->rand = g_rand_new_with_seed(17);
    open_store(fixture);
}

static void
tear_down(Fixture *fixture, gconstpointer unused)
{
    (void)unused;
    close_store(fixture);
    tmpdir_free(fixture->dir);
    g_free(fixture->words);
    g_rand_free(fixture->rand);
}

static void
commit(Fixture *fixture)
{
    g_autoptr(GError) error = NULL;
    edges_stage(fixture->edges, fixture->batch);
    store_batch_commit(fixture->batch, &error);
    g_assert_no_error(error);
}

static FactOutcome
join(Fixture *fixture, guint user, guint author, guint64 word,
     gboolean *ret_was)
{
    Event event = {
        .id = {(gint64)(word >> 1)},
        .kind = (word & 1) != 0 ? EVENT_FOLLOW : EVENT_UNFOLLOW,
        .user = user_id(user),
        .target_user = author_id(author),
    };
    return edges_join(fixture->edges, fixture->batch, &event, ret_was);
}

/* Join, and compare what is said of it with the model. */
static void
check_join(Fixture *fixture, guint user, guint author, guint64 word)
{
    guint64 *model = &fixture->words[user][author];
    gboolean was = FALSE;
    FactOutcome outcome = join(fixture, user, author, word, &was);
    g_assert_cmpint(was, ==, *model & 1);
    g_assert_cmpint(outcome, ==,
                    word > *model    ? FACT_SET
                    : word == *model ? FACT_AGAIN
                                     : FACT_OLDER);
    *model = MAX(*model, word);
}

static void
follow(Fixture *fixture, guint user, guint author)
{
    check_join(fixture, user, author, (guint64)author << 1 | 1);
}

static void
check_reader(Fixture *fixture, guint user, const StoreSnapshot *snapshot)
{
    g_auto(EdgeReader) reader = {0};
    edge_reader_init(&reader, fixture->store, snapshot, user_id(user));
    for (guint i = 0; i < 500; i++) {
        guint author = (guint)g_rand_int_range(fixture->rand, 0, AUTHORS);
        UserId between = {author_id(author).v + 3};
        g_assert_cmpint(edge_reader_follows(&reader, author_id(author)), ==,
                        (fixture->words[user][author] & 1) != 0
                            ? STORE_FOUND
                            : STORE_MISSING);
        g_assert_cmpint(edge_reader_follows(&reader, between), ==,
                        STORE_MISSING);
    }
    UserId found;
    for (guint author = 0; author < AUTHORS; author++) {
        if ((fixture->words[user][author] & 1) != 0) {
            g_assert_cmpint(edge_reader_next(&reader, &found), ==, STORE_FOUND);
            g_assert_cmpint(found.v, ==, author_id(author).v);
        }
    }
    g_assert_cmpint(edge_reader_next(&reader, &found), ==, STORE_MISSING);
    g_assert_cmpint(edge_reader_next(&reader, &found), ==, STORE_MISSING);
}

/* Where the model is compared with the scan. */
typedef struct Scanned {
    Fixture *fixture;
    guint user;
    guint author; /* the next one to come is at or after it */
    guint64 n;
    guint calls;
} Scanned;

static void
check_scanned(UserId follower, const UserId *followees, guint n,
              gpointer user_data)
{
    Scanned *scanned = user_data;
    guint user = (guint)(follower.v - user_id(0).v);
    g_assert_cmpuint(n, >, 0);
    g_assert_cmpuint(n, <=, EDGE_ROW_MAX);
    g_assert_cmpuint(user, >=, scanned->user);
    if (user > scanned->user) {
        scanned->user = user;
        scanned->author = 0;
    }
    for (guint i = 0; i < n; i++) {
        while ((scanned->fixture->words[user][scanned->author] & 1) == 0) {
            scanned->author++;
        }
        g_assert_cmpint(followees[i].v, ==, author_id(scanned->author).v);
        scanned->author++;
    }
    scanned->n += n;
    scanned->calls++;
}

static guint
check_scan(Fixture *fixture)
{
    g_autoptr(GError) error = NULL;
    Scanned scanned = {.fixture = fixture};
    guint64 want = 0;
    edges_scan(fixture->store, check_scanned, &scanned, &error);
    g_assert_no_error(error);
    for (guint user = 0; user < USERS; user++) {
        for (guint author = 0; author < AUTHORS; author++) {
            want += fixture->words[user][author] & 1;
        }
    }
    g_assert_cmpuint(scanned.n, ==, want);
    return scanned.calls;
}

static void
check_all(Fixture *fixture)
{
    check_scan(fixture);
    for (guint user = 0; user < USERS; user++) {
        StoreSnapshot *snapshot = store_snapshot(fixture->store);
        check_reader(fixture, user, snapshot);
        store_snapshot_release(snapshot);
    }
}

/* One follower's run of events: scattered, or rising as an import's are. */
static void
random_run(Fixture *fixture, guint64 newest)
{
    GRand *rand = fixture->rand;
    guint user = (guint)g_rand_int_range(rand, 0, USERS - 1);
    guint n = (guint)g_rand_int_range(rand, 1, 40);
    gboolean rising = g_rand_boolean(rand);
    guint author = (guint)g_rand_int_range(rand, 0, AUTHORS);
    for (guint i = 0; i < n; i++) {
        author = rising ? (author + 1) % AUTHORS
                        : (guint)g_rand_int_range(rand, 0, AUTHORS);
        guint64 word = (newest + i) << 1;
        word |= g_rand_int_range(rand, 0, 4) != 0;
        switch (g_rand_int_range(rand, 0, 6)) {
        case 0: /* late */
            word = MAX(word / 2, 2);
            break;
        case 1: /* again, and of one id the other meaning */
            check_join(fixture, user, author, word);
            check_join(fixture, user, author, word);
            word ^= 1;
            break;
        default:
            break;
        }
        check_join(fixture, user, author, word);
    }
}

/* Random runs in batches of several; the last user never follows anybody. */
static void
test_random(Fixture *fixture, gconstpointer unused)
{
    (void)unused;
    for (guint step = 1; step <= 1500; step++) {
        random_run(fixture, step * 50);
        if (g_rand_int_range(fixture->rand, 0, 8) == 0) {
            commit(fixture);
        }
        if (step % 150 == 0) {
            commit(fixture);
            close_store(fixture);
            open_store(fixture);
            /* Without a log, what was not flushed is gone: replay it. */
            for (guint user = 0; user < USERS; user++) {
                for (guint author = 0; author < AUTHORS; author++) {
                    gboolean was;
                    guint64 word = fixture->words[user][author];
                    if (word != 0) {
                        join(fixture, user, author, word, &was);
                    }
                }
            }
            commit(fixture);
            check_all(fixture);
        }
    }
}

/* A replay of everything over rows that have it changes nothing. */
static void
test_replay(Fixture *fixture, gconstpointer unused)
{
    (void)unused;
    for (guint pass = 0; pass < 2; pass++) {
        for (guint author = 0; author < AUTHORS; author++) {
            follow(fixture, author % 3, author);
            if (author % 100 == 0) {
                commit(fixture);
            }
        }
        commit(fixture);
        check_all(fixture);
    }
}

/* Rows that fill in order stay full; more rows than are kept open, in any
   order, within one batch. */
static void
test_splits(Fixture *fixture, gconstpointer unused)
{
    (void)unused;
    for (guint author = 0; author < AUTHORS; author++) {
        follow(fixture, 0, author);
    }
    for (guint i = 0; i < AUTHORS; i++) {
        follow(fixture, 1, AUTHORS - 1 - i);
        follow(fixture, 2, i * 7 % AUTHORS);
    }
    commit(fixture);
    check_all(fixture);
    guint full = (AUTHORS + EDGE_ROW_MAX - 1) / EDGE_ROW_MAX;
    guint calls = check_scan(fixture);
    g_assert_cmpuint(calls, >=, 3 * full);
    g_assert_cmpuint(calls, <=, 5 * full + 2);
}

/* More rows of one follower than are kept open, in scattered order. */
static void
test_many_rows(Fixture *fixture, gconstpointer unused)
{
    (void)unused;
    const guint n = 40000;
    for (guint pass = 0; pass < 2; pass++) {
        for (guint i = 0; i < n; i++) {
            gboolean was = FALSE;
            guint author = (guint)((guint64)i * 15787 % n);
            FactOutcome outcome = join(fixture, 0, author, 3, &was);
            g_assert_cmpint(outcome, ==, pass == 0 ? FACT_SET : FACT_AGAIN);
            g_assert_cmpint(was, ==, pass != 0);
            if (i % 512 == 0) {
                commit(fixture);
            }
        }
        commit(fixture);
    }
    g_auto(EdgeReader) reader = {0};
    edge_reader_init(&reader, fixture->store, NULL, user_id(0));
    UserId found;
    for (guint author = 0; author < n; author++) {
        g_assert_cmpint(edge_reader_next(&reader, &found), ==, STORE_FOUND);
        g_assert_cmpint(found.v, ==, author_id(author).v);
    }
    g_assert_cmpint(edge_reader_next(&reader, &found), ==, STORE_MISSING);
}

/* Ids as great as they get: followee, event and the author asked for. */
static void
test_greatest_ids(Fixture *fixture, gconstpointer unused)
{
    (void)unused;
    Event event = {
        .id = {G_MAXINT64},
        .kind = EVENT_FOLLOW,
        .user = {G_MAXINT64},
        .target_user = {G_MAXINT64},
    };
    gboolean was;
    g_assert_cmpint(edges_join(fixture->edges, fixture->batch, &event, &was),
                    ==, FACT_SET);
    event.id.v--;
    g_assert_cmpint(edges_join(fixture->edges, fixture->batch, &event, &was),
                    ==, FACT_OLDER);
    commit(fixture);
    g_auto(EdgeReader) reader = {0};
    edge_reader_init(&reader, fixture->store, NULL, event.user);
    UserId found;
    g_assert_cmpint(edge_reader_next(&reader, &found), ==, STORE_FOUND);
    g_assert_cmpint(found.v, ==, G_MAXINT64);
    g_assert_cmpint(edge_reader_next(&reader, &found), ==, STORE_MISSING);
    g_assert_cmpint(edge_reader_follows(&reader, event.target_user), ==,
                    STORE_FOUND);
}

/* ---- damage ---- */

static void
ignore_edges(UserId follower, const UserId *followees, guint n,
             gpointer user_data)
{
    (void)follower;
    (void)followees;
    (void)n;
    (void)user_data;
}

static void
check_scan_names(Fixture *fixture, const char *user)
{
    g_autoptr(GError) error = NULL;
    g_assert_false(edges_scan(fixture->store, ignore_edges, NULL, &error));
    g_assert_error(error, COMB_ERROR, COMB_ERROR_CORRUPT);
    g_assert_nonnull(strstr(error->message, user));
}

/* Three users with several rows each; keys of the middle one's. */
static GPtrArray *
make_rows(Fixture *fixture)
{
    for (guint author = 0; author < 1000; author++) {
        for (guint user = 0; user < 3; user++) {
            follow(fixture, user, author);
        }
    }
    commit(fixture);
    GPtrArray *keys = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(StoreIter) iter = store_iter_new(fixture->store, NULL);
    WireBytes key;
    WireBytes value;
    store_iter_seek(iter, key_edges(user_id(1), (UserId){0}));
    while (store_iter_get(iter, &key, &value) == STORE_FOUND &&
           key_i64(key, 1) == user_id(1).v) {
        Key *copy = g_new0(Key, 1);
        copy->len = (guint8)key.len;
        memcpy(copy->data, key.data, key.len);
        g_ptr_array_add(keys, copy);
        store_iter_next(iter);
    }
    g_assert_cmpuint(keys->len, ==, 4);
    return keys;
}

/* Both readings of the damaged user fail, at the row or past it. */
static void
check_user_fails(Fixture *fixture, gint64 author)
{
    UserId found;
    StoreOutcome outcome;
    g_auto(EdgeReader) walk = {0};
    edge_reader_init(&walk, fixture->store, NULL, user_id(1));
    while ((outcome = edge_reader_next(&walk, &found)) == STORE_FOUND) {
    }
    g_assert_cmpint(outcome, ==, STORE_FAILED);
    g_auto(EdgeReader) look = {0};
    edge_reader_init(&look, fixture->store, NULL, user_id(1));
    g_assert_cmpint(edge_reader_follows(&look, (UserId){author}), ==,
                    STORE_FAILED);
}

/* Nor does the writer write over it. */
static void
check_join_fails(Fixture *fixture, gint64 author)
{
    g_autoptr(Edges) edges = edges_new(fixture->store);
    Event event = {
        .id = {1 << 20},
        .kind = EVENT_FOLLOW,
        .user = user_id(1),
        .target_user = {author},
    };
    gboolean was;
    g_assert_cmpint(edges_join(edges, fixture->batch, &event, &was), ==,
                    FACT_FAILED);
}

static void
put_and_commit(Fixture *fixture, Key key, WireBytes value)
{
    g_autoptr(GError) error = NULL;
    store_batch_put(fixture->batch, key, value.data, value.len);
    store_batch_commit(fixture->batch, &error);
    g_assert_no_error(error);
}

/* Any row that is gone is noticed, the first and the last too. */
static void
test_vanished_row(Fixture *fixture, gconstpointer unused)
{
    (void)unused;
    g_autoptr(GPtrArray) keys = make_rows(fixture);
    for (guint i = 0; i < keys->len; i++) {
        g_autoptr(GError) error = NULL;
        g_auto(StoreValue) value = {0};
        const Key *key = g_ptr_array_index(keys, i);
        gint64 first = key_i64((WireBytes){key->data, key->len}, 9);
        store_get(fixture->store, NULL, *key, &value);
        store_batch_delete(fixture->batch, *key);
        store_batch_commit(fixture->batch, &error);
        g_assert_no_error(error);
        check_scan_names(fixture, " 101 ");
        check_user_fails(fixture, first);
        check_join_fails(fixture, first + 1);
        put_and_commit(fixture, *key, value.bytes);
        check_scan(fixture);
    }
}

/* Each flipped bit of a row is noticed. */
static void
test_flipped_bit(Fixture *fixture, gconstpointer unused)
{
    (void)unused;
    g_autoptr(GPtrArray) keys = make_rows(fixture);
    const Key *key = g_ptr_array_index(keys, 1);
    gint64 first = key_i64((WireBytes){key->data, key->len}, 9);
    g_auto(StoreValue) value = {0};
    store_get(fixture->store, NULL, *key, &value);
    g_autofree guint8 *bytes = g_memdup2(value.bytes.data, value.bytes.len);
    for (gsize bit = 0; bit < value.bytes.len * 8; bit += 13) {
        bytes[bit / 8] ^= (guint8)(1 << bit % 8);
        put_and_commit(fixture, *key, (WireBytes){bytes, value.bytes.len});
        check_scan_names(fixture, " 101 ");
        check_user_fails(fixture, first);
        check_join_fails(fixture, first);
        bytes[bit / 8] ^= (guint8)(1 << bit % 8);
    }
    for (gsize len = 0; len < value.bytes.len; len += 501) {
        put_and_commit(fixture, *key, (WireBytes){bytes, len});
        check_scan_names(fixture, " 101 ");
    }
}

/* A good row of another user is not this one's. */
static void
test_strange_row(Fixture *fixture, gconstpointer unused)
{
    (void)unused;
    g_autoptr(GPtrArray) keys = make_rows(fixture);
    const Key *mine = g_ptr_array_index(keys, 0);
    g_auto(StoreValue) value = {0};
    store_get(fixture->store, NULL, key_edges(user_id(2), (UserId){0}), &value);
    put_and_commit(fixture, *mine, value.bytes);
    check_scan_names(fixture, " 101 ");
    check_user_fails(fixture, 1);
    check_join_fails(fixture, 1);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name, func)                                                        \
    g_test_add("/edges/" name, Fixture, NULL, set_up, func, tear_down)
    ADD("random", test_random);
    ADD("replay", test_replay);
    ADD("splits", test_splits);
    ADD("many-rows", test_many_rows);
    ADD("greatest-ids", test_greatest_ids);
    ADD("vanished-row", test_vanished_row);
    ADD("flipped-bit", test_flipped_bit);
    ADD("strange-row", test_strange_row);
#undef ADD
    return g_test_run();
}
