/*
 * text.h - numbers, times and lines for people
 *
 * What comes from posts is printed without control characters, so that a
 * post cannot drive the terminal.
 */
#pragma once

#include <glib.h>

/** text_count() - "310,123". Owns: gives. */
char *text_count(guint64 n);

/** text_time() - "2023-02-23T10:00:00Z" of milliseconds since 1970. Gives. */
char *text_time(gint64 ms);

/**
 * text_line() - the first line of @bytes, fit for a terminal
 *
 * Effect: invalid UTF-8 is replaced, control characters become spaces, and
 *         what is wider than @columns ends with an ellipsis.
 * Owns:   gives.
 */
char *text_line(const void *bytes, gsize len, guint columns);

/** text_width() - the columns that @text takes. */
guint text_width(const char *text);

/** text_columns() - how wide standard output is; 200 where it is no terminal.
 */
guint text_columns(void);

/** text_quote() - @word as it can be pasted into a shell. Gives. */
char *text_quote(const char *word);
