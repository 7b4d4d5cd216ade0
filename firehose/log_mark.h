/*
 * log_mark.h - is this still the log that was read?
 *
 * An offset says where, not of what: a log that was truncated and written
 * anew, or a topic deleted and made again, has other records at the same
 * offsets, and a reader that goes on by its offset never knows. So who keeps
 * a position keeps the mark of the last record before it, too, and has the
 * two compared before it reads on.
 */
#pragma once

#include "firehose/log.h"

/**
 * log_mark() - a number for one record at its place
 *
 * Effect: XXH64 of offset and timestamp (u64 LE each), of the key with that as
 *         the seed, of the value with that as the seed; never 0, which stands
 *         for "not known".
 */
guint64 log_mark(const LogRecord *record);

/**
 * log_marks_check() - whether the log still has what was read last
 *
 * @next:  per partition, what would be read next.
 * @marks: per partition, log_mark() of the record before it; 0: not known.
 * Effect: reads each of these records again and compares; one that retention
 *         has just taken (@next is the first kept) cannot be: logged, and
 *         taken for good.
 * Fails:  COMB_ERROR_GAP (another record, or @next is no longer or not yet
 *         there), COMB_ERROR_UNREACHABLE; else as log_reader_next().
 */
gboolean log_marks_check(Log *log, const guint64 *next, const guint64 *marks,
                         GError **error);
