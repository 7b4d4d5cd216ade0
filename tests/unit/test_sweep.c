/*
 * sweep.h against a sort: whoever a user follows, from everywhere, both ways,
 * whatever the budget: the ids of the authors followed, in order, and where the
 * budget ends a place to go on from. With few follows and with more than are
 * kept as a fact.
 */
#include "cell/state.h"
#include "cell/sweep.h"
#include "tests/kit/tmpdir.h"

#define AUTHORS 300
#define POSTS 3000
#define USER 5000
#define FOLLOWS_MAX 20

typedef struct Fixture {
    char *dir;
    State *state;
    GArray *model; /* gint64, ascending: what the user is to see */
    gboolean followed[AUTHORS + 1];
    Cut cut;
    Follows follows;
} Fixture;

static void
put_follow(Fixture *fixture, Edges *edges, StoreBatch *batch, guint author)
{
    gboolean was;
    Event event = {
        .id = {1},
        .kind = EVENT_FOLLOW,
        .user = {USER},
        .target_user = {author},
    };
    fixture->followed[author] = TRUE;
    edges_join(edges, batch, &event, &was);
}

static void
put_post(Fixture *fixture, StoreBatch *batch, gint64 id)
{
    g_autoptr(GByteArray) post = g_byte_array_new();
    guint author = (guint)g_test_rand_int_range(1, AUTHORS + 1);
    wire_field_i64(post, 1, id);
    wire_field_i64(post, 2, author);
    wire_field_i32(post, 3, 1);
    wire_field_string(post, 4, "a post");
    wire_write_stop(post);
    store_batch_put(batch, key_post((PostId){id}), post->data, post->len);
    if (fixture->followed[author]) {
        g_array_append_val(fixture->model, id);
    }
}

/* @data: of so many authors one is followed. */
static void
set_up(Fixture *fixture, gconstpointer data)
{
    static const InboxTuning tuning = {24, 6, 10, 4, 8, FOLLOWS_MAX};
    guint64 next;
    g_autoptr(GError) error = NULL;
    *fixture = (Fixture){.dir = tmpdir_new()};
    StateOptions options = {.dir = fixture->dir,
                            .identity = {0, "test", 1},
                            .tuning = &tuning,
                            .cache_bytes = 1 << 20};
    fixture->state = state_open(&options, &next, &error);
    g_assert_no_error(error);
    fixture->model = g_array_new(FALSE, FALSE, sizeof(gint64));
    StoreBatch *batch = store_batch_new(fixture->state->store);
    Edges *edges = edges_new(fixture->state->store);
    for (guint author = 1; author <= AUTHORS; author++) {
        if (author % GPOINTER_TO_UINT(data) == 0) {
            put_follow(fixture, edges, batch, author);
        }
    }
    edges_stage(edges, batch);
    for (gint64 id = 3; id <= POSTS * 3; id += 3) {
        put_post(fixture, batch, id);
    }
    g_assert_true(store_batch_commit(batch, NULL));
    store_batch_free(batch);
    edges_free(edges);
    cut_open(fixture->state, (UserId){0}, &fixture->cut);
    follows_init(&fixture->follows, &fixture->cut, (UserId){USER});
}

static void
tear_down(Fixture *fixture, gconstpointer unused)
{
    (void)unused;
    follows_clear(&fixture->follows);
    cut_close(&fixture->cut);
    g_array_unref(fixture->model);
    state_close(fixture->state);
    tmpdir_free(fixture->dir);
}

static gboolean
is_in_model(const Fixture *fixture, gint64 id)
{
    for (guint i = 0; i < fixture->model->len; i++) {
        if (g_array_index(fixture->model, gint64, i) == id) {
            return TRUE;
        }
    }
    return FALSE;
}

/* What the model has of @range, as one sweep after the other should give. */
static GArray *
expect(const Fixture *fixture, const MergeRange *range)
{
    GArray *ids = g_array_new(FALSE, FALSE, sizeof(gint64));
    guint n = fixture->model->len;
    for (guint i = 0; i < n; i++) {
        gint64 id =
            g_array_index(fixture->model, gint64, range->older ? n - 1 - i : i);
        if (range->older ? id < range->from && id > range->to
                         : id > range->from && id < range->to) {
            g_array_append_val(ids, id);
        }
    }
    return ids;
}

/* All of @range, by runs; ids that only mark a place are left out. */
static GArray *
sweep_all(Fixture *fixture, MergeRange range)
{
    GArray *ids = g_array_new(FALSE, FALSE, sizeof(gint64));
    StoreOutcome outcome = STORE_FOUND;
    while (outcome == STORE_FOUND) {
        g_autoptr(GArray) run = g_array_new(FALSE, FALSE, sizeof(gint64));
        guint budget = (guint)g_test_rand_int_range(1, 200);
        range.max = (guint)g_test_rand_int_range(1, 60);
        outcome = sweep_read(&fixture->follows, &range, &budget, run);
        g_assert_cmpint(outcome, !=, STORE_FAILED);
        g_assert_cmpuint(run->len, <=, range.max);
        g_assert_true(outcome == STORE_MISSING || run->len == range.max ||
                      budget == 0);
        for (guint i = 0; i < run->len; i++) {
            gint64 id = g_array_index(run, gint64, i);
            gboolean marks = budget == 0 && i + 1 == run->len;
            range.from = id;
            g_assert_true(marks || is_in_model(fixture, id));
            if (is_in_model(fixture, id)) {
                g_array_append_val(ids, id);
            }
        }
    }
    return ids;
}

static void
test_all(Fixture *fixture, gconstpointer data)
{
    gboolean many = AUTHORS / GPOINTER_TO_UINT(data) > FOLLOWS_MAX;
    g_assert_cmpint(follows_are_many(&fixture->follows), ==,
                    many ? STORE_FOUND : STORE_MISSING);
    for (guint i = 0; i < 40; i++) {
        gint64 a = g_test_rand_int_range(0, POSTS * 3 + 10);
        gint64 b = g_test_rand_int_range(0, POSTS * 3 + 10);
        gboolean older = g_test_rand_bit();
        MergeRange range = {
            .user = {USER},
            .older = older,
            .from = i == 0 ? G_MAXINT64 : (older ? MAX(a, b) + 1 : MIN(a, b)),
            .to = older ? MIN(a, b) : MAX(a, b) + 1,
        };
        range.older = i == 0 ? TRUE : range.older;
        range.to = i == 0 ? 0 : range.to;
        g_autoptr(GArray) expected = expect(fixture, &range);
        g_autoptr(GArray) found = sweep_all(fixture, range);
        g_assert_cmpuint(found->len, ==, expected->len);
        for (guint j = 0; j < found->len; j++) {
            g_assert_cmpint(g_array_index(found, gint64, j), ==,
                            g_array_index(expected, gint64, j));
        }
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name, one_in)                                                      \
    g_test_add("/sweep/" name, Fixture, GUINT_TO_POINTER(one_in), set_up,      \
               test_all, tear_down)
    ADD("all", 1);
    ADD("some", 7);
    ADD("few", 50);
    return g_test_run();
}
