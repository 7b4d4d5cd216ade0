/*
 * A solo's data directory remembers what it was made for, and paths are made
 * where they are missing.
 */
#include "ops/solo/layout.h"

#include "ops/kit/error.h"
#include "ops/kit/paths.h"
#include "tests/kit/tmpdir.h"

#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>

typedef struct Fixture {
    char *dir;
    char *file; /* DIR/solo */
} Fixture;

static void
set_up(Fixture *fixture, gconstpointer unused)
{
    (void)unused;
    fixture->dir = tmpdir_new();
    fixture->file = g_build_filename(fixture->dir, "solo", NULL);
}

static void
tear_down(Fixture *fixture, gconstpointer unused)
{
    (void)unused;
    tmpdir_free(fixture->dir);
    g_free(fixture->file);
}

static void
expect_refused(Fixture *fixture, guint cells, guint partitions, gint code,
               const char *words)
{
    g_autoptr(GError) error = NULL;
    g_assert_false(layout_check(fixture->dir, cells, partitions, &error));
    g_assert_error(error, COMB_ERROR, code);
    g_assert_nonnull(strstr(error->message, words));
}

/* The numbers of the first start are those of every later one. */
static void
test_remembers(Fixture *fixture, gconstpointer unused)
{
    g_autoptr(GError) error = NULL;
    (void)unused;
    g_assert_true(layout_check(fixture->dir, 2, 4, &error));
    g_assert_true(layout_check(fixture->dir, 2, 4, &error));
    g_assert_no_error(error);
    expect_refused(fixture, 3, 4, COMB_ERROR_MISMATCH,
                   "made with --cells=2, started with --cells=3");
    expect_refused(fixture, 2, 5, COMB_ERROR_MISMATCH,
                   "made with --partitions=4, started with --partitions=5");
    g_assert_true(layout_check(fixture->dir, 2, 4, &error));
}

/* A file that cannot be understood is refused and left as it is. */
static void
test_damaged(Fixture *fixture, gconstpointer unused)
{
    static const struct {
        const char *text;
        gint code;
        const char *words;
    } table[] = {
        {"", COMB_ERROR_CORRUPT, "solo"},
        {"junk", COMB_ERROR_CORRUPT, "junk"},
        {"[solo]\ncells=2\npartitions=4\n", COMB_ERROR_CORRUPT, "version"},
        {"[solo]\nversion=1\npartitions=4\n", COMB_ERROR_CORRUPT, "cells"},
        {"[solo]\nversion=1\ncells=x\npartitions=4\n", COMB_ERROR_CORRUPT,
         "cells"},
        {"[solo]\nversion=2\ncells=2\npartitions=4\n", COMB_ERROR_MISMATCH,
         "version 2"},
    };
    (void)unused;
    for (guint i = 0; i < G_N_ELEMENTS(table); i++) {
        g_autofree char *after = NULL;
        g_file_set_contents(fixture->file, table[i].text, -1, NULL);
        expect_refused(fixture, 2, 4, table[i].code, table[i].words);
        g_file_get_contents(fixture->file, &after, NULL, NULL);
        g_assert_cmpstr(after, ==, table[i].text);
    }
}

/* A directory is made with all above it, for its user alone. */
static void
test_makes_directory(Fixture *fixture, gconstpointer unused)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *deep = g_build_filename(fixture->dir, "a", "b", NULL);
    GStatBuf info;
    (void)unused;
    g_autofree char *dir = paths_state_dir(deep, "solo", &error);
    g_assert_no_error(error);
    g_assert_cmpstr(dir, ==, deep);
    g_assert_cmpint(g_stat(dir, &info), ==, 0);
    g_assert_true(S_ISDIR(info.st_mode));
    g_assert_cmpuint(info.st_mode & 0777, ==, 0700);
}

/* A file in its place is an error that names it. */
static void
test_file_in_place(Fixture *fixture, gconstpointer unused)
{
    g_autoptr(GError) error = NULL;
    (void)unused;
    g_file_set_contents(fixture->file, "", -1, NULL);
    g_assert_null(paths_state_dir(fixture->file, "solo", &error));
    g_assert_error(error, COMB_ERROR, COMB_ERROR_IO);
    g_assert_nonnull(strstr(error->message, fixture->file));
}

/* Without a setting it is comb/DAEMON in the XDG state directory. */
static void
test_default(Fixture *fixture, gconstpointer unused)
{
    (void)unused;
    g_autofree char *expected =
        g_build_filename(g_getenv("XDG_STATE_HOME"), "comb", "cell-3", NULL);
    g_autofree char *dir = paths_state_dir(NULL, "cell-3", NULL);
    g_assert_cmpstr(dir, ==, expected);
    g_assert_true(g_file_test(dir, G_FILE_TEST_IS_DIR));
    (void)fixture;
}

#define ADD(name)                                                              \
    g_test_add("/layout/" #name, Fixture, NULL, set_up, test_##name, tear_down)

int
main(int argc, char **argv)
{
    char *home = tmpdir_new();
    g_setenv("XDG_STATE_HOME", home, TRUE);
    g_test_init(&argc, &argv, NULL);
    ADD(remembers);
    ADD(damaged);
    ADD(makes_directory);
    ADD(file_in_place);
    ADD(default);
    int failed = g_test_run();
    tmpdir_free(home);
    return failed;
}
