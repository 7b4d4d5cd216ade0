/*
 * The store is a thin shape over RocksDB's C API. Happy path: rows are read
 * pinned (no copy) and written in batches without a WAL, so that a commit is
 * a memory insert; RocksDB flushes whole memtables, oldest first, which is
 * why a crash loses a suffix and never a hole.
 *
 * Failure modes. A write or flush error (disk full, I/O) latches RocksDB:
 * later writes fail too and its C API cannot resume it, so the cell stops
 * applying, serves what it has, and repairs itself by restarting. A read
 * error is remembered in @failure: pages that met it are refused, and the
 * cell is no longer healthy.
 *
 * A batch is a sorted tree of ours until it is committed: it knows its own
 * writes, so that two events of one batch see each other's facts, and RocksDB
 * gets its rows in order of key, which its memtable takes in half the time.
 */
#include "cell/store.h"

#include "ops/kit/ensure.h"
#include "ops/kit/error.h"

#include <errno.h>
#include <rocksdb/c.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define STORE_LEVELS 7
/* Of level 1; each further level has ten times as much. */
#define STORE_LEVEL_BYTES ((guint64)512 << 20)

struct Store {
    rocksdb_t *db;
    rocksdb_options_t *options;
    rocksdb_block_based_table_options_t *table;
    rocksdb_cache_t *cache;
    rocksdb_readoptions_t *read;   /* newest rows */
    rocksdb_readoptions_t *scan;   /* iterators: no read-ahead into cache */
    rocksdb_writeoptions_t *write; /* no WAL */
    _Atomic(char *) failure;       /* first read failure; owned */
};

struct StoreSnapshot {
    Store *store;
    const rocksdb_snapshot_t *snapshot;
    rocksdb_readoptions_t *read;
};

struct StoreIter {
    Store *store;
    rocksdb_iterator_t *iter;
};

/* What a batch does to one row, the last of what it was told to. */
typedef struct StoreWrite {
    Key key;
    gboolean gone; /* the row is deleted */
    guint at;      /* of the value in StoreBatch.values */
    guint len;
} StoreWrite;

struct StoreBatch {
    Store *store;
    GTree *writes;               /* by key; of StoreWrite, owned */
    GByteArray *values;          /* of all rows put */
    rocksdb_writebatch_t *batch; /* empty but in store_batch_commit() */
    StoreWatch watch;            /* of rows written; NULL: none */
    gpointer watch_data;         /* its */
};

/* RocksDB's message as ours; takes @message. */
static void
store_set_error(GError **error, const char *what, char *message)
{
    CombError code = COMB_ERROR_IO;
    if (strstr(message, "No space left") != NULL) {
        code = COMB_ERROR_FULL;
    } else if (g_str_has_prefix(message, "Corruption")) {
        code = COMB_ERROR_CORRUPT;
    }
    g_set_error(error, COMB_ERROR, (gint)code, "%s: %s", what, message);
    free(message);
}

static void
store_read_failed(Store *store, char *message)
{
    char *expected = NULL;
    char *mine = g_strdup(message);
    free(message);
    if (!atomic_compare_exchange_strong(&store->failure, &expected, mine)) {
        g_free(mine);
    }
}

static void
store_configure(Store *store, const StoreOptions *options)
{
    rocksdb_options_t *o = rocksdb_options_create();
    rocksdb_options_set_create_if_missing(o, options->create ? 1 : 0);
    rocksdb_options_set_paranoid_checks(o, 1);
    rocksdb_options_set_write_buffer_size(o, options->write_buffer_bytes);
    rocksdb_options_set_max_write_buffer_number(o, 3);
    rocksdb_options_set_max_open_files(o, -1);
    /* Most facts are new: tell so without a search of the memtable. */
    rocksdb_options_set_memtable_whole_key_filtering(o, 1);
    rocksdb_options_set_memtable_prefix_bloom_size_ratio(o, 0.05);
    /* What is young is written again soon: not worth compressing yet. */
    int levels[STORE_LEVELS] = {rocksdb_no_compression, rocksdb_no_compression};
    for (guint i = 2; i < STORE_LEVELS; i++) {
        levels[i] = rocksdb_lz4_compression;
    }
    rocksdb_options_set_num_levels(o, STORE_LEVELS);
    rocksdb_options_set_compression_per_level(o, levels, STORE_LEVELS);
    rocksdb_options_set_max_bytes_for_level_base(o, STORE_LEVEL_BYTES);
    /* Only what is fatal: Debian's build aborts where it cannot write its own
       text log, and a full disk would end the process, not just the writes. */
    rocksdb_options_set_info_log_level(o, 4);
    rocksdb_options_set_keep_log_file_num(o, 2);
    rocksdb_options_set_max_log_file_size(o, 4 << 20);
    rocksdb_options_increase_parallelism(o, 2);
    store->cache = rocksdb_cache_create_lru(options->cache_bytes);
    store->table = rocksdb_block_based_options_create();
    rocksdb_block_based_options_set_block_cache(store->table, store->cache);
    rocksdb_block_based_options_set_filter_policy(
        store->table, rocksdb_filterpolicy_create_bloom_full(10));
    rocksdb_block_based_options_set_format_version(store->table, 5);
    rocksdb_options_set_block_based_table_factory(o, store->table);
    store->options = o;

    store->read = rocksdb_readoptions_create();
    store->scan = rocksdb_readoptions_create();
    rocksdb_readoptions_set_fill_cache(store->scan, 0);
    store->write = rocksdb_writeoptions_create();
    rocksdb_writeoptions_disable_WAL(store->write, 1);
}

Store *
store_open(const StoreOptions *options, GError **error)
{
    if (!options->read_only && g_mkdir_with_parents(options->dir, 0700) != 0) {
        int code = errno;
        g_set_error(error, COMB_ERROR,
                    code == ENOSPC ? COMB_ERROR_FULL : COMB_ERROR_IO,
                    "cannot make %s: %s", options->dir, g_strerror(code));
        return NULL;
    }
    Store *store = g_new0(Store, 1);
    store_configure(store, options);
    char *message = NULL;
    store->db = options->read_only
                    ? rocksdb_open_for_read_only(store->options, options->dir,
                                                 0, &message)
                    : rocksdb_open(store->options, options->dir, &message);
    if (message != NULL) {
        g_autofree char *what = g_strdup_printf("cannot open %s", options->dir);
        store_set_error(error, what, message);
        store_close(store);
        return NULL;
    }
    return store;
}

void
store_close(Store *store)
{
    if (store->db != NULL) {
        rocksdb_close(store->db);
    }
    rocksdb_writeoptions_destroy(store->write);
    rocksdb_readoptions_destroy(store->scan);
    rocksdb_readoptions_destroy(store->read);
    rocksdb_options_destroy(store->options);
    rocksdb_block_based_options_destroy(store->table);
    rocksdb_cache_destroy(store->cache);
    g_free(atomic_load(&store->failure));
    g_free(store);
}

StoreOutcome
store_get(Store *store, const StoreSnapshot *snapshot, Key key,
          StoreValue *ret_value)
{
    char *message = NULL;
    rocksdb_pinnableslice_t *pin = rocksdb_get_pinned(
        store->db, snapshot != NULL ? snapshot->read : store->read,
        (const char *)key.data, key.len, &message);
    *ret_value = (StoreValue){0};
    if (message != NULL) {
        store_read_failed(store, message);
        return STORE_FAILED;
    }
    if (pin == NULL) {
        return STORE_MISSING;
    }
    size_t len = 0;
    const char *data = rocksdb_pinnableslice_value(pin, &len);
    ret_value->bytes = (WireBytes){(const guint8 *)data, len};
    ret_value->pin = pin;
    return STORE_FOUND;
}

void
store_value_clear(StoreValue *value)
{
    if (value->pin != NULL) {
        rocksdb_pinnableslice_destroy(value->pin);
    }
    free(value->copy);
    *value = (StoreValue){0};
}

StoreSnapshot *
store_snapshot(Store *store)
{
    StoreSnapshot *snapshot = g_new0(StoreSnapshot, 1);
    snapshot->store = store;
    snapshot->snapshot = rocksdb_create_snapshot(store->db);
    snapshot->read = rocksdb_readoptions_create();
    rocksdb_readoptions_set_snapshot(snapshot->read, snapshot->snapshot);
    return snapshot;
}

void
store_snapshot_release(StoreSnapshot *snapshot)
{
    rocksdb_readoptions_destroy(snapshot->read);
    rocksdb_release_snapshot(snapshot->store->db, snapshot->snapshot);
    g_free(snapshot);
}

StoreIter *
store_iter_new(Store *store, const StoreSnapshot *snapshot)
{
    StoreIter *iter = g_new0(StoreIter, 1);
    iter->store = store;
    iter->iter = rocksdb_create_iterator(
        store->db, snapshot != NULL ? snapshot->read : store->scan);
    return iter;
}

void
store_iter_free(StoreIter *iter)
{
    rocksdb_iter_destroy(iter->iter);
    g_free(iter);
}

void
store_iter_seek(StoreIter *iter, Key key)
{
    rocksdb_iter_seek(iter->iter, (const char *)key.data, key.len);
}

void
store_iter_seek_back(StoreIter *iter, Key key)
{
    rocksdb_iter_seek_for_prev(iter->iter, (const char *)key.data, key.len);
}

void
store_iter_next(StoreIter *iter)
{
    rocksdb_iter_next(iter->iter);
}

void
store_iter_prev(StoreIter *iter)
{
    rocksdb_iter_prev(iter->iter);
}

StoreOutcome
store_iter_get(StoreIter *iter, WireBytes *ret_key, WireBytes *ret_value)
{
    if (!rocksdb_iter_valid(iter->iter)) {
        char *message = NULL;
        rocksdb_iter_get_error(iter->iter, &message);
        if (message == NULL) {
            return STORE_MISSING;
        }
        store_read_failed(iter->store, message);
        return STORE_FAILED;
    }
    size_t len = 0;
    const char *data = rocksdb_iter_key(iter->iter, &len);
    *ret_key = (WireBytes){(const guint8 *)data, len};
    data = rocksdb_iter_value(iter->iter, &len);
    *ret_value = (WireBytes){(const guint8 *)data, len};
    return STORE_FOUND;
}

const char *
store_failure(Store *store)
{
    return atomic_load(&store->failure);
}

static gint
key_compare(gconstpointer a, gconstpointer b, gpointer unused)
{
    const Key *x = a;
    const Key *y = b;
    (void)unused;
    int order = memcmp(x->data, y->data, MIN(x->len, y->len));
    return order != 0 ? order : (gint)x->len - (gint)y->len;
}

StoreBatch *
store_batch_new(Store *store)
{
    StoreBatch *batch = g_new0(StoreBatch, 1);
    batch->store = store;
    batch->writes = g_tree_new_full(key_compare, NULL, NULL, g_free);
    batch->values = g_byte_array_new();
    batch->batch = rocksdb_writebatch_create();
    return batch;
}

void
store_batch_free(StoreBatch *batch)
{
    rocksdb_writebatch_destroy(batch->batch);
    g_byte_array_unref(batch->values);
    g_tree_unref(batch->writes);
    g_free(batch);
}

void
store_batch_watch(StoreBatch *batch, StoreWatch watch, gpointer user_data)
{
    batch->watch = watch;
    batch->watch_data = user_data;
}

static void
store_batch_write(StoreBatch *batch, StoreWrite write)
{
    if (batch->watch != NULL) {
        batch->watch(write.key, batch->watch_data);
    }
    StoreWrite *own = g_memdup2(&write, sizeof write);
    g_tree_replace(batch->writes, &own->key, own);
}

void
store_batch_put(StoreBatch *batch, Key key, const void *data, gsize len)
{
    guint at = batch->values->len;
    ensure(len <= G_MAXUINT - at);
    g_byte_array_append(batch->values, data, (guint)len);
    store_batch_write(batch, (StoreWrite){key, FALSE, at, (guint)len});
}

void
store_batch_delete(StoreBatch *batch, Key key)
{
    store_batch_write(batch, (StoreWrite){.key = key, .gone = TRUE});
}

static const guint8 *
store_write_data(const StoreBatch *batch, const StoreWrite *write)
{
    return batch->values->data + write->at;
}

/* A copy: the batch may move its values when it is written to. */
static StoreOutcome
store_value_copy(WireBytes bytes, StoreValue *ret_value)
{
    ret_value->copy = g_malloc(MAX(bytes.len, 1));
    memcpy(ret_value->copy, bytes.data, bytes.len);
    ret_value->bytes = (WireBytes){ret_value->copy, bytes.len};
    return STORE_FOUND;
}

StoreOutcome
store_batch_get(StoreBatch *batch, Key key, StoreValue *ret_value)
{
    const StoreWrite *write = g_tree_lookup(batch->writes, &key);
    if (write == NULL) {
        return store_get(batch->store, NULL, key, ret_value);
    }
    *ret_value = (StoreValue){0};
    if (write->gone) {
        return STORE_MISSING;
    }
    return store_value_copy(
        (WireBytes){store_write_data(batch, write), write->len}, ret_value);
}

/* The nearest row that the batch puts, from @key on in one direction. */
static const StoreWrite *
store_batch_nearest(const StoreBatch *batch, Key key, gboolean back)
{
    GTreeNode *node;
    if (back) {
        node = g_tree_upper_bound(batch->writes, &key);
        node = node != NULL ? g_tree_node_previous(node)
                            : g_tree_node_last(batch->writes);
    } else {
        node = g_tree_lower_bound(batch->writes, &key);
    }
    while (node != NULL) {
        const StoreWrite *write = g_tree_node_value(node);
        if (!write->gone) {
            return write;
        }
        node = back ? g_tree_node_previous(node) : g_tree_node_next(node);
    }
    return NULL;
}

static Key
key_of_bytes(WireBytes bytes)
{
    Key key = {.len = (guint8)MIN(bytes.len, KEY_BYTES_MAX)};
    memcpy(key.data, bytes.data, key.len);
    return key;
}

/* The row under @iter, or the next one that the batch says nothing of. */
static StoreOutcome
store_batch_skip(StoreBatch *batch, StoreIter *iter, gboolean back,
                 Key *ret_key, WireBytes *ret_value)
{
    WireBytes bytes;
    StoreOutcome outcome;
    while ((outcome = store_iter_get(iter, &bytes, ret_value)) == STORE_FOUND) {
        *ret_key = key_of_bytes(bytes);
        if (g_tree_lookup(batch->writes, ret_key) == NULL) {
            break;
        }
        if (back) {
            store_iter_prev(iter);
        } else {
            store_iter_next(iter);
        }
    }
    return outcome;
}

/* The nearer one of the batch's row and the store's. */
static StoreOutcome
store_batch_find(StoreBatch *batch, Key key, gboolean back, Key *ret_key,
                 StoreValue *ret_value)
{
    g_autoptr(StoreIter) iter = store_iter_new(batch->store, NULL);
    *ret_value = (StoreValue){0};
    if (back) {
        store_iter_seek_back(iter, key);
    } else {
        store_iter_seek(iter, key);
    }
    WireBytes bytes;
    StoreOutcome outcome = store_batch_skip(batch, iter, back, ret_key, &bytes);
    const StoreWrite *write = store_batch_nearest(batch, key, back);
    if (outcome == STORE_FAILED ||
        (outcome == STORE_MISSING && write == NULL)) {
        return outcome;
    }
    if (write != NULL &&
        (outcome == STORE_MISSING ||
         (key_compare(&write->key, ret_key, NULL) < 0) != back)) {
        *ret_key = write->key;
        bytes = (WireBytes){store_write_data(batch, write), write->len};
    }
    return store_value_copy(bytes, ret_value);
}

StoreOutcome
store_batch_seek(StoreBatch *batch, Key key, Key *ret_key,
                 StoreValue *ret_value)
{
    return store_batch_find(batch, key, FALSE, ret_key, ret_value);
}

StoreOutcome
store_batch_seek_back(StoreBatch *batch, Key key, Key *ret_key,
                      StoreValue *ret_value)
{
    return store_batch_find(batch, key, TRUE, ret_key, ret_value);
}

static gboolean
store_batch_encode(gpointer unused, gpointer data, gpointer user_data)
{
    const StoreBatch *batch = user_data;
    const StoreWrite *write = data;
    const char *key = (const char *)write->key.data;
    (void)unused;
    if (write->gone) {
        rocksdb_writebatch_delete(batch->batch, key, write->key.len);
    } else {
        rocksdb_writebatch_put(batch->batch, key, write->key.len,
                               (const char *)store_write_data(batch, write),
                               write->len);
    }
    return FALSE;
}

gboolean
store_batch_commit(StoreBatch *batch, GError **error)
{
    char *message = NULL;
    g_tree_foreach(batch->writes, store_batch_encode, batch);
    rocksdb_write(batch->store->db, batch->store->write, batch->batch,
                  &message);
    rocksdb_writebatch_clear(batch->batch);
    g_tree_remove_all(batch->writes);
    g_byte_array_set_size(batch->values, 0);
    if (message != NULL) {
        store_set_error(error, "store write", message);
        return FALSE;
    }
    return TRUE;
}

gboolean
store_flush(Store *store, GError **error)
{
    rocksdb_flushoptions_t *options = rocksdb_flushoptions_create();
    rocksdb_flushoptions_set_wait(options, 1);
    char *message = NULL;
    rocksdb_flush(store->db, options, &message);
    rocksdb_flushoptions_destroy(options);
    if (message != NULL) {
        store_set_error(error, "store flush", message);
        return FALSE;
    }
    return TRUE;
}

guint64
store_bytes(Store *store)
{
    uint64_t bytes = 0;
    rocksdb_property_int(store->db, "rocksdb.total-sst-files-size", &bytes);
    return bytes;
}
