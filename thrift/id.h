/*
 * id.h - the numbers that name users, posts and events
 *
 * Each is a struct of one field, so that the compiler catches a swap. Valid
 * values are 1 to 2^63-1. A post's id is the id of the event that brought it.
 *
 * Post and event ids, bits from high to low:
 *
 *     0 | milliseconds since 1970: 42 | sequence: 13 | node: 8
 *
 * so that they sort by time until the year 2109, a node can give 8,192 in a
 * millisecond, and neighbours differ little (inboxes store differences).
 */
#pragma once

#include <glib.h>

typedef struct UserId {
    gint64 v;
} UserId;

typedef struct PostId {
    gint64 v;
} PostId;

typedef struct EventId {
    gint64 v;
} EventId;

#define ID_NODE_BITS 8
#define ID_SEQUENCE_BITS 13
#define ID_NODE_MAX ((1 << ID_NODE_BITS) - 1)
#define ID_SEQUENCE_MAX ((1 << ID_SEQUENCE_BITS) - 1)

/**
 * id_make() - an id from its parts
 *
 * Fails: never; @ms must be 0 to 2^42-1, @sequence and @node within their
 *        bits.
 */
gint64 id_make(gint64 ms, guint sequence, guint node);

/** id_ms() - the milliseconds since 1970 in @id. */
gint64 id_ms(gint64 id);

/**
 * id_of_name() - the user id that stands for @name
 *
 * Effect: XXH64 of the name's bytes, seed 0, less the top bit; 1 where that
 *         would be 0. The mapping never changes: tools and clients rely on it.
 */
UserId id_of_name(const char *name, gsize len);
