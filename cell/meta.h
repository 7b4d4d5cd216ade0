/*
 * meta.h - what a store is, and how far it has got
 *
 * Rows "m...": written once, when a cell is founded, and checked at each
 * start, so that a directory that was swapped, moved or is of a newer Comb is
 * refused with a reason and never served.
 *
 *   mformat  u32 LE: META_FORMAT; a newer one is refused
 *   mcell    u32 LE: the cell's number
 *   mlog     text:   the firehose's identity (log.h)
 *   mhome    CellMap: the map at founding: the users homed here are its
 *   mas_of   i64 LE: the newest event id applied
 *   mcommits u64 LE: how many batches were committed in the store's life. In
 *            each batch, so that a store which has lost any of its newest
 *            rows, though none of a position, is known by it (highwater.h)
 *
 * Rows "o partition": u64 LE next offset, i64 LE the log's timestamp of the
 * last record applied, u64 LE its log_mark() (log_mark.h), by which a log that
 * was written anew is told. Written in the batch that applies (I4). Stores of
 * before have no mark, which is then not known: 0.
 */
#pragma once

#include "cell/store.h"
#include "firehose/log_mark.h"
#include "router/cellmap.h"

#define META_FORMAT 2

typedef struct MetaIdentity {
    guint cell;
    const char *log; /* log_identity() */
    guint partitions;
} MetaIdentity;

/** meta_log_hash() - XXH64, seed 0, of the log's identity: for our files. */
guint64 meta_log_hash(const MetaIdentity *identity);

typedef struct Meta {
    CellMap *home;   /* NULL: a store that was never founded */
    guint64 *next;   /* per partition, the next offset to apply */
    guint64 *marks;  /* per partition, of the record before it; 0: not known */
    gint64 as_of;    /* newest event id applied; 0: none */
    guint64 commits; /* batches committed */
} Meta;

/**
 * meta_load() - check whose store this is, and read its progress
 *
 * Owns:  the caller clears *ret_meta.
 * Fails: COMB_ERROR_MISMATCH (another cell's, another log's, a newer
 *        format), COMB_ERROR_CORRUPT.
 */
gboolean meta_load(Store *store, const MetaIdentity *identity, Meta *ret_meta,
                   GError **error);
void meta_clear(Meta *meta);

/** meta_found() - stage the rows of a new store. */
void meta_found(StoreBatch *batch, const MetaIdentity *identity,
                const CellMap *home);

/** meta_put_position() - stage that all up to @last is applied. */
void meta_put_position(StoreBatch *batch, const LogRecord *last);

/** meta_put_as_of() - stage the newest event id applied. */
void meta_put_as_of(StoreBatch *batch, gint64 as_of);

/** meta_put_commits() - stage how many batches there are with this one. */
void meta_put_commits(StoreBatch *batch, guint64 commits);
