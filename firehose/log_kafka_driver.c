/*
 * log_kafka_driver.c - the log on a Kafka cluster
 *
 * Opening a topic looks for it, makes it where asked, waits until every
 * partition has a leader, and checks its settings (log_kafka_rules.c) before
 * anything is written or read.
 *
 * The life of an append: each record goes to the client with a slot of the
 * append's tally (log_tally.h); the poll thread hears how each ended; the
 * last one acknowledges the append. Closing a log waits for that, at most the
 * delivery timeout.
 *
 * Failure modes of a reader. A broker that is away is waited for, for ever:
 * the reader is idle. What must not be waited for stops it: an offset that
 * retention has passed or that lies past the end, a record that is not the
 * next one, a failed checksum, a topic that is gone. Records that came before
 * such a stop are given first.
 */
#include "firehose/log_check.h"
#include "firehose/log_driver.h"
#include "firehose/log_kafka.h"
#include "firehose/log_kafka_rules.h"
#include "firehose/log_tally.h"
#include "firehose/log_wait.h"
#include "ops/kit/ensure.h"
#include "ops/kit/error.h"

#include <stdatomic.h>
#include <stdbool.h>

#define LOOK_AGAIN_US (50 * 1000)
#define POLL_MS 100

typedef struct KafkaCluster {
    LogCluster base;
    LogKafkaOptions options; /* its texts are ours */
    gint n_open;             /* Logs not yet closed; atomic */
} KafkaCluster;

typedef struct KafkaLog {
    Log base;
    KafkaCluster *cluster;
    KafkaClient *client;
    char *name;
    gboolean compacted;
    pthread_t poller; /* hears of deliveries */
    atomic_bool stopping;
    LogWait wait;
    guint n_appends; /* in progress; guarded by wait */
} KafkaLog;

typedef struct KafkaReader {
    LogReader base;
    KafkaConsumer *consumer;
    guint64 *next;       /* per partition: the offset that must come */
    GPtrArray *messages; /* KafkaMessage, of the last call */
    GArray *records;     /* LogRecord, pointing into them */
    gsize bytes;         /* keys and values in them */
    GError *stop;        /* why it has stopped; NULL: it has not */
} KafkaReader;

/* ---- opening ---- */

/* Waits until a topic that was just made can be written and read. */
static gboolean
await_topic(KafkaLog *log, KafkaTopicFacts *ret_facts, GError **error)
{
    guint timeout_ms = log->cluster->options.connect_timeout_ms;
    gint64 until = g_get_monotonic_time() + (gint64)timeout_ms * 1000;

    while (kafka_client_look(log->client, ret_facts, error)) {
        if (ret_facts->partitions > 0 && ret_facts->led) {
            return TRUE;
        }
        if (g_get_monotonic_time() > until) {
            g_set_error(error, COMB_ERROR, COMB_ERROR_UNREACHABLE,
                        "topic '%s' has no leaders after %u ms", log->name,
                        timeout_ms);
            return FALSE;
        }
        g_usleep(LOOK_AGAIN_US);
    }
    return FALSE;
}

static gboolean
find_topic(KafkaLog *log, const LogTopic *wanted, gboolean create,
           KafkaTopicFacts *ret_facts, GError **error)
{
    if (!kafka_client_look(log->client, ret_facts, error)) {
        return FALSE;
    }
    if (ret_facts->partitions == 0 && !create) {
        return log_check_absent(wanted->name, error);
    }
    if (ret_facts->partitions == 0 &&
        (!kafka_client_make(log->client, wanted, error) ||
         !await_topic(log, ret_facts, error))) {
        return FALSE;
    }
    return log_check_partitions(wanted->name, wanted->partitions,
                                ret_facts->partitions, error);
}

static gboolean
check_topic(KafkaLog *log, const LogTopic *wanted, gboolean create,
            GError **error)
{
    g_autoptr(GHashTable) settings = NULL;
    KafkaTopicFacts facts;

    if (!find_topic(log, wanted, create, &facts, error)) {
        return FALSE;
    }
    settings = kafka_client_settings(log->client, error);
    if (settings == NULL ||
        !log_kafka_rules_check(wanted, facts.replication, settings, error)) {
        return FALSE;
    }
    log->base.partitions = facts.partitions;
    log->base.identity = kafka_client_identity(log->client, error);
    if (log->base.identity == NULL) {
        return FALSE;
    }
    kafka_client_bind(log->client);
    return TRUE;
}

static void
settle_entry(KafkaLog *log, LogTallySlot *slot, LogAck ack)
{
    if (log_tally_settle(slot, ack)) {
        log_wait_lock(&log->wait);
        log->n_appends--;
        log_wait_wake(&log->wait);
        log_wait_unlock(&log->wait);
    }
}

static void
hear_delivery(gpointer slot, LogAck ack, gpointer log)
{
    settle_entry(log, slot, ack);
}

static void *
run_poller(void *data)
{
    KafkaLog *log = data;

    while (!atomic_load(&log->stopping)) {
        kafka_client_poll(log->client, POLL_MS);
    }
    return NULL;
}

static void
kafka_log_free(KafkaLog *log)
{
    g_clear_pointer(&log->client, kafka_client_close);
    log_wait_clear(&log->wait);
    g_atomic_int_add(&log->cluster->n_open, -1);
    g_free(log->base.identity);
    g_free(log->name);
    g_free(log);
}

static Log *
kafka_open(LogCluster *base, const LogTopic *wanted, gboolean create,
           GError **error)
{
    KafkaLog *log = g_new0(KafkaLog, 1);

    ensure(!create || wanted->replication > 0);
    log->base.driver = base->driver;
    log->cluster = (KafkaCluster *)base;
    log->name = g_strdup(wanted->name);
    log->compacted = wanted->compacted;
    log_wait_init(&log->wait);
    g_atomic_int_inc(&log->cluster->n_open);
    log->client = kafka_client_open(&log->cluster->options, log->name,
                                    hear_delivery, log, error);
    if (log->client == NULL || !check_topic(log, wanted, create, error)) {
        kafka_log_free(log);
        return NULL;
    }
    ensure(pthread_create(&log->poller, NULL, run_poller, log) == 0);
    return &log->base;
}

static void
kafka_close(Log *base)
{
    KafkaLog *log = (KafkaLog *)base;

    log_wait_lock(&log->wait);
    while (log->n_appends > 0) {
        log_wait_until(&log->wait, NULL);
    }
    log_wait_unlock(&log->wait);
    atomic_store(&log->stopping, true);
    ensure(pthread_join(log->poller, NULL) == 0);
    kafka_log_free(log);
}

/* ---- appending and looking up ---- */

/* After the first refusal all are refused: order is kept. */
static void
kafka_append(Log *base, const LogEntry *entries, gsize n, LogAckFunc acked,
             gpointer user_data)
{
    KafkaLog *log = (KafkaLog *)base;
    LogTally *tally = log_tally_new(n, acked, user_data);
    gboolean taking = TRUE;
    LogAck ack = {0};

    log_wait_lock(&log->wait);
    log->n_appends++;
    log_wait_unlock(&log->wait);
    for (gsize i = 0; i < n; i++) {
        LogTallySlot *slot = log_tally_slot(tally, i);

        taking = taking &&
                 kafka_client_produce(log->client, &entries[i], slot, &ack);
        if (!taking) {
            settle_entry(log, slot, ack);
        }
    }
}

static gboolean
kafka_bounds(Log *base, guint partition, guint64 *ret_first, guint64 *ret_end,
             GError **error)
{
    return kafka_client_bounds(((KafkaLog *)base)->client, partition, ret_first,
                               ret_end, error);
}

/* The end is asked for first: a record that comes in between is not missed. */
static gboolean
kafka_find_time(Log *base, guint partition, gint64 time_ms, guint64 *ret_offset,
                GError **error)
{
    KafkaLog *log = (KafkaLog *)base;
    guint64 first;
    guint64 end;
    gint64 found;

    if (!kafka_bounds(base, partition, &first, &end, error) ||
        !kafka_client_find_time(log->client, partition, time_ms, &found,
                                error)) {
        return FALSE;
    }
    *ret_offset = found < 0 ? end : (guint64)found;
    return TRUE;
}

static gboolean
kafka_place_load(Log *base, const char *client, guint64 *ret_next,
                 GError **error)
{
    return kafka_client_load_place(((KafkaLog *)base)->client, client,
                                   base->partitions, ret_next, error);
}

static gboolean
kafka_place_store(Log *base, const char *client, const guint64 *next,
                  GError **error)
{
    return kafka_client_store_place(((KafkaLog *)base)->client, client,
                                    base->partitions, next, error);
}

typedef struct KafkaSeat {
    LogSeat base;
    KafkaMember *member;
} KafkaSeat;

static LogSeat *
kafka_seat_take(Log *base, const char *client, GError **error)
{
    KafkaMember *member = kafka_member_open(((KafkaLog *)base)->client, client,
                                            base->partitions, error);
    KafkaSeat *seat;

    if (member == NULL) {
        return NULL;
    }
    seat = g_new0(KafkaSeat, 1);
    seat->base.log = base;
    seat->member = member;
    return &seat->base;
}

static LogSeatOutcome
kafka_seat_poll(LogSeat *seat, gint timeout_ms, gboolean *ret_mine,
                GError **error)
{
    return kafka_member_poll(((KafkaSeat *)seat)->member, timeout_ms, ret_mine,
                             error);
}

static gboolean
kafka_seat_commit(LogSeat *seat, const guint64 *next, GError **error)
{
    return kafka_member_commit(((KafkaSeat *)seat)->member, next, error);
}

static void
kafka_seat_leave(LogSeat *seat)
{
    kafka_member_close(((KafkaSeat *)seat)->member);
    g_free(seat);
}

/* ---- reading ---- */

static gboolean
check_starts(Log *base, const guint64 *next, GError **error)
{
    const KafkaLog *log = (const KafkaLog *)base;

    for (guint i = 0; i < base->partitions; i++) {
        guint64 first;
        guint64 end;

        if (!kafka_bounds(base, i, &first, &end, error) ||
            !log_check_start(log->name, i, next[i], first, end, error)) {
            return FALSE;
        }
    }
    return TRUE;
}

static void
free_message(gpointer message)
{
    kafka_message_free(message);
}

static LogReader *
kafka_reader_open(Log *base, const guint64 *next, const char *group,
                  GError **error)
{
    KafkaLog *log = (KafkaLog *)base;
    KafkaConsumer *consumer;
    KafkaReader *reader;

    if (!check_starts(base, next, error)) {
        return NULL;
    }
    consumer =
        kafka_consumer_open(log->client, next, base->partitions, group, error);
    if (consumer == NULL) {
        return NULL;
    }
    reader = g_new0(KafkaReader, 1);
    reader->base.log = base;
    reader->consumer = consumer;
    reader->next = g_memdup2(next, base->partitions * sizeof *next);
    reader->messages = g_ptr_array_new_with_free_func(free_message);
    reader->records = g_array_new(FALSE, FALSE, sizeof(LogRecord));
    return &reader->base;
}

/* The broker does not have our next record: how so? */
static void
stop_without_offset(KafkaReader *reader, guint partition)
{
    Log *base = reader->base.log;
    const char *name = ((KafkaLog *)base)->name;
    guint64 next = reader->next[partition];
    guint64 first;
    guint64 end;

    if (kafka_bounds(base, partition, &first, &end, NULL) &&
        !log_check_start(name, partition, next, first, end, &reader->stop)) {
        return;
    }
    g_set_error(&reader->stop, COMB_ERROR, COMB_ERROR_GAP,
                "topic '%s' partition %u: the broker has no offset "
                "%" G_GUINT64_FORMAT ", it has expired or was truncated",
                name, partition, next);
}

/* Keeps a record that is the next one; stops at any other. */
static void
keep_record(KafkaReader *reader, const LogRecord *record)
{
    const KafkaLog *log = (const KafkaLog *)reader->base.log;
    guint64 next = reader->next[record->partition];

    if (record->offset < next || (record->offset > next && !log->compacted)) {
        log_check_hole(log->name, record->partition, next, record->offset,
                       &reader->stop);
        return;
    }
    reader->next[record->partition] = record->offset + 1;
    reader->bytes += record->key.len + record->value.len;
    g_array_append_val(reader->records, *record);
}

/* FALSE: nothing more for now. */
static gboolean
poll_once(KafkaReader *reader, gint timeout_ms)
{
    KafkaMessage *message;
    LogRecord record;

    switch (kafka_consumer_poll(reader->consumer, timeout_ms, &record, &message,
                                &reader->stop)) {
    case KAFKA_RECORD:
        g_ptr_array_add(reader->messages, message);
        keep_record(reader, &record);
        return reader->stop == NULL;
    case KAFKA_NO_OFFSET:
        stop_without_offset(reader, record.partition);
        return FALSE;
    case KAFKA_WAITS:
        return TRUE;
    case KAFKA_NOTHING:
    case KAFKA_BROKEN:
        return FALSE;
    }
    return FALSE;
}

/* Waits for the first message only. */
static void
gather_records(KafkaReader *reader, gint timeout_ms, gsize max)
{
    gboolean more = TRUE;

    g_array_set_size(reader->records, 0);
    g_ptr_array_set_size(reader->messages, 0);
    reader->bytes = 0;
    while (more && reader->records->len < max &&
           reader->bytes < LOG_READ_BYTES_MAX) {
        more = poll_once(reader, timeout_ms);
        timeout_ms = 0;
    }
}

static LogReadOutcome
kafka_reader_next(LogReader *base, gint timeout_ms, gsize max,
                  const LogRecord **ret_records, gsize *ret_n, GError **error)
{
    KafkaReader *reader = (KafkaReader *)base;

    if (reader->stop == NULL) {
        gather_records(reader, timeout_ms, max);
        if (reader->records->len > 0) {
            *ret_records =
                (const LogRecord *)(const void *)reader->records->data;
            *ret_n = reader->records->len;
            return LOG_READ_RECORDS;
        }
    }
    if (reader->stop == NULL) {
        return LOG_READ_IDLE;
    }
    g_propagate_error(error, g_error_copy(reader->stop));
    return LOG_READ_STOP;
}

static void
kafka_reader_commit(LogReader *base, const guint64 *next)
{
    kafka_consumer_commit(((KafkaReader *)base)->consumer, next);
}

static void
kafka_reader_close(LogReader *base)
{
    KafkaReader *reader = (KafkaReader *)base;

    g_array_unref(reader->records);
    g_ptr_array_unref(reader->messages);
    kafka_consumer_close(reader->consumer);
    g_clear_error(&reader->stop);
    g_free(reader->next);
    g_free(reader);
}

/* ---- the cluster ---- */

static void
kafka_cluster_close(LogCluster *base)
{
    KafkaCluster *cluster = (KafkaCluster *)base;

    ensure(g_atomic_int_get(&cluster->n_open) == 0);
    g_free((char *)(gsize)cluster->options.brokers);
    g_free((char *)(gsize)cluster->options.client_id);
    g_free(cluster);
}

static const LogDriver kafka_driver = {
    .cluster_close = kafka_cluster_close,
    .open = kafka_open,
    .close = kafka_close,
    .append = kafka_append,
    .bounds = kafka_bounds,
    .find_time = kafka_find_time,
    .place_load = kafka_place_load,
    .place_store = kafka_place_store,
    .seat_take = kafka_seat_take,
    .seat_poll = kafka_seat_poll,
    .seat_commit = kafka_seat_commit,
    .seat_leave = kafka_seat_leave,
    .reader_open = kafka_reader_open,
    .reader_next = kafka_reader_next,
    .reader_commit = kafka_reader_commit,
    .reader_close = kafka_reader_close,
};

LogCluster *
log_cluster_kafka(const LogKafkaOptions *options, GError **error)
{
    KafkaCluster *cluster;

    if (options->brokers == NULL || options->brokers[0] == '\0') {
        g_set_error(error, COMB_ERROR, COMB_ERROR_SETTING,
                    "no Kafka broker is named: host:port,host:port");
        return NULL;
    }
    cluster = g_new0(KafkaCluster, 1);
    cluster->base.driver = &kafka_driver;
    cluster->options = *options;
    cluster->options.brokers = g_strdup(options->brokers);
    cluster->options.client_id = g_strdup(options->client_id);
    return &cluster->base;
}
