/*
 * log_local_driver.c - the local log behind log.h
 *
 * Composition only: a cluster is a store with its topics and one writer; a
 * Log is a topic and a count of its appends in progress; a reader is a
 * LocalReader. One process has the store at a time, and in it any number of
 * Logs share a topic.
 */
#include "firehose/log_driver.h"
#include "firehose/log_local_places.h"
#include "firehose/log_local_reader.h"
#include "firehose/log_local_writer.h"
#include "firehose/log_seats.h"
#include "ops/kit/ensure.h"

typedef struct LocalCluster {
    LogCluster base;
    LocalState state;
    LocalWriter *writer;
    LogSeats *seats;
    gint n_open; /* Logs not yet closed; atomic */
} LocalCluster;

typedef struct LocalLog {
    Log base;
    LocalCluster *cluster;
    LocalTopic *topic;
    LocalProgress progress;
} LocalLog;

typedef struct LocalLogReader {
    LogReader base;
    LocalReader *reader;
} LocalLogReader;

static void
local_cluster_close(LogCluster *base)
{
    LocalCluster *cluster = (LocalCluster *)base;

    ensure(g_atomic_int_get(&cluster->n_open) == 0);
    log_seats_free(cluster->seats);
    local_writer_stop(cluster->writer);
    local_state_close(&cluster->state);
    g_free(cluster);
}

static Log *
local_open(LogCluster *base, const LogTopic *wanted, gboolean create,
           GError **error)
{
    LocalCluster *cluster = (LocalCluster *)base;
    LocalTopic *topic =
        local_topic_open(&cluster->state, wanted, create, error);
    LocalLog *log;

    if (topic == NULL) {
        return NULL;
    }
    log = g_new0(LocalLog, 1);
    log->base.driver = base->driver;
    log->base.partitions = topic->partitions;
    log->base.identity = topic->identity;
    log->cluster = cluster;
    log->topic = topic;
    g_atomic_int_inc(&cluster->n_open);
    return &log->base;
}

static void
local_close(Log *base)
{
    LocalLog *log = (LocalLog *)base;

    local_writer_wait(log->cluster->writer, &log->progress);
    g_atomic_int_add(&log->cluster->n_open, -1);
    g_free(log);
}

static void
local_append(Log *base, const LogEntry *entries, gsize n, LogAckFunc acked,
             gpointer user_data)
{
    LocalLog *log = (LocalLog *)base;

    local_writer_append(log->cluster->writer, log->topic, &log->progress,
                        entries, n, acked, user_data);
}

static gboolean
local_bounds(Log *base, guint partition, guint64 *ret_first, guint64 *ret_end,
             GError **error)
{
    LocalLog *log = (LocalLog *)base;

    (void)error;
    local_topic_bounds(&log->cluster->state, log->topic, partition, ret_first,
                       ret_end);
    return TRUE;
}

static gboolean
local_find_time(Log *base, guint partition, gint64 time_ms, guint64 *ret_offset,
                GError **error)
{
    LocalLog *log = (LocalLog *)base;

    return local_topic_find_time(&log->cluster->state, log->topic, partition,
                                 time_ms, ret_offset, error);
}

static gboolean
local_place_load(Log *base, const char *client, guint64 *ret_next,
                 GError **error)
{
    LocalLog *log = (LocalLog *)base;

    return local_places_load(&log->cluster->state, log->topic, client, ret_next,
                             error);
}

static gboolean
keep_place(Log *base, const char *client, const guint64 *next, GError **error)
{
    LocalLog *log = (LocalLog *)base;

    return local_places_store(&log->cluster->state, log->topic, client, next,
                              error);
}

static gboolean
local_place_store(Log *base, const char *client, const guint64 *next,
                  GError **error)
{
    return log_seats_store(((LocalLog *)base)->cluster->seats, base, client,
                           next, keep_place, error);
}

static LogSeat *
local_seat_take(Log *base, const char *client, GError **error)
{
    (void)error;
    return log_seats_take(((LocalLog *)base)->cluster->seats, base, client);
}

static gboolean
local_seat_commit(LogSeat *seat, const guint64 *next, GError **error)
{
    return log_seats_commit(seat, next, keep_place, error);
}

static LogReader *
open_reader(Log *base, const guint64 *next, const char *group, GError **error)
{
    LocalLog *log = (LocalLog *)base;
    LocalReader *inner =
        local_reader_open(&log->cluster->state, log->topic, next, error);
    LocalLogReader *reader;

    (void)group;
    if (inner == NULL) {
        return NULL;
    }
    reader = g_new0(LocalLogReader, 1);
    reader->base.log = base;
    reader->reader = inner;
    return &reader->base;
}

static LogReadOutcome
read_next(LogReader *base, gint timeout_ms, gsize max,
          const LogRecord **ret_records, gsize *ret_n, GError **error)
{
    LocalLogReader *reader = (LocalLogReader *)base;

    return local_reader_next(reader->reader, timeout_ms, max, ret_records,
                             ret_n, error);
}

static void
commit_nothing(LogReader *reader, const guint64 *next)
{
    (void)reader;
    (void)next;
}

static void
close_reader(LogReader *base)
{
    LocalLogReader *reader = (LocalLogReader *)base;

    local_reader_close(reader->reader);
    g_free(reader);
}

static const LogDriver local_driver = {
    .cluster_close = local_cluster_close,
    .open = local_open,
    .close = local_close,
    .append = local_append,
    .bounds = local_bounds,
    .find_time = local_find_time,
    .place_load = local_place_load,
    .place_store = local_place_store,
    .seat_take = local_seat_take,
    .seat_poll = log_seats_poll,
    .seat_commit = local_seat_commit,
    .seat_leave = log_seats_leave,
    .reader_open = open_reader,
    .reader_next = read_next,
    .reader_commit = commit_nothing,
    .reader_close = close_reader,
};

LogCluster *
log_cluster_local(const char *dir, GError **error)
{
    LocalCluster *cluster = g_new0(LocalCluster, 1);

    cluster->base.driver = &local_driver;
    if (!local_state_open(&cluster->state, dir, error)) {
        g_free(cluster);
        return NULL;
    }
    cluster->writer = local_writer_start(&cluster->state);
    cluster->seats = log_seats_new();
    return &cluster->base;
}
