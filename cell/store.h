/*
 * store.h - the cell's RocksDB, and the only file of the cell that sees it
 *
 * One column family, no write-ahead log: the firehose is the log. Writes are
 * batches of one thread; a batch is seen whole or not at all, also after a
 * crash, and a crash loses a suffix of the batches, back to the last flush.
 * So a batch that holds facts also holds the position they reach (I4).
 */
#pragma once

#include "cell/key.h"

typedef struct Store Store;
typedef struct StoreBatch StoreBatch;
typedef struct StoreSnapshot StoreSnapshot;
typedef struct StoreIter StoreIter;

typedef struct StoreOptions {
    const char *dir;
    gboolean create;    /* where there is none; else that is an error */
    gboolean read_only; /* change no file; nothing may be written */
    gsize cache_bytes;  /* of blocks read */
    gsize write_buffer_bytes;
} StoreOptions;

/**
 * store_open() - open or make the database
 *
 * Fails: COMB_ERROR_IO (also: another process has it), _FULL, _CORRUPT.
 */
Store *store_open(const StoreOptions *options, GError **error);

/** store_close() - after every snapshot, iterator and value. Does not flush. */
void store_close(Store *store);

/* ---- reading ---- */

typedef enum StoreOutcome {
    STORE_FOUND,
    STORE_MISSING,
    STORE_FAILED, /* the database cannot tell: see store_failure() */
} StoreOutcome;

/* A value and what keeps it: where it lies in RocksDB, or a copy. */
typedef struct StoreValue {
    WireBytes bytes;
    gpointer pin;
    gpointer copy;
} StoreValue;

/**
 * store_get() - read a row
 *
 * @snapshot: NULL reads the newest.
 * Owns:      after STORE_FOUND the caller clears the value; ret_value is
 *            otherwise empty and clearing it does nothing.
 * Thread:    any.
 */
StoreOutcome store_get(Store *store, const StoreSnapshot *snapshot, Key key,
                       StoreValue *ret_value);

/** store_value_clear() - let go of a value; an empty one is fine. */
void store_value_clear(StoreValue *value);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(StoreValue, store_value_clear)

/** store_snapshot() - the rows as they are now, until released. Thread: any. */
StoreSnapshot *store_snapshot(Store *store);
void store_snapshot_release(StoreSnapshot *snapshot);

/**
 * store_iter_new() - rows in order of key
 *
 * @snapshot: NULL reads the rows as they are at this call.
 * Thread:    one.
 */
StoreIter *store_iter_new(Store *store, const StoreSnapshot *snapshot);
void store_iter_free(StoreIter *iter);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(StoreIter, store_iter_free)

/** store_iter_seek() - to the first row at or after @key. */
void store_iter_seek(StoreIter *iter, Key key);

/** store_iter_seek_back() - to the last row at or before @key. */
void store_iter_seek_back(StoreIter *iter, Key key);
void store_iter_next(StoreIter *iter);
void store_iter_prev(StoreIter *iter);

/**
 * store_iter_get() - the row under the iterator
 *
 * Effect: STORE_MISSING past either end. Key and value are borrowed until
 *         the iterator moves.
 */
StoreOutcome store_iter_get(StoreIter *iter, WireBytes *ret_key,
                            WireBytes *ret_value);

/**
 * store_failure() - the first read failure met, or NULL
 *
 * Effect: set once; a store that failed to read is not to be trusted.
 * Thread: any.
 */
const char *store_failure(Store *store);

/* ---- writing: one thread, but for store_flush() ---- */

/** store_batch_new() - an empty batch that can read its own writes. */
StoreBatch *store_batch_new(Store *store);
void store_batch_free(StoreBatch *batch);
void store_batch_put(StoreBatch *batch, Key key, const void *data, gsize len);
void store_batch_delete(StoreBatch *batch, Key key);

/* A row that a batch puts or deletes. */
typedef void (*StoreWatch)(Key key, gpointer user_data);

/** store_batch_watch() - call @watch with each row written from now on. */
void store_batch_watch(StoreBatch *batch, StoreWatch watch, gpointer user_data);

/** store_batch_get() - as store_get(), through the batch's own writes. */
StoreOutcome store_batch_get(StoreBatch *batch, Key key, StoreValue *ret_value);

/**
 * store_batch_seek() - the first row at or after @key, through the batch's own
 * writes
 *
 * Owns: as store_batch_get(). For a search now and then: each call opens an
 *       iterator of the store's.
 */
StoreOutcome store_batch_seek(StoreBatch *batch, Key key, Key *ret_key,
                              StoreValue *ret_value);

/** store_batch_seek_back() - likewise the last row at or before @key. */
StoreOutcome store_batch_seek_back(StoreBatch *batch, Key key, Key *ret_key,
                                   StoreValue *ret_value);

/**
 * store_batch_commit() - write all of it, and empty the batch
 *
 * Fails: COMB_ERROR_FULL, _IO, _CORRUPT. The database is then latched: every
 *        later commit fails, reading goes on. Nothing of the batch is seen.
 */
gboolean store_batch_commit(StoreBatch *batch, GError **error);

/**
 * store_flush() - what is committed survives from here on
 *
 * Thread: any one beside the writer. Fails: as above.
 */
gboolean store_flush(Store *store, GError **error);

/** store_bytes() - bytes of live rows on disk, for metrics. */
guint64 store_bytes(Store *store);
