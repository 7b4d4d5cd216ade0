/*
 * ops/kit/logger: what an operator, and a program, find on standard error.
 */
#include "ops/kit/logger.h"

#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

/* Standard error, turned into a file while a test runs. */
typedef struct Capture {
    char *path;
    int stderr_before;
} Capture;

static Capture
capture_begin(void)
{
    Capture capture = {0};
    int fd = g_file_open_tmp("comb-logger-XXXXXX", &capture.path, NULL);

    g_assert_cmpint(fd, >=, 0);
    capture.stderr_before = dup(STDERR_FILENO);
    dup2(fd, STDERR_FILENO);
    close(fd);
    /* As a pipe does: each write goes to the end. */
    fcntl(STDERR_FILENO, F_SETFL, O_APPEND);
    return capture;
}

static char **
capture_end(Capture *capture)
{
    g_autofree char *text = NULL;

    dup2(capture->stderr_before, STDERR_FILENO);
    close(capture->stderr_before);
    g_assert_true(g_file_get_contents(capture->path, &text, NULL, NULL));
    unlink(capture->path);
    g_free(capture->path);
    return g_strsplit(text, "\n", -1);
}

/* A line is time, level, area, words and fields, and nothing else. */
static void
test_line(void)
{
    Capture capture = capture_begin();
    g_auto(GStrv) lines = NULL;

    logger_warn("cell.apply", "quarantined", "partition=%d offset=%d", 3, 17);
    logger_info("cell.main", "started", "%s", "");
    logger_crit("cell.main", "gap", "a=%s", "forged\nline");
    lines = capture_end(&capture);
    g_assert_cmpuint(g_strv_length(lines), ==, 4);
    g_assert_true(g_regex_match_simple(
        "^\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d\\.\\d{3}Z "
        "warn cell\\.apply quarantined partition=3 offset=17$",
        lines[0], 0, 0));
    g_assert_true(g_str_has_suffix(lines[1], "Z info cell.main started"));
    g_assert_true(g_str_has_suffix(lines[2], " gap a=forged line"));
}

static void
log_flood(LoggerSite *site, guint n)
{
    for (guint i = 0; i < n; i++) {
        logger_write(site, LOGGER_WARN, "test", "flood", "n=%u", i);
    }
}

/* Of a flood at one site 10 lines a second are written; the next line after
 * it tells how many were not. */
static void
test_flood(void)
{
    Capture capture = capture_begin();
    LoggerSite site = {0};
    g_auto(GStrv) lines = NULL;
    g_autofree char *told = NULL;

    log_flood(&site, 1000);
    told = g_strdup_printf(" n=0 repeated=%u", site.held);
    g_assert_cmpuint(site.held, >, 0);
    site.second = 0; /* long ago */
    log_flood(&site, 1);
    lines = capture_end(&capture);

    /* Two seconds' worth, should the clock tick in the middle. */
    guint written = g_strv_length(lines) - 1;
    g_assert_cmpuint(written, >=, 11);
    g_assert_cmpuint(written, <=, 21);
    g_assert_true(g_str_has_suffix(lines[written - 1], told));
    g_assert_cmpuint(site.held, ==, 0);
}

/* A line longer than a pipe takes at once is cut there. */
static void
test_long_line(void)
{
    Capture capture = capture_begin();
    g_autofree char *words = g_strnfill(10000, 'w');
    g_auto(GStrv) lines = NULL;

    logger_info("test", words, "%s", "");
    lines = capture_end(&capture);
    g_assert_cmpuint(g_strv_length(lines), ==, 2);
    g_assert_cmpuint(strlen(lines[0]), ==, PIPE_BUF - 1);
}

static void *
log_some(void *unused)
{
    (void)unused;
    for (guint i = 0; i < 200; i++) {
        LoggerSite site = {0};

        logger_write(&site, LOGGER_INFO, "test", "thread", "end=%s", "yes");
    }
    return NULL;
}

/* Lines of several threads stay whole. */
static void
test_threads(void)
{
    Capture capture = capture_begin();
    pthread_t threads[4];
    g_auto(GStrv) lines = NULL;

    for (gsize i = 0; i < G_N_ELEMENTS(threads); i++) {
        pthread_create(&threads[i], NULL, log_some, NULL);
    }
    for (gsize i = 0; i < G_N_ELEMENTS(threads); i++) {
        pthread_join(threads[i], NULL);
    }
    lines = capture_end(&capture);
    g_assert_cmpuint(g_strv_length(lines), ==, 801);
    for (guint i = 0; i < 800; i++) {
        g_assert_cmpuint(strlen(lines[i]), ==, strlen(lines[0]));
        g_assert_true(g_str_has_suffix(lines[i], "Z info test thread end=yes"));
    }
}

/* Values from outside are quoted and escaped; printable UTF-8 is kept. */
static void
test_quote(void)
{
    static const struct {
        const char *value;
        const char *quoted;
    } rows[] = {
        {NULL, "\"\""},
        {"", "\"\""},
        {"plain words", "\"plain words\""},
        {"a\"b\\c", "\"a\\\"b\\\\c\""},
        {"two\nlines\x1b[0m", "\"two\\nlines\\x1b[0m\""},
        {"h\xc3\xa9", "\"h\xc3\xa9\""},
        {"bad\xc3", "\"bad\\xc3\""},
        {"bell\xc2\x85", "\"bell\\xc2\\x85\""},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *quoted = logger_quote(rows[i].value);

        g_assert_cmpstr(quoted, ==, rows[i].quoted);
    }
}

/* A long value is cut to 200 bytes with its quotes, never inside an escape. */
static void
test_quote_long(void)
{
    g_autofree char *letters = g_strnfill(500, 'a');
    g_autofree char *bells = g_strnfill(500, '\a');
    g_autofree char *first = logger_quote(letters);
    g_autofree char *second = logger_quote(bells);

    g_assert_cmpuint(strlen(first), ==, 200);
    g_assert_cmpuint(strlen(second), ==, 2 + 49 * strlen("\\x07"));
    g_assert_true(g_str_has_suffix(second, "\\x07\""));
}

/* Why a daemon stopped arrives whole, with what to do at its end, up to a bound
   that fits into a line. */
static void
test_reason(void)
{
    g_autofree char *path = g_strnfill(900, 'p');
    g_autofree char *words =
        g_strconcat("missing from ", path,
                    "; restore a backup, or rebuild from the log: "
                    "mv '",
                    path, "' '", path, ".damaged' and start again", NULL);
    g_autofree char *whole = g_strconcat("reason=\"", words, "\"", NULL);
    g_autofree char *long_words = g_strnfill(10000, 'w');
    Capture capture = capture_begin();
    g_auto(GStrv) lines = NULL;

    for (guint i = 0; i < 2; i++) {
        g_autofree char *reason =
            logger_quote_reason(i == 0 ? words : long_words);

        g_assert_cmpuint(strlen(reason), <=, LOGGER_REASON_BYTES_MAX);
        logger_crit("cell.state", "applying has stopped", "cell=%u reason=%s",
                    G_MAXUINT, reason);
    }
    lines = capture_end(&capture);
    g_assert_true(g_str_has_suffix(lines[0], whole));
    g_assert_true(g_str_has_suffix(lines[1], "ww\""));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/logger/line", test_line);
    g_test_add_func("/logger/flood", test_flood);
    g_test_add_func("/logger/long-line", test_long_line);
    g_test_add_func("/logger/threads", test_threads);
    g_test_add_func("/logger/quote", test_quote);
    g_test_add_func("/logger/quote-long", test_quote_long);
    g_test_add_func("/logger/reason", test_reason);
    return g_test_run();
}
