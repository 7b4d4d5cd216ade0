/*
 * The one writer of log lines.
 *
 * A line is put together in memory and handed to the kernel by one write(2),
 * so that lines of several threads and processes on one pipe stay whole up
 * to PIPE_BUF (longer ones are cut there). Control characters become spaces:
 * a value from outside cannot forge a line, even where a caller forgot
 * logger_quote().
 *
 * Each call site may write 10 lines in a second. What it holds back is
 * counted and told by its next line as repeated=N; the price of keeping no
 * timer is that the count of a flood which ends for good is never told.
 *
 * The mutex guards the sites and orders the lines. It is the kit's only
 * writable static: standard error is one per process too, and a logger
 * argument through every call would buy nothing.
 */
#include "ops/kit/logger.h"

#include <limits.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#define LINES_A_SECOND 10
#define VALUE_BYTES_MAX 200

/* With time, area, words and the other fields it must fit into a line, or the
   end of it, which says what to do, is cut off there. */
G_STATIC_ASSERT(LOGGER_REASON_BYTES_MAX <= PIPE_BUF - 1024);

/* TRUE: write this line; *ret_held lines before it were held back. */
static gboolean
admit_line(LoggerSite *site, gint64 second, guint *ret_held)
{
    if (site->second != second) {
        site->second = second;
        site->in_second = 0;
    }
    if (site->in_second >= LINES_A_SECOND) {
        site->held++;
        return FALSE;
    }
    site->in_second++;
    *ret_held = site->held;
    site->held = 0;
    return TRUE;
}

static void
append_time(GString *line, gint64 now_us)
{
    g_autoptr(GDateTime) time = g_date_time_new_from_unix_utc(now_us / 1000000);
    g_autofree char *text = g_date_time_format(time, "%Y-%m-%dT%H:%M:%S");

    g_string_append_printf(line, "%s.%03dZ", text, (int)(now_us / 1000 % 1000));
}

static void
append_fields(GString *line, const char *fields, va_list args)
{
    gsize before = line->len;

    g_string_append_c(line, ' ');
    g_string_append_vprintf(line, fields, args);
    if (line->len == before + 1) {
        g_string_truncate(line, before);
    }
}

/* One line, at most PIPE_BUF bytes, ended by the only control character. */
static void
finish_line(GString *line)
{
    if (line->len > PIPE_BUF - 1) {
        g_string_truncate(line, PIPE_BUF - 1);
    }
    for (gsize i = 0; i < line->len; i++) {
        if (g_ascii_iscntrl(line->str[i])) {
            line->str[i] = ' ';
        }
    }
    g_string_append_c(line, '\n');
}

static const char *
level_name(LoggerLevel level)
{
    static const char *const names[] = {
        [LOGGER_INFO] = "info",
        [LOGGER_WARN] = "warn",
        [LOGGER_CRIT] = "crit",
    };

    return names[level];
}

void
logger_write(LoggerSite *site, LoggerLevel level, const char *area,
             const char *words, const char *fields, ...)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    gint64 now_us = g_get_real_time();
    g_autoptr(GString) line = g_string_new(NULL);
    guint held = 0;
    va_list args;

    append_time(line, now_us);
    g_string_append_printf(line, " %s %s %s", level_name(level), area, words);
    va_start(args, fields);
    append_fields(line, fields, args);
    va_end(args);

    pthread_mutex_lock(&lock);
    if (admit_line(site, now_us / 1000000, &held)) {
        if (held > 0) {
            g_string_append_printf(line, " repeated=%u", held);
        }
        finish_line(line);
        if (write(STDERR_FILENO, line->str, line->len) < 0) {
            /* Nobody listens; there is nobody else to tell. */
        }
    }
    pthread_mutex_unlock(&lock);
}

/* The next character as it is to be written; moves *at on. */
static void
escape_next(const char **at, GString *piece)
{
    gunichar c = g_utf8_get_char_validated(*at, -1);
    guchar byte = (guchar) * *at;

    g_string_truncate(piece, 0);
    if (c == '"' || c == '\\') {
        g_string_append_printf(piece, "\\%c", byte);
    } else if (c == '\n') {
        g_string_append(piece, "\\n");
    } else if (c < 0x110000 && g_unichar_isprint(c)) {
        g_string_append_unichar(piece, c);
        *at += piece->len;
        return;
    } else {
        g_string_append_printf(piece, "\\x%02x", byte);
    }
    *at += 1;
}

static char *
quote(const char *value, gsize bytes_max)
{
    GString *quoted = g_string_new("\"");
    g_autoptr(GString) piece = g_string_new(NULL);
    const char *at = value ? value : "";

    while (*at) {
        escape_next(&at, piece);
        if (quoted->len + piece->len > bytes_max - 1) {
            break;
        }
        g_string_append_len(quoted, piece->str, (gssize)piece->len);
    }
    g_string_append_c(quoted, '"');
    return g_string_free(quoted, FALSE);
}

char *
logger_quote(const char *value)
{
    return quote(value, VALUE_BYTES_MAX);
}

char *
logger_quote_reason(const char *reason)
{
    return quote(reason, LOGGER_REASON_BYTES_MAX);
}
