/*
 * log_tally.c - counting acknowledgements without a lock
 *
 * A slot's ack is written by whoever settles it and read by whoever settles
 * the last one. The counter orders the two: it is released with every step
 * and acquired with the last.
 */
#include "firehose/log_tally.h"

#include <stdatomic.h>

struct LogTallySlot {
    LogTally *tally;
};

struct LogTally {
    LogAckFunc acked;
    gpointer user_data;
    gsize n;
    atomic_size_t left; /* slots not yet settled */
    LogAck *acks;       /* of all entries, in order */
    LogTallySlot slots[];
};

LogTally *
log_tally_new(gsize n, LogAckFunc acked, gpointer user_data)
{
    LogTally *tally = g_malloc(sizeof *tally + n * sizeof(LogTallySlot));

    tally->acked = acked;
    tally->user_data = user_data;
    tally->n = n;
    atomic_init(&tally->left, n);
    tally->acks = g_new0(LogAck, n);
    for (gsize i = 0; i < n; i++) {
        tally->slots[i].tally = tally;
    }
    return tally;
}

LogTallySlot *
log_tally_slot(LogTally *tally, gsize i)
{
    return &tally->slots[i];
}

gboolean
log_tally_settle(LogTallySlot *slot, LogAck ack)
{
    LogTally *tally = slot->tally;

    tally->acks[slot - tally->slots] = ack;
    if (atomic_fetch_sub_explicit(&tally->left, 1, memory_order_acq_rel) > 1) {
        return FALSE;
    }
    tally->acked(tally->acks, tally->n, tally->user_data);
    g_free(tally->acks);
    g_free(tally);
    return TRUE;
}
