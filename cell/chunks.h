/*
 * chunks.h - the chunk rows of one user: added to, taken from
 *
 * Rows of a user do not overlap and form a chain (chunk.h). A change rewrites
 * the chunks from the lowest id it touches upwards, and nothing below; ids
 * newer than all chunks, the common case, become a new row and read nothing,
 * unless they are few enough to share one with the newest chunk.
 *
 * Thread: the apply thread, but for what says otherwise.
 */
#pragma once

#include "cell/chunk.h"
#include "cell/idrun.h"
#include "cell/store.h"

typedef struct Chunks Chunks;

/* Where a user's chunks end, remembered between changes; all zero at first. */
typedef struct ChunkTip {
    gint64 last;    /* the greatest id in them; 0: none */
    gint64 first;   /* the first id of the newest chunk */
    guint32 serial; /* of the newest chunk */
    guint32 rows;   /* how many chunks there are, at most */
    guint n;        /* ids in the newest chunk */
    gboolean known; /* it was looked up */
} ChunkTip;

typedef struct ChunkChange {
    const gint64 *add; /* ascending; may be there already */
    gsize n_add;
    const gint64 *remove; /* ascending; may be absent; before @add is added */
    gsize n_remove;
} ChunkChange;

/**
 * chunks_new() - a writer of chunk rows in @store, borrowed; free it before
 *
 * @chunk_ids: about how many ids a row is to have; at most half of
 *             CHUNK_IDS_MAX.
 */
Chunks *chunks_new(Store *store, guint chunk_ids);
void chunks_free(Chunks *chunks);

/**
 * chunks_refresh() - rows were committed
 *
 * Effect: due before the next call below; between two of them all calls read
 *         the same rows, with one iterator.
 */
void chunks_refresh(Chunks *chunks);

/**
 * chunks_change() - stage a change to @user's chunks
 *
 * @tip:   read and updated; true once @batch is committed.
 * Effect: one call a user between commits: it reads committed rows only.
 * Fails:  COMB_ERROR_CORRUPT: a chunk is damaged or missing from the chain.
 */
gboolean chunks_change(Chunks *chunks, StoreBatch *batch, UserId user,
                       const ChunkChange *change, ChunkTip *tip,
                       GError **error);

/* The ids of a tail that are to be a chunk, as the bytes they are. */
typedef struct ChunkRun {
    const guint8 *bytes; /* cut at @cut */
    IdCut cut;
    guint n; /* ids before the cut */
} ChunkRun;

/**
 * chunks_append() - stage one more chunk, of ids newer than all others
 *
 * @tip: known, its last below the run's first; updated.
 */
void chunks_append(Chunks *chunks, StoreBatch *batch, UserId user,
                   const ChunkRun *run, ChunkTip *tip);

/** chunks_know() - have *tip known. Fails: as above. */
gboolean chunks_know(Chunks *chunks, UserId user, ChunkTip *tip,
                     GError **error);

/**
 * chunks_drop() - stage the deletion of @user's oldest chunks but @keep
 *
 * @keep:      1 or more.
 * @tip:       known; updated.
 * @ret_floor: the first id of the oldest chunk that is left; 0 where nothing
 *             was dropped.
 * Effect:     none of the dropped may have been changed in @batch.
 * Fails:      as above.
 */
gboolean chunks_drop(Chunks *chunks, StoreBatch *batch, UserId user,
                     guint32 keep, ChunkTip *tip, gint64 *ret_floor,
                     GError **error);

/**
 * chunks_under() - the chunk under @iter, where it is one of @user's
 *
 * Effect: STORE_MISSING: it is no chunk, or another user's; STORE_FAILED: it
 *         is damaged. Thread: any.
 */
StoreOutcome chunks_under(StoreIter *iter, UserId user, Chunk *ret_chunk);
