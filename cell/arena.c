#include "cell/arena.h"

#include "ops/kit/ensure.h"

/* Each class cuts its blocks from slabs, one at a time. */
#define ARENA_SLAB_BYTES ((guint)64 << 10)

static const guint16 arena_bytes[ARENA_CLASSES] = {32,
                                                   48,
                                                   64,
                                                   96,
                                                   128,
                                                   192,
                                                   256,
                                                   384,
                                                   512,
                                                   768,
                                                   1024,
                                                   1536,
                                                   2048,
                                                   3072,
                                                   4096,
                                                   6144,
                                                   8192,
                                                   12288,
                                                   ARENA_BLOCK_BYTES_MAX};

void
arena_init(Arena *arena, gsize bytes_soft)
{
    *arena = (Arena){.bytes_soft = bytes_soft};
    span_init(&arena->span, ARENA_BYTES_MAX);
    /* The first unit is reference 0, which is no block. */
    arena->taken = ARENA_SLAB_BYTES;
}

void
arena_clear(Arena *arena)
{
    span_clear(&arena->span);
}

guint
arena_class_bytes(guint class)
{
    ensure(class < ARENA_CLASSES);
    return arena_bytes[class];
}

guint
arena_class_for(guint bytes)
{
    guint class = 0;
    ensure(bytes <= ARENA_BLOCK_BYTES_MAX);
    while (arena_bytes[class] < bytes) {
        class ++;
    }
    return class;
}

static ArenaRef
arena_pop(Arena *arena, guint class)
{
    ArenaRef ref = arena->free[class];
    arena->free[class] = (ArenaRef)atomic_load_explicit(arena_words(arena, ref),
                                                        memory_order_relaxed);
    arena->live += arena_bytes[class];
    return ref;
}

/* The smallest class, larger than @class, with a free block, or none. */
static guint
arena_larger(const Arena *arena, guint class)
{
    for (class ++; class < ARENA_CLASSES; class ++) {
        if (arena->free[class] != 0) {
            return class;
        }
    }
    return ARENA_CLASSES;
}

static ArenaRef
arena_cut(Arena *arena, guint class)
{
    guint bytes = arena_bytes[class];
    if (arena->left[class] < bytes) {
        span_grow(&arena->span, arena->taken + ARENA_SLAB_BYTES);
        arena->slab[class] = arena->span.base + arena->taken;
        arena->left[class] = ARENA_SLAB_BYTES;
        arena->taken += ARENA_SLAB_BYTES;
    }
    gsize at = (gsize)(arena->slab[class] - arena->span.base);
    arena->slab[class] += bytes;
    arena->left[class] -= bytes;
    arena->live += bytes;
    return (ArenaRef)(at / ARENA_UNIT_BYTES);
}

ArenaRef
arena_alloc(Arena *arena, guint class, guint *ret_class)
{
    ensure(class < ARENA_CLASSES);
    *ret_class = class;
    if (arena->free[class] != 0) {
        return arena_pop(arena, class);
    }
    if (arena->taken >= arena->bytes_soft) {
        guint larger = arena_larger(arena, class);
        if (larger < ARENA_CLASSES) {
            *ret_class = larger;
            return arena_pop(arena, larger);
        }
    }
    return arena_cut(arena, class);
}

void
arena_free(Arena *arena, ArenaRef ref, guint class)
{
    ensure(ref != 0 && class < ARENA_CLASSES);
    /* With release, as whatever a late reader of the block may see. */
    atomic_store_explicit(arena_words(arena, ref), arena->free[class],
                          memory_order_release);
    arena->free[class] = ref;
    arena->live -= arena_bytes[class];
}
