/* tailfile.h: generations of tail checkpoints, good, damaged and foreign. */
#include "cell/tailfile.h"
#include "ops/kit/error.h"
#include "tests/kit/tmpdir.h"

#include <glib/gstdio.h>

static const MetaIdentity identity = {3, "a/log", 2};

typedef struct Fixture {
    char *dir;
    char *newest; /* path of the newest generation */
    Store *store;
    Inbox *inbox;
} Fixture;

static void
set_up(Fixture *fixture, gconstpointer unused)
{
    (void)unused;
    fixture->dir = tmpdir_new();
    fixture->newest = g_build_filename(fixture->dir, "tails", NULL);
    g_autofree char *store_dir = g_build_filename(fixture->dir, "s", NULL);
    StoreOptions options = {store_dir, TRUE, FALSE, 1 << 20, 1 << 20};
    fixture->store = store_open(&options, NULL);
    g_assert_nonnull(fixture->store);
    fixture->inbox = inbox_new(fixture->store, inbox_tuning_default());
}

static void
tear_down(Fixture *fixture, gconstpointer unused)
{
    (void)unused;
    inbox_free(fixture->inbox);
    store_close(fixture->store);
    tmpdir_free(fixture->dir);
    g_free(fixture->newest);
}

/* Write a generation with @n posts in user 7's tail, at offset @n. */
static void
write_generation(Fixture *fixture, guint n)
{
    g_autoptr(GError) error = NULL;
    guint32 user = inbox_add_user(fixture->inbox, (UserId){7});
    for (guint i = 1; i <= n; i++) {
        inbox_deliver(fixture->inbox, &user, 1, (PostId){1000 * (gint64)i});
    }
    guint64 next[] = {n, 2 * (guint64)n};
    TailWriter *writer = tailfile_begin(fixture->dir, &identity, next, &error);
    g_assert_no_error(error);
    TailCopy tail;
    tails_copy(inbox_tails(fixture->inbox), user, &tail);
    tailfile_put(writer, (UserId){7}, &tail);
    tailfile_end(writer, &error);
    g_assert_no_error(error);
    tailfile_commit(writer, NULL, &error);
    g_assert_no_error(error);
}

/* Load, and tell how many posts user 7 has; -1 with *error. */
static gint
load(Fixture *fixture, const MetaIdentity *as, GError **error)
{
    Inbox *inbox = inbox_new(fixture->store, inbox_tuning_default());
    guint64 next[2] = {0};
    guint n = 0;
    gboolean good = tailfile_load(fixture->dir, as, inbox, next, error);
    if (good) {
        guint32 user = inbox_find(inbox, (UserId){7});
        g_assert_cmpuint(user, !=, INBOX_NOBODY);
        n = tails_count(inbox_tails(inbox), user);
        g_assert_cmpuint(next[0], ==, n);
        g_assert_cmpuint(next[1], ==, 2 * n);
    }
    inbox_free(inbox);
    return good ? (gint)n : -1;
}

static void
flip_bit(const char *path, gsize bit)
{
    g_autofree char *data = NULL;
    gsize len;
    g_assert_true(g_file_get_contents(path, &data, &len, NULL));
    data[bit / 8 % len] ^= (char)(1 << bit % 8);
    g_assert_true(g_file_set_contents(path, data, (gssize)len, NULL));
}

/* The newest generation is what is loaded. */
static void
test_newest(Fixture *fixture, gconstpointer unused)
{
    (void)unused;
    g_autoptr(GError) error = NULL;
    write_generation(fixture, 3);
    write_generation(fixture, 5);
    g_assert_cmpint(load(fixture, &identity, &error), ==, 5);
    g_assert_no_error(error);
}

/* No file is no error: a cell that was never founded. */
static void
test_none(Fixture *fixture, gconstpointer unused)
{
    (void)unused;
    g_autoptr(GError) error = NULL;
    g_assert_cmpint(load(fixture, &identity, &error), ==, -1);
    g_assert_no_error(error);
}

/* Any flipped bit in the newest falls back to the one before. */
static void
test_flipped_bits(Fixture *fixture, gconstpointer unused)
{
    (void)unused;
    g_autofree char *good = NULL;
    gsize len;
    write_generation(fixture, 3);
    write_generation(fixture, 5);
    g_assert_true(g_file_get_contents(fixture->newest, &good, &len, NULL));
    for (gsize bit = 0; bit < len * 8; bit++) {
        g_autoptr(GError) error = NULL;
        g_assert_true(
            g_file_set_contents(fixture->newest, good, (gssize)len, NULL));
        flip_bit(fixture->newest, bit);
        g_assert_cmpint(load(fixture, &identity, &error), ==, 3);
        g_assert_no_error(error);
    }
}

/* A damaged newest never takes the place of the good one before it: after the
   next checkpoint that one is still there to fall back to. */
static void
test_damaged_is_put_aside(Fixture *fixture, gconstpointer unused)
{
    (void)unused;
    write_generation(fixture, 3);
    write_generation(fixture, 5);
    flip_bit(fixture->newest, 333);
    g_assert_cmpint(load(fixture, &identity, NULL), ==, 3);
    write_generation(fixture, 7);
    flip_bit(fixture->newest, 333);
    g_assert_cmpint(load(fixture, &identity, NULL), ==, 3);
}

/* A truncated newest too, wherever it ends. */
static void
test_truncated(Fixture *fixture, gconstpointer unused)
{
    (void)unused;
    g_autofree char *good = NULL;
    gsize len;
    write_generation(fixture, 3);
    write_generation(fixture, 5);
    g_assert_true(g_file_get_contents(fixture->newest, &good, &len, NULL));
    for (gsize n = 0; n < len; n += 3) {
        g_assert_true(
            g_file_set_contents(fixture->newest, good, (gssize)n, NULL));
        g_assert_cmpint(load(fixture, &identity, NULL), ==, 3);
    }
}

/* Where no generation is good, the load refuses. */
static void
test_both_damaged(Fixture *fixture, gconstpointer unused)
{
    (void)unused;
    g_autoptr(GError) error = NULL;
    g_autofree char *older = g_build_filename(fixture->dir, "tails.old", NULL);
    write_generation(fixture, 3);
    write_generation(fixture, 5);
    flip_bit(fixture->newest, 333);
    flip_bit(older, 334);
    g_assert_cmpint(load(fixture, &identity, &error), ==, -1);
    g_assert_error(error, COMB_ERROR, COMB_ERROR_CORRUPT);
}

/* Another cell's file, another log's, another number of partitions: refused,
   not passed over for an older generation. */
static void
test_foreign(Fixture *fixture, gconstpointer unused)
{
    (void)unused;
    static const MetaIdentity others[] = {
        {4, "a/log", 2}, {3, "b/log", 2}, {3, "a/log", 1}};
    write_generation(fixture, 3);
    write_generation(fixture, 5);
    for (guint i = 0; i < G_N_ELEMENTS(others); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_cmpint(load(fixture, &others[i], &error), ==, -1);
        g_assert_error(error, COMB_ERROR, COMB_ERROR_MISMATCH);
    }
}

#define ADD(name, func)                                                        \
    g_test_add("/tailfile/" name, Fixture, NULL, set_up, func, tear_down)

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("newest", test_newest);
    ADD("none", test_none);
    ADD("flipped-bits", test_flipped_bits);
    ADD("put-aside", test_damaged_is_put_aside);
    ADD("truncated", test_truncated);
    ADD("both-damaged", test_both_damaged);
    ADD("foreign", test_foreign);
    return g_test_run();
}
