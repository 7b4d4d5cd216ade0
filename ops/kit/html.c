/*
 * html.c - see html.h
 */
#include "ops/kit/html.h"

#include <string.h>

#define REPLACEMENT "\xef\xbf\xbd"

static const char *
reference(gunichar c)
{
    switch (c) {
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '&':
        return "&amp;";
    case '"':
        return "&quot;";
    case '\'':
        return "&#39;";
    default:
        return NULL;
    }
}

/* No character of text: HTML forbids it, or it hides or turns around what
   stands beside it. */
static gboolean
is_unfit(gunichar c)
{
    GUnicodeType type = g_unichar_type(c);

    return (type == G_UNICODE_CONTROL && c != '\n') ||
           type == G_UNICODE_FORMAT || type == G_UNICODE_UNASSIGNED ||
           type == G_UNICODE_PRIVATE_USE || type == G_UNICODE_SURROGATE ||
           type == G_UNICODE_LINE_SEPARATOR ||
           type == G_UNICODE_PARAGRAPH_SEPARATOR;
}

void
html_escape(GString *out, const char *text, gsize len)
{
    const char *end = text + len;

    while (text < end) {
        gunichar c = g_utf8_get_char_validated(text, end - text);

        if (c == (gunichar)-1 || c == (gunichar)-2 || c == 0 || is_unfit(c)) {
            g_string_append(out, REPLACEMENT);
            text += c == (gunichar)-1 || c == (gunichar)-2 || c == 0
                        ? 1
                        : g_unichar_to_utf8(c, NULL);
            continue;
        }
        if (reference(c) != NULL) {
            g_string_append(out, reference(c));
        } else {
            g_string_append_unichar(out, c);
        }
        text += g_unichar_to_utf8(c, NULL);
    }
}

void
html_text(GString *out, const char *text)
{
    html_escape(out, text, strlen(text));
}

void
html_printf(GString *out, const char *format, ...)
{
    g_autofree char *text = NULL;
    va_list args;

    va_start(args, format);
    text = g_strdup_vprintf(format, args);
    va_end(args);
    html_text(out, text);
}

void
html_bytes(GString *out, gint64 bytes)
{
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB"};
    double value = (double)bytes / 1024;
    guint i = 0;

    if (bytes < 1024) {
        g_string_append_printf(out, "%" G_GINT64_FORMAT " B", bytes);
        return;
    }
    while (value >= 1024 && i + 1 < G_N_ELEMENTS(units)) {
        value /= 1024;
        i++;
    }
    g_string_append_printf(out, "%.*f %s", value < 10 ? 2 : 1, value, units[i]);
}

void
html_duration(GString *out, gint64 us)
{
    gint64 s = us / G_USEC_PER_SEC;

    if (us < 1000) {
        g_string_append_printf(out, "%" G_GINT64_FORMAT " us", us);
    } else if (us < G_USEC_PER_SEC) {
        double ms = (double)us / 1000;

        g_string_append_printf(out, "%.*f ms", ms < 100 ? 2 : 0, ms);
    } else if (s < 120 && us % G_USEC_PER_SEC == 0) {
        g_string_append_printf(out, "%d s", (int)s);
    } else if (s < 120) {
        g_string_append_printf(out, "%.2f s", (double)us / G_USEC_PER_SEC);
    } else if (s < 2 * 3600) {
        g_string_append_printf(out, "%d min %d s", (int)(s / 60),
                               (int)(s % 60));
    } else if (s < 2 * 86400) {
        g_string_append_printf(out, "%d h %d min", (int)(s / 3600),
                               (int)(s / 60 % 60));
    } else {
        g_string_append_printf(out, "%" G_GINT64_FORMAT " d %d h", s / 86400,
                               (int)(s / 3600 % 24));
    }
}

static void
append_time(GString *out, gint64 ms, const char *format)
{
    g_autoptr(GDateTime) time = g_date_time_new_from_unix_utc(ms / 1000);
    g_autofree char *text =
        time != NULL ? g_date_time_format(time, format) : NULL;

    g_string_append(out, text != NULL ? text : "unknown");
}

void
html_time(GString *out, gint64 ms)
{
    append_time(out, ms, "%Y-%m-%d %H:%M:%S UTC");
}

void
html_clock(GString *out, gint64 ms)
{
    append_time(out, ms, "%H:%M:%S");
}
