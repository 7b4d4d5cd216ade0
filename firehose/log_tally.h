/*
 * log_tally.h - one append whose entries are acknowledged one by one
 *
 * librdkafka reports each record by itself, log.h one call for all: a tally
 * collects. Each slot is settled once, from any thread; the last one calls
 * back and frees the tally.
 */
#pragma once

#include "firehose/log.h"

typedef struct LogTally LogTally;
typedef struct LogTallySlot LogTallySlot;

/** log_tally_new() - for @n entries, not 0. */
LogTally *log_tally_new(gsize n, LogAckFunc acked, gpointer user_data);

/** log_tally_slot() - the slot of entry @i; lives until all are settled. */
LogTallySlot *log_tally_slot(LogTally *tally, gsize i);

/**
 * log_tally_settle() - note what became of an entry
 *
 * @ack:   its reason must outlive the tally: static text.
 * Effect: TRUE where this was the last; it has been called back.
 */
gboolean log_tally_settle(LogTallySlot *slot, LogAck ack);
