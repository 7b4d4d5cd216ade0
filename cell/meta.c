#include "cell/meta.h"

#include "ops/kit/error.h"

#include <string.h>
#include <xxhash.h>

/* Where a position's row has its mark. */
#define META_MARK_AT 16

guint64
meta_log_hash(const MetaIdentity *identity)
{
    return XXH64(identity->log, strlen(identity->log), 0);
}

/* A number row: u32 LE, or @fallback where there is none. */
static gboolean
meta_get_u32(Store *store, const char *name, guint32 *ret_v, GError **error)
{
    g_auto(StoreValue) value = {0};
    guint32 le;
    if (store_get(store, NULL, key_meta(name), &value) != STORE_FOUND ||
        value.bytes.len != sizeof le) {
        g_set_error(error, COMB_ERROR, COMB_ERROR_CORRUPT,
                    "the store's row '%s' is missing or damaged", name);
        return FALSE;
    }
    memcpy(&le, value.bytes.data, sizeof le);
    *ret_v = GUINT32_FROM_LE(le);
    return TRUE;
}

static gboolean
meta_check_number(Store *store, const char *name, guint want,
                  const char *sentence, GError **error)
{
    guint32 have;
    if (!meta_get_u32(store, name, &have, error)) {
        return FALSE;
    }
    if (have != want) {
        g_set_error(error, COMB_ERROR, COMB_ERROR_MISMATCH,
                    "%s: the data directory says %u, this is %u", sentence,
                    have, want);
        return FALSE;
    }
    return TRUE;
}

static gboolean
meta_check_log(Store *store, const char *want, GError **error)
{
    g_auto(StoreValue) value = {0};
    if (store_get(store, NULL, key_meta("log"), &value) == STORE_FOUND &&
        value.bytes.len == strlen(want) &&
        memcmp(value.bytes.data, want, value.bytes.len) == 0) {
        return TRUE;
    }
    g_set_error(error, COMB_ERROR, COMB_ERROR_MISMATCH,
                "the data directory follows another log: it says '%.*s', the "
                "log is '%s'",
                (int)value.bytes.len, (const char *)value.bytes.data, want);
    return FALSE;
}

static CellMap *
meta_get_home(Store *store, GError **error)
{
    g_auto(StoreValue) value = {0};
    if (store_get(store, NULL, key_meta("home"), &value) != STORE_FOUND) {
        g_set_error(error, COMB_ERROR, COMB_ERROR_CORRUPT,
                    "the store's row 'home' is missing");
        return NULL;
    }
    return cellmap_decode(value.bytes, error);
}

static gint64
meta_i64_at(WireBytes bytes, gsize at)
{
    gint64 le = 0;
    if (bytes.len >= at + sizeof le) {
        memcpy(&le, bytes.data + at, sizeof le);
    }
    return GINT64_FROM_LE(le);
}

/* A row, empty where there is none. A row that cannot be read is no missing
   one: its number would begin again. */
static gboolean
meta_load_row(Store *store, Key key, StoreValue *ret_value, GError **error)
{
    if (store_get(store, NULL, key, ret_value) == STORE_FAILED) {
        g_set_error(error, COMB_ERROR, COMB_ERROR_CORRUPT,
                    "cannot read how far the store is: %s",
                    store_failure(store));
        return FALSE;
    }
    return TRUE;
}

/* The number at the front of a row; 0 where there is no row. */
static gboolean
meta_load_i64(Store *store, Key key, gint64 *ret_v, GError **error)
{
    g_auto(StoreValue) value = {0};
    if (!meta_load_row(store, key, &value, error)) {
        return FALSE;
    }
    *ret_v = meta_i64_at(value.bytes, 0);
    return TRUE;
}

static gboolean
meta_load_progress(Store *store, const MetaIdentity *identity, Meta *meta,
                   GError **error)
{
    gint64 v;
    for (guint i = 0; i < identity->partitions; i++) {
        g_auto(StoreValue) row = {0};
        if (!meta_load_row(store, key_position(i), &row, error)) {
            return FALSE;
        }
        meta->next[i] = (guint64)meta_i64_at(row.bytes, 0);
        meta->marks[i] = (guint64)meta_i64_at(row.bytes, META_MARK_AT);
    }
    if (!meta_load_i64(store, key_meta("as_of"), &meta->as_of, error) ||
        !meta_load_i64(store, key_meta("commits"), &v, error)) {
        return FALSE;
    }
    meta->commits = (guint64)v;
    return TRUE;
}

gboolean
meta_load(Store *store, const MetaIdentity *identity, Meta *ret_meta,
          GError **error)
{
    g_auto(StoreValue) format = {0};
    *ret_meta = (Meta){0};
    ret_meta->next = g_new0(guint64, identity->partitions);
    ret_meta->marks = g_new0(guint64, identity->partitions);
    switch (store_get(store, NULL, key_meta("format"), &format)) {
    case STORE_MISSING:
        return TRUE;
    case STORE_FAILED:
    case STORE_FOUND:
        break; /* a failure is met again below */
    }
    ret_meta->home = NULL;
    if (meta_check_number(store, "format", META_FORMAT, "store format",
                          error) &&
        meta_check_number(store, "cell", identity->cell, "cell", error) &&
        meta_check_log(store, identity->log, error)) {
        ret_meta->home = meta_get_home(store, error);
    }
    if (ret_meta->home == NULL ||
        !meta_load_progress(store, identity, ret_meta, error)) {
        meta_clear(ret_meta);
        return FALSE;
    }
    return TRUE;
}

void
meta_clear(Meta *meta)
{
    g_clear_pointer(&meta->home, cellmap_unref);
    g_clear_pointer(&meta->next, g_free);
    g_clear_pointer(&meta->marks, g_free);
}

void
meta_found(StoreBatch *batch, const MetaIdentity *identity, const CellMap *home)
{
    guint32 format = GUINT32_TO_LE(META_FORMAT);
    guint32 cell = GUINT32_TO_LE(identity->cell);
    g_autoptr(GByteArray) map = g_byte_array_new();
    cellmap_encode(home, map);
    store_batch_put(batch, key_meta("format"), &format, sizeof format);
    store_batch_put(batch, key_meta("cell"), &cell, sizeof cell);
    store_batch_put(batch, key_meta("log"), identity->log,
                    strlen(identity->log));
    store_batch_put(batch, key_meta("home"), map->data, map->len);
}

void
meta_put_position(StoreBatch *batch, const LogRecord *last)
{
    guint64 row[3] = {GUINT64_TO_LE(last->offset + 1),
                      GUINT64_TO_LE((guint64)last->timestamp_ms),
                      GUINT64_TO_LE(log_mark(last))};
    store_batch_put(batch, key_position(last->partition), row, sizeof row);
}

void
meta_put_as_of(StoreBatch *batch, gint64 as_of)
{
    gint64 row = GINT64_TO_LE(as_of);
    store_batch_put(batch, key_meta("as_of"), &row, sizeof row);
}

void
meta_put_commits(StoreBatch *batch, guint64 commits)
{
    guint64 row = GUINT64_TO_LE(commits);
    store_batch_put(batch, key_meta("commits"), &row, sizeof row);
}
