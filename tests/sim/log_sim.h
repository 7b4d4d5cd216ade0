/*
 * log_sim.h - a log whose readers see the partitions in any order
 *
 * A driver of firehose/log.h in memory, with no thread, lock or clock: each
 * read gives some of the records there are, from partitions as chance has it;
 * in order within each, none left out. Records given are copies that end with
 * the next read, so that a sanitizer sees who keeps them.
 */
#pragma once

#include "firehose/log.h"
#include "tests/sim/dice.h"

typedef struct LogSimOptions {
    guint partitions;
    guint read_max;       /* records that one read gives at most */
    guint run_max;        /* of one partition after another */
    const char *identity; /* log_identity(); copied */
} LogSimOptions;

/** log_sim_open() - an empty log. Owns: the caller; log_close(). */
Log *log_sim_open(const LogSimOptions *options, Dice dice);

/** log_sim_end() - the offset after the last of a partition. */
guint64 log_sim_end(Log *log, guint partition);

/** log_sim_break() - the @nth read from now stops for good (I10); 0: none. */
void log_sim_break(Log *log, guint nth);

/** log_sim_broke() - whether a read has, since it was last asked. */
gboolean log_sim_broke(Log *log);
