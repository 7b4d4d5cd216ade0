/*
 * table.h - tables of the status page
 */
#pragma once

#include <glib.h>

/**
 * table_begin() - up to the end of its head
 *
 * @heads: of the columns, ending with NULL; HTML.
 * @kinds: a letter for each: 'n' of numbers, which stand to the right.
 */
void table_begin(GString *out, const char *const *heads, const char *kinds);
void table_end(GString *out);

/** table_number() - a cell; "unknown" below 0. */
void table_number(GString *out, gint64 number);

/** table_duration() - a cell, of us. */
void table_duration(GString *out, gint64 us);

/** table_text() - a cell; escaped. @wraps: it may be long, and is broken
 * anywhere. */
void table_text(GString *out, const char *text, gboolean wraps);
