/*
 * position.h - a place in the log, as clients carry it
 *
 * Opaque to them. It names the log it is from, so that a position of another
 * cluster or of a topic made anew is told from one of ours and never compared
 * with it.
 * Format, 17 bytes: version 1 | partition u32 | offset u64 | check u32, big
 * endian; check is the low half of XXH64 of log_identity(), seed 0.
 */
#pragma once

#include "thrift/wire.h"

#define POSITION_BYTES 17

typedef struct Position {
    guint32 partition;
    guint64 offset;
} Position;

typedef enum PositionOutcome {
    POSITION_OK,
    POSITION_MALFORMED, /* no position at all, or of a newer version */
    POSITION_FOREIGN,   /* of another log */
} PositionOutcome;

/** position_check() - the check of the log with this identity. */
guint32 position_check(const char *identity);

/** position_encode() - @position of the log with @check as bytes. */
void position_encode(Position position, guint32 check,
                     guint8 ret_bytes[POSITION_BYTES]);

/**
 * position_decode() - read what a client brought
 *
 * Effect: *ret_position is set where POSITION_OK. Whether the log has such a
 *         partition and offset is for the caller to see.
 */
PositionOutcome position_decode(WireBytes bytes, guint32 check,
                                Position *ret_position);
