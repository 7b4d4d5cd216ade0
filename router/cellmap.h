/*
 * cellmap.h - which cell is a user's home
 *
 * user -> slot -> cell, with overrides for single users. A map is immutable
 * and counted; a new epoch is a new map. Encoding: struct CellMap of
 * thrift/cell.thrift, as record "cellmap" of the control topic and as a file.
 */
#pragma once

#include "thrift/id.h"
#include "thrift/limits.h"
#include "thrift/wire.h"

#define CELLMAP_KEY "cellmap"

/* So many overrides are 768 KiB: a map of ordinary size fits into a Kafka
   record, which may have 1 MiB. */
#define CELLMAP_OVERRIDES_MAX 65536
#define CELLMAP_HOST_BYTES_MAX 255

typedef struct CellMap CellMap;

typedef struct CellMapEntry {
    guint cell; /* 0 to CELL_MAX */
    char *host; /* an address, or a name that has an IPv4 address */
    guint16 port;
} CellMapEntry;

/**
 * cellmap_slot() - the user's slot
 *
 * Effect: XXH64 of the id's 8 little-endian bytes, seed 0, mod SLOTS.
 */
guint cellmap_slot(UserId user);

/**
 * cellmap_even() - @n cells with equal shares of the slots
 *
 * @cells: copied; cell numbers are theirs, slots are shared in their order.
 * Owns:   the caller; cellmap_unref().
 * Fails:  never; @epoch is 1 or more, @n is 1 to CELL_MAX + 1.
 */
CellMap *cellmap_even(gint64 epoch, const CellMapEntry *cells, guint n);

/**
 * cellmap_readdress() - the next epoch: the same homes, other addresses
 *
 * @cells: copied; more cells than @map has are fine, they have no slots.
 * Owns:   the caller; cellmap_unref().
 * Fails:  NULL where a cell of @map is not among them.
 */
CellMap *cellmap_readdress(const CellMap *map, const CellMapEntry *cells,
                           guint n);

/**
 * cellmap_decode() - read and check an encoded map
 *
 * Fails: COMB_ERROR_CORRUPT or COMB_ERROR_INPUT with what is wrong (a slot
 *        without a cell, a range of an unknown cell, epoch below 1), NULL.
 */
CellMap *cellmap_decode(WireBytes bytes, GError **error);

/**
 * cellmap_encode() - append the struct's bytes to @out
 *
 * Effect: cellmap_decode() of them gives an equal map.
 */
void cellmap_encode(const CellMap *map, GByteArray *out);

/** cellmap_equal() - whether both say the same, epoch included. */
gboolean cellmap_equal(const CellMap *a, const CellMap *b);

/** cellmap_ref() - one more owner. Thread: any. */
CellMap *cellmap_ref(CellMap *map);

/** cellmap_unref() - one owner less; the last one frees. Thread: any. */
void cellmap_unref(CellMap *map);

/** cellmap_epoch() - its number; the highest is the newest map. */
gint64 cellmap_epoch(const CellMap *map);

/** cellmap_home() - the number of the user's cell. */
guint cellmap_home(const CellMap *map, UserId user);

/** cellmap_slot_home() - the number of the slot's cell, overrides aside. */
guint cellmap_slot_home(const CellMap *map, guint slot);

/** cellmap_entries() - the cells, in the order of the map; borrowed. */
const CellMapEntry *cellmap_entries(const CellMap *map, guint *ret_n);

/** cellmap_find() - the entry of @cell, or NULL; borrowed. */
const CellMapEntry *cellmap_find(const CellMap *map, guint cell);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(CellMap, cellmap_unref)
