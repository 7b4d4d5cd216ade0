/*
 * merge.h against a sort: random timelines and follows; from everywhere, both
 * ways, ids must be those of the authors followed, in order, without doubles;
 * and pages of any size put together give the whole.
 */
#include "cell/edges.h"
#include "cell/ids.h"
#include "cell/merge.h"
#include "tests/kit/tmpdir.h"

#define AUTHORS 700
#define POSTS 6000
#define USERS 3

/* Of so many authors each user follows about one in ... */
static const gint one_in[USERS] = {1, 9, 200};

typedef struct Fixture {
    char *dir;
    Store *store;
    GArray *model[USERS]; /* gint64, ascending */
    GRand *rand;
} Fixture;

static void
put_follows(Fixture *fixture, StoreBatch *batch, guint user,
            gboolean followed[AUTHORS])
{
    g_autoptr(Edges) edges = edges_new(fixture->store);
    for (guint author = 0; author < AUTHORS; author++) {
        gboolean was;
        followed[author] =
            g_rand_int_range(fixture->rand, 0, one_in[user]) == 0;
        Event event = {
            .id = {1},
            .kind = followed[author] ? EVENT_FOLLOW : EVENT_UNFOLLOW,
            .user = {5000 + user},
            .target_user = {1 + author},
        };
        edges_join(edges, batch, &event, &was);
    }
    edges_stage(edges, batch);
}

/* Ids with gaps; some authors write much, some nothing. */
static void
put_posts(Fixture *fixture, StoreBatch *batch,
          gboolean followed[USERS][AUTHORS])
{
    for (guint i = 1; i <= POSTS; i++) {
        gint64 id = (gint64)i * 3;
        gint most = g_rand_boolean(fixture->rand) ? AUTHORS - 50 : 5;
        guint author = (guint)g_rand_int_range(fixture->rand, 0, most);
        store_batch_put(batch, key_timeline((UserId){1 + author}, (PostId){id}),
                        "", 0);
        for (guint user = 0; user < USERS; user++) {
            if (followed[user][author]) {
                g_array_append_val(fixture->model[user], id);
            }
        }
    }
}

static void
set_up(Fixture *fixture, gconstpointer unused)
{
    (void)unused;
    static const char text[] = "a neighbour";
    gboolean followed[USERS][AUTHORS];
    g_autoptr(GError) error = NULL;
    fixture->dir = tmpdir_new();
    fixture->rand = g_rand_new_with_seed(23);
    StoreOptions options = {fixture->dir, TRUE, FALSE, 8 << 20, 8 << 20};
    fixture->store = store_open(&options, &error);
    g_assert_no_error(error);
    StoreBatch *batch = store_batch_new(fixture->store);
    for (guint user = 0; user < USERS; user++) {
        fixture->model[user] = g_array_new(FALSE, FALSE, sizeof(gint64));
        put_follows(fixture, batch, user, followed[user]);
    }
    put_posts(fixture, batch, followed);
    store_batch_put(batch, key_letter('s'), text, sizeof text);
    store_batch_put(batch, key_letter('u'), text, sizeof text);
    store_batch_commit(batch, &error);
    g_assert_no_error(error);
    store_batch_free(batch);
}

static void
tear_down(Fixture *fixture, gconstpointer unused)
{
    (void)unused;
    store_close(fixture->store);
    tmpdir_free(fixture->dir);
    for (guint user = 0; user < USERS; user++) {
        g_array_unref(fixture->model[user]);
    }
    g_rand_free(fixture->rand);
}

/* What the model says is in the range, nearest first. */
static GArray *
model_read(Fixture *fixture, const MergeRange *range)
{
    const GArray *model = fixture->model[range->user.v - 5000];
    GArray *ids = g_array_new(FALSE, FALSE, sizeof(gint64));
    for (guint i = 0; i < model->len && ids->len < range->max; i++) {
        guint at = range->older ? model->len - 1 - i : i;
        gint64 id = g_array_index(model, gint64, at);
        gboolean inside = range->older ? id < range->from && id > range->to
                                       : id > range->from && id < range->to;
        if (inside) {
            g_array_append_val(ids, id);
        }
    }
    return ids;
}

static void
check_ids(const GArray *have, guint from, const GArray *want)
{
    g_assert_cmpuint(have->len, ==, from + want->len);
    for (guint i = 0; i < want->len; i++) {
        g_assert_cmpint(g_array_index(have, gint64, from + i), ==,
                        g_array_index(want, gint64, i));
    }
}

static void
check_range(Fixture *fixture, const MergeRange *range)
{
    const gint64 before = -7;
    g_autoptr(GArray) want = model_read(fixture, range);
    g_autoptr(GArray) have = g_array_new(FALSE, FALSE, sizeof(gint64));
    g_array_append_val(have, before);
    StoreSnapshot *snapshot = store_snapshot(fixture->store);
    StoreOutcome outcome = merge_read(fixture->store, snapshot, range, have);
    store_snapshot_release(snapshot);
    g_assert_cmpint(outcome, ==,
                    want->len == range->max ? STORE_FOUND : STORE_MISSING);
    g_assert_cmpint(g_array_index(have, gint64, 0), ==, before);
    check_ids(have, 1, want);
}

/* A bound: an end, or anywhere, on an id or between two. */
static gint64
random_bound(GRand *rand)
{
    switch (g_rand_int_range(rand, 0, 6)) {
    case 0:
        return 0;
    case 1:
        return G_MAXINT64;
    default:
        return g_rand_int_range(rand, 1, POSTS * 3 + 10);
    }
}

/* Random ranges, empty and inverted ones too. */
static void
test_random(Fixture *fixture, gconstpointer unused)
{
    (void)unused;
    for (guint i = 0; i < 1500; i++) {
        MergeRange range = {
            .user = {5000 + g_rand_int_range(fixture->rand, 0, USERS)},
            .older = g_rand_boolean(fixture->rand),
            .from = random_bound(fixture->rand),
            .to = random_bound(fixture->rand),
            .max = (guint)g_rand_int_range(fixture->rand, 1, 130),
        };
        check_range(fixture, &range);
    }
}

/* Page after page, each from where the one before ended, is everything. */
static void
check_pages(Fixture *fixture, guint user, gboolean older)
{
    g_autoptr(GArray) ids = g_array_new(FALSE, FALSE, sizeof(gint64));
    MergeRange range = {
        .user = {5000 + user},
        .older = older,
        .from = older ? G_MAXINT64 : 0,
        .to = older ? 0 : G_MAXINT64,
        .max = 20,
    };
    while (merge_read(fixture->store, NULL, &range, ids) == STORE_FOUND) {
        range.from = g_array_index(ids, gint64, ids->len - 1);
    }
    range.from = older ? G_MAXINT64 : 0;
    range.max = POSTS;
    g_autoptr(GArray) want = model_read(fixture, &range);
    check_ids(ids, 0, want);
}

static void
test_pages(Fixture *fixture, gconstpointer unused)
{
    (void)unused;
    for (guint user = 0; user < USERS; user++) {
        check_pages(fixture, user, TRUE);
        check_pages(fixture, user, FALSE);
    }
}

/* Somebody who follows nobody. */
static void
test_nobody(Fixture *fixture, gconstpointer unused)
{
    (void)unused;
    MergeRange range = {
        .user = {4999},
        .older = TRUE,
        .from = G_MAXINT64,
        .max = 20,
    };
    g_autoptr(GArray) ids = g_array_new(FALSE, FALSE, sizeof(gint64));
    g_assert_cmpint(merge_read(fixture->store, NULL, &range, ids), ==,
                    STORE_MISSING);
    g_assert_cmpuint(ids->len, ==, 0);
}

/* A damaged row of edges fails the read and leaves the array alone. */
static void
test_damage(Fixture *fixture, gconstpointer unused)
{
    (void)unused;
    g_autoptr(GError) error = NULL;
    StoreBatch *batch = store_batch_new(fixture->store);
    store_batch_put(batch, key_edges((UserId){5000}, (UserId){0}), "?", 1);
    store_batch_commit(batch, &error);
    g_assert_no_error(error);
    store_batch_free(batch);
    MergeRange range = {
        .user = {5000},
        .older = TRUE,
        .from = G_MAXINT64,
        .max = 20,
    };
    g_autoptr(GArray) ids = g_array_new(FALSE, FALSE, sizeof(gint64));
    g_assert_cmpint(merge_read(fixture->store, NULL, &range, ids), ==,
                    STORE_FAILED);
    g_assert_cmpuint(ids->len, ==, 0);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name, func)                                                        \
    g_test_add("/merge/" name, Fixture, NULL, set_up, func, tear_down)
    ADD("random", test_random);
    ADD("pages", test_pages);
    ADD("nobody", test_nobody);
    ADD("damage", test_damage);
#undef ADD
    return g_test_run();
}
