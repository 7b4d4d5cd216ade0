/*
 * Rows sort by partition and offset, and in a partition the log's times never
 * go back: so the newest of all is among the last of each partition. One is
 * held for each; the newest is taken and the one before it in its partition
 * comes in its place.
 */
#include "cell/quarantine.h"

#include <string.h>

#define KEY_LEN 13
#define KEY_OFFSET_AT 5

/* The newest record of a partition that is not taken yet. */
typedef struct Candidate {
    gboolean there;
    guint64 offset;
    gint64 logged_ms; /* 0 where the row is older than that field */
    char *reason;     /* owned */
    gint64 size;
    gsize head_len;
    guint8 head[QUARANTINE_HEAD_BYTES];
} Candidate;

static void
candidate_clear(Candidate *candidate)
{
    g_clear_pointer(&candidate->reason, g_free);
    candidate->there = FALSE;
}

/* Fields of the row: see fact_quarantine(). */
static void
candidate_read(Candidate *candidate, WireBytes row)
{
    WireReader reader;
    WireField field;

    wire_reader_init(&reader, row.data, row.len);
    while (wire_read_field(&reader, &field)) {
        if (field.id == 1 && field.type == WIRE_BINARY) {
            WireBytes reason = wire_read_bytes(&reader);
            g_free(candidate->reason);
            candidate->reason =
                g_strndup((const char *)reason.data, reason.len);
        } else if (field.id == 3 && field.type == WIRE_BINARY) {
            WireBytes value = wire_read_bytes(&reader);
            candidate->size = (gint64)value.len;
            candidate->head_len = MIN(value.len, sizeof candidate->head);
            if (candidate->head_len > 0) {
                memcpy(candidate->head, value.data, candidate->head_len);
            }
        } else if (field.id == 4 && field.type == WIRE_I64) {
            candidate->logged_ms = wire_read_i64(&reader);
        } else {
            wire_skip(&reader, field.type);
        }
    }
}

/* The last record of @partition at or before @offset. */
static void
candidate_find(Candidate *candidate, StoreIter *iter, guint partition,
               guint64 offset)
{
    WireBytes key;
    WireBytes row;
    Key at = key_quarantine(partition, offset);

    candidate_clear(candidate);
    *candidate = (Candidate){0};
    store_iter_seek_back(iter, at);
    if (store_iter_get(iter, &key, &row) != STORE_FOUND ||
        !key_is(key, 'q', KEY_LEN) ||
        memcmp(key.data, at.data, KEY_OFFSET_AT) != 0) {
        return;
    }
    candidate->there = TRUE;
    candidate->offset = (guint64)key_i64(key, KEY_OFFSET_AT);
    candidate_read(candidate, row);
}

static void
candidate_write(const Candidate *candidate, guint partition, GByteArray *out)
{
    wire_field_i32(out, 1, (gint32)partition);
    wire_field_i64(out, 2, (gint64)candidate->offset);
    wire_field_i64(out, 3, candidate->logged_ms);
    wire_field_string(out, 4,
                      candidate->reason != NULL ? candidate->reason : "");
    wire_field_i64(out, 5, candidate->size);
    wire_field_bytes(out, 6, candidate->head, candidate->head_len);
    wire_write_stop(out);
}

/* The partition whose candidate is the newest; @n where there is none. */
static guint
newest_of(const Candidate *candidates, guint n)
{
    guint best = n;

    for (guint i = 0; i < n; i++) {
        if (candidates[i].there &&
            (best == n ||
             candidates[i].logged_ms >= candidates[best].logged_ms)) {
            best = i;
        }
    }
    return best;
}

void
quarantine_write(Store *store, guint partitions, guint count, GByteArray *out)
{
    g_autofree Candidate *candidates = g_new0(Candidate, partitions);
    g_autoptr(StoreIter) iter = store_iter_new(store, NULL);
    g_autoptr(GByteArray) records = g_byte_array_new();
    guint32 n = 0;

    for (guint i = 0; i < partitions; i++) {
        candidate_find(&candidates[i], iter, i, G_MAXINT64);
    }
    while (n < count) {
        guint i = newest_of(candidates, partitions);
        if (i == partitions) {
            break;
        }
        guint64 offset = candidates[i].offset;
        candidate_write(&candidates[i], i, records);
        n++;
        if (offset > 0) {
            candidate_find(&candidates[i], iter, i, offset - 1);
        } else {
            candidate_clear(&candidates[i]);
        }
    }
    for (guint i = 0; i < partitions; i++) {
        candidate_clear(&candidates[i]);
    }
    wire_write_list(out, WIRE_STRUCT, n);
    g_byte_array_append(out, records->data, records->len);
}
