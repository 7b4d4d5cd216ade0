/*
 * ahead.h - the log read and decoded, ahead of whom applies it
 *
 * What does not depend on the cell's state is done before it is needed: to
 * fetch records, copy them, decode and check them. By itself that takes half
 * of a replay's time; on a thread of its own it takes none, as long as there
 * is a core. One batch is being applied while the next one is made.
 */
#pragma once

#include "firehose/event.h"

typedef struct Ahead Ahead;

/* A record of the log and what it says. */
typedef struct AheadRecord {
    LogRecord record;
    Event event;      /* where @decoded; it points into @record */
    EventFault fault; /* otherwise */
    gboolean decoded;
} AheadRecord;

/**
 * ahead_new() - of @reader, nothing read yet
 *
 * @reader:     borrowed, outlives it; nobody else calls log_reader_next().
 * @partitions: of the log.
 * @max:        records in a batch; not 0. It has up to LOG_READ_BYTES_MAX of
 *              bytes, too, and there are two of them.
 * Thread:      one, here and below.
 */
Ahead *ahead_new(LogReader *reader, guint partitions, gsize max);

/** ahead_start() - from now on read ahead, on a thread of its own; once. */
void ahead_start(Ahead *ahead);

/**
 * ahead_next() - the next records, as log_reader_next() gives them
 *
 * Effect: before ahead_start() they are read now. A stop comes after all that
 *         was read before it, and again at each further call.
 * Owns:   records are borrowed until the next call.
 * Fails:  LOG_READ_STOP: as log_reader_next().
 */
LogReadOutcome ahead_next(Ahead *ahead, gint timeout_ms,
                          const AheadRecord **ret_records, gsize *ret_n,
                          GError **error);

/** ahead_free() - ends its thread, once its look at the log is over. */
void ahead_free(Ahead *ahead);
