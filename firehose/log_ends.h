/*
 * log_ends.h - where a log ends, for people who look at a status page
 *
 * Asking Kafka may take as long as it does not answer, and the page must not.
 * So a thread asks, when somebody looks and at no other time, and the page
 * takes what it had last.
 */
#pragma once

#include "firehose/log.h"
#include "ops/kit/section.h"

typedef struct LogEnds LogEnds;

/** log_ends_start() - start the thread. Owns: the caller; borrows @log. */
LogEnds *log_ends_start(Log *log);

/**
 * log_ends_tell() - tell @section of each partition
 *
 * @next:  per partition, what is applied next; NULL: nobody applies.
 * Effect: asks anew, and waits a quarter of a second for the answer at most.
 * Thread: any.
 */
void log_ends_tell(LogEnds *ends, const _Atomic guint64 *next,
                   Section *section);

/** log_ends_stop() - join and free; waits for what the log is being asked. */
void log_ends_stop(LogEnds *ends);
