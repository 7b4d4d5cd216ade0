/*
 * log_local_reader.c - records of the local log, in order and without holes
 *
 * A call waits until some partition reaches further than the reader, then
 * opens one scan and takes a share of records from each partition, beginning
 * with another one each time. Records are copied into memory that the reader
 * keeps for its whole life, because a scan's rows end with the scan and a
 * scan kept open would hold back what RocksDB wants to drop.
 *
 * Failure modes. The reader knows which offsets there must be: every one from
 * its next to the end. A row that is missing has expired, if the beginning
 * has moved past it meanwhile, or is a hole: both stop the reader. Records of
 * other partitions that the same call had already are given first; the next
 * call begins elsewhere and meets the hole again.
 */
#include "firehose/log_local_reader.h"

#include "firehose/log_check.h"
#include "ops/kit/ensure.h"
#include "ops/kit/error.h"

#include <string.h>

struct LocalReader {
    LocalState *state;
    const LocalTopic *topic;
    LocalScan *scan;  /* within a call only */
    guint64 *next;    /* per partition: the offset to read next */
    guint64 *end;     /* per partition: as of the call's beginning */
    guint turn;       /* the partition to begin with */
    guint8 *arena;    /* keys and values of the last call */
    gsize arena_used; /* of LOG_READ_BYTES_MAX */
    GArray *records;  /* LogRecord, of the last call */
};

G_STATIC_ASSERT(LOG_READ_BYTES_MAX >= LOG_RECORD_BYTES_MAX);

LocalReader *
local_reader_open(LocalState *state, const LocalTopic *topic,
                  const guint64 *next, GError **error)
{
    LocalReader *reader;

    for (guint i = 0; i < topic->partitions; i++) {
        guint64 first;
        guint64 end;

        local_topic_bounds(state, topic, i, &first, &end);
        if (!log_check_start(topic->name, i, next[i], first, end, error)) {
            return NULL;
        }
    }
    reader = g_new0(LocalReader, 1);
    reader->state = state;
    reader->topic = topic;
    reader->next = g_memdup2(next, topic->partitions * sizeof *next);
    reader->end = g_new0(guint64, topic->partitions);
    reader->arena = g_malloc(LOG_READ_BYTES_MAX);
    reader->records = g_array_new(FALSE, FALSE, sizeof(LogRecord));
    return reader;
}

/* Notes how far each partition reaches. FALSE: nowhere further. Locked. */
static gboolean
look_ahead(LocalReader *reader)
{
    gboolean more = FALSE;

    for (guint i = 0; i < reader->topic->partitions; i++) {
        reader->end[i] = reader->topic->parts[i].end;
        more = more || reader->end[i] > reader->next[i];
    }
    return more;
}

static gboolean
wait_for_records(LocalReader *reader, gint timeout_ms)
{
    struct timespec deadline = log_wait_deadline(timeout_ms);
    gboolean more;

    log_wait_lock(&reader->state->wait);
    more = look_ahead(reader);
    while (!more && log_wait_until(&reader->state->wait, &deadline)) {
        more = look_ahead(reader);
    }
    log_wait_unlock(&reader->state->wait);
    return more;
}

static WireBytes
copy_bytes(LocalReader *reader, WireBytes bytes)
{
    guint8 *at = reader->arena + reader->arena_used;

    if (bytes.len > 0) {
        memcpy(at, bytes.data, bytes.len);
    }
    reader->arena_used += bytes.len;
    return (WireBytes){at, bytes.len};
}

/* FALSE: the arena is full. */
static gboolean
keep_record(LocalReader *reader, LogRecord *record)
{
    gsize left = LOG_READ_BYTES_MAX - reader->arena_used;

    if (record->key.len + record->value.len > left) {
        ensure(reader->arena_used > 0);
        return FALSE;
    }
    record->key = copy_bytes(reader, record->key);
    record->value = copy_bytes(reader, record->value);
    g_array_append_val(reader->records, *record);
    return TRUE;
}

/* The row for the partition's next offset is not there: why? */
static gboolean
fail_missing(LocalReader *reader, guint partition, guint64 found,
             GError **error)
{
    const LocalTopic *topic = reader->topic;
    guint64 next = reader->next[partition];
    guint64 first;
    guint64 end;

    if (!local_scan_check(reader->scan, error)) {
        return FALSE;
    }
    local_topic_bounds(reader->state, topic, partition, &first, &end);
    if (!log_check_start(topic->name, partition, next, first, end, error)) {
        return FALSE;
    }
    return log_check_hole(topic->name, partition, next, found, error);
}

/* The scan's row, which must be the partition's next record. */
static gboolean
read_row(LocalReader *reader, guint partition, LogRecord *ret_record,
         GError **error)
{
    guint64 next = reader->next[partition];
    guint64 offset = reader->end[partition];
    WireBytes key;
    WireBytes value;

    if (!local_scan_row(reader->scan, &key, &value) ||
        !log_row_is_record(key, reader->topic->number, partition, &offset) ||
        offset != next) {
        return fail_missing(reader, partition, offset, error);
    }
    if (!log_row_read_record(value, ret_record)) {
        g_set_error(error, COMB_ERROR, COMB_ERROR_CORRUPT,
                    "topic '%s' partition %u: the record at offset "
                    "%" G_GUINT64_FORMAT " is malformed",
                    reader->topic->name, partition, next);
        return FALSE;
    }
    ret_record->partition = partition;
    ret_record->offset = next;
    return TRUE;
}

/* Takes up to @max records of one partition. */
static gboolean
take_rows(LocalReader *reader, guint partition, gsize max, GError **error)
{
    LogRecord record;
    LogRowKey key;

    if (reader->next[partition] >= reader->end[partition]) {
        return TRUE;
    }
    log_row_record_key(reader->topic->number, partition,
                       reader->next[partition], &key);
    local_scan_seek(reader->scan, log_row_bytes(&key));
    while (max > 0 && reader->next[partition] < reader->end[partition]) {
        if (!read_row(reader, partition, &record, error)) {
            return FALSE;
        }
        if (!keep_record(reader, &record)) {
            return TRUE;
        }
        reader->next[partition]++;
        local_scan_next(reader->scan);
        max--;
    }
    return TRUE;
}

/* Each partition gives its share of what is left of @max. */
static gboolean
take_turns(LocalReader *reader, gsize max, GError **error)
{
    guint partitions = reader->topic->partitions;
    guint turn = reader->turn;
    gboolean taken = TRUE;

    reader->turn = (turn + 1) % partitions;
    reader->arena_used = 0;
    g_array_set_size(reader->records, 0);
    for (guint i = 0; i < partitions && taken; i++) {
        gsize left = partitions - i;
        gsize share = (max - reader->records->len + left - 1) / left;

        taken = take_rows(reader, (turn + i) % partitions, share, error);
    }
    return taken;
}

LogReadOutcome
local_reader_next(LocalReader *reader, gint timeout_ms, gsize max,
                  const LogRecord **ret_records, gsize *ret_n, GError **error)
{
    g_autoptr(GError) stop = NULL;

    if (!wait_for_records(reader, timeout_ms)) {
        return LOG_READ_IDLE;
    }
    reader->scan = local_scan_open(reader->state->store);
    take_turns(reader, max, &stop);
    local_scan_close(reader->scan);
    reader->scan = NULL;
    if (reader->records->len == 0) {
        ensure(stop != NULL);
        g_propagate_error(error, g_steal_pointer(&stop));
        return LOG_READ_STOP;
    }
    *ret_records = (const LogRecord *)(const void *)reader->records->data;
    *ret_n = reader->records->len;
    return LOG_READ_RECORDS;
}

void
local_reader_close(LocalReader *reader)
{
    g_array_unref(reader->records);
    g_free(reader->arena);
    g_free(reader->end);
    g_free(reader->next);
    g_free(reader);
}
