/*
 * test_allow.c - the table of who may call what, and the files of TLS
 */
#include "tests/kit/tmpdir.h"
#include "thrift/allow.h"
#include "thrift/tls.h"

#include <string.h>

typedef struct Fixture {
    char *dir;
    char *path; /* of the table */
} Fixture;

static void
set_up(Fixture *f)
{
    f->dir = tmpdir_new();
    f->path = g_build_filename(f->dir, "table", NULL);
}

static void
tear_down(Fixture *f)
{
    g_free(f->path);
    tmpdir_free(f->dir);
}

static Allow *
load(const Fixture *f, const char *text)
{
    g_autoptr(GError) error = NULL;
    Allow *allow;

    g_assert_true(g_file_set_contents(f->path, text, -1, NULL));
    allow = allow_load(f->path, &error);
    g_assert_no_error(error);
    return allow;
}

/* Nobody may do what the table does not say, nobody's nobody either. */
static void
test_default_deny(void)
{
    Fixture f;
    Allow *allow;

    set_up(&f);
    allow = load(&f, "[web]\nDashboard=getPosts;getTimeline\n");
    g_assert_true(allow_has(allow, "web", "getPosts"));
    g_assert_true(allow_has(allow, "web", "getTimeline"));
    for (const char *const *it = allow_methods(); *it != NULL; it++) {
        const char *method = strchr(*it, '.') + 1;
        gboolean said = g_str_equal(method, "getPosts") ||
                        g_str_equal(method, "getTimeline");

        g_assert_cmpint(allow_has(allow, "web", method), ==, said);
        g_assert_false(allow_has(allow, "webb", method));
        g_assert_false(allow_has(allow, "WEB", method));
        g_assert_false(allow_has(allow, "", method));
        g_assert_false(allow_has(allow, NULL, method));
    }
    g_assert_false(allow_has(allow, "web", "getpost"));
    g_assert_false(allow_has(allow, "web", "*"));
    g_assert_false(allow_has(allow, "web", ""));
    allow_free(allow);
    tear_down(&f);
}

/* A star is all of one service and nothing of another. */
static void
test_star(void)
{
    Fixture f;
    Allow *allow;

    set_up(&f);
    allow = load(&f, "[spiffe://example.org/ops]\nCell = *\nFirehose = "
                     "getCellMap ; setCellMap ;\n");
    for (const char *const *it = allow_methods(); *it != NULL; it++) {
        gboolean said =
            g_str_has_prefix(*it, "Cell.") || g_str_has_suffix(*it, "CellMap");

        g_assert_cmpint(
            allow_has(allow, "spiffe://example.org/ops", strchr(*it, '.') + 1),
            ==, said);
    }
    allow_free(allow);
    tear_down(&f);
}

/* A table with a mistake in it is no table; the mistake is named. */
static void
test_bad(void)
{
    static const struct {
        const char *text;
        const char *named;
    } table[] = {
        {"", "names nobody"},
        {"# nothing\n", "names nobody"},
        {"Dashboard=*\n", "group"},
        {"[web]\nDashbord=*\n", "Dashbord"},
        {"[web]\nDash=*\n", "Dash"},
        {"[web]\nDashboard=getPost\n", "getPost"},
        {"[web]\nDashboard=getPosts,getTimeline\n", "getPosts,getTimeline"},
        {"[web]\nDashboard=status\n", "status"},
        {"[web]\nDashboard=**\n", "**"},
        {"[web]\nDashboard\n", "Dashboard"},
    };
    Fixture f;

    set_up(&f);
    for (gsize i = 0; i < G_N_ELEMENTS(table); i++) {
        g_autoptr(GError) error = NULL;

        g_assert_true(g_file_set_contents(f.path, table[i].text, -1, NULL));
        g_assert_null(allow_load(f.path, &error));
        g_assert_nonnull(strstr(error->message, f.path));
        g_assert_nonnull(strstr(error->message, table[i].named));
    }
    tear_down(&f);
}

/* Adds "Service.method" of each method in the IDL's @text to @names. */
static void
read_idl(const char *text, GPtrArray *names)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    g_autoptr(GRegex) of_service =
        g_regex_new("^service (\\w+) \\{", 0, 0, NULL);
    g_autoptr(GRegex) of_method =
        g_regex_new("^  [\\w.<>]+ (\\w+)\\(", 0, 0, NULL);
    g_autofree char *service = NULL;

    for (char **line = lines; *line != NULL; line++) {
        g_autoptr(GMatchInfo) match = NULL;
        g_autoptr(GMatchInfo) method = NULL;

        if (g_regex_match(of_service, *line, 0, &match)) {
            g_free(service);
            service = g_match_info_fetch(match, 1);
        } else if (service != NULL &&
                   g_regex_match(of_method, *line, 0, &method)) {
            g_autofree char *name = g_match_info_fetch(method, 1);

            g_ptr_array_add(names, g_strdup_printf("%s.%s", service, name));
        }
    }
}

/* The methods are those of the IDL, in its order. */
static void
test_idl(void)
{
    static const char *const files[] = {"dashboard", "cell", "firehose"};
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);

    for (gsize i = 0; i < G_N_ELEMENTS(files); i++) {
        g_autofree char *path =
            g_strdup_printf("%s/%s.thrift", IDL_DIR, files[i]);
        g_autofree char *text = NULL;

        g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
        read_idl(text, names);
    }
    g_assert_cmpuint(names->len, >, 20);
    g_ptr_array_add(names, NULL);
    g_assert_true(
        g_strv_equal((const char *const *)names->pdata, allow_methods()));
}

/* Files that need each other are asked for by name. */
static void
test_files(void)
{
    char file[] = "f", empty[] = "";
    const struct {
        TlsFiles files;
        TlsRole role;
        const char *named; /* NULL: they are good */
    } table[] = {
        {{0}, TLS_SERVER, NULL},
        {{file, file, NULL, NULL}, TLS_SERVER, NULL},
        {{file, file, file, NULL}, TLS_SERVER, NULL},
        {{file, file, file, file}, TLS_SERVER, NULL},
        {{file, NULL, NULL, NULL}, TLS_SERVER, "tls-key: is missing"},
        {{NULL, file, NULL, NULL}, TLS_SERVER, "tls-cert: is missing"},
        {{NULL, NULL, file, NULL}, TLS_SERVER, "tls-cert: is missing"},
        {{NULL, NULL, NULL, file}, TLS_SERVER, "tls-ca: is missing"},
        {{file, file, NULL, file}, TLS_SERVER, "tls-ca: is missing"},
        {{file, empty, NULL, NULL}, TLS_SERVER, "tls-key: is empty"},
        {{empty, NULL, NULL, NULL}, TLS_SERVER, "tls-cert: is empty"},
        {{NULL, NULL, empty, NULL}, TLS_SERVER, "tls-ca: is empty"},
        {{NULL, NULL, NULL, empty}, TLS_SERVER, "tls-allow: is empty"},
        {{NULL, NULL, file, NULL}, TLS_CLIENT, NULL},
        {{file, file, file, NULL}, TLS_CLIENT, NULL},
        {{file, file, NULL, NULL}, TLS_CLIENT, "tls-ca: is missing"},
        {{file, NULL, file, NULL}, TLS_CLIENT, "tls-key: is missing"},
        {{NULL, file, file, NULL}, TLS_CLIENT, "tls-cert: is missing"},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(table); i++) {
        g_autoptr(GError) error = NULL;
        gboolean good =
            tls_files_check(&table[i].files, table[i].role, "tls", &error);

        g_test_message("%" G_GSIZE_FORMAT, i);
        g_assert_cmpint(good, ==, table[i].named == NULL);
        g_assert_true(good || strstr(error->message, table[i].named) != NULL);
    }
}

/* No file is no TLS; a file that is not there is an error that names it. */
static void
test_open(void)
{
    const TlsFiles none = {0};
    char missing[] = "no-such-file";
    const TlsFiles bad = {missing, missing, NULL, NULL};
    g_autoptr(GError) error = NULL;
    Tls *tls = NULL;

    g_assert_true(tls_open(TLS_SERVER, &none, &tls, &error));
    g_assert_null(tls);
    tls_reload(NULL);
    tls_close(NULL);
    g_assert_false(tls_open(TLS_SERVER, &bad, &tls, &error));
    g_assert_nonnull(strstr(error->message, "no-such-file: No such file"));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/allow/default-deny", test_default_deny);
    g_test_add_func("/allow/star", test_star);
    g_test_add_func("/allow/bad", test_bad);
    g_test_add_func("/allow/idl", test_idl);
    g_test_add_func("/tls-files/check", test_files);
    g_test_add_func("/tls-files/open", test_open);
    return g_test_run();
}
