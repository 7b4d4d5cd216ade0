/*
 * chunk.h - a sealed part of an inbox, as a row's value
 *
 *   version  u8 = 1
 *   n        u16 LE, 1 to CHUNK_IDS_MAX
 *   before   i64 LE: first id of the user's chunk before this one, 0: none
 *   first    i64 LE
 *   steps    n-1 LEB128 varints: id minus the id before it, at least 1
 *   check    u32 LE: XXH32, seed 0, of all that is before it
 *
 * Written when a tail is sealed. The check tells a flipped bit; @before makes
 * a chain, so that a chunk that is gone is noticed by whoever walks past the
 * gap (I10).
 */
#pragma once

#include "thrift/wire.h"

/* Ids that sealing puts into a chunk, and the most a chunk may have. */
#define CHUNK_IDS 128
#define CHUNK_IDS_MAX 256

typedef struct Chunk {
    gint64 before;
    guint n;
    gint64 ids[CHUNK_IDS_MAX]; /* ascending */
} Chunk;

/**
 * chunk_encode() - append the value of a chunk to @out
 *
 * @ids: ascending, no two alike; 1 to CHUNK_IDS_MAX.
 */
void chunk_encode(GByteArray *out, const gint64 *ids, guint n, gint64 before);

/** chunk_decode() - read and check a value; FALSE where it is damaged. */
gboolean chunk_decode(WireBytes bytes, Chunk *ret_chunk);
