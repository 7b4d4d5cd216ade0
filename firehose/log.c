/*
 * log.c - from the interface to the driver
 *
 * Everything here holds for all three drivers: what is a bug in the caller
 * (a partition out of range), what is refused before a driver sees it (a
 * record too large), and what an empty append means. A caller that works
 * with one driver therefore does not find a stricter one in production.
 */
#include "firehose/log.h"

#include "firehose/log_check.h"
#include "firehose/log_driver.h"
#include "ops/kit/ensure.h"
#include "thrift/limits.h"

#include <string.h>

void
log_cluster_close(LogCluster *cluster)
{
    cluster->driver->cluster_close(cluster);
}

Log *
log_open(LogCluster *cluster, const LogTopic *topic, gboolean create,
         GError **error)
{
    ensure(topic->name != NULL);
    ensure(!create || topic->partitions > 0);
    ensure(!create || topic->compacted || topic->retention_ms != 0);

    return cluster->driver->open(cluster, topic, create, error);
}

void
log_close(Log *log)
{
    log->driver->close(log);
}

guint
log_partitions(const Log *log)
{
    return log->partitions;
}

const char *
log_identity(const Log *log)
{
    return log->identity;
}

void
log_ack_all(LogAppendOutcome outcome, const char *reason, gsize n,
            LogAckFunc acked, gpointer user_data)
{
    g_autofree LogAck *acks = g_new0(LogAck, n);

    for (gsize i = 0; i < n; i++) {
        acks[i].outcome = outcome;
        acks[i].reason = reason;
    }
    acked(acks, n, user_data);
}

static gboolean
entries_fit(const Log *log, const LogEntry *entries, gsize n)
{
    gboolean fit = TRUE;

    for (gsize i = 0; i < n; i++) {
        ensure(entries[i].partition < log->partitions);
        fit = fit && entries[i].key.len <= LOG_RECORD_BYTES_MAX &&
              entries[i].value.len <= LOG_RECORD_BYTES_MAX - entries[i].key.len;
    }
    return fit;
}

void
log_append(Log *log, const LogEntry *entries, gsize n, LogAckFunc acked,
           gpointer user_data)
{
    if (n == 0) {
        acked(NULL, 0, user_data);
        return;
    }
    if (!entries_fit(log, entries, n)) {
        log_ack_all(LOG_APPEND_FAILED, "a record is over 1 MiB", n, acked,
                    user_data);
        return;
    }
    log->driver->append(log, entries, n, acked, user_data);
}

gboolean
log_bounds(Log *log, guint partition, guint64 *ret_first, guint64 *ret_end,
           GError **error)
{
    ensure(partition < log->partitions);

    return log->driver->bounds(log, partition, ret_first, ret_end, error);
}

gboolean
log_find_time(Log *log, guint partition, gint64 time_ms, guint64 *ret_offset,
              GError **error)
{
    ensure(partition < log->partitions);

    return log->driver->find_time(log, partition, MAX(time_ms, 0), ret_offset,
                                  error);
}

/* ---- places ---- */

const char *
log_client_fault(const char *name)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz"
                                  "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    gsize len = strlen(name);

    if (len == 0 || len > CLIENT_ID_BYTES_MAX || name[strspn(name, letters)]) {
        return "is a name of 1 to so many letters, digits and . _ -";
    }
    return g_str_has_prefix(name, "comb.")
               ? "begins with comb., as only our own names do"
               : NULL;
}

gboolean
log_place_load(Log *log, const char *client, guint64 *ret_next, GError **error)
{
    ensure(log_client_fault(client) == NULL);

    return log->driver->place_load(log, client, ret_next, error);
}

gboolean
log_places_check(Log *log, const char *client, const guint64 *next,
                 GError **error)
{
    for (guint i = 0; i < log->partitions; i++) {
        guint64 first;
        guint64 end;

        if (next[i] == LOG_NO_PLACE) {
            continue;
        }
        if (!log_bounds(log, i, &first, &end, error) ||
            !log_check_place(client, i, next[i], end, error)) {
            return FALSE;
        }
    }
    return TRUE;
}

gboolean
log_place_store(Log *log, const char *client, const guint64 *next,
                GError **error)
{
    ensure(log_client_fault(client) == NULL);

    return log_places_check(log, client, next, error) &&
           log->driver->place_store(log, client, next, error);
}

/* ---- reading ---- */

LogReader *
log_reader_open(Log *log, const guint64 *next, const char *group,
                GError **error)
{
    return log->driver->reader_open(log, next, group, error);
}

LogReadOutcome
log_reader_next(LogReader *reader, gint timeout_ms, gsize max,
                const LogRecord **ret_records, gsize *ret_n, GError **error)
{
    ensure(max > 0);

    return reader->log->driver->reader_next(reader, MAX(timeout_ms, 0), max,
                                            ret_records, ret_n, error);
}

void
log_reader_commit(LogReader *reader, const guint64 *next)
{
    reader->log->driver->reader_commit(reader, next);
}

void
log_reader_close(LogReader *reader)
{
    reader->log->driver->reader_close(reader);
}
