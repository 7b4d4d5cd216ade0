/*
 * idmap.h - 64-bit ids to small indexes, for one writer and any readers
 *
 * Ids get the indexes 0, 1, 2, ... in order of their first insertion and keep
 * them for the map's life; nothing is ever taken out. Readers never wait and
 * never hold the writer up: a reader that looks while an id is added finds it
 * or does not. An id whose addition happened before is always found.
 *
 * About 21 to 34 bytes an id at scale, of it 8 for the id. An addition now
 * and then grows one of 256 shards, for a millisecond at 10 million ids.
 */
#pragma once

#include <glib.h>

/* No id of the map has this index. */
#define IDMAP_NONE G_MAXUINT32

typedef struct IdMap IdMap;

/** idmap_new() - an empty map. Owns: the caller frees, after all readers. */
IdMap *idmap_new(void);
void idmap_free(IdMap *map);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(IdMap, idmap_free)

/* Ids are dealt out to so many shards, by a hash. */
#define IDMAP_SHARDS 256u

/** idmap_shard() - that of @id. Thread: any. */
guint idmap_shard(gint64 id);

/** idmap_find() - the index of @id, or IDMAP_NONE. Thread: any. */
guint32 idmap_find(const IdMap *map, gint64 id);

/**
 * idmap_prefetch() - begin to bring in what idmap_find(@id) will look at
 *
 * Effect: none but speed: call it for a few ids ahead of their turn.
 * Thread: any.
 */
void idmap_prefetch(const IdMap *map, gint64 id);

/**
 * idmap_prefetch_id() - go on with that, once idmap_prefetch() has had its time
 *
 * Effect: as above; it looks at the slot, and fetches the id that is compared.
 * Thread: any.
 */
void idmap_prefetch_id(const IdMap *map, gint64 id);

/**
 * idmap_add() - the index of @id, the next free one where it is new
 *
 * Thread: the writer, no other.
 * Fails:  never; @id must be positive, and there is room for 2^32 - 1 ids.
 */
guint32 idmap_add(IdMap *map, gint64 id);

/** idmap_count() - how many ids: indexes are below it. Thread: any. */
guint32 idmap_count(const IdMap *map);

/**
 * idmap_id() - the id that has @index
 *
 * Thread: any; @index must come from this map, or be below idmap_count().
 */
gint64 idmap_id(const IdMap *map, guint32 index);

/** idmap_bytes() - memory held, in bytes. Thread: any. */
gsize idmap_bytes(const IdMap *map);
