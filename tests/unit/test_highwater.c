/* highwater.h: how far the store had got, good, damaged, foreign and none. */
#include "cell/highwater.h"
#include "ops/kit/error.h"
#include "tests/kit/tmpdir.h"

#include <glib/gstdio.h>
#include <string.h>

static const MetaIdentity identity = {3, "a/log", 2};

typedef struct Fixture {
    char *dir;
    char *path;
} Fixture;

static void
set_up(Fixture *fixture, gconstpointer unused)
{
    (void)unused;
    fixture->dir = tmpdir_new();
    fixture->path = g_build_filename(fixture->dir, "highwater", NULL);
}

static void
tear_down(Fixture *fixture, gconstpointer unused)
{
    (void)unused;
    tmpdir_free(fixture->dir);
    g_free(fixture->path);
}

static void
write_high(const Fixture *fixture, guint64 commits, guint64 a, guint64 b)
{
    g_autoptr(GError) error = NULL;
    guint64 next[] = {a, b};
    Highwater high = {commits, next};
    g_assert_true(
        highwater_write(fixture->dir, &identity, &high, NULL, &error));
    g_assert_no_error(error);
}

static void
expect_high(const Fixture *fixture, guint64 commits, guint64 a, guint64 b)
{
    g_autoptr(GError) error = NULL;
    guint64 next[2] = {0};
    Highwater high = {0, next};
    g_assert_true(highwater_read(fixture->dir, &identity, &high, &error));
    g_assert_no_error(error);
    g_assert_cmpuint(high.commits, ==, commits);
    g_assert_cmpuint(next[0], ==, a);
    g_assert_cmpuint(next[1], ==, b);
}

static void
expect_refusal(const Fixture *fixture, const MetaIdentity *as, CombError code)
{
    g_autoptr(GError) error = NULL;
    guint64 next[8] = {0};
    Highwater high = {0, next};
    g_assert_false(highwater_read(fixture->dir, as, &high, &error));
    g_assert_error(error, COMB_ERROR, (gint)code);
}

static void
put_contents(const Fixture *fixture, const char *data, gsize len)
{
    g_assert_true(g_file_set_contents(fixture->path, data, (gssize)len, NULL));
}

/* What is written is read, the newest of it, to the last bit. */
static void
test_round_trip(Fixture *fixture, gconstpointer unused)
{
    (void)unused;
    write_high(fixture, 1, 2, 3);
    expect_high(fixture, 1, 2, 3);
    write_high(fixture, G_MAXUINT64, 0, G_MAXUINT64 - 1);
    expect_high(fixture, G_MAXUINT64, 0, G_MAXUINT64 - 1);
    write_high(fixture, 0, 0, 0);
    expect_high(fixture, 0, 0, 0);
}

/* The file as cells have it: these bytes never change. */
static void
test_durable(Fixture *fixture, gconstpointer unused)
{
    (void)unused;
    static const guint8 bytes[] = {
        0x43, 0x4f, 0x4d, 0x42, 0x48, 0x49, 0x47, 0x48, 0x01, 0x00, 0x00,
        0x00, 0x03, 0x00, 0x00, 0x00, 0x29, 0xa0, 0xa7, 0xf9, 0x10, 0x4b,
        0x4e, 0x47, 0x02, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x08,
        0x07, 0x06, 0x05, 0x04, 0x03, 0x02, 0x01, 0x09, 0x00, 0x00, 0x00,
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01, 0x00,
        0x00, 0x92, 0x18, 0x36, 0x17, 0x0f, 0x80, 0x3a, 0xb3};
    g_autofree char *data = NULL;
    gsize len;
    write_high(fixture, 0x0102030405060708, 9, G_GUINT64_CONSTANT(1) << 40);
    g_assert_true(g_file_get_contents(fixture->path, &data, &len, NULL));
    g_assert_cmpuint(len, ==, sizeof bytes);
    g_assert_cmpint(memcmp(data, bytes, sizeof bytes), ==, 0);
}

/* No bit can flip unseen. */
static void
test_flipped(Fixture *fixture, gconstpointer unused)
{
    (void)unused;
    g_autofree char *data = NULL;
    gsize len;
    write_high(fixture, 77, 5, 6);
    g_assert_true(g_file_get_contents(fixture->path, &data, &len, NULL));
    for (gsize bit = 0; bit < 8 * len; bit++) {
        data[bit / 8] = (char)(data[bit / 8] ^ (1 << bit % 8));
        put_contents(fixture, data, len);
        expect_refusal(fixture, &identity, COMB_ERROR_CORRUPT);
        data[bit / 8] = (char)(data[bit / 8] ^ (1 << bit % 8));
    }
    put_contents(fixture, data, len);
    expect_high(fixture, 77, 5, 6);
}

/* A file that was cut anywhere, or has grown, is damaged. */
static void
test_truncated(Fixture *fixture, gconstpointer unused)
{
    (void)unused;
    g_autofree char *data = NULL;
    gsize len;
    write_high(fixture, 77, 5, 6);
    g_assert_true(g_file_get_contents(fixture->path, &data, &len, NULL));
    for (gsize cut = 0; cut < len; cut++) {
        put_contents(fixture, data, cut);
        expect_refusal(fixture, &identity, COMB_ERROR_CORRUPT);
    }
    g_autofree char *longer = g_malloc0(len + 1);
    memcpy(longer, data, len);
    put_contents(fixture, longer, len + 1);
    expect_refusal(fixture, &identity, COMB_ERROR_CORRUPT);
}

/* Another cell's, another log's, or one of other partitions is a good file,
   and not ours. */
static void
test_foreign(Fixture *fixture, gconstpointer unused)
{
    (void)unused;
    static const MetaIdentity others[] = {
        {4, "a/log", 2}, {3, "a/lot", 2}, {3, "a/log", 1}, {3, "a/log", 3}};
    write_high(fixture, 9, 8, 7);
    for (guint i = 0; i < G_N_ELEMENTS(others); i++) {
        expect_refusal(fixture, &others[i], COMB_ERROR_MISMATCH);
    }
    expect_high(fixture, 9, 8, 7);
}

/* None is told from one that cannot be read. */
static void
test_missing(Fixture *fixture, gconstpointer unused)
{
    (void)unused;
    g_assert_false(highwater_exists(fixture->dir));
    expect_refusal(fixture, &identity, COMB_ERROR_IO);
    write_high(fixture, 1, 1, 1);
    g_assert_true(highwater_exists(fixture->dir));
    put_contents(fixture, "", 0);
    g_assert_true(highwater_exists(fixture->dir));
    expect_refusal(fixture, &identity, COMB_ERROR_CORRUPT);
}

static gboolean
die_at(KillPoint point, gpointer user_data)
{
    return point == *(KillPoint *)user_data;
}

/* A death before the rename leaves the file as it was, or none where there
   was none; the next writing goes through. */
static void
test_killed(Fixture *fixture, gconstpointer unused)
{
    (void)unused;
    KillPoint where = KILL_HIGHWATER;
    guint64 next[] = {50, 60};
    Highwater high = {40, next};
    for (guint before = 0; before <= 1; before++) {
        g_autoptr(GError) error = NULL;
        KillPoints *kill = killpoints_simulated(die_at, &where);
        g_assert_false(
            highwater_write(fixture->dir, &identity, &high, kill, &error));
        g_assert_error(error, COMB_ERROR, COMB_ERROR_IO);
        killpoints_free(kill);
        if (before == 0) {
            g_assert_false(highwater_exists(fixture->dir));
            write_high(fixture, 4, 5, 6);
        } else {
            expect_high(fixture, 4, 5, 6);
        }
    }
    write_high(fixture, 40, 50, 60);
    expect_high(fixture, 40, 50, 60);
}

/* Where the new file cannot be made the old one stays, with a reason. */
static void
test_cannot_write(Fixture *fixture, gconstpointer unused)
{
    (void)unused;
    g_autofree char *in_the_way =
        g_build_filename(fixture->dir, "highwater.new", NULL);
    guint64 next[] = {50, 60};
    Highwater high = {40, next};
    g_autoptr(GError) error = NULL;
    write_high(fixture, 4, 5, 6);
    g_assert_cmpint(g_mkdir(in_the_way, 0700), ==, 0);
    g_assert_false(
        highwater_write(fixture->dir, &identity, &high, NULL, &error));
    g_assert_error(error, COMB_ERROR, COMB_ERROR_IO);
    g_assert_nonnull(strstr(error->message, "highwater.new"));
    expect_high(fixture, 4, 5, 6);
}

#define ADD(name, func)                                                        \
    g_test_add("/highwater/" name, Fixture, NULL, set_up, func, tear_down)

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("round-trip", test_round_trip);
    ADD("durable", test_durable);
    ADD("flipped", test_flipped);
    ADD("truncated", test_truncated);
    ADD("foreign", test_foreign);
    ADD("missing", test_missing);
    ADD("killed", test_killed);
    ADD("cannot-write", test_cannot_write);
    return g_test_run();
}
