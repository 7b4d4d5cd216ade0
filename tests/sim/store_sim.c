/*
 * The contract of store.h, held more strictly than RocksDB does: values and
 * what an iterator shows are copies that are freed as soon as the contract
 * allows, so that a sanitizer sees who keeps them longer; a snapshot,
 * iterator or batch that outlives its store ends the process, and so does
 * moving an iterator that is past an end.
 */
#include "tests/sim/store_sim.h"

#include "cell/store.h"
#include "ops/kit/ensure.h"
#include "ops/kit/error.h"

#include <string.h>

struct Store {
    Disk *disk;    /* borrowed */
    char *failure; /* first read failure */
    guint held;    /* snapshots, iterators and batches not yet freed */
};

struct StoreSnapshot {
    Store *store;
    DiskTable *table; /* referenced */
};

struct StoreIter {
    Store *store;
    DiskTable *table; /* referenced */
    gint64 at;        /* place in it; -1 or its length: past an end */
    gpointer copy;    /* of the value shown; NULL: none yet */
    gpointer key;     /* of the key shown */
    gboolean failed;  /* shows nothing any more */
};

struct StoreBatch {
    Store *store;
    GHashTable *index; /* Key in a row -> place in @rows + 1 */
    GPtrArray *rows;   /* DiskRow: the last write of each key */
    StoreWatch watch;  /* of rows written; NULL: none */
    gpointer watch_data;
};

/* ---- opening ---- */

/* Directory -> Disk, borrowed. */
static GHashTable *
store_mounts(void)
{
    static GHashTable *mounts;
    if (mounts == NULL) {
        mounts = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    }
    return mounts;
}

void
store_sim_mount(const char *dir, Disk *disk)
{
    ensure(g_hash_table_insert(store_mounts(), g_strdup(dir), disk));
}

void
store_sim_unmount(const char *dir)
{
    ensure(g_hash_table_remove(store_mounts(), dir));
}

Store *
store_open(const StoreOptions *options, GError **error)
{
    Disk *disk = g_hash_table_lookup(store_mounts(), options->dir);
    ensure(disk != NULL);
    if (disk->store != NULL || (!disk->exists && !options->create)) {
        g_set_error(error, COMB_ERROR, COMB_ERROR_IO, "cannot open %s: %s",
                    options->dir,
                    disk->store != NULL ? "it is open" : "there is none");
        return NULL;
    }
    Store *store = g_new0(Store, 1);
    store->disk = disk;
    disk->store = store;
    disk->exists = TRUE;
    return store;
}

void
store_close(Store *store)
{
    ensure(store->held == 0);
    store->disk->store = NULL;
    g_free(store->failure);
    g_free(store);
}

guint64
store_bytes(Store *store)
{
    return store->disk->flushed->rows->len;
}

/* ---- reading ---- */

const char *
store_failure(Store *store)
{
    return store->failure;
}

static gboolean
store_read_fails(Store *store)
{
    if (!disk_strikes(store->disk, DISK_READ_IO)) {
        return FALSE;
    }
    if (store->failure == NULL) {
        store->failure = g_strdup("simulated read failure");
    }
    return TRUE;
}

/* A value of its own, so that use after clearing is seen. */
static StoreOutcome
value_copy(const DiskRow *row, StoreValue *ret_value)
{
    ret_value->copy = g_malloc(MAX(row->len, 1));
    memcpy(ret_value->copy, row->data, row->len);
    ret_value->bytes = (WireBytes){ret_value->copy, row->len};
    return STORE_FOUND;
}

static StoreOutcome
store_get_from(Store *store, const DiskTable *table, Key key,
               StoreValue *ret_value)
{
    guint at;
    *ret_value = (StoreValue){0};
    if (store_read_fails(store)) {
        return STORE_FAILED;
    }
    if (!disk_table_find(table, key, &at)) {
        return STORE_MISSING;
    }
    return value_copy(g_ptr_array_index(table->rows, at), ret_value);
}

StoreOutcome
store_get(Store *store, const StoreSnapshot *snapshot, Key key,
          StoreValue *ret_value)
{
    return store_get_from(store,
                          snapshot != NULL ? snapshot->table : store->disk->now,
                          key, ret_value);
}

void
store_value_clear(StoreValue *value)
{
    g_free(value->copy);
    *value = (StoreValue){0};
}

StoreSnapshot *
store_snapshot(Store *store)
{
    StoreSnapshot *snapshot = g_new0(StoreSnapshot, 1);
    snapshot->store = store;
    snapshot->table = disk_table_ref(store->disk->now);
    store->held++;
    return snapshot;
}

void
store_snapshot_release(StoreSnapshot *snapshot)
{
    snapshot->store->held--;
    disk_table_unref(snapshot->table);
    g_free(snapshot);
}

StoreIter *
store_iter_new(Store *store, const StoreSnapshot *snapshot)
{
    StoreIter *iter = g_new0(StoreIter, 1);
    iter->store = store;
    iter->table =
        disk_table_ref(snapshot != NULL ? snapshot->table : store->disk->now);
    iter->at = -1;
    store->held++;
    return iter;
}

static void
iter_move(StoreIter *iter, gint64 at)
{
    g_clear_pointer(&iter->copy, g_free);
    g_clear_pointer(&iter->key, g_free);
    iter->at = at;
    iter->failed = iter->failed || store_read_fails(iter->store);
}

void
store_iter_free(StoreIter *iter)
{
    g_free(iter->copy);
    g_free(iter->key);
    iter->store->held--;
    disk_table_unref(iter->table);
    g_free(iter);
}

void
store_iter_seek(StoreIter *iter, Key key)
{
    guint at;
    disk_table_find(iter->table, key, &at);
    iter_move(iter, at);
}

void
store_iter_seek_back(StoreIter *iter, Key key)
{
    guint at;
    gboolean found = disk_table_find(iter->table, key, &at);
    iter_move(iter, found ? (gint64)at : (gint64)at - 1);
}

static gboolean
iter_valid(const StoreIter *iter)
{
    return !iter->failed && iter->at >= 0 &&
           iter->at < (gint64)iter->table->rows->len;
}

void
store_iter_next(StoreIter *iter)
{
    ensure(iter->failed || iter_valid(iter));
    iter_move(iter, iter->at + 1);
}

void
store_iter_prev(StoreIter *iter)
{
    ensure(iter->failed || iter_valid(iter));
    iter_move(iter, iter->at - 1);
}

StoreOutcome
store_iter_get(StoreIter *iter, WireBytes *ret_key, WireBytes *ret_value)
{
    if (iter->failed) {
        return STORE_FAILED;
    }
    if (!iter_valid(iter)) {
        return STORE_MISSING;
    }
    const DiskRow *row = g_ptr_array_index(iter->table->rows, (guint)iter->at);
    if (iter->key == NULL) {
        iter->key = g_memdup2(row->key.data, row->key.len);
        iter->copy = g_malloc(MAX(row->len, 1));
        memcpy(iter->copy, row->data, row->len);
    }
    *ret_key = (WireBytes){iter->key, row->key.len};
    *ret_value = (WireBytes){iter->copy, row->len};
    return STORE_FOUND;
}

/* ---- writing ---- */

static guint
key_hash(gconstpointer data)
{
    const Key *key = data;
    guint hash = key->len;
    for (guint i = 0; i < key->len; i++) {
        hash = hash * 31 + key->data[i];
    }
    return hash;
}

static gboolean
key_equal(gconstpointer a, gconstpointer b)
{
    const Key *x = a;
    const Key *y = b;
    return x->len == y->len && memcmp(x->data, y->data, x->len) == 0;
}

StoreBatch *
store_batch_new(Store *store)
{
    StoreBatch *batch = g_new0(StoreBatch, 1);
    batch->store = store;
    batch->index = g_hash_table_new(key_hash, key_equal);
    batch->rows = g_ptr_array_new_with_free_func(disk_row_unref);
    store->held++;
    return batch;
}

void
store_batch_free(StoreBatch *batch)
{
    batch->store->held--;
    g_hash_table_unref(batch->index);
    g_ptr_array_unref(batch->rows);
    g_free(batch);
}

/* The last write of a key is the one that counts. */
static void
batch_write(StoreBatch *batch, DiskRow *row)
{
    gpointer found = g_hash_table_lookup(batch->index, &row->key);
    if (found == NULL) {
        g_ptr_array_add(batch->rows, row);
        g_hash_table_insert(batch->index, &row->key,
                            GUINT_TO_POINTER(batch->rows->len));
        return;
    }
    guint at = GPOINTER_TO_UINT(found) - 1;
    DiskRow *old = g_ptr_array_index(batch->rows, at);
    g_hash_table_replace(batch->index, &row->key, found);
    g_ptr_array_index(batch->rows, at) = row;
    disk_row_unref(old);
}

void
store_batch_watch(StoreBatch *batch, StoreWatch watch, gpointer user_data)
{
    batch->watch = watch;
    batch->watch_data = user_data;
}

static void
store_batch_writes(const StoreBatch *batch, Key key)
{
    if (batch->watch != NULL) {
        batch->watch(key, batch->watch_data);
    }
}

void
store_batch_put(StoreBatch *batch, Key key, const void *data, gsize len)
{
    store_batch_writes(batch, key);
    batch_write(batch, disk_row_new(key, data, len, FALSE));
}

void
store_batch_delete(StoreBatch *batch, Key key)
{
    store_batch_writes(batch, key);
    batch_write(batch, disk_row_new(key, NULL, 0, TRUE));
}

StoreOutcome
store_batch_get(StoreBatch *batch, Key key, StoreValue *ret_value)
{
    gpointer found = g_hash_table_lookup(batch->index, &key);
    if (found == NULL) {
        return store_get_from(batch->store, batch->store->disk->now, key,
                              ret_value);
    }
    const DiskRow *row =
        g_ptr_array_index(batch->rows, GPOINTER_TO_UINT(found) - 1);
    *ret_value = (StoreValue){0};
    return row->gone ? STORE_MISSING : value_copy(row, ret_value);
}

/* The row of the store with the batch's writes in it, by a seek of @seek. */
static StoreOutcome
batch_find(StoreBatch *batch, Key key, void (*seek)(StoreIter *, Key),
           Key *ret_key, StoreValue *ret_value)
{
    g_autoptr(StoreIter) iter = store_iter_new(batch->store, NULL);
    DiskTable *table = disk_table_with(iter->table, batch->rows);
    disk_table_unref(iter->table);
    iter->table = table;
    seek(iter, key);
    *ret_value = (StoreValue){0};
    if (iter->failed) {
        return STORE_FAILED;
    }
    if (!iter_valid(iter)) {
        return STORE_MISSING;
    }
    const DiskRow *row = g_ptr_array_index(table->rows, (guint)iter->at);
    *ret_key = row->key;
    return value_copy(row, ret_value);
}

StoreOutcome
store_batch_seek(StoreBatch *batch, Key key, Key *ret_key,
                 StoreValue *ret_value)
{
    return batch_find(batch, key, store_iter_seek, ret_key, ret_value);
}

StoreOutcome
store_batch_seek_back(StoreBatch *batch, Key key, Key *ret_key,
                      StoreValue *ret_value)
{
    return batch_find(batch, key, store_iter_seek_back, ret_key, ret_value);
}

static gboolean
store_fail(Store *store, CombError code, GError **error)
{
    store->disk->latched = TRUE;
    g_set_error(error, COMB_ERROR, (gint)code, "simulated %s of the store",
                disk_fault_name(store->disk->struck));
    return FALSE;
}

gboolean
store_batch_commit(StoreBatch *batch, GError **error)
{
    Store *store = batch->store;
    Disk *disk = store->disk;
    g_autoptr(GPtrArray) rows = batch->rows;
    batch->rows = g_ptr_array_new_with_free_func(disk_row_unref);
    g_hash_table_remove_all(batch->index);
    if (disk->latched || disk_strikes(disk, DISK_COMMIT_LOST) ||
        disk_strikes(disk, DISK_COMMIT_IO)) {
        return store_fail(store, COMB_ERROR_IO, error);
    }
    if (disk_strikes(disk, DISK_COMMIT_FULL)) {
        return store_fail(store, COMB_ERROR_FULL, error);
    }
    disk_commit(disk, g_steal_pointer(&rows));
    return !disk_strikes(disk, DISK_COMMIT_KEPT) ||
           store_fail(store, COMB_ERROR_IO, error);
}

gboolean
store_flush(Store *store, GError **error)
{
    Disk *disk = store->disk;
    if (disk->latched || disk_strikes(disk, DISK_FLUSH_LOST) ||
        disk_strikes(disk, DISK_FLUSH_IO)) {
        return store_fail(store, COMB_ERROR_IO, error);
    }
    disk_flush(disk);
    return !disk_strikes(disk, DISK_FLUSH_KEPT) ||
           store_fail(store, COMB_ERROR_IO, error);
}
