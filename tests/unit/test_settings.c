/*
 * ops/kit/settings: where a setting's value comes from, and what is refused.
 */
#include "ops/kit/settings.h"

#include "ops/kit/error.h"

#include <stddef.h>
#include <string.h>
#include <unistd.h>

typedef struct Options {
    char *data_dir;
    gint64 lag_ms;
    gboolean sync;
    char *host;
} Options;

static const Setting table[] = {
    {"data-dir", SETTING_STRING, offsetof(Options, data_dir), NULL, 0, 0, "",
     "Where the data is."},
    {"lag-ms", SETTING_INT, offsetof(Options, lag_ms), "100", 1, 5000, "ms",
     "How late is too late."},
    {"sync", SETTING_BOOL, offsetof(Options, sync), "true", 0, 0, "",
     "Whether to wait for the disk."},
    {"host", SETTING_STRING, offsetof(Options, host), "127.0.0.1", 0, 0, "",
     "Where to listen."},
    {0}};

#define ARGS_MAX 8

/* Loads with @flags, separated by spaces; ret_rest gets what they leave. */
static SettingsOutcome
load_rest(const char *flags, Options *options, guint *ret_rest, GError **error)
{
    g_autofree char *line = g_strconcat("comb-unit", flags, NULL);
    g_auto(GStrv) words = g_strsplit(line, " ", -1);
    char *argv[ARGS_MAX] = {NULL};
    char **args = argv;
    SettingsOutcome outcome;

    g_assert_cmpuint(g_strv_length(words), <, ARGS_MAX);
    memcpy(argv, words, g_strv_length(words) * sizeof *words);
    outcome = settings_load("unit", "A test.", table, options, &args, error);
    *ret_rest = g_strv_length(args);
    return outcome;
}

static SettingsOutcome
load(const char *flags, Options *options, GError **error)
{
    guint rest;

    return load_rest(flags, options, &rest, error);
}

static char *
write_config(const char *text)
{
    char *path = NULL;
    int fd = g_file_open_tmp("comb-settings-XXXXXX", &path, NULL);

    g_assert_cmpint(fd, >=, 0);
    close(fd);
    g_assert_true(g_file_set_contents(path, text, -1, NULL));
    return path;
}

static SettingsOutcome
load_config(const char *text, Options *options, GError **error)
{
    g_autofree char *path = write_config(text);
    g_autofree char *flags = g_strconcat(" --config=", path, NULL);
    SettingsOutcome outcome = load(flags, options, error);

    unlink(path);
    return outcome;
}

static void
assert_bad(SettingsOutcome outcome, const GError *error, const char *words)
{
    g_assert_cmpint(outcome, ==, SETTINGS_BAD);
    g_assert_error(error, COMB_ERROR, COMB_ERROR_SETTING);
    if (!strstr(error->message, words)) {
        g_test_message("\"%s\" lacks \"%s\"", error->message, words);
        g_test_fail();
    }
}

/* With nothing given each setting has its default, or NULL without one. */
static void
test_defaults(void)
{
    Options options;
    g_autoptr(GError) error = NULL;

    g_assert_cmpint(load("", &options, &error), ==, SETTINGS_RUN);
    g_assert_no_error(error);
    g_assert_null(options.data_dir);
    g_assert_cmpint(options.lag_ms, ==, 100);
    g_assert_true(options.sync);
    g_assert_cmpstr(options.host, ==, "127.0.0.1");
    settings_clear(table, &options);
    g_assert_null(options.host);
}

/* A flag's value follows "=" or a space; the last of two wins. */
static void
test_flags(void)
{
    Options options;

    g_assert_cmpint(load(" --data-dir=/a --data-dir /b --lag-ms 7 --sync=false",
                         &options, NULL),
                    ==, SETTINGS_RUN);
    g_assert_cmpstr(options.data_dir, ==, "/b");
    g_assert_cmpint(options.lag_ms, ==, 7);
    g_assert_false(options.sync);
    settings_clear(table, &options);
}

/* What is no flag is left to the caller. */
static void
test_rest(void)
{
    Options options;
    guint rest;

    g_assert_cmpint(load_rest(" one --lag-ms=7 two", &options, &rest, NULL), ==,
                    SETTINGS_RUN);
    g_assert_cmpuint(rest, ==, 3);
    settings_clear(table, &options);
}

/* Each source gives way to the one before: flag, environment, file, default. */
static void
test_precedence(void)
{
    g_autofree char *path = write_config("[unit]\nlag-ms=2\nhost=file\n"
                                         "data-dir=file\n");
    g_autofree char *flags = g_strconcat(" --lag-ms=4 --config=", path, NULL);
    Options options;

    g_setenv("COMB_UNIT_LAG_MS", "3", TRUE);
    g_setenv("COMB_UNIT_DATA_DIR", "environment", TRUE);
    g_assert_cmpint(load(flags, &options, NULL), ==, SETTINGS_RUN);
    g_unsetenv("COMB_UNIT_LAG_MS");
    g_unsetenv("COMB_UNIT_DATA_DIR");
    g_assert_cmpint(options.lag_ms, ==, 4);
    g_assert_cmpstr(options.data_dir, ==, "environment");
    g_assert_cmpstr(options.host, ==, "file");
    g_assert_true(options.sync);
    settings_clear(table, &options);
    unlink(path);
}

/* A number is refused unless all of it is one, inside the bounds. */
static void
test_bad_numbers(void)
{
    static const char *const texts[] = {"0",
                                        "5001",
                                        "-1",
                                        "x",
                                        "7x",
                                        "7.5",
                                        "0x7",
                                        "1e3",
                                        "",
                                        "+",
                                        "99999999999999999999"};

    for (gsize i = 0; i < G_N_ELEMENTS(texts); i++) {
        g_autofree char *flags = g_strconcat(" --lag-ms=", texts[i], NULL);
        g_autofree char *words = g_strdup_printf(
            "lag-ms: \"%s\" from --lag-ms is not a whole number from 1 to "
            "5000 ms",
            texts[i]);
        g_autoptr(GError) error = NULL;
        Options options;
        SettingsOutcome outcome = load(flags, &options, &error);

        assert_bad(outcome, error, words);
    }
}

/* Both bounds are allowed. */
static void
test_bounds(void)
{
    Options options;

    g_assert_cmpint(load(" --lag-ms=1", &options, NULL), ==, SETTINGS_RUN);
    settings_clear(table, &options);
    g_assert_cmpint(load(" --lag-ms=5000", &options, NULL), ==, SETTINGS_RUN);
    g_assert_cmpint(options.lag_ms, ==, 5000);
    settings_clear(table, &options);
}

/* The error names the environment or the file as the source, too. */
static void
test_bad_sources(void)
{
    g_autoptr(GError) error = NULL;
    Options options;
    SettingsOutcome outcome;

    g_setenv("COMB_UNIT_SYNC", "yes", TRUE);
    outcome = load("", &options, &error);
    g_unsetenv("COMB_UNIT_SYNC");
    assert_bad(outcome, error,
               "sync: \"yes\" from COMB_UNIT_SYNC is not true or false");
    g_clear_error(&error);
    outcome = load_config("[unit]\nlag-ms=soon\n", &options, &error);
    assert_bad(outcome, error, "lag-ms: \"soon\" from ");
    g_assert_nonnull(strstr(error->message, "comb-settings-"));
}

/* After an error no string is left in the options to be freed. */
static void
test_bad_clears(void)
{
    Options options;

    g_assert_cmpint(load(" --data-dir=/a --sync=maybe", &options, NULL), ==,
                    SETTINGS_BAD);
    g_assert_null(options.data_dir);
    g_assert_null(options.host);
}

/* A file's unknown key is named; other daemons' groups are passed over. */
static void
test_file_keys(void)
{
    g_autoptr(GError) error = NULL;
    Options options;
    SettingsOutcome outcome =
        load_config("[other]\nx=1\n[unit]\nlag-sm=2\n", &options, &error);

    assert_bad(outcome, error, "no setting is called \"lag-sm\" in [unit]");
    g_clear_error(&error);
    outcome =
        load_config("[other]\nx=1\n[unit]\nlag-ms = 2 \n", &options, &error);
    g_assert_no_error(error);
    g_assert_cmpint(options.lag_ms, ==, 2);
    settings_clear(table, &options);
}

/* A file that is missing, malformed or lacks our group is an error. */
static void
test_bad_files(void)
{
    g_autoptr(GError) error = NULL;
    Options options;
    SettingsOutcome outcome;

    outcome = load(" --config=/nowhere/at-all", &options, &error);
    assert_bad(outcome, error, "--config: /nowhere/at-all: No such file");
    g_clear_error(&error);
    outcome = load_config("lag-ms 7\n", &options, &error);
    assert_bad(outcome, error, "--config: ");
    g_clear_error(&error);
    outcome = load_config("[units]\nlag-ms=7\n", &options, &error);
    assert_bad(outcome, error, "unit");
}

/* An unknown flag, or one without its value, is an error that names it. */
static void
test_bad_flags(void)
{
    g_autoptr(GError) error = NULL;
    Options options;
    SettingsOutcome outcome = load(" --lag-sm=7", &options, &error);

    assert_bad(outcome, error, "--lag-sm");
    g_clear_error(&error);
    outcome = load(" --lag-ms", &options, &error);
    assert_bad(outcome, error, "--lag-ms");
}

/* --check-config is told from a run where all is good, bad where not. */
static void
check_config(void)
{
    Options options;
    g_autoptr(GError) error = NULL;

    g_assert_cmpint(load(" --check-config", &options, NULL), ==,
                    SETTINGS_CHECKED);
    settings_clear(table, &options);
    g_assert_cmpint(load(" --check-config --lag-ms=0", &options, &error), ==,
                    SETTINGS_BAD);
}

/* --version, --help and --describe-settings answer even beside bad values. */
static void
ask_questions(void)
{
    Options options;

    g_assert_cmpint(load(" --version --lag-ms=0", &options, NULL), ==,
                    SETTINGS_DONE);
    g_assert_cmpint(load(" --help --lag-ms=0", &options, NULL), ==,
                    SETTINGS_DONE);
    g_assert_cmpint(load(" --describe-settings", &options, NULL), ==,
                    SETTINGS_DONE);
}

static void
test_questions(void)
{
    if (g_test_subprocess()) {
        ask_questions();
        check_config();
        return;
    }
    g_test_trap_subprocess(NULL, 0, 0);
    g_test_trap_assert_passed();
    g_test_trap_assert_stdout("*comb-unit " COMB_VERSION "\n*");
    g_test_trap_assert_stdout("*--lag-ms=NUMBER*How late is too late. (ms; "
                              "default 100; 1 to 5000)*");
    g_test_trap_assert_stdout("*COMB_UNIT_<NAME>*");
    g_test_trap_assert_stdout(
        "*| lag-ms | whole number | ms | 100 | 1 to 5000 | COMB_UNIT_LAG_MS "
        "| How late is too late. |\n*");
}

/* A required setting that nobody gives, or gives empty, is named. */
static void
test_required(void)
{
    static const Setting required[] = {{"brokers", SETTING_REQUIRED,
                                        offsetof(Options, host), NULL, 0, 0, "",
                                        "Whom to ask."},
                                       {0}};
    static const char *const flags[] = {NULL, "--brokers=", "--check-config"};

    for (guint i = 0; i < G_N_ELEMENTS(flags); i++) {
        char name[] = "comb-unit";
        g_autofree char *flag = g_strdup(flags[i]);
        char *argv[] = {name, flag, NULL};
        char **args = argv;
        Options options = {0};
        g_autoptr(GError) error = NULL;

        g_assert_cmpint(
            settings_load("unit", "A test.", required, &options, &args, &error),
            ==, SETTINGS_BAD);
        g_assert_error(error, COMB_ERROR, COMB_ERROR_SETTING);
        g_assert_nonnull(strstr(error->message, "COMB_UNIT_BROKERS"));
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/settings/defaults", test_defaults);
    g_test_add_func("/settings/flags", test_flags);
    g_test_add_func("/settings/rest", test_rest);
    g_test_add_func("/settings/required", test_required);
    g_test_add_func("/settings/precedence", test_precedence);
    g_test_add_func("/settings/bad-numbers", test_bad_numbers);
    g_test_add_func("/settings/bounds", test_bounds);
    g_test_add_func("/settings/bad-sources", test_bad_sources);
    g_test_add_func("/settings/bad-clears", test_bad_clears);
    g_test_add_func("/settings/file-keys", test_file_keys);
    g_test_add_func("/settings/bad-files", test_bad_files);
    g_test_add_func("/settings/bad-flags", test_bad_flags);
    g_test_add_func("/settings/questions", test_questions);
    return g_test_run();
}
