/*
 * line.h - an event of the log as a line of JSON
 *
 * The keys of an event are those of `combctl import` (ops/combctl/README.md),
 * so that a stream can be imported again; before them come the keys of its
 * place, which import passes over: position, partition, offset, logged_ms.
 * A post's author is the event's user. Fields of an event that this version
 * does not know are left out. Always valid JSON: a body that is no UTF-8, or
 * has a NUL, is body_base64.
 */
#pragma once

#include "firehose/tap.h"

/**
 * line_write() - append @item, with its line end
 *
 * @position: the place after it (bookmark.h).
 */
void line_write(GString *out, const TapItem *item, const GString *position);

/**
 * line_write_last() - append what ends a stream early: kind and reason
 *
 * @kind: "stopped".
 */
void line_write_last(GString *out, const char *kind, const char *reason,
                     const GString *position);

/**
 * line_write_assigned() - append which partitions a stream has now
 *
 * @next: by partition, @n of them; LOG_NO_PLACE: not that one.
 */
void line_write_assigned(GString *out, const guint64 *next, guint n,
                         const GString *position);

/** line_write_fault() - append {field, reason, limit}; a negative limit is
 * left out, so is a NULL field. */
void line_write_fault(GString *out, const char *field, const char *reason,
                      gint64 limit);
