/*
 * log_row.c - rows of the local log, to bytes and back
 *
 * RocksDB keeps checksums of its blocks, so a damaged byte inside a row is
 * met as an error of the read. What is checked here is only that lengths add
 * up: a row of another version, or a key under the wrong letter, must not be
 * taken for a record.
 */
#include "firehose/log_row.h"

#include "ops/kit/ensure.h"

#include <string.h>

#define NUMBERS_BYTES 8        /* topic and partition, in keys */
#define TOPIC_FIXED_BYTES 24   /* before the identity */
#define RECORD_FIXED_BYTES 12  /* before the key */
#define IDENTITY_BYTES_MAX 128 /* more is not ours */

static void
store_u32(guint8 *at, guint32 value)
{
    value = GUINT32_TO_BE(value);
    memcpy(at, &value, sizeof value);
}

static void
store_u64(guint8 *at, guint64 value)
{
    value = GUINT64_TO_BE(value);
    memcpy(at, &value, sizeof value);
}

static guint32
load_u32(const guint8 *at)
{
    guint32 value;

    memcpy(&value, at, sizeof value);
    return GUINT32_FROM_BE(value);
}

static guint64
load_u64(const guint8 *at)
{
    guint64 value;

    memcpy(&value, at, sizeof value);
    return GUINT64_FROM_BE(value);
}

static void
store_prefix(guint8 *at, char letter, guint32 topic, guint32 partition)
{
    at[0] = (guint8)letter;
    store_u32(at + 1, topic);
    store_u32(at + 5, partition);
}

void
log_row_record_key(guint32 topic, guint32 partition, guint64 offset,
                   LogRowKey *ret_key)
{
    store_prefix(ret_key->data, 'R', topic, partition);
    store_u64(ret_key->data + 1 + NUMBERS_BYTES, offset);
    ret_key->len = LOG_ROW_KEY_BYTES;
}

void
log_row_bounds_key(guint32 topic, guint32 partition, LogRowKey *ret_key)
{
    store_prefix(ret_key->data, 'B', topic, partition);
    ret_key->len = 1 + NUMBERS_BYTES;
}

void
log_row_place_key(guint32 topic, guint32 partition, const char *client,
                  LogRowKey *ret_key)
{
    gsize len = strlen(client);

    ensure(len <= CLIENT_ID_BYTES_MAX);
    store_prefix(ret_key->data, 'P', topic, partition);
    memcpy(ret_key->data + 1 + NUMBERS_BYTES, client, len);
    ret_key->len = 1 + NUMBERS_BYTES + len;
}

gboolean
log_row_is_record(WireBytes key, guint32 topic, guint32 partition,
                  guint64 *ret_offset)
{
    guint8 prefix[1 + NUMBERS_BYTES];

    store_prefix(prefix, 'R', topic, partition);
    if (key.len != LOG_ROW_KEY_BYTES ||
        memcmp(key.data, prefix, sizeof prefix) != 0) {
        return FALSE;
    }
    *ret_offset = load_u64(key.data + sizeof prefix);
    return TRUE;
}

void
log_row_write_topic(GByteArray *out, const LogTopicRow *row)
{
    gsize identity_len = strlen(row->identity);

    ensure(identity_len <= IDENTITY_BYTES_MAX);
    g_byte_array_set_size(out, (guint)(TOPIC_FIXED_BYTES + identity_len));
    store_u32(out->data, LOG_ROW_VERSION);
    store_u32(out->data + 4, row->number);
    store_u32(out->data + 8, row->partitions);
    store_u32(out->data + 12, row->compacted ? 1 : 0);
    store_u64(out->data + 16, (guint64)row->retention_ms);
    memcpy(out->data + TOPIC_FIXED_BYTES, row->identity, identity_len);
}

gboolean
log_row_read_topic(WireBytes bytes, LogTopicRow *ret_row)
{
    if (bytes.len <= TOPIC_FIXED_BYTES ||
        bytes.len > TOPIC_FIXED_BYTES + IDENTITY_BYTES_MAX ||
        load_u32(bytes.data) != LOG_ROW_VERSION ||
        load_u32(bytes.data + 8) == 0) {
        return FALSE;
    }
    ret_row->number = load_u32(bytes.data + 4);
    ret_row->partitions = load_u32(bytes.data + 8);
    ret_row->compacted = load_u32(bytes.data + 12) != 0;
    ret_row->retention_ms = (gint64)load_u64(bytes.data + 16);
    ret_row->identity = g_strndup((const char *)bytes.data + TOPIC_FIXED_BYTES,
                                  bytes.len - TOPIC_FIXED_BYTES);
    return TRUE;
}

void
log_row_write_bounds(GByteArray *out, guint64 first, gint64 last_ms)
{
    g_byte_array_set_size(out, 16);
    store_u64(out->data, first);
    store_u64(out->data + 8, (guint64)last_ms);
}

gboolean
log_row_read_bounds(WireBytes bytes, guint64 *ret_first, gint64 *ret_last_ms)
{
    if (bytes.len != 16) {
        return FALSE;
    }
    *ret_first = load_u64(bytes.data);
    *ret_last_ms = (gint64)load_u64(bytes.data + 8);
    return TRUE;
}

void
log_row_write_place(GByteArray *out, guint64 next)
{
    g_byte_array_set_size(out, 8);
    store_u64(out->data, next);
}

gboolean
log_row_read_place(WireBytes bytes, guint64 *ret_next)
{
    if (bytes.len != 8) {
        return FALSE;
    }
    *ret_next = load_u64(bytes.data);
    return TRUE;
}

void
log_row_write_record(GByteArray *out, gint64 timestamp_ms, WireBytes key,
                     WireBytes value)
{
    g_byte_array_set_size(out, RECORD_FIXED_BYTES);
    store_u64(out->data, (guint64)timestamp_ms);
    store_u32(out->data + 8, (guint32)key.len);
    g_byte_array_append(out, key.data, (guint)key.len);
    g_byte_array_append(out, value.data, (guint)value.len);
}

gboolean
log_row_read_record(WireBytes bytes, LogRecord *ret_record)
{
    gsize key_len;

    if (bytes.len < RECORD_FIXED_BYTES) {
        return FALSE;
    }
    key_len = load_u32(bytes.data + 8);
    if (key_len > bytes.len - RECORD_FIXED_BYTES) {
        return FALSE;
    }
    ret_record->timestamp_ms = (gint64)load_u64(bytes.data);
    ret_record->key.data = bytes.data + RECORD_FIXED_BYTES;
    ret_record->key.len = key_len;
    ret_record->value.data = ret_record->key.data + key_len;
    ret_record->value.len = bytes.len - RECORD_FIXED_BYTES - key_len;
    return TRUE;
}
