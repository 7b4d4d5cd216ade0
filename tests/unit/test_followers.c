/*
 * followers.h against a model, one flag a user, for sets that are dense, thin
 * and very thin: random changes through all shapes and back, slices while the
 * set changes, a million followers.
 */
#include "cell/followers.h"

#include <string.h>

#define USERS 12000u

/* User n of the model is n * step in the set. */
typedef struct Model {
    Followers *followers; /* owned */
    guint32 author;
    guint32 step;
    guint n;
    gboolean in[USERS];
} Model;

static Model *
model_new(guint32 step)
{
    Model *model = g_new0(Model, 1);
    model->followers = followers_new();
    model->step = step;
    /* Not the first of all. */
    followers_author(model->followers, (UserId){99});
    model->author = followers_author(model->followers, (UserId){100});
    return model;
}

static void
model_free(Model *model)
{
    followers_free(model->followers);
    g_free(model);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Model, model_free)

static void
model_set(Model *model, guint user, gboolean in)
{
    gboolean changes = model->in[user] != in;
    guint32 local = user * model->step;
    gboolean changed =
        in ? followers_add(model->followers, model->author, local)
           : followers_remove(model->followers, model->author, local);
    g_assert_cmpint(changed, ==, changes);
    model->in[user] = in;
    model->n += changes ? (in ? 1 : -1u) : 0;
    g_assert_cmpuint(followers_count(model->followers, model->author), ==,
                     model->n);
    g_assert_cmpuint(followers_edges(model->followers), ==, model->n);
}

/* One slice from @from is what the model says. */
static void
model_check_slice(Model *model, guint32 from, guint max)
{
    g_autofree guint32 *users = g_new(guint32, max);
    guint n = followers_read(model->followers, model->author, from, users, max);
    g_assert_cmpuint(n, <=, max);
    guint i = 0;
    guint user = from / model->step + (from % model->step != 0);
    for (; user < USERS && i < max; user++) {
        if (model->in[user]) {
            g_assert_cmpuint(i, <, n);
            g_assert_cmpuint(users[i], ==, user * model->step);
            i++;
        }
    }
    g_assert_cmpuint(i, ==, n);
}

static guint
random_below(GRand *rand, guint end)
{
    return (guint)g_rand_int_range(rand, 0, (gint32)end);
}

/* A random user who is in, or who is not; there must be one. */
static guint
model_any(const Model *model, GRand *rand, gboolean in)
{
    guint user = random_below(rand, USERS);
    while (model->in[user] != in) {
        user = (user + 1) % USERS;
    }
    return user;
}

/* Change random users until there are @n, most changes towards it. */
static void
model_walk_to(Model *model, GRand *rand, guint n)
{
    while (model->n != n) {
        gboolean grows = model->n < n;
        model_set(model, model_any(model, rand, !grows), grows);
        model_set(model, random_below(rand, USERS), grows);
        if (random_below(rand, 3) == 0 && model->n > 0) {
            model_set(model, model_any(model, rand, TRUE), FALSE);
        }
        if (random_below(rand, 500) == 0) {
            guint32 from = random_below(rand, USERS + 1) * model->step;
            from -= from > 0 ? random_below(rand, 2) : 0;
            model_check_slice(model, from, 1 + random_below(rand, 3000));
        }
    }
    model_check_slice(model, 0, USERS);
    g_assert_cmpuint(followers_count(model->followers, 0), ==, 0);
}

static const guint32 steps[] = {1, 10, 1000, 300000};

/* To and fro over the sizes where the shape changes, and down to nothing,
   where no memory is left behind. */
static void
test_random(void)
{
    static const guint sizes[] = {1,    2,    3,    2,    40, 4095, 4097, 4000,
                                  4100, 9000, 2049, 2047, 3,  2,    5000, 0};
    g_autoptr(GRand) rand = g_rand_new_with_seed(2);
    for (guint i = 0; i < G_N_ELEMENTS(steps); i++) {
        g_autoptr(Model) model = model_new(steps[i]);
        gsize empty = followers_bytes(model->followers);
        for (guint j = 0; j < G_N_ELEMENTS(sizes); j++) {
            model_walk_to(model, rand, sizes[j]);
        }
        g_assert_cmpuint(followers_bytes(model->followers), ==, empty);
    }
}

static gsize
model_bytes_at(Model *model, guint n)
{
    while (model->n < n) {
        model_set(model, model->n, TRUE);
    }
    while (model->n > n) {
        model_set(model, model->n - 1, FALSE);
    }
    return followers_bytes(model->followers);
}

/* An array of 4,096 is 16 KiB, a bitmap of 4,097 dense users is about 8; it
   stays one until there are 2,048. Slack is at most a quarter. */
static void
test_shapes(void)
{
    g_autoptr(Model) model = model_new(1);
    gsize empty = model_bytes_at(model, 0);
    g_assert_cmpuint(model_bytes_at(model, 2), ==, empty);
    for (guint n = 10; n <= 4096; n += 7) {
        gsize bytes = model_bytes_at(model, n) - empty;
        g_assert_cmpuint(bytes, >=, n * 4);
        g_assert_cmpuint(bytes, <=, n * 5 + 24);
    }
    gsize array = model_bytes_at(model, 4096) - empty;
    gsize bitmap = model_bytes_at(model, 4097) - empty;
    g_assert_cmpuint(array, >=, 16384);
    g_assert_cmpuint(bitmap, <, 9000);
    g_assert_cmpuint(model_bytes_at(model, 4096) - empty, <, 9000);
    g_assert_cmpuint(model_bytes_at(model, 2049) - empty, <, 9000);
    g_assert_cmpuint(model_bytes_at(model, 2048) - empty, >=, 8192);
    g_assert_cmpuint(model_bytes_at(model, 2047) - empty, <, 10300);
    g_assert_cmpuint(model_bytes_at(model, 2) - empty, ==, 0);
}

/* Between two slices others (odd ones) come and go, at random and far enough
   for the shape to change; who stays (even ones) is met once. */
static void
slices(GRand *rand, guint32 step, guint start, guint churn)
{
    g_autoptr(Model) model = model_new(step);
    guint stays = 0;
    for (guint user = 0; user < USERS && stays < start; user += 4) {
        model_set(model, user, TRUE);
        stays++;
    }
    guint32 users[64];
    guint32 from = 0;
    guint met = 0;
    guint n;
    do {
        n = followers_read(model->followers, model->author, from, users, 64);
        for (guint i = 0; i < n; i++) {
            g_assert_cmpuint(users[i], >=, from);
            g_assert_true(model->in[users[i] / step]);
            met += users[i] / step % 4 == 0;
            from = users[i] + 1;
        }
        gboolean more = random_below(rand, 3) > 0;
        for (guint i = 0; i < churn; i++) {
            model_set(model, random_below(rand, USERS / 2) * 2 + 1, more);
        }
    } while (n > 0);
    g_assert_cmpuint(met, ==, stays);
}

static void
test_slices(void)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(3);
    for (guint i = 0; i < G_N_ELEMENTS(steps); i++) {
        slices(rand, steps[i], 1, 1);
        slices(rand, steps[i], 500, 100);
        slices(rand, steps[i], 2000, 700);
        slices(rand, steps[i], 3000, 1500);
        slices(rand, steps[i], 3000, 0);
    }
}

/* The first and the last user there can be, in an array and in a bitmap. */
static void
ends(guint others)
{
    static const guint32 ends[] = {0, 65535, 65536, IDMAP_NONE - 1};
    g_autoptr(Followers) followers = followers_new();
    guint32 author = followers_author(followers, (UserId){G_MAXINT64});
    guint32 user;
    for (guint32 i = 0; i < others; i++) {
        followers_add(followers, author, 1000 + i);
    }
    for (guint i = 0; i < G_N_ELEMENTS(ends); i++) {
        g_assert_true(followers_add(followers, author, ends[i]));
        g_assert_false(followers_add(followers, author, ends[i]));
        g_assert_cmpuint(followers_read(followers, author, ends[i], &user, 1),
                         ==, 1);
        g_assert_cmpuint(user, ==, ends[i]);
        g_assert_cmpuint(followers_read(followers, author, 0, &user, 0), ==, 0);
        g_assert_true(
            followers_read(followers, author, ends[i] + 1, &user, 1) == 0 ||
            user > ends[i]);
    }
    g_assert_cmpuint(followers_read(followers, author, IDMAP_NONE, &user, 1),
                     ==, 0);
    for (guint i = 0; i < G_N_ELEMENTS(ends); i++) {
        g_assert_true(followers_remove(followers, author, ends[i]));
        g_assert_false(followers_remove(followers, author, ends[i]));
    }
    g_assert_cmpuint(followers_count(followers, author), ==, others);
}

static void
test_ends(void)
{
    ends(0);
    ends(100);
    ends(5000);
}

static guint
count_all(const Followers *followers, guint32 author, guint32 step)
{
    g_autofree guint32 *users = g_new(guint32, 1024);
    guint32 from = 0;
    guint n;
    guint all = 0;
    do {
        n = followers_read(followers, author, from, users, 1024);
        for (guint i = 0; i < n; i++) {
            g_assert_cmpuint(users[i], ==, (all + i) * step);
        }
        all += n;
        from = n > 0 ? users[n - 1] + 1 : from;
    } while (n == 1024);
    return all;
}

/* A million followers of one author; every second one goes. */
static void
test_million(void)
{
    g_autoptr(Followers) followers = followers_new();
    guint32 author = followers_author(followers, (UserId){1});
    gsize empty = followers_bytes(followers);
    for (guint32 i = 0; i < 1000000; i++) {
        g_assert_true(followers_add(followers, author, i));
    }
    g_assert_cmpuint(count_all(followers, author, 1), ==, 1000000);
    /* 16 bitmaps of 8 KiB are enough. */
    g_assert_cmpuint(followers_bytes(followers) - empty, <, 140000);
    for (guint32 i = 1; i < 1000000; i += 2) {
        g_assert_true(followers_remove(followers, author, i));
        g_assert_false(followers_remove(followers, author, i));
    }
    g_assert_cmpuint(count_all(followers, author, 2), ==, 500000);
    g_assert_cmpuint(followers_edges(followers), ==, 500000);
}

/* Many authors do not disturb each other; an index is found by its author;
   the caller's word stays with the author. */
static void
test_authors(void)
{
    g_autoptr(Followers) followers = followers_new();
    g_assert_cmpuint(followers_find(followers, (UserId){5}), ==, IDMAP_NONE);
    for (guint32 i = 0; i < 20000; i++) {
        guint32 author = followers_author(followers, (UserId){5 + i});
        g_assert_cmpuint(author, ==, i);
        g_assert_cmpint(followers_posts(followers, author), ==, POSTS_UNKNOWN);
        followers_set_posts(followers, author, i % 3);
        for (guint32 user = 0; user < i % 11; user++) {
            g_assert_true(followers_add(followers, author, i + user));
        }
    }
    for (guint32 i = 0; i < 20000; i++) {
        guint32 users[16];
        guint32 author = followers_find(followers, (UserId){5 + i});
        g_assert_cmpuint(author, ==, i);
        g_assert_cmpuint(followers_author(followers, (UserId){5 + i}), ==, i);
        g_assert_cmpint(followers_posts(followers, author), ==, i % 3);
        g_assert_cmpuint(followers_read(followers, author, 0, users, 16), ==,
                         i % 11);
        g_assert_true(i % 11 == 0 || users[0] == i);
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/followers/random", test_random);
    g_test_add_func("/followers/shapes", test_shapes);
    g_test_add_func("/followers/slices", test_slices);
    g_test_add_func("/followers/ends", test_ends);
    g_test_add_func("/followers/million", test_million);
    g_test_add_func("/followers/authors", test_authors);
    return g_test_run();
}
