/*
 * log_row.h - the durable rows of the local log
 *
 * Numbers are big-endian, so that rows sort by topic, partition and offset.
 *
 *   "T" name                        a topic. Written when it is made and when
 *                                   another retention is asked for.
 *       version u32 = 1, number u32, partitions u32, compacted u32,
 *       retention in ms i64, identity text
 *   "B" number u32, partition u32   where a partition begins. Written with
 *                                   each deletion, in the same batch.
 *       first offset u64, newest timestamp u64
 *   "P" number u32, partition u32, client    where a consumer goes on.
 *                                   Written with each of its commits.
 *       next offset u64
 *   "R" number u32, partition u32, offset u64    a record, written once.
 *       timestamp u64, length of key u32, key, value
 *
 * Recovery reads the T rows, the B rows and the last R row of each partition.
 * Another format of T comes with another version; the R rows of a topic have
 * the format its T row's version says.
 */
#pragma once

#include "firehose/log.h"
#include "thrift/limits.h"

#define LOG_ROW_VERSION 1
#define LOG_ROW_KEY_BYTES 17 /* of a record */
#define LOG_ROW_KEY_BYTES_MAX (9 + CLIENT_ID_BYTES_MAX)
#define LOG_ROW_TOPICS "T"

/* A row's key, in the caller's memory. */
typedef struct LogRowKey {
    guint8 data[LOG_ROW_KEY_BYTES_MAX];
    gsize len;
} LogRowKey;

/** log_row_bytes() - the key as bytes, borrowed. */
static inline WireBytes
log_row_bytes(const LogRowKey *key)
{
    return (WireBytes){key->data, key->len};
}

typedef struct LogTopicRow {
    guint32 number; /* stands for the topic in the other keys */
    guint32 partitions;
    gboolean compacted;
    gint64 retention_ms;
    char *identity; /* when read: the caller frees */
} LogTopicRow;

/** Keys: of a record, of where a partition begins, of a client's place. */
void log_row_record_key(guint32 topic, guint32 partition, guint64 offset,
                        LogRowKey *ret_key);
void log_row_bounds_key(guint32 topic, guint32 partition, LogRowKey *ret_key);
void log_row_place_key(guint32 topic, guint32 partition, const char *client,
                       LogRowKey *ret_key);

/** log_row_is_record() - whether @key is of a record of this partition. */
gboolean log_row_is_record(WireBytes key, guint32 topic, guint32 partition,
                           guint64 *ret_offset);

/** Writing a value replaces what is in @out. */
void log_row_write_topic(GByteArray *out, const LogTopicRow *row);
void log_row_write_bounds(GByteArray *out, guint64 first, gint64 last_ms);
void log_row_write_place(GByteArray *out, guint64 next);
void log_row_write_record(GByteArray *out, gint64 timestamp_ms, WireBytes key,
                          WireBytes value);

/** Reading gives FALSE where the value is not well-formed. */
gboolean log_row_read_topic(WireBytes bytes, LogTopicRow *ret_row);
gboolean log_row_read_bounds(WireBytes bytes, guint64 *ret_first,
                             gint64 *ret_last_ms);
gboolean log_row_read_place(WireBytes bytes, guint64 *ret_next);

/** log_row_read_record() - the row's timestamp, key and value, borrowed. */
gboolean log_row_read_record(WireBytes bytes, LogRecord *ret_record);
