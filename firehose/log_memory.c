/*
 * log_memory.c - a log that ends with its process
 *
 * For tests and simulation: the promises of log.h with nothing that can fail.
 * An append adds its records to the partitions' arrays under the cluster's
 * lock, wakes readers, and acknowledges from the caller's own thread. A
 * record never moves and is freed with its cluster, so readers hand it out
 * as it is. Topics outlive their Logs: who opens one again finds the records.
 *
 * Nothing is ever dropped: retention asks for "at least so long", and a
 * compacted topic may keep more than the newest record of each key. A log
 * that has expired is to be met with the local driver.
 */
#include "firehose/log_check.h"
#include "firehose/log_driver.h"
#include "firehose/log_seats.h"
#include "firehose/log_wait.h"
#include "ops/kit/ensure.h"

#include <string.h>

typedef struct MemoryRow {
    gint64 timestamp_ms; /* never less than that of the row before */
    gsize key_len;       /* the value follows the key */
    gsize value_len;
    guint8 bytes[];
} MemoryRow;

typedef struct MemoryTopic {
    char *name;
    char *identity;     /* random; made with the topic */
    gboolean compacted; /* as it was made */
    GPtrArray *parts;   /* for each partition a GPtrArray of MemoryRow */
    GHashTable *places; /* client to its next offsets, by partition */
} MemoryTopic;

typedef struct MemoryCluster {
    LogCluster base;
    LogWait wait;      /* guards all below; woken by appends */
    GPtrArray *topics; /* MemoryTopic */
    guint n_open;      /* Logs not yet closed */
    LogSeats *seats;   /* has a lock of its own, taken before wait */
} MemoryCluster;

typedef struct MemoryLog {
    Log base;
    MemoryCluster *cluster;
    MemoryTopic *topic;
} MemoryLog;

typedef struct MemoryReader {
    LogReader base;
    guint64 *next;   /* per partition */
    guint turn;      /* the partition to begin with */
    GArray *records; /* LogRecord, of the last call */
    gsize bytes;     /* keys and values in them */
} MemoryReader;

static void
free_rows(gpointer rows)
{
    g_ptr_array_unref(rows);
}

static MemoryTopic *
memory_topic_new(const LogTopic *wanted)
{
    MemoryTopic *topic = g_new0(MemoryTopic, 1);

    topic->name = g_strdup(wanted->name);
    topic->identity = g_uuid_string_random();
    topic->compacted = wanted->compacted;
    topic->parts = g_ptr_array_new_with_free_func(free_rows);
    for (guint i = 0; i < wanted->partitions; i++) {
        g_ptr_array_add(topic->parts, g_ptr_array_new_with_free_func(g_free));
    }
    topic->places =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    return topic;
}

static void
memory_topic_free(gpointer data)
{
    MemoryTopic *topic = data;

    g_hash_table_unref(topic->places);
    g_ptr_array_unref(topic->parts);
    g_free(topic->identity);
    g_free(topic->name);
    g_free(topic);
}

static void
memory_cluster_close(LogCluster *base)
{
    MemoryCluster *cluster = (MemoryCluster *)base;

    ensure(cluster->n_open == 0);
    log_seats_free(cluster->seats);
    g_ptr_array_unref(cluster->topics);
    log_wait_clear(&cluster->wait);
    g_free(cluster);
}

/* The topic, made where there is none and @create. Locked. */
static MemoryTopic *
find_topic(MemoryCluster *cluster, const LogTopic *wanted, gboolean create,
           GError **error)
{
    MemoryTopic *topic;

    for (guint i = 0; i < cluster->topics->len; i++) {
        topic = g_ptr_array_index(cluster->topics, i);
        if (strcmp(topic->name, wanted->name) == 0) {
            gboolean same =
                log_check_partitions(wanted->name, wanted->partitions,
                                     topic->parts->len, error) &&
                log_check_compacted(wanted->name, wanted->compacted,
                                    topic->compacted, error);
            return same ? topic : NULL;
        }
    }
    if (!create) {
        log_check_absent(wanted->name, error);
        return NULL;
    }
    topic = memory_topic_new(wanted);
    g_ptr_array_add(cluster->topics, topic);
    return topic;
}

static Log *
memory_open(LogCluster *base, const LogTopic *wanted, gboolean create,
            GError **error)
{
    MemoryCluster *cluster = (MemoryCluster *)base;
    MemoryLog *log = NULL;
    MemoryTopic *topic;

    log_wait_lock(&cluster->wait);
    topic = find_topic(cluster, wanted, create, error);
    if (topic != NULL) {
        log = g_new0(MemoryLog, 1);
        log->base.driver = base->driver;
        log->base.partitions = topic->parts->len;
        log->base.identity = topic->identity;
        log->cluster = cluster;
        log->topic = topic;
        cluster->n_open++;
    }
    log_wait_unlock(&cluster->wait);
    return (Log *)log;
}

static void
memory_close(Log *base)
{
    MemoryLog *log = (MemoryLog *)base;

    log_wait_lock(&log->cluster->wait);
    log->cluster->n_open--;
    log_wait_unlock(&log->cluster->wait);
    g_free(log);
}

static MemoryRow *
row_new(const LogEntry *entry, gint64 timestamp_ms)
{
    gsize len = entry->key.len + entry->value.len;
    MemoryRow *row = g_malloc(sizeof *row + len);

    row->timestamp_ms = timestamp_ms;
    row->key_len = entry->key.len;
    row->value_len = entry->value.len;
    if (entry->key.len > 0) {
        memcpy(row->bytes, entry->key.data, entry->key.len);
    }
    if (entry->value.len > 0) {
        memcpy(row->bytes + entry->key.len, entry->value.data,
               entry->value.len);
    }
    return row;
}

/* Adds one record. Locked. Returns its offset. */
static guint64
append_row(MemoryTopic *topic, const LogEntry *entry, gint64 now_ms)
{
    GPtrArray *rows = g_ptr_array_index(topic->parts, entry->partition);

    if (rows->len > 0) {
        const MemoryRow *last = g_ptr_array_index(rows, rows->len - 1);

        now_ms = MAX(now_ms, last->timestamp_ms);
    }
    g_ptr_array_add(rows, row_new(entry, now_ms));
    return rows->len - 1;
}

static void
memory_append(Log *base, const LogEntry *entries, gsize n, LogAckFunc acked,
              gpointer user_data)
{
    MemoryLog *log = (MemoryLog *)base;
    gint64 now_ms = g_get_real_time() / 1000;
    g_autofree LogAck *acks = g_new0(LogAck, n);

    log_wait_lock(&log->cluster->wait);
    for (gsize i = 0; i < n; i++) {
        acks[i].outcome = LOG_APPENDED;
        acks[i].offset = append_row(log->topic, &entries[i], now_ms);
    }
    log_wait_wake(&log->cluster->wait);
    log_wait_unlock(&log->cluster->wait);
    acked(acks, n, user_data);
}

static gboolean
memory_bounds(Log *base, guint partition, guint64 *ret_first, guint64 *ret_end,
              GError **error)
{
    MemoryLog *log = (MemoryLog *)base;
    const GPtrArray *rows = g_ptr_array_index(log->topic->parts, partition);

    (void)error;
    log_wait_lock(&log->cluster->wait);
    *ret_first = 0;
    *ret_end = rows->len;
    log_wait_unlock(&log->cluster->wait);
    return TRUE;
}

static gboolean
memory_find_time(Log *base, guint partition, gint64 time_ms,
                 guint64 *ret_offset, GError **error)
{
    MemoryLog *log = (MemoryLog *)base;
    const GPtrArray *rows = g_ptr_array_index(log->topic->parts, partition);
    guint low = 0;
    guint high;

    (void)error;
    log_wait_lock(&log->cluster->wait);
    high = rows->len;
    while (low < high) {
        guint middle = low + (high - low) / 2;
        const MemoryRow *row = g_ptr_array_index(rows, middle);

        if (row->timestamp_ms < time_ms) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    log_wait_unlock(&log->cluster->wait);
    *ret_offset = low;
    return TRUE;
}

static gboolean
memory_place_load(Log *base, const char *client, guint64 *ret_next,
                  GError **error)
{
    MemoryLog *log = (MemoryLog *)base;
    const guint64 *place;

    (void)error;
    log_wait_lock(&log->cluster->wait);
    place = g_hash_table_lookup(log->topic->places, client);
    for (guint i = 0; i < base->partitions; i++) {
        ret_next[i] = place == NULL ? LOG_NO_PLACE : place[i];
    }
    log_wait_unlock(&log->cluster->wait);
    return TRUE;
}

/* The client's place, made where it has none. Locked. */
static guint64 *
get_place(MemoryTopic *topic, const char *client)
{
    guint64 *place = g_hash_table_lookup(topic->places, client);

    if (place == NULL) {
        place = g_new(guint64, topic->parts->len);
        for (guint i = 0; i < topic->parts->len; i++) {
            place[i] = LOG_NO_PLACE;
        }
        g_hash_table_insert(topic->places, g_strdup(client), place);
    }
    return place;
}

static gboolean
keep_place(Log *base, const char *client, const guint64 *next, GError **error)
{
    MemoryLog *log = (MemoryLog *)base;
    guint64 *place;

    (void)error;
    log_wait_lock(&log->cluster->wait);
    place = get_place(log->topic, client);
    for (guint i = 0; i < base->partitions; i++) {
        place[i] = next[i] == LOG_NO_PLACE ? place[i] : next[i];
    }
    log_wait_unlock(&log->cluster->wait);
    return TRUE;
}

static gboolean
memory_place_store(Log *base, const char *client, const guint64 *next,
                   GError **error)
{
    return log_seats_store(((MemoryLog *)base)->cluster->seats, base, client,
                           next, keep_place, error);
}

static LogSeat *
memory_seat_take(Log *base, const char *client, GError **error)
{
    (void)error;
    return log_seats_take(((MemoryLog *)base)->cluster->seats, base, client);
}

static gboolean
memory_seat_commit(LogSeat *seat, const guint64 *next, GError **error)
{
    return log_seats_commit(seat, next, keep_place, error);
}

static LogReader *
memory_reader_open(Log *base, const guint64 *next, const char *group,
                   GError **error)
{
    MemoryLog *log = (MemoryLog *)base;
    MemoryReader *reader;

    (void)group;
    for (guint i = 0; i < base->partitions; i++) {
        guint64 first;
        guint64 end;

        memory_bounds(base, i, &first, &end, NULL);
        if (!log_check_start(log->topic->name, i, next[i], first, end, error)) {
            return NULL;
        }
    }
    reader = g_new0(MemoryReader, 1);
    reader->base.log = base;
    reader->next = g_memdup2(next, base->partitions * sizeof *next);
    reader->records = g_array_new(FALSE, FALSE, sizeof(LogRecord));
    return &reader->base;
}

/* Takes up to @max records of one partition. Locked. */
static gsize
take_rows(MemoryReader *reader, guint partition, gsize max)
{
    const MemoryLog *log = (const MemoryLog *)reader->base.log;
    const GPtrArray *rows = g_ptr_array_index(log->topic->parts, partition);
    guint64 *next = &reader->next[partition];
    gsize n = 0;

    while (n < max && *next < rows->len && reader->bytes < LOG_READ_BYTES_MAX) {
        const MemoryRow *row = g_ptr_array_index(rows, (guint)*next);
        LogRecord record = {
            .partition = partition,
            .offset = *next,
            .timestamp_ms = row->timestamp_ms,
            .key = {row->bytes, row->key_len},
            .value = {row->bytes + row->key_len, row->value_len},
        };

        g_array_append_val(reader->records, record);
        reader->bytes += row->key_len + row->value_len;
        (*next)++;
        n++;
    }
    return n;
}

/* Each partition gives its share of what is left of @max. Locked. */
static gsize
take_turns(MemoryReader *reader, gsize max)
{
    guint partitions = reader->base.log->partitions;
    gsize n = 0;

    g_array_set_size(reader->records, 0);
    reader->bytes = 0;
    for (guint i = 0; i < partitions && n < max; i++) {
        gsize left = partitions - i;
        gsize share = (max - n + left - 1) / left;

        n += take_rows(reader, (reader->turn + i) % partitions, share);
    }
    reader->turn = (reader->turn + 1) % partitions;
    return n;
}

static LogReadOutcome
memory_reader_next(LogReader *base, gint timeout_ms, gsize max,
                   const LogRecord **ret_records, gsize *ret_n, GError **error)
{
    MemoryReader *reader = (MemoryReader *)base;
    LogWait *wait = &((MemoryLog *)base->log)->cluster->wait;
    struct timespec deadline = log_wait_deadline(timeout_ms);
    gsize n;

    (void)error;
    log_wait_lock(wait);
    n = take_turns(reader, max);
    while (n == 0 && log_wait_until(wait, &deadline)) {
        n = take_turns(reader, max);
    }
    log_wait_unlock(wait);
    if (n == 0) {
        return LOG_READ_IDLE;
    }
    *ret_records = (const LogRecord *)(const void *)reader->records->data;
    *ret_n = n;
    return LOG_READ_RECORDS;
}

static void
memory_reader_commit(LogReader *reader, const guint64 *next)
{
    (void)reader;
    (void)next;
}

static void
memory_reader_close(LogReader *base)
{
    MemoryReader *reader = (MemoryReader *)base;

    g_array_unref(reader->records);
    g_free(reader->next);
    g_free(reader);
}

static const LogDriver memory_driver = {
    .cluster_close = memory_cluster_close,
    .open = memory_open,
    .close = memory_close,
    .append = memory_append,
    .bounds = memory_bounds,
    .find_time = memory_find_time,
    .place_load = memory_place_load,
    .place_store = memory_place_store,
    .seat_take = memory_seat_take,
    .seat_poll = log_seats_poll,
    .seat_commit = memory_seat_commit,
    .seat_leave = log_seats_leave,
    .reader_open = memory_reader_open,
    .reader_next = memory_reader_next,
    .reader_commit = memory_reader_commit,
    .reader_close = memory_reader_close,
};

LogCluster *
log_cluster_memory(void)
{
    MemoryCluster *cluster = g_new0(MemoryCluster, 1);

    cluster->base.driver = &memory_driver;
    log_wait_init(&cluster->wait);
    cluster->seats = log_seats_new();
    cluster->topics = g_ptr_array_new_with_free_func(memory_topic_free);
    return &cluster->base;
}
