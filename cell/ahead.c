/*
 * Two batches take turns. The thread fills the one that is free and waits for
 * the other; the caller has the one it was given until it comes again. A
 * reader's records are gone with its next look, so they are copied, and
 * decoded where they lie then. The first failure of the reader is kept and
 * told when nothing is left before it.
 */
#include "cell/ahead.h"

#include "firehose/log_wait.h"
#include "ops/kit/ensure.h"

#include <string.h>

/* How long the thread looks at a log that has nothing: a stop waits so long. */
#define AHEAD_WAIT_MS 50
#define AHEAD_BATCHES 2

typedef struct AheadBatch {
    AheadRecord *records;
    gsize n;
    GByteArray *bytes; /* keys and values */
} AheadBatch;

struct Ahead {
    LogReader *reader; /* borrowed */
    guint partitions;
    gsize max;
    AheadBatch batches[AHEAD_BATCHES];
    gboolean started;
    pthread_t thread;
    LogWait wait;      /* its lock guards what follows */
    guint64 filled;    /* batches, so far; number n is in n % AHEAD_BATCHES */
    guint64 returned;  /* of them, given back by the caller */
    gboolean lent;     /* the caller has the one after those */
    gboolean stopping; /* the thread is to end */
    GError *stop;      /* nothing comes after what is filled; owned */
};

/* ---- a batch ---- */

static WireBytes
ahead_keep(GByteArray *bytes, WireBytes from)
{
    guint at = bytes->len;
    g_byte_array_append(bytes, from.data, (guint)from.len);
    return (WireBytes){bytes->data + at, from.len};
}

static void
ahead_copy(AheadBatch *batch, const LogRecord *records, gsize n)
{
    gsize len = 0;
    for (gsize i = 0; i < n; i++) {
        len += records[i].key.len + records[i].value.len;
    }
    /* All room at once: the bytes must not move while they are pointed at. */
    ensure(len <= G_MAXUINT);
    g_byte_array_set_size(batch->bytes, (guint)len);
    g_byte_array_set_size(batch->bytes, 0);
    for (gsize i = 0; i < n; i++) {
        LogRecord *record = &batch->records[i].record;
        *record = records[i];
        record->key = ahead_keep(batch->bytes, records[i].key);
        record->value = ahead_keep(batch->bytes, records[i].value);
    }
    batch->n = n;
}

static LogReadOutcome
ahead_fill(Ahead *ahead, AheadBatch *batch, gint timeout_ms, GError **error)
{
    const LogRecord *records;
    gsize n;
    LogReadOutcome outcome = log_reader_next(ahead->reader, timeout_ms,
                                             ahead->max, &records, &n, error);
    if (outcome != LOG_READ_RECORDS) {
        return outcome;
    }
    ensure(n <= ahead->max);
    ahead_copy(batch, records, n);
    for (gsize i = 0; i < n; i++) {
        AheadRecord *record = &batch->records[i];
        record->decoded = event_of_record(&record->record, ahead->partitions,
                                          &record->event, &record->fault);
    }
    return outcome;
}

/* ---- the thread ---- */

/* The batch to fill, once it is free; NULL: it is time to end. */
static AheadBatch *
ahead_await_room(Ahead *ahead)
{
    log_wait_lock(&ahead->wait);
    while (!ahead->stopping &&
           ahead->filled - ahead->returned == AHEAD_BATCHES) {
        log_wait_until(&ahead->wait, NULL);
    }
    AheadBatch *batch =
        ahead->stopping ? NULL : &ahead->batches[ahead->filled % AHEAD_BATCHES];
    log_wait_unlock(&ahead->wait);
    return batch;
}

/* Tell what a look at the log has brought. */
static void
ahead_note(Ahead *ahead, LogReadOutcome outcome, GError *failure)
{
    log_wait_lock(&ahead->wait);
    ahead->filled += outcome == LOG_READ_RECORDS;
    ahead->stop = failure;
    log_wait_wake(&ahead->wait);
    log_wait_unlock(&ahead->wait);
}

static gpointer
ahead_main(gpointer user_data)
{
    Ahead *ahead = user_data;
    AheadBatch *batch;
    GError *failure = NULL;
    while (failure == NULL && (batch = ahead_await_room(ahead)) != NULL) {
        LogReadOutcome outcome =
            ahead_fill(ahead, batch, AHEAD_WAIT_MS, &failure);
        if (outcome != LOG_READ_IDLE) {
            ahead_note(ahead, outcome, failure);
        }
    }
    return NULL;
}

/* ---- the caller ---- */

/* Give back the batch lent, and wait for the next one. */
static LogReadOutcome
ahead_await_batch(Ahead *ahead, gint timeout_ms, GError **error)
{
    struct timespec deadline = log_wait_deadline(timeout_ms);
    LogReadOutcome outcome = LOG_READ_IDLE;
    log_wait_lock(&ahead->wait);
    if (ahead->lent) {
        ahead->lent = FALSE;
        ahead->returned++;
        log_wait_wake(&ahead->wait);
    }
    while (ahead->filled == ahead->returned && ahead->stop == NULL &&
           log_wait_until(&ahead->wait, &deadline)) {
    }
    if (ahead->filled > ahead->returned) {
        ahead->lent = TRUE;
        outcome = LOG_READ_RECORDS;
    } else if (ahead->stop != NULL) {
        g_propagate_error(error, g_error_copy(ahead->stop));
        outcome = LOG_READ_STOP;
    }
    log_wait_unlock(&ahead->wait);
    return outcome;
}

LogReadOutcome
ahead_next(Ahead *ahead, gint timeout_ms, const AheadRecord **ret_records,
           gsize *ret_n, GError **error)
{
    LogReadOutcome outcome =
        ahead->started
            ? ahead_await_batch(ahead, timeout_ms, error)
            : ahead_fill(ahead, &ahead->batches[0], timeout_ms, error);
    if (outcome == LOG_READ_RECORDS) {
        /* Only the caller changes @returned; 0 before the thread is there. */
        const AheadBatch *batch =
            &ahead->batches[ahead->returned % AHEAD_BATCHES];
        *ret_records = batch->records;
        *ret_n = batch->n;
    }
    return outcome;
}

/* ---- life ---- */

Ahead *
ahead_new(LogReader *reader, guint partitions, gsize max)
{
    Ahead *ahead = g_new0(Ahead, 1);
    ensure(max > 0);
    ahead->reader = reader;
    ahead->partitions = partitions;
    ahead->max = max;
    log_wait_init(&ahead->wait);
    for (guint i = 0; i < AHEAD_BATCHES; i++) {
        ahead->batches[i].records = g_new0(AheadRecord, max);
        ahead->batches[i].bytes = g_byte_array_new();
    }
    return ahead;
}

void
ahead_start(Ahead *ahead)
{
    ensure(!ahead->started);
    ahead->started = TRUE;
    ensure(pthread_create(&ahead->thread, NULL, ahead_main, ahead) == 0);
}

void
ahead_free(Ahead *ahead)
{
    if (ahead->started) {
        log_wait_lock(&ahead->wait);
        ahead->stopping = TRUE;
        log_wait_wake(&ahead->wait);
        log_wait_unlock(&ahead->wait);
        ensure(pthread_join(ahead->thread, NULL) == 0);
    }
    for (guint i = 0; i < AHEAD_BATCHES; i++) {
        g_free(ahead->batches[i].records);
        g_byte_array_unref(ahead->batches[i].bytes);
    }
    g_clear_error(&ahead->stop);
    log_wait_clear(&ahead->wait);
    g_free(ahead);
}
