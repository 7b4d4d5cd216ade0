/*
 * html.h - text into HTML
 */
#pragma once

#include <glib.h>

/**
 * html_escape() - @len bytes from outside, fit for text and quoted attributes
 *
 * Effect: appended to @out: <, >, &, quotes as references; what is not UTF-8,
 *         and control characters, as U+FFFD. The end of line stays.
 */
void html_escape(GString *out, const char *text, gsize len);

/** html_text() - likewise, a whole string. */
void html_text(GString *out, const char *text);

/** html_printf() - likewise, what printf() makes of @format and all after it.
 */
void html_printf(GString *out, const char *format, ...) G_GNUC_PRINTF(2, 3);

/** html_bytes() - "3.2 MiB". */
void html_bytes(GString *out, gint64 bytes);

/** html_duration() - us as "120 us", "3.40 ms", "1.25 s", "17 s", "2 h 5 min".
 */
void html_duration(GString *out, gint64 us);

/** html_time() - ms since 1970 as "2026-01-31 12:00:00 UTC". */
void html_time(GString *out, gint64 ms);

/** html_clock() - likewise as "12:00:00". */
void html_clock(GString *out, gint64 ms);
