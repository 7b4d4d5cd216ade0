/*
 * sealer.h - a gateway's records, numbered in the order of the log
 *
 * A sequence must be given in the order in which records are appended, by
 * whatever thread: so both are done under one lock.
 */
#pragma once

#include "firehose/log.h"

typedef struct Sealer Sealer;

/** sealer_new() - for appends to @log, which must outlive it. */
Sealer *sealer_new(Log *log);
void sealer_free(Sealer *sealer);

/**
 * sealer_append() - seal the entries and append them
 *
 * @entries: their values are ours to write, and have seal_room().
 * Effect:   as log_append().
 * Thread:   any.
 */
void sealer_append(Sealer *sealer, const LogEntry *entries, gsize n,
                   LogAckFunc acked, gpointer user_data);

/**
 * sealer_renew() - the log has not taken a record, or may not have
 *
 * Effect: what is appended from now on is of a new producer, so that the
 *         sequence has a hole only near the end of one.
 * Thread: any; also from within @acked.
 */
void sealer_renew(Sealer *sealer);
