/*
 * cursor.h - a place in somebody's page sequence, as text for clients
 *
 * 50 hexadecimal digits: version u8 = 1, kind u8, user i64, id i64, check
 * u56, big-endian; check is the upper part of XXH64 (seed 0) of what is
 * before it. A place is an id of the reader's own list, so a cursor gives
 * nothing away and grants nothing; the check tells a damaged one, and user
 * and kind one that belongs elsewhere (I6). Valid on every replica, for ever.
 */
#pragma once

#include "thrift/id.h"
#include "thrift/wire.h"

#define CURSOR_TEXT_BYTES 50

typedef enum CursorKind {
    CURSOR_DASHBOARD = 1,
    CURSOR_TIMELINE = 2,
} CursorKind;

typedef enum CursorOutcome {
    CURSOR_GOOD,
    CURSOR_DAMAGED, /* not one of ours */
    CURSOR_FOREIGN, /* another user's, or of another call */
} CursorOutcome;

/** cursor_write() - the text of the place at @id, with a final NUL. */
void cursor_write(CursorKind kind, UserId user, gint64 id,
                  char ret_text[CURSOR_TEXT_BYTES + 1]);

/** cursor_read() - the id of the place. */
CursorOutcome cursor_read(WireBytes text, CursorKind kind, UserId user,
                          gint64 *ret_id);
