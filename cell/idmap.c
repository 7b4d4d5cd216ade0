/*
 * Ids lie by index in segments that never move. The hash is 256 shards, by
 * the top bits, of open addressing with linear probes; a slot holds index + 1
 * (0: empty) and the id itself is looked up by index, so that a slot is four
 * bytes. A shard over 5/8 full gets an array of twice the size; the old one
 * stays until the map is freed, because a reader may be in it. All old arrays
 * of a shard together are smaller than its present one.
 *
 * Publication. The writer writes the id, then releases the slot (or, after
 * growth, the pointer to the array) that leads to it; a reader acquires both,
 * so whatever it follows is written. A reader in an old array misses what was
 * added after the growth: to it, the addition had not happened yet.
 */
#include "cell/idmap.h"

#include "ops/kit/ensure.h"
#include "ops/kit/mix.h"

#include <stdatomic.h>

#define SHARD_BITS 8
#define SEGMENT_BITS 16
#define SEGMENT_IDS (1u << SEGMENT_BITS)
#define SEGMENTS (1u << (32 - SEGMENT_BITS))
#define SLOTS_MIN 16u
/* A shard is at most LOAD_NUM / LOAD_DEN full. */
#define LOAD_NUM 5u
#define LOAD_DEN 8u
/* Growth brings in ids so many slots ahead: they are all over memory. */
#define GROW_AHEAD 16u

typedef struct IdMapSlots IdMapSlots;

struct IdMapSlots {
    IdMapSlots *older;      /* owned; NULL at the end */
    guint32 mask;           /* slots, a power of two, less 1 */
    _Atomic guint32 slot[]; /* index + 1; 0: empty */
};

G_STATIC_ASSERT(IDMAP_SHARDS == 1u << SHARD_BITS);

struct IdMap {
    _Atomic(gint64 *) segments[SEGMENTS]; /* ids by index; NULL: not yet */
    _Atomic(IdMapSlots *) shards[IDMAP_SHARDS]; /* NULL: nothing in it */
    guint32 used[IDMAP_SHARDS];                 /* per shard; the writer's */
    _Atomic guint32 count; /* set after an id can be found */
    _Atomic gsize bytes;   /* of this and all below */
};

static guint64
idmap_hash(gint64 id)
{
    return mix64((guint64)id);
}

static guint
idmap_shard_hashed(guint64 hash)
{
    return (guint)(hash >> (64 - SHARD_BITS));
}

guint
idmap_shard(gint64 id)
{
    return idmap_shard_hashed(idmap_hash(id));
}

IdMap *
idmap_new(void)
{
    IdMap *map = g_new0(IdMap, 1);
    atomic_store_explicit(&map->bytes, sizeof *map, memory_order_relaxed);
    return map;
}

void
idmap_free(IdMap *map)
{
    for (guint i = 0; i < IDMAP_SHARDS; i++) {
        IdMapSlots *slots =
            atomic_load_explicit(&map->shards[i], memory_order_acquire);
        while (slots != NULL) {
            IdMapSlots *older = slots->older;
            g_free(slots);
            slots = older;
        }
    }
    for (guint i = 0; i < SEGMENTS; i++) {
        g_free(atomic_load_explicit(&map->segments[i], memory_order_acquire));
    }
    g_free(map);
}

gint64
idmap_id(const IdMap *map, guint32 index)
{
    const gint64 *segment = atomic_load_explicit(
        &map->segments[index >> SEGMENT_BITS], memory_order_acquire);
    return segment[index % SEGMENT_IDS];
}

static guint32
idmap_find_hashed(const IdMap *map, guint64 hash, gint64 id)
{
    const IdMapSlots *slots = atomic_load_explicit(
        &map->shards[idmap_shard_hashed(hash)], memory_order_acquire);
    if (slots == NULL) {
        return IDMAP_NONE;
    }
    for (guint32 i = (guint32)hash & slots->mask;; i = (i + 1) & slots->mask) {
        guint32 entry =
            atomic_load_explicit(&slots->slot[i], memory_order_acquire);
        if (entry == 0) {
            return IDMAP_NONE;
        }
        if (idmap_id(map, entry - 1) == id) {
            return entry - 1;
        }
    }
}

guint32
idmap_find(const IdMap *map, gint64 id)
{
    return idmap_find_hashed(map, idmap_hash(id), id);
}

void
idmap_prefetch(const IdMap *map, gint64 id)
{
    guint64 hash = idmap_hash(id);
    const IdMapSlots *slots = atomic_load_explicit(
        &map->shards[idmap_shard_hashed(hash)], memory_order_acquire);
    if (slots != NULL) {
        __builtin_prefetch(&slots->slot[(guint32)hash & slots->mask]);
    }
}

static void
idmap_prefetch_entry(const IdMap *map, const IdMapSlots *slots, guint32 i)
{
    guint32 entry = atomic_load_explicit(&slots->slot[i], memory_order_acquire);
    if (entry != 0) {
        const gint64 *segment = atomic_load_explicit(
            &map->segments[(entry - 1) >> SEGMENT_BITS], memory_order_acquire);
        __builtin_prefetch(&segment[(entry - 1) % SEGMENT_IDS]);
    }
}

void
idmap_prefetch_id(const IdMap *map, gint64 id)
{
    guint64 hash = idmap_hash(id);
    const IdMapSlots *slots = atomic_load_explicit(
        &map->shards[idmap_shard_hashed(hash)], memory_order_acquire);
    if (slots != NULL) {
        idmap_prefetch_entry(map, slots, (guint32)hash & slots->mask);
    }
}

/* ---- the writer ---- */

static void
idmap_hold(IdMap *map, gsize bytes)
{
    gsize held = atomic_load_explicit(&map->bytes, memory_order_relaxed);
    atomic_store_explicit(&map->bytes, held + bytes, memory_order_relaxed);
}

/* Into the first empty slot of its run; released, for readers of a live
   array. */
static void
idmap_slots_put(IdMapSlots *slots, guint64 hash, guint32 entry)
{
    guint32 i = (guint32)hash & slots->mask;
    while (atomic_load_explicit(&slots->slot[i], memory_order_relaxed) != 0) {
        i = (i + 1) & slots->mask;
    }
    atomic_store_explicit(&slots->slot[i], entry, memory_order_release);
}

static void
idmap_slots_copy(const IdMap *map, const IdMapSlots *from, IdMapSlots *to)
{
    for (guint32 i = 0; i <= from->mask; i++) {
        idmap_prefetch_entry(map, from, (i + GROW_AHEAD) & from->mask);
        guint32 entry =
            atomic_load_explicit(&from->slot[i], memory_order_relaxed);
        if (entry != 0) {
            idmap_slots_put(to, idmap_hash(idmap_id(map, entry - 1)), entry);
        }
    }
}

static IdMapSlots *
idmap_grow(IdMap *map, guint shard, IdMapSlots *old)
{
    guint32 n = old != NULL ? 2 * (old->mask + 1) : SLOTS_MIN;
    gsize bytes = sizeof *old + n * sizeof old->slot[0];
    IdMapSlots *slots = g_malloc0(bytes);
    slots->older = old;
    slots->mask = n - 1;
    if (old != NULL) {
        idmap_slots_copy(map, old, slots);
    }
    atomic_store_explicit(&map->shards[shard], slots, memory_order_release);
    idmap_hold(map, bytes);
    return slots;
}

/* The shard's array, with room for one more. */
static IdMapSlots *
idmap_make_room(IdMap *map, guint shard)
{
    IdMapSlots *slots =
        atomic_load_explicit(&map->shards[shard], memory_order_relaxed);
    if (slots == NULL || (map->used[shard] + 1) * (guint64)LOAD_DEN >
                             (slots->mask + 1) * (guint64)LOAD_NUM) {
        slots = idmap_grow(map, shard, slots);
    }
    return slots;
}

static void
idmap_set_id(IdMap *map, guint32 index, gint64 id)
{
    guint at = index >> SEGMENT_BITS;
    gint64 *segment =
        atomic_load_explicit(&map->segments[at], memory_order_relaxed);
    if (segment == NULL) {
        segment = g_new0(gint64, SEGMENT_IDS);
        atomic_store_explicit(&map->segments[at], segment,
                              memory_order_release);
        idmap_hold(map, SEGMENT_IDS * sizeof *segment);
    }
    segment[index % SEGMENT_IDS] = id;
}

guint32
idmap_add(IdMap *map, gint64 id)
{
    ensure(id > 0);
    guint64 hash = idmap_hash(id);
    guint32 index = idmap_find_hashed(map, hash, id);
    if (index != IDMAP_NONE) {
        return index;
    }
    index = atomic_load_explicit(&map->count, memory_order_relaxed);
    ensure(index != IDMAP_NONE);
    guint shard = idmap_shard_hashed(hash);
    idmap_set_id(map, index, id);
    idmap_slots_put(idmap_make_room(map, shard), hash, index + 1);
    map->used[shard]++;
    atomic_store_explicit(&map->count, index + 1, memory_order_release);
    return index;
}

guint32
idmap_count(const IdMap *map)
{
    return atomic_load_explicit(&map->count, memory_order_acquire);
}

gsize
idmap_bytes(const IdMap *map)
{
    return atomic_load_explicit(&map->bytes, memory_order_relaxed);
}
