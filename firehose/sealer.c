#include "firehose/sealer.h"

#include "firehose/seal.h"
#include "ops/kit/ensure.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/random.h>

struct Sealer {
    Log *log;               /* borrowed */
    _Atomic gboolean spent; /* the producer has a hole in its sequence */
    pthread_mutex_t mutex;  /* guards what follows, and the log's order */
    gint64 producer;
    gint64 *next; /* per partition, the sequence to give; owned */
};

/* Drawn from so many that no two gateways ever have the same. */
static void
sealer_draw(Sealer *sealer)
{
    guint64 bits;

    ensure(getrandom(&bits, sizeof bits, 0) == sizeof bits);
    sealer->producer = (gint64)(bits & G_MAXINT64) | 1;
    memset(sealer->next, 0, log_partitions(sealer->log) * sizeof *sealer->next);
}

Sealer *
sealer_new(Log *log)
{
    Sealer *sealer = g_new0(Sealer, 1);

    sealer->log = log;
    sealer->next = g_new0(gint64, log_partitions(log));
    pthread_mutex_init(&sealer->mutex, NULL);
    sealer_draw(sealer);
    return sealer;
}

void
sealer_free(Sealer *sealer)
{
    pthread_mutex_destroy(&sealer->mutex);
    g_free(sealer->next);
    g_free(sealer);
}

void
sealer_append(Sealer *sealer, const LogEntry *entries, gsize n,
              LogAckFunc acked, gpointer user_data)
{
    pthread_mutex_lock(&sealer->mutex);
    if (atomic_exchange(&sealer->spent, FALSE)) {
        sealer_draw(sealer);
    }
    for (gsize i = 0; i < n; i++) {
        seal_set((guint8 *)(gsize)entries[i].value.data, entries[i].value.len,
                 sealer->producer, sealer->next[entries[i].partition]++);
    }
    log_append(sealer->log, entries, n, acked, user_data);
    pthread_mutex_unlock(&sealer->mutex);
}

void
sealer_renew(Sealer *sealer)
{
    atomic_store(&sealer->spent, TRUE);
}
