/*
 * log_local_topic.c - which topics there are and how far they reach
 *
 * A topic is made by one synced row and is there from then on. Its end is
 * stored nowhere: it is one more than the last record row, so that a record
 * and the end that covers it cannot disagree. Where a partition begins is a
 * row of its own, because deletion leaves nothing to find it by; that row
 * also carries the newest timestamp, so that time does not go back when all
 * records have expired and the log is opened again.
 *
 * Opening reads three rows a partition, whatever the log's size.
 */
#include "firehose/log_local_topic.h"

#include "firehose/log_check.h"
#include "ops/kit/error.h"

#include <string.h>

static void
local_topic_free(gpointer data)
{
    LocalTopic *topic = data;

    g_free(topic->parts);
    g_free(topic->identity);
    g_free(topic->name);
    g_free(topic);
}

static LocalTopic *
local_topic_new(const char *name, gsize name_len, const LogTopicRow *row)
{
    LocalTopic *topic = g_new0(LocalTopic, 1);

    topic->name = g_strndup(name, name_len);
    topic->identity = g_strdup(row->identity);
    topic->number = row->number;
    topic->partitions = row->partitions;
    topic->compacted = row->compacted;
    topic->retention_ms = row->retention_ms;
    topic->parts = g_new0(LocalPart, row->partitions);
    return topic;
}

static gboolean
fail_corrupt(const LocalTopic *topic, guint partition, GError **error)
{
    g_set_error(error, COMB_ERROR, COMB_ERROR_CORRUPT,
                "local log: topic '%s' partition %u: a row is malformed",
                topic->name, partition);
    return FALSE;
}

static gboolean
load_first(LocalStore *store, const LocalTopic *topic, guint partition,
           GError **error)
{
    LocalPart *part = &topic->parts[partition];
    g_autoptr(GBytes) row = NULL;
    WireBytes bytes;
    LogRowKey key;

    log_row_bounds_key(topic->number, partition, &key);
    if (!local_store_get(store, log_row_bytes(&key), &row, error)) {
        return FALSE;
    }
    if (row == NULL) {
        return TRUE;
    }
    bytes.data = g_bytes_get_data(row, &bytes.len);
    if (!log_row_read_bounds(bytes, &part->first, &part->write_last_ms)) {
        return fail_corrupt(topic, partition, error);
    }
    return TRUE;
}

static gboolean
load_part(LocalStore *store, LocalScan *scan, const LocalTopic *topic,
          guint partition, GError **error)
{
    LocalPart *part = &topic->parts[partition];
    LogRowKey last;
    LogRecord record;
    WireBytes key;
    WireBytes value;
    guint64 offset;

    if (!load_first(store, topic, partition, error)) {
        return FALSE;
    }
    part->end = part->first;
    log_row_record_key(topic->number, partition, G_MAXUINT64, &last);
    local_scan_seek_back(scan, log_row_bytes(&last));
    if (local_scan_row(scan, &key, &value) &&
        log_row_is_record(key, topic->number, partition, &offset)) {
        if (offset < part->first || !log_row_read_record(value, &record)) {
            return fail_corrupt(topic, partition, error);
        }
        part->end = offset + 1;
        part->write_last_ms = record.timestamp_ms;
    }
    part->write_end = part->end;
    return local_scan_check(scan, error);
}

static gboolean
load_parts(LocalState *state, const LocalTopic *topic, GError **error)
{
    LocalScan *scan = local_scan_open(state->store);
    gboolean loaded = TRUE;

    for (guint i = 0; i < topic->partitions && loaded; i++) {
        loaded = load_part(state->store, scan, topic, i, error);
    }
    local_scan_close(scan);
    return loaded;
}

static gboolean
load_topic(LocalState *state, WireBytes key, WireBytes value, GError **error)
{
    LogTopicRow row;
    LocalTopic *topic;

    if (!log_row_read_topic(value, &row)) {
        g_set_error(error, COMB_ERROR, COMB_ERROR_MISMATCH,
                    "local log: a topic's row is not of version %d",
                    LOG_ROW_VERSION);
        return FALSE;
    }
    topic = local_topic_new((const char *)key.data + 1, key.len - 1, &row);
    g_free(row.identity);
    g_ptr_array_add(state->topics, topic);
    return load_parts(state, topic, error);
}

static gboolean
load_topics(LocalState *state, LocalScan *scan, GError **error)
{
    static const WireBytes all = {(const guint8 *)LOG_ROW_TOPICS, 1};
    WireBytes key;
    WireBytes value;

    local_scan_seek(scan, all);
    while (local_scan_row(scan, &key, &value) && key.len > 1 &&
           key.data[0] == all.data[0]) {
        if (!load_topic(state, key, value, error)) {
            return FALSE;
        }
        local_scan_next(scan);
    }
    return local_scan_check(scan, error);
}

gboolean
local_state_open(LocalState *state, const char *dir, GError **error)
{
    LocalScan *scan;
    gboolean loaded;

    state->store = local_store_open(dir, error);
    if (state->store == NULL) {
        return FALSE;
    }
    log_wait_init(&state->wait);
    state->topics = g_ptr_array_new_with_free_func(local_topic_free);
    scan = local_scan_open(state->store);
    loaded = load_topics(state, scan, error);
    local_scan_close(scan);
    if (!loaded) {
        local_state_close(state);
    }
    return loaded;
}

void
local_state_close(LocalState *state)
{
    g_ptr_array_unref(state->topics);
    log_wait_clear(&state->wait);
    local_store_close(state->store);
}

static gboolean
save_topic(LocalState *state, const LocalTopic *topic, GError **error)
{
    g_autoptr(GByteArray) value = g_byte_array_new();
    g_autofree char *key = g_strconcat(LOG_ROW_TOPICS, topic->name, NULL);
    LogTopicRow row = {topic->number, topic->partitions, topic->compacted,
                       topic->retention_ms, topic->identity};
    LocalBatch *batch = local_batch_new();
    gboolean saved;

    if (local_store_room(state->store) == 0) {
        local_batch_free(batch);
        g_set_error(error, COMB_ERROR, COMB_ERROR_FULL,
                    "local log: no space left on device for topic '%s'",
                    topic->name);
        return FALSE;
    }
    log_row_write_topic(value, &row);
    local_batch_put(batch, (WireBytes){(const guint8 *)key, strlen(key)},
                    (WireBytes){value->data, value->len});
    saved = local_store_write(state->store, batch, error);
    local_batch_free(batch);
    return saved;
}

static LocalTopic *
make_topic(LocalState *state, const LogTopic *wanted, GError **error)
{
    g_autofree char *identity = g_uuid_string_random();
    LogTopicRow row = {state->topics->len + 1, wanted->partitions,
                       wanted->compacted, wanted->retention_ms, identity};
    LocalTopic *topic =
        local_topic_new(wanted->name, strlen(wanted->name), &row);

    if (!save_topic(state, topic, error)) {
        local_topic_free(topic);
        return NULL;
    }
    g_ptr_array_add(state->topics, topic);
    return topic;
}

static LocalTopic *
check_topic(LocalState *state, LocalTopic *topic, const LogTopic *wanted,
            gboolean create, GError **error)
{
    gint64 before_ms = topic->retention_ms;

    if (!log_check_partitions(topic->name, wanted->partitions,
                              topic->partitions, error) ||
        !log_check_compacted(topic->name, wanted->compacted, topic->compacted,
                             error)) {
        return NULL;
    }
    if (topic->compacted || before_ms == wanted->retention_ms) {
        return topic;
    }
    if (!create) {
        return log_check_retention(topic->name, wanted->retention_ms, before_ms,
                                   error)
                   ? topic
                   : NULL;
    }
    topic->retention_ms = wanted->retention_ms;
    if (!save_topic(state, topic, error)) {
        topic->retention_ms = before_ms;
        return NULL;
    }
    return topic;
}

/* Locked. */
static LocalTopic *
find_topic(LocalState *state, const LogTopic *wanted, gboolean create,
           GError **error)
{
    for (guint i = 0; i < state->topics->len; i++) {
        LocalTopic *topic = g_ptr_array_index(state->topics, i);

        if (strcmp(topic->name, wanted->name) == 0) {
            return check_topic(state, topic, wanted, create, error);
        }
    }
    if (!create) {
        log_check_absent(wanted->name, error);
        return NULL;
    }
    return make_topic(state, wanted, error);
}

LocalTopic *
local_topic_open(LocalState *state, const LogTopic *wanted, gboolean create,
                 GError **error)
{
    LocalTopic *topic;

    log_wait_lock(&state->wait);
    topic = find_topic(state, wanted, create, error);
    log_wait_unlock(&state->wait);
    return topic;
}

void
local_topic_bounds(LocalState *state, const LocalTopic *topic, guint partition,
                   guint64 *ret_first, guint64 *ret_end)
{
    log_wait_lock(&state->wait);
    *ret_first = topic->parts[partition].first;
    *ret_end = topic->parts[partition].end;
    log_wait_unlock(&state->wait);
}

/* A row that has expired meanwhile counts as the oldest time. */
static gboolean
read_time(LocalState *state, const LocalTopic *topic, guint partition,
          guint64 offset, gint64 *ret_ms, GError **error)
{
    g_autoptr(GBytes) row = NULL;
    LogRecord record;
    WireBytes bytes;
    LogRowKey key;

    log_row_record_key(topic->number, partition, offset, &key);
    if (!local_store_get(state->store, log_row_bytes(&key), &row, error)) {
        return FALSE;
    }
    if (row == NULL) {
        *ret_ms = G_MININT64;
        return TRUE;
    }
    bytes.data = g_bytes_get_data(row, &bytes.len);
    if (!log_row_read_record(bytes, &record)) {
        return fail_corrupt(topic, partition, error);
    }
    *ret_ms = record.timestamp_ms;
    return TRUE;
}

gboolean
local_topic_find_time(LocalState *state, const LocalTopic *topic,
                      guint partition, gint64 time_ms, guint64 *ret_offset,
                      GError **error)
{
    guint64 low;
    guint64 high;

    local_topic_bounds(state, topic, partition, &low, &high);
    while (low < high) {
        guint64 middle = low + (high - low) / 2;
        gint64 middle_ms = 0;

        if (!read_time(state, topic, partition, middle, &middle_ms, error)) {
            return FALSE;
        }
        if (middle_ms < time_ms) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    *ret_offset = low;
    return TRUE;
}
