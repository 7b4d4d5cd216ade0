/*
 * key.h - the rows of a cell's store
 *
 * One column family; the first byte of a key says what the row is, numbers
 * are big-endian so that rows sort as their numbers do (ids are positive).
 *
 *   m name                 text or bytes   what the store is (meta.h)
 *   o partition            position        what is applied
 *   p post                 Post bytes      a post, in its wire encoding
 *   t author post          -               a timeline entry
 *   d post actor           event id        actor asked to delete post
 *   f follower first       edges           whom a user follows: edgerow.h
 *   i user first-id        chunk           a sealed part of an inbox: chunk.h
 *   w user                 floor           of the inbox: inbox.h
 *   k event                Event bytes     an event kept for later
 *   n kind                 count           how many of a kind are kept
 *   q partition offset     reason, bytes   a record set aside: facts.c
 *
 * A row's meaning never changes; another meaning takes another letter, and
 * META_FORMAT (meta.h) goes up.
 */
#pragma once

#include "thrift/id.h"
#include "thrift/wire.h"

#define KEY_BYTES_MAX 24

/* By value: 25 bytes on the stack, no allocation. */
typedef struct Key {
    guint8 len;
    guint8 data[KEY_BYTES_MAX];
} Key;

/* The key of one row, by its kind. */
Key key_meta(const char *name);
Key key_position(guint partition);
Key key_post(PostId post);
Key key_timeline(UserId author, PostId post);
Key key_tombstone(PostId post, UserId actor);
Key key_edges(UserId follower, UserId first);
Key key_chunk(UserId user, PostId first);
Key key_floor(UserId user);
Key key_kept(EventId event);
Key key_kept_count(guint kind);
Key key_quarantine(guint partition, guint64 offset);

/** key_letter() - the shortest key of a kind, to scan all its rows from. */
Key key_letter(char letter);

/** key_is() - whether @bytes is a row key of this kind and length. */
gboolean key_is(WireBytes bytes, char letter, gsize len);

/** key_i64() - the 8 bytes at @at of a row key. */
gint64 key_i64(WireBytes bytes, gsize at);

/* Lengths, and where the second number is. */
#define KEY_ONE_BYTES 9
#define KEY_PAIR_BYTES 17
#define KEY_PAIR_SECOND 9
