/*
 * followload.h: what is loaded is what adding edge by edge makes, for few
 * edges (no second thread) and for many, of one shard and of all.
 */
#include "cell/followload.h"

#include <string.h>

typedef struct Pair {
    Followers *loaded; /* owned */
    Followers *added;  /* owned */
} Pair;

static void
pair_same(const Pair *pair, const UserId *authors, guint n, guint users)
{
    g_autofree guint32 *left = g_new(guint32, users);
    g_autofree guint32 *right = g_new(guint32, users);
    g_assert_cmpuint(followers_edges(pair->loaded), ==,
                     followers_edges(pair->added));
    for (guint i = 0; i < n; i++) {
        guint32 loaded = followers_find(pair->loaded, authors[i]);
        guint32 added = followers_find(pair->added, authors[i]);
        g_assert_cmpint(loaded == IDMAP_NONE, ==, added == IDMAP_NONE);
        if (added == IDMAP_NONE) {
            continue;
        }
        guint count = followers_read(pair->added, added, 0, right, users);
        g_assert_cmpuint(followers_read(pair->loaded, loaded, 0, left, users),
                         ==, count);
        g_assert_true(memcmp(left, right, count * sizeof *left) == 0);
    }
}

/* Each user follows each of @n authors, but for one in @leave_out. */
static void
load_all(const UserId *authors, guint n, guint users, gint32 leave_out)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(20120611);
    Pair pair = {followers_new(), followers_new()};
    FollowLoad *load = followload_begin(pair.loaded);
    g_autofree UserId *some = g_new(UserId, n);
    for (guint user = 0; user < users; user++) {
        guint k = 0;
        for (guint i = 0; i < n; i++) {
            if (g_rand_int_range(rand, 0, leave_out) > 0) {
                some[k++] = authors[i];
                guint32 author = followers_author(pair.added, authors[i]);
                g_assert_true(followers_add(pair.added, author, user));
            }
        }
        followload_add(load, some, k, user);
    }
    followload_end(load);
    pair_same(&pair, authors, n, users);
    followers_free(pair.loaded);
    followers_free(pair.added);
}

static void
fill_authors(UserId *authors, guint n, gboolean one_shard)
{
    gint64 id = 1;
    for (guint i = 0; i < n; id++) {
        if (!one_shard || followers_shard((UserId){id}) == 7) {
            authors[i++] = (UserId){id};
        }
    }
}

static void
test_few(void)
{
    UserId authors[300];
    fill_authors(authors, 300, FALSE);
    load_all(authors, 300, 50, 3);
    load_all(authors, 0, 50, 3);
    load_all(authors, 1, 0, 3);
}

/* Buffers of all shards fill up; sets become bitmaps. */
static void
test_many(void)
{
    g_autofree UserId *authors = g_new(UserId, 2000);
    fill_authors(authors, 2000, FALSE);
    load_all(authors, 2000, 5500, 9);
}

/* More full buffers than there may be, one after the other: the caller waits
   for the second thread. */
static void
test_one_shard(void)
{
    UserId authors[64];
    fill_authors(authors, 64, TRUE);
    load_all(authors, 64, 40000, 9);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/followload/few", test_few);
    g_test_add_func("/followload/many", test_many);
    g_test_add_func("/followload/one-shard", test_one_shard);
    return g_test_run();
}
