/*
 * test_names.c - names and numbers of users, and the file that remembers them
 */
#include "ops/combctl/names.h"

#include <glib/gstdio.h>
#include <string.h>

typedef struct Fixture {
    char *folder; /* removed at the end */
    char *file;   /* of the names, in a folder that is not there yet */
} Fixture;

static void
set_up(Fixture *fixture, gconstpointer data)
{
    (void)data;
    fixture->folder = g_dir_make_tmp("comb-names-XXXXXX", NULL);
    fixture->file =
        g_build_filename(fixture->folder, "state", "names.tsv", NULL);
}

static void
tear_down(Fixture *fixture, gconstpointer data)
{
    g_autofree char *state = g_path_get_dirname(fixture->file);

    (void)data;
    (void)g_unlink(fixture->file);
    (void)g_rmdir(state);
    (void)g_rmdir(fixture->folder);
    g_free(fixture->file);
    g_free(fixture->folder);
}

static Names *
must_open(const char *file)
{
    g_autoptr(GError) error = NULL;
    Names *names = names_open(file, &error);

    g_assert_no_error(error);
    return names;
}

static void
must_save(Names *names)
{
    g_autoptr(GError) error = NULL;

    g_assert_true(names_save(names, &error));
    g_assert_no_error(error);
}

static void
assert_shown(const Names *names, UserId user, const char *expected)
{
    g_autofree char *shown = names_show(names, user);

    g_assert_cmpstr(shown, ==, expected);
}

/* What a word on the command line means: a table. */
static void
test_parse(void)
{
    static const struct {
        const char *word;
        const char *name; /* NULL: a number */
        gint64 number;    /* 0: no user at all */
    } rows[] = {
        {"2048", NULL, 2048},
        {"9223372036854775807", NULL, G_MAXINT64},
        {"9223372036854775808", NULL, 0},
        {"0", NULL, 0},
        {"", NULL, 0},
        {"@", NULL, 0},
        {"curl", "curl", 0},
        {"@2048", "2048", 0},
        {"-1", "-1", 0},
        {"0ad", "0ad", 0},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        UserId user = {0};
        const char *name = NULL;
        gboolean good = names_parse(rows[i].word, &user, &name);
        g_assert_cmpint(good, ==, rows[i].name != NULL || rows[i].number > 0);
        g_assert_cmpstr(good ? name : NULL, ==, rows[i].name);
        gint64 expected = rows[i].name != NULL
                              ? id_of_name(rows[i].name, strlen(rows[i].name)).v
                              : rows[i].number;
        g_assert_cmpint(user.v, ==, expected);
    }
}

/* A name that was saved is known the next time; another is a number. */
static void
test_saved_names_are_known(Fixture *fixture, gconstpointer data)
{
    (void)data;
    Names *names = must_open(fixture->file);
    UserId curl = names_remember(names, "curl", 4);
    must_save(names);
    must_save(names);
    UserId git = names_remember(names, "git", 3);
    names_close(names);

    names = must_open(fixture->file);
    assert_shown(names, curl, "curl");
    g_assert_null(names_find(names, git));
    g_autofree char *number = g_strdup_printf("%" G_GINT64_FORMAT, git.v);
    assert_shown(names, git, number);
    names_close(names);
}

/* What two processes append at once is all there, each name once in memory. */
static void
test_two_writers(Fixture *fixture, gconstpointer data)
{
    (void)data;
    Names *one = must_open(fixture->file);
    Names *two = must_open(fixture->file);
    (void)names_remember(one, "curl", 4);
    (void)names_remember(two, "curl", 4);
    (void)names_remember(two, "git", 3);
    must_save(one);
    must_save(two);
    names_close(one);
    names_close(two);

    Names *names = must_open(fixture->file);
    g_assert_cmpstr(names_find(names, id_of_name("curl", 4)), ==, "curl");
    g_assert_cmpstr(names_find(names, id_of_name("git", 3)), ==, "git");
    names_close(names);
}

/* Lines that are damaged or lie are passed over; good ones are kept. */
static void
test_damaged_lines(Fixture *fixture, gconstpointer data)
{
    (void)data;
    g_autofree char *state = g_path_get_dirname(fixture->file);
    g_autofree char *text =
        g_strdup_printf("\nnonsense\n7\tliar\n\t\n12\n%" G_GINT64_FORMAT
                        "\tcurl\n%" G_GINT64_FORMAT "\tgi",
                        id_of_name("curl", 4).v, id_of_name("git", 3).v);
    g_assert_cmpint(g_mkdir_with_parents(state, 0700), ==, 0);
    g_assert_true(g_file_set_contents(fixture->file, text, -1, NULL));

    Names *names = must_open(fixture->file);
    g_assert_cmpstr(names_find(names, id_of_name("curl", 4)), ==, "curl");
    g_assert_null(names_find(names, id_of_name("git", 3)));
    g_assert_null(names_find(names, (UserId){7}));
    names_close(names);
}

/* A name that would break the file's lines is mapped and not kept. */
static void
test_names_with_tabs(void)
{
    g_autoptr(Names) names = names_open_empty();
    UserId user = names_remember(names, "a\tb", 3);

    g_assert_cmpint(user.v, ==, id_of_name("a\tb", 3).v);
    g_assert_null(names_find(names, user));
}

/* A name that reads as a number is shown so that it can be typed back. */
static void
test_names_like_numbers(void)
{
    g_autoptr(Names) names = names_open_empty();

    assert_shown(names, names_remember(names, "2048", 4), "@2048");
    assert_shown(names, names_remember(names, "@home", 5), "@@home");
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/names/parse", test_parse);
    g_test_add("/names/saved", Fixture, NULL, set_up,
               test_saved_names_are_known, tear_down);
    g_test_add("/names/two-writers", Fixture, NULL, set_up, test_two_writers,
               tear_down);
    g_test_add("/names/damaged", Fixture, NULL, set_up, test_damaged_lines,
               tear_down);
    g_test_add_func("/names/tabs", test_names_with_tabs);
    g_test_add_func("/names/numbers", test_names_like_numbers);
    return g_test_run();
}
