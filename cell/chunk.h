/*
 * chunk.h - a sealed part of an inbox, as a row's value
 *
 *   version  u8 = 2
 *   n        u16 LE, 1 to CHUNK_IDS_MAX
 *   serial   u32 LE: one more than that of the user's chunk before this one
 *   before   i64 LE: that chunk's first id, 0: there never was one
 *   first    i64 LE
 *   steps    n-1 steps (idrun.h)
 *   check    u32 LE: XXH32, seed 0, of all that is before it
 *
 * Written when a tail is sealed. The check tells a flipped bit; @before and
 * @serial make a chain, so that a chunk that is gone is noticed by whoever
 * walks past the gap (I10). The chain's old end is dropped when the inbox is
 * longer than its window; ids below the floor need no chunk (inbox.h).
 */
#pragma once

#include "thrift/wire.h"

/* The most ids a chunk may have. */
#define CHUNK_IDS_MAX 1024

typedef struct Chunk {
    guint32 serial;
    gint64 before;
    guint n;
    gint64 ids[CHUNK_IDS_MAX]; /* ascending */
} Chunk;

/* Where a chunk is in its user's chain. */
typedef struct ChunkPlace {
    guint32 serial;
    gint64 before;
} ChunkPlace;

/**
 * chunk_encode() - append the value of a chunk to @out
 *
 * @ids: ascending, no two alike; 1 to CHUNK_IDS_MAX.
 */
void chunk_encode(GByteArray *out, const gint64 *ids, guint n,
                  ChunkPlace place);

/**
 * chunk_encode_run() - the same from ids that are a run already (idrun.h)
 *
 * @first: of the @n ids.
 * @steps: @bytes of steps to the others.
 */
void chunk_encode_run(GByteArray *out, gint64 first, WireBytes steps, guint n,
                      ChunkPlace place);

/** chunk_decode() - read and check a value; FALSE where it is damaged. */
gboolean chunk_decode(WireBytes bytes, Chunk *ret_chunk);
