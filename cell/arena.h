/*
 * arena.h - blocks of memory for tails, in a few sizes
 *
 * A block is named by a 32-bit reference, half a pointer. Sizes grow by a
 * third to a half, so that a tail wastes little; freed blocks are used again
 * for their size, and for smaller ones where memory is short. Memory once
 * taken is never unmapped: a reader that is late by a version reads some other
 * block's words, notices by the version, and has touched nothing forbidden.
 *
 * Thread: one allocates and frees; any may read words.
 */
#pragma once

#include "cell/span.h"

#include <stdatomic.h>

/* Where a block is, in units of ARENA_UNIT_BYTES; 0: no block. */
typedef guint32 ArenaRef;

#define ARENA_UNIT_BYTES 16
#define ARENA_BYTES_MAX ((gsize)ARENA_UNIT_BYTES << 32)
#define ARENA_CLASSES 19
/* Of the largest size. */
#define ARENA_BLOCK_BYTES_MAX 16384

typedef struct Arena {
    Span span;
    gsize taken;                  /* bytes of the span given to blocks */
    gsize live;                   /* bytes of blocks in use */
    gsize bytes_soft;             /* rather a larger free block than more */
    guint8 *slab[ARENA_CLASSES];  /* where the next block of a size is cut */
    guint left[ARENA_CLASSES];    /* bytes left there */
    ArenaRef free[ARENA_CLASSES]; /* a list through the blocks' first words */
} Arena;

/** arena_init() - empty; @bytes_soft: where to become thrifty. */
void arena_init(Arena *arena, gsize bytes_soft);
void arena_clear(Arena *arena);

/** arena_class_bytes() - the size of blocks of a class. */
guint arena_class_bytes(guint class);

/** arena_class_for() - the smallest class for @bytes. */
guint arena_class_for(guint bytes);

/**
 * arena_alloc() - a block of @class or, where memory is short, of a larger one
 *
 * Effect: *ret_class is its class. Its words hold anything.
 */
ArenaRef arena_alloc(Arena *arena, guint class, guint *ret_class);
void arena_free(Arena *arena, ArenaRef ref, guint class);

/** arena_words() - the words of a block; 8 bytes each, little-endian. */
static inline _Atomic guint64 *
arena_words(const Arena *arena, ArenaRef ref)
{
    return (_Atomic guint64 *)(gpointer)(arena->span.base +
                                         (gsize)ref * ARENA_UNIT_BYTES);
}
