/*
 * bookmark.h - a place in every partition at once, as consumers carry it
 *
 * What a consumer of the whole log keeps to go on from exactly: the offset
 * that it wants next, of each partition. Opaque to it, and text, so that it
 * fits in a URL, a JSON string and a shell. It names the log it is from, as a
 * Position does (position.h).
 * Format: base64url without padding of version 2 | check u32 big endian |
 * the number of partitions | per partition the next offset; both in LEB128.
 * A consumer that shares the partitions has a place in some: version 3, where
 * the numbers are one more, and 0 is no place.
 */
#pragma once

#include "firehose/position.h"

/* The most partitions that a bookmark holds. */
#define BOOKMARK_PARTITIONS_MAX 1024

typedef enum BookmarkOutcome {
    BOOKMARK_ALL,       /* a place in every partition */
    BOOKMARK_SOME,      /* in one or more; LOG_NO_PLACE in the others */
    BOOKMARK_EVENT,     /* the Position of one published event */
    BOOKMARK_MALFORMED, /* neither, of a newer version, or cut */
    BOOKMARK_FOREIGN,   /* of another log */
} BookmarkOutcome;

/**
 * bookmark_write() - append the text of a place
 *
 * @next:  per partition, @n of them, at most BOOKMARK_PARTITIONS_MAX;
 *         LOG_NO_PLACE: none there.
 * @check: position_check() of the log.
 */
void bookmark_write(GString *out, const guint64 *next, guint n, guint32 check);

/**
 * bookmark_read() - read what a consumer brought
 *
 * @bytes: a bookmark; or an event's Position, as the bytes of position.h or
 *         in base64url.
 * @n:     partitions of the log; room in @ret_next.
 * Effect: BOOKMARK_ALL and _SOME: @ret_next is set; BOOKMARK_EVENT: *ret_event
 * is. Whether the log has such offsets is for the caller to see.
 */
BookmarkOutcome bookmark_read(WireBytes bytes, guint32 check, guint n,
                              guint64 *ret_next, Position *ret_event);
