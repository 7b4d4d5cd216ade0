#include "cell/facts.h"

#include "firehose/seal.h"

#include <string.h>

/* Row 'n' of records in quarantine: no event has kind 0. */
#define COUNT_QUARANTINE 0

static int
bytes_compare(WireBytes a, WireBytes b)
{
    int order = memcmp(a.data, b.data, MIN(a.len, b.len));
    return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

/* A post that another one of its id takes the place of leaves its author's
   timeline. */
static void
fact_drop_timeline(StoreBatch *batch, WireBytes bytes)
{
    Post post;
    if (post_decode(bytes, &post)) {
        store_batch_delete(batch, key_timeline(post.author, post.id));
    }
}

FactOutcome
fact_post(StoreBatch *batch, const Event *event)
{
    g_auto(StoreValue) old = {0};
    Key key = key_post(event->post.id);
    switch (store_batch_get(batch, key, &old)) {
    case STORE_FAILED:
        return FACT_FAILED;
    case STORE_FOUND: {
        int order = bytes_compare(event->post_bytes, old.bytes);
        if (order <= 0) {
            return order == 0 ? FACT_AGAIN : FACT_OLDER;
        }
        fact_drop_timeline(batch, old.bytes);
        break;
    }
    case STORE_MISSING:
        break;
    }
    store_batch_put(batch, key, event->post_bytes.data, event->post_bytes.len);
    store_batch_put(batch, key_timeline(event->user, event->post.id), "", 0);
    return FACT_SET;
}

FactOutcome
fact_delete(StoreBatch *batch, const Event *event)
{
    g_auto(StoreValue) old = {0};
    Key key = key_tombstone(event->target_post, event->user);
    gint64 before = 0;
    switch (store_batch_get(batch, key, &old)) {
    case STORE_FAILED:
        return FACT_FAILED;
    case STORE_FOUND:
        memcpy(&before, old.bytes.data, MIN(old.bytes.len, sizeof before));
        before = GINT64_FROM_LE(before);
        break;
    case STORE_MISSING:
        break;
    }
    if (event->id.v <= before) {
        return event->id.v == before ? FACT_AGAIN : FACT_OLDER;
    }
    gint64 row = GINT64_TO_LE(event->id.v);
    store_batch_put(batch, key, &row, sizeof row);
    return FACT_SET;
}

static guint64
count_read(WireBytes value)
{
    guint64 le = 0;
    memcpy(&le, value.data, MIN(value.len, sizeof le));
    return GUINT64_FROM_LE(le);
}

static FactOutcome
count_one_more(StoreBatch *batch, guint kind)
{
    g_auto(StoreValue) value = {0};
    Key key = key_kept_count(kind);
    guint64 count = 0;
    switch (store_batch_get(batch, key, &value)) {
    case STORE_FAILED:
        return FACT_FAILED;
    case STORE_FOUND:
        count = count_read(value.bytes);
        break;
    case STORE_MISSING:
        break;
    }
    count = GUINT64_TO_LE(count + 1);
    store_batch_put(batch, key, &count, sizeof count);
    return FACT_SET;
}

/* An event as its client told it, without the seal: published again it has
   another one, and is the same event. @scratch holds it where it must. */
static WireBytes
fact_unsealed(const Event *event, GByteArray *scratch)
{
    if (event->seal_bytes.data == NULL) {
        return event->bytes;
    }
    g_byte_array_append(scratch, event->bytes.data,
                        (guint)event->bytes.len - SEAL_BYTES - 1);
    wire_write_stop(scratch);
    return (WireBytes){scratch->data, scratch->len};
}

FactOutcome
fact_keep(StoreBatch *batch, const Event *event)
{
    g_autoptr(GByteArray) scratch = g_byte_array_new();
    WireBytes bytes = fact_unsealed(event, scratch);
    g_auto(StoreValue) old = {0};
    Key key = key_kept(event->id);
    StoreOutcome found = store_batch_get(batch, key, &old);
    if (found == STORE_FAILED) {
        return FACT_FAILED;
    }
    if (found == STORE_FOUND) {
        int order = bytes_compare(bytes, old.bytes);
        if (order > 0) {
            store_batch_put(batch, key, bytes.data, bytes.len);
        }
        return order == 0 ? FACT_AGAIN : FACT_OLDER;
    }
    store_batch_put(batch, key, bytes.data, bytes.len);
    return count_one_more(batch, event->kind);
}

FactOutcome
fact_quarantine(StoreBatch *batch, const LogRecord *record,
                const EventFault *fault)
{
    g_auto(StoreValue) old = {0};
    Key key = key_quarantine(record->partition, record->offset);
    switch (store_batch_get(batch, key, &old)) {
    case STORE_FAILED:
        return FACT_FAILED;
    case STORE_FOUND:
        return FACT_AGAIN;
    case STORE_MISSING:
        break;
    }
    g_autoptr(GByteArray) row = g_byte_array_new();
    g_autofree char *why =
        g_strdup_printf("%s: %s", fault->field, fault->reason);
    wire_field_string(row, 1, why);
    wire_field_bytes(row, 2, record->key.data, record->key.len);
    wire_field_bytes(row, 3, record->value.data, record->value.len);
    wire_field_i64(row, 4, record->timestamp_ms);
    wire_write_stop(row);
    store_batch_put(batch, key, row->data, row->len);
    return count_one_more(batch, COUNT_QUARANTINE);
}

guint64
fact_kept_count(Store *store, guint kind)
{
    g_auto(StoreValue) value = {0};
    if (store_get(store, NULL, key_kept_count(kind), &value) != STORE_FOUND) {
        return 0;
    }
    return count_read(value.bytes);
}

guint64
fact_quarantine_count(Store *store)
{
    return fact_kept_count(store, COUNT_QUARANTINE);
}

StoreOutcome
fact_deleted(Store *store, const StoreSnapshot *snapshot, PostId post,
             UserId author)
{
    g_auto(StoreValue) value = {0};
    return store_get(store, snapshot, key_tombstone(post, author), &value);
}
