/*
 * log_local.c - the local log's RocksDB
 *
 * One database, one column family, its write-ahead log on and synced with
 * every batch: an acknowledged append is in that log. Rows are written once
 * and deleted only in ranges from the front, so small buffers are enough and
 * keep the replay after a crash, and so the next start, short.
 *
 * Failure modes. A process killed in a write leaves an incomplete record at
 * the end of the write-ahead log, which was never acknowledged: recovery
 * drops it. Damage anywhere else makes recovery refuse, rather than open a
 * shorter log that looks healthy (I10). A disk that fills up is met before
 * RocksDB meets it: local_store_room() keeps a reserve. Where it hits the
 * wall all the same, or the disk fails, RocksDB takes no more writes until it
 * is opened again, because what a failed sync left behind is unknown.
 * RocksDB's own text log says nothing below fatal: Debian's build aborts when
 * it writes to a text log that failed before, so a full disk would end us.
 *
 * The reserve and the buffers follow the size of the file system, so that a
 * small one is not refused from the start.
 */
#include "firehose/log_local.h"

#include "ops/kit/ensure.h"
#include "ops/kit/error.h"

#include <errno.h>
#include <rocksdb/c.h>
#include <string.h>
#include <sys/statvfs.h>

#define MIB ((gsize)1024 * 1024)
#define BUFFER_BYTES_MIN (256 * 1024)
#define BUFFER_BYTES_MAX (16 * MIB)
#define BUFFERS_MAX 3
#define RESERVE_BYTES_MIN (2 * MIB)
#define RESERVE_BYTES_MAX (64 * MIB)
#define CACHE_BYTES (32 * MIB)
#define FILES_OPEN_MAX 512
#define INFO_LEVEL_FATAL 4

struct LocalStore {
    rocksdb_t *db;
    rocksdb_options_t *options;
    rocksdb_writeoptions_t *synced;
    rocksdb_readoptions_t *reading;
    char *dir;
    gsize reserve_bytes; /* kept free on the file system */
};

struct LocalBatch {
    rocksdb_writebatch_t *rows;
};

struct LocalScan {
    rocksdb_iterator_t *at;
};

/* Turns RocksDB's words into our error and frees them. */
static void
take_error(char *words, GError **error)
{
    CombError code = COMB_ERROR_IO;
    const char *hint = "";

    if (strstr(words, "No space left on device") != NULL) {
        code = COMB_ERROR_FULL;
        hint = "no space left on device: ";
    } else if (g_str_has_prefix(words, "Corruption")) {
        code = COMB_ERROR_CORRUPT;
    } else if (strstr(words, "While lock file") != NULL ||
               strstr(words, "lock hold by current process") != NULL) {
        hint = "another process is using it: ";
    }
    g_set_error(error, COMB_ERROR, code, "local log: %s%s", hint, words);
    rocksdb_free(words);
}

static gboolean
measure_disk(const char *dir, gsize *ret_total, gsize *ret_free)
{
    struct statvfs fs;

    if (statvfs(dir, &fs) != 0) {
        return FALSE;
    }
    *ret_total = (gsize)fs.f_blocks * fs.f_frsize;
    *ret_free = (gsize)fs.f_bavail * fs.f_frsize;
    return TRUE;
}

static void
set_table_options(rocksdb_options_t *options)
{
    rocksdb_block_based_table_options_t *table =
        rocksdb_block_based_options_create();
    rocksdb_cache_t *cache = rocksdb_cache_create_lru(CACHE_BYTES);

    rocksdb_block_based_options_set_block_size(table, 16 * 1024);
    rocksdb_block_based_options_set_block_cache(table, cache);
    rocksdb_options_set_block_based_table_factory(options, table);
    rocksdb_cache_destroy(cache);
    rocksdb_block_based_options_destroy(table);
}

static rocksdb_options_t *
make_options(gsize buffer_bytes)
{
    rocksdb_options_t *options = rocksdb_options_create();

    rocksdb_options_set_create_if_missing(options, 1);
    rocksdb_options_set_wal_recovery_mode(
        options, rocksdb_tolerate_corrupted_tail_records_recovery);
    rocksdb_options_set_write_buffer_size(options, buffer_bytes);
    rocksdb_options_set_max_write_buffer_number(options, BUFFERS_MAX);
    rocksdb_options_set_max_total_wal_size(options, BUFFERS_MAX * buffer_bytes);
    rocksdb_options_set_target_file_size_base(options, 32 * MIB);
    rocksdb_options_set_bytes_per_sync(options, MIB);
    rocksdb_options_set_compression(options, rocksdb_lz4_compression);
    rocksdb_options_set_bottommost_compression(options,
                                               rocksdb_zstd_compression);
    rocksdb_options_set_max_background_jobs(options, 2);
    rocksdb_options_set_max_open_files(options, FILES_OPEN_MAX);
    rocksdb_options_set_manifest_preallocation_size(options, 64 * 1024);
    rocksdb_options_set_info_log_level(options, INFO_LEVEL_FATAL);
    rocksdb_options_set_max_log_file_size(options, MIB);
    rocksdb_options_set_keep_log_file_num(options, 2);
    rocksdb_options_set_stats_dump_period_sec(options, 0);
    rocksdb_options_set_skip_stats_update_on_db_open(options, 1);
    set_table_options(options);
    return options;
}

LocalStore *
local_store_open(const char *dir, GError **error)
{
    LocalStore *store;
    char *words = NULL;
    gsize total;
    gsize left;

    if (g_mkdir_with_parents(dir, 0700) != 0 ||
        !measure_disk(dir, &total, &left)) {
        g_set_error(error, COMB_ERROR, COMB_ERROR_IO, "local log: %s: %s", dir,
                    g_strerror(errno));
        return NULL;
    }
    store = g_new0(LocalStore, 1);
    store->dir = g_strdup(dir);
    store->reserve_bytes =
        CLAMP(total / 4, RESERVE_BYTES_MIN, RESERVE_BYTES_MAX);
    store->options =
        make_options(CLAMP(total / 64, BUFFER_BYTES_MIN, BUFFER_BYTES_MAX));
    store->synced = rocksdb_writeoptions_create();
    rocksdb_writeoptions_set_sync(store->synced, 1);
    store->reading = rocksdb_readoptions_create();
    store->db = rocksdb_open(store->options, dir, &words);
    if (words != NULL) {
        take_error(words, error);
        local_store_close(store);
        return NULL;
    }
    return store;
}

void
local_store_close(LocalStore *store)
{
    if (store->db != NULL) {
        rocksdb_close(store->db);
    }
    rocksdb_readoptions_destroy(store->reading);
    rocksdb_writeoptions_destroy(store->synced);
    rocksdb_options_destroy(store->options);
    g_free(store->dir);
    g_free(store);
}

gsize
local_store_room(const LocalStore *store)
{
    gsize total;
    gsize left;

    if (!measure_disk(store->dir, &total, &left)) {
        return 0;
    }
    return left > store->reserve_bytes ? left - store->reserve_bytes : 0;
}

static void
free_value(gpointer value)
{
    rocksdb_free(value);
}

gboolean
local_store_get(LocalStore *store, WireBytes key, GBytes **ret_value,
                GError **error)
{
    char *words = NULL;
    gsize len;
    char *value = rocksdb_get(store->db, store->reading, (const char *)key.data,
                              key.len, &len, &words);

    if (words != NULL) {
        take_error(words, error);
        return FALSE;
    }
    *ret_value = value == NULL ? NULL
                               : g_bytes_new_with_free_func(value, len,
                                                            free_value, value);
    return TRUE;
}

LocalBatch *
local_batch_new(void)
{
    LocalBatch *batch = g_new0(LocalBatch, 1);

    batch->rows = rocksdb_writebatch_create();
    return batch;
}

void
local_batch_free(LocalBatch *batch)
{
    rocksdb_writebatch_destroy(batch->rows);
    g_free(batch);
}

void
local_batch_clear(LocalBatch *batch)
{
    rocksdb_writebatch_clear(batch->rows);
}

void
local_batch_put(LocalBatch *batch, WireBytes key, WireBytes value)
{
    rocksdb_writebatch_put(batch->rows, (const char *)key.data, key.len,
                           (const char *)value.data, value.len);
}

void
local_batch_drop(LocalBatch *batch, WireBytes from, WireBytes to)
{
    rocksdb_writebatch_delete_range(batch->rows, (const char *)from.data,
                                    from.len, (const char *)to.data, to.len);
}

gboolean
local_store_write(LocalStore *store, LocalBatch *batch, GError **error)
{
    char *words = NULL;

    rocksdb_write(store->db, store->synced, batch->rows, &words);
    if (words != NULL) {
        take_error(words, error);
        return FALSE;
    }
    return TRUE;
}

void
local_store_reclaim(LocalStore *store, WireBytes from, WireBytes to)
{
    char *words = NULL;

    rocksdb_delete_file_in_range(store->db, (const char *)from.data, from.len,
                                 (const char *)to.data, to.len, &words);
    rocksdb_free(words); /* the rows are deleted; the files may wait */
}

LocalScan *
local_scan_open(LocalStore *store)
{
    LocalScan *scan = g_new0(LocalScan, 1);

    scan->at = rocksdb_create_iterator(store->db, store->reading);
    return scan;
}

void
local_scan_close(LocalScan *scan)
{
    rocksdb_iter_destroy(scan->at);
    g_free(scan);
}

void
local_scan_seek(LocalScan *scan, WireBytes key)
{
    rocksdb_iter_seek(scan->at, (const char *)key.data, key.len);
}

void
local_scan_seek_back(LocalScan *scan, WireBytes key)
{
    rocksdb_iter_seek_for_prev(scan->at, (const char *)key.data, key.len);
}

void
local_scan_next(LocalScan *scan)
{
    rocksdb_iter_next(scan->at);
}

gboolean
local_scan_row(const LocalScan *scan, WireBytes *ret_key, WireBytes *ret_value)
{
    if (!rocksdb_iter_valid(scan->at)) {
        return FALSE;
    }
    ret_key->data = (const guint8 *)rocksdb_iter_key(scan->at, &ret_key->len);
    ret_value->data =
        (const guint8 *)rocksdb_iter_value(scan->at, &ret_value->len);
    return TRUE;
}

gboolean
local_scan_check(const LocalScan *scan, GError **error)
{
    char *words = NULL;

    rocksdb_iter_get_error(scan->at, &words);
    if (words != NULL) {
        take_error(words, error);
        return FALSE;
    }
    return TRUE;
}
