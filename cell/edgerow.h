/*
 * edgerow.h - a part of whom one user follows, as a row's value
 *
 *   version  u8 = 1, then 3 zero bytes
 *   n        u32 LE, 1 to EDGE_ROW_MAX
 *   next     i64 LE: first of the user's row after this one, 0: the last
 *   entries  n times, ascending by followee:
 *              followee  i64 LE
 *              word      u64 LE: id of the event that set it << 1 | follows
 *   check    u32 LE: XXH32 of all that is before it, seeded with the key
 *
 * A row holds the edges from its key's first up to, not including, @next; the
 * first row of a user begins at 0, so that the row for any followee is the one
 * at or before it. The check tells a flipped bit and a row in another's place.
 * @next makes a chain: whoever goes from row to row, or looks for the row of a
 * followee, notices one that is gone (I10). A user without a single row looks
 * like one who never followed; the high-water file is about those.
 */
#pragma once

#include "thrift/id.h"
#include "thrift/wire.h"

/* A row with more edges is split. */
#define EDGE_ROW_MAX 256

#define EDGE_ROW_HEAD_BYTES 16
#define EDGE_ROW_ENTRY_BYTES 16
#define EDGE_ROW_CHECK_BYTES 4
#define EDGE_ROW_BYTES_MAX                                                     \
    (EDGE_ROW_HEAD_BYTES + EDGE_ROW_MAX * EDGE_ROW_ENTRY_BYTES +               \
     EDGE_ROW_CHECK_BYTES)

/* One edge, in memory. Of two words for one followee the greater is right:
   the newer event, or of one id with both meanings the follow. */
typedef struct EdgeEntry {
    gint64 followee;
    guint64 word;
} EdgeEntry;

#define EDGE_WORD_FOLLOWS 1u

/* A row where it lies; entries are borrowed from the value. */
typedef struct EdgeRow {
    gint64 first;          /* of its key */
    gint64 next;           /* where the next row begins; 0: the last one */
    guint n;               /* entries */
    const guint8 *entries; /* encoded */
} EdgeRow;

/**
 * edge_row_encode() - the value of a row
 *
 * @row:   its first, next and n are used.
 * Effect: returns the bytes used of @ret_value.
 */
gsize edge_row_encode(UserId follower, const EdgeRow *row,
                      const EdgeEntry *entries,
                      guint8 ret_value[EDGE_ROW_BYTES_MAX]);

/** edge_row_decode() - check and read a row; FALSE where it is damaged. */
gboolean edge_row_decode(WireBytes key, WireBytes value, EdgeRow *ret_row);

/** edge_row_covers() - whether the edge to @followee belongs into the row. */
static inline gboolean
edge_row_covers(const EdgeRow *row, gint64 followee)
{
    return followee >= row->first && (row->next == 0 || followee < row->next);
}

/** edge_row_entry() - the entry at @at, less than n. */
EdgeEntry edge_row_entry(const EdgeRow *row, guint at);

/** edge_row_find() - the place of the first entry at or above @followee. */
guint edge_row_find(const EdgeRow *row, gint64 followee);
