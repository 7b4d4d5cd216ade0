/*
 * log_local.h - the local log's store: ordered rows, batches, scans
 *
 * The one place where the local log meets RocksDB. A batch is written whole
 * and synced, or the store has failed and takes nothing more until it is
 * opened again; reading goes on. Thread: any, unless said otherwise.
 */
#pragma once

#include "thrift/wire.h"

typedef struct LocalStore LocalStore;
typedef struct LocalBatch LocalBatch;
typedef struct LocalScan LocalScan;

/**
 * local_store_open() - open or make the store in @dir
 *
 * Fails: COMB_ERROR_IO (also: another process has it), _FULL, _CORRUPT.
 */
LocalStore *local_store_open(const char *dir, GError **error);

/** local_store_close() - after all batches and scans. */
void local_store_close(LocalStore *store);

/**
 * local_store_room() - bytes that may be written before the disk is full
 *
 * Effect: free space less a reserve, which lets what is written already be
 *         flushed and merged: with it the store does not fail when the disk
 *         fills up, and goes on by itself when there is space again.
 */
gsize local_store_room(const LocalStore *store);

/**
 * local_store_get() - the value of one row
 *
 * Effect: *ret_value, NULL where there is no such row; g_bytes_unref().
 * Fails:  COMB_ERROR_IO, _CORRUPT.
 */
gboolean local_store_get(LocalStore *store, WireBytes key, GBytes **ret_value,
                         GError **error);

/** A batch collects puts and drops, copied; one thread at a time has it. */
LocalBatch *local_batch_new(void);
void local_batch_free(LocalBatch *batch);
void local_batch_clear(LocalBatch *batch);
void local_batch_put(LocalBatch *batch, WireBytes key, WireBytes value);

/** local_batch_drop() - delete the rows from @from up to, without, @to. */
void local_batch_drop(LocalBatch *batch, WireBytes from, WireBytes to);

/**
 * local_store_write() - write and sync a batch
 *
 * Fails: COMB_ERROR_FULL, _IO, _CORRUPT; the batch may or may not be there
 *        after the next open, and the store takes no other.
 */
gboolean local_store_write(LocalStore *store, LocalBatch *batch,
                           GError **error);

/** local_store_reclaim() - free files that hold only rows @from to @to, both
    included. */
void local_store_reclaim(LocalStore *store, WireBytes from, WireBytes to);

/** local_scan_open() - walk the rows as they are now. Thread: one. */
LocalScan *local_scan_open(LocalStore *store);
void local_scan_close(LocalScan *scan);

/** local_scan_seek() - to the first row at or after @key. */
void local_scan_seek(LocalScan *scan, WireBytes key);

/** local_scan_seek_back() - to the last row at or before @key. */
void local_scan_seek_back(LocalScan *scan, WireBytes key);
void local_scan_next(LocalScan *scan);

/**
 * local_scan_row() - the row the scan is at
 *
 * Effect: FALSE past the last row and after a failed read. Borrowed until
 *         the scan moves.
 */
gboolean local_scan_row(const LocalScan *scan, WireBytes *ret_key,
                        WireBytes *ret_value);

/** local_scan_check() - Fails: COMB_ERROR_IO, _CORRUPT: why there is no row. */
gboolean local_scan_check(const LocalScan *scan, GError **error);
