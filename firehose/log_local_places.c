/*
 * log_local_places.c - where the consumers of the local log go on
 *
 * All partitions of a commit are one batch, so a place is stored whole or not
 * at all. It is written beside the log's writer, with a sync of its own: a
 * commit stands for many events and is rare. The reserve that keeps the disk
 * from filling up holds for it, too.
 */
#include "firehose/log_local_places.h"

#include "ops/kit/error.h"

/* More than the rows of any place. */
#define PLACE_BYTES_MAX (256 * 1024)

static gboolean
load_place(LocalState *state, const LocalTopic *topic, guint partition,
           const char *client, guint64 *ret_next, GError **error)
{
    g_autoptr(GBytes) row = NULL;
    WireBytes bytes;
    LogRowKey key;

    log_row_place_key(topic->number, partition, client, &key);
    if (!local_store_get(state->store, log_row_bytes(&key), &row, error)) {
        return FALSE;
    }
    if (row == NULL) {
        *ret_next = LOG_NO_PLACE;
        return TRUE;
    }
    bytes.data = g_bytes_get_data(row, &bytes.len);
    if (!log_row_read_place(bytes, ret_next)) {
        g_set_error(error, COMB_ERROR, COMB_ERROR_CORRUPT,
                    "local log: topic '%s' partition %u: the place of client "
                    "'%s' is malformed",
                    topic->name, partition, client);
        return FALSE;
    }
    return TRUE;
}

gboolean
local_places_load(LocalState *state, const LocalTopic *topic,
                  const char *client, guint64 *ret_next, GError **error)
{
    for (guint i = 0; i < topic->partitions; i++) {
        if (!load_place(state, topic, i, client, &ret_next[i], error)) {
            return FALSE;
        }
    }
    return TRUE;
}

gboolean
local_places_store(LocalState *state, const LocalTopic *topic,
                   const char *client, const guint64 *next, GError **error)
{
    g_autoptr(GByteArray) value = g_byte_array_new();
    LocalBatch *batch;
    gboolean stored;
    LogRowKey key;

    if (local_store_room(state->store) < PLACE_BYTES_MAX) {
        g_set_error(error, COMB_ERROR, COMB_ERROR_FULL,
                    "local log: no room for the place of client '%s'", client);
        return FALSE;
    }
    batch = local_batch_new();
    for (guint i = 0; i < topic->partitions; i++) {
        if (next[i] != LOG_NO_PLACE) {
            log_row_place_key(topic->number, i, client, &key);
            log_row_write_place(value, next[i]);
            local_batch_put(batch, log_row_bytes(&key),
                            (WireBytes){value->data, value->len});
        }
    }
    stored = local_store_write(state->store, batch, error);
    local_batch_free(batch);
    return stored;
}
