/*
 * chunks.h - the chunk rows of one user: added to, taken from
 *
 * Rows of a user do not overlap and form a chain (chunk.h). A change rewrites
 * the chunks from the lowest id it touches upwards, and nothing below; ids
 * newer than all chunks, the common case, become a new row and read nothing.
 *
 * Thread: the apply thread.
 */
#pragma once

#include "cell/chunk.h"
#include "cell/store.h"

typedef struct Chunks Chunks;

/* Where a user's chunks end, remembered between changes. */
typedef struct ChunkTip {
    gint64 last;  /* the greatest id in them; 0: none; -1: not looked up */
    gint64 first; /* the first id of the newest chunk */
} ChunkTip;

#define CHUNK_TIP_UNKNOWN                                                      \
    {                                                                          \
        -1, 0                                                                  \
    }

typedef struct ChunkChange {
    const gint64 *add; /* ascending; may be there already */
    gsize n_add;
    const gint64 *remove; /* ascending; may be absent; before @add is added */
    gsize n_remove;
} ChunkChange;

/** chunks_new() - a writer of chunk rows in @store, borrowed; free it before.
 */
Chunks *chunks_new(Store *store);
void chunks_free(Chunks *chunks);

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
