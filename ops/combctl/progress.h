/*
 * progress.h - a line on the terminal that says how far long work is
 *
 * Silent where standard error is no terminal.
 */
#pragma once

#include <glib.h>

typedef struct Progress Progress;

/** progress_new() - @bytes_total: -1 where nobody knows. */
Progress *progress_new(gint64 bytes_total);

/** progress_show() - draw, ten times a second at the most. */
void progress_show(Progress *progress, guint64 bytes, guint64 events);

/** progress_say() - draw @words instead; likewise. */
void progress_say(Progress *progress, const char *words);

/** progress_clear() - take the line away, for other output. */
void progress_clear(Progress *progress);

/** progress_free() - take the line away and free. */
void progress_free(Progress *progress);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Progress, progress_free)
