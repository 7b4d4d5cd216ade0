/*
 * log_ends.h - where a log ends, for those who must not wait for it
 *
 * Asking Kafka may take as long as one broker does not answer; a status page,
 * a thread that serves and one that applies must not. So a thread asks, when
 * somebody wants to know and at no other time. Functions: from any thread.
 */
#pragma once

#include "firehose/log.h"
#include "ops/kit/section.h"

typedef struct LogEnds LogEnds;

/* What has become of log_ends_ask(). */
typedef enum LogEndsOutcome {
    LOG_ENDS_WAIT,   /* the log is still being asked */
    LOG_ENDS_TOLD,   /* all ends, as they were then or later */
    LOG_ENDS_SILENT, /* the log did not tell them all */
} LogEndsOutcome;

/** log_ends_start() - start the thread. Owns: the caller; borrows @log. */
LogEnds *log_ends_start(Log *log);

/**
 * log_ends_tell() - tell @section of each partition
 *
 * @next:  per partition, what is applied next; NULL: nobody applies.
 * Effect: asks anew, and waits a quarter of a second for the answer at most;
 *         then tells what it had last.
 */
void log_ends_tell(LogEnds *ends, const _Atomic guint64 *next,
                   Section *section);

/**
 * log_ends_get() - the ends as they are now
 *
 * Effect: waits a quarter of a second at most; FALSE where the log has not
 *         told all of them by then.
 */
gboolean log_ends_get(LogEnds *ends, guint64 *ret_end);

/** log_ends_ask() - ask anew, wait for nothing; a number for log_ends_take().
 */
guint64 log_ends_ask(LogEnds *ends);

/** log_ends_take() - the answer; *ret_end is set where LOG_ENDS_TOLD. */
LogEndsOutcome log_ends_take(LogEnds *ends, guint64 ask, guint64 *ret_end);

/** log_ends_stop() - join and free; waits for what the log is being asked. */
void log_ends_stop(LogEnds *ends);
