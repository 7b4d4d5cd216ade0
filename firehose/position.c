/*
 * The gateway gives a position with each event that the log took; a reader
 * brings it back to ask a cell for a state at or past it. It may come back
 * years later, from another cluster or from a client that cut it, so it is
 * read with as little trust as any input. The check is no secret: it guards
 * against mix-ups, and a made-up position costs its maker a wait at worst.
 */
#include "firehose/position.h"

#include <string.h>
#include <xxhash.h>

#define POSITION_VERSION 1

guint32
position_check(const char *identity)
{
    return (guint32)XXH64(identity, strlen(identity), 0);
}

void
position_encode(Position position, guint32 check,
                guint8 ret_bytes[POSITION_BYTES])
{
    guint32 partition = GUINT32_TO_BE(position.partition);
    guint64 offset = GUINT64_TO_BE(position.offset);
    guint32 check_be = GUINT32_TO_BE(check);

    ret_bytes[0] = POSITION_VERSION;
    memcpy(ret_bytes + 1, &partition, sizeof(partition));
    memcpy(ret_bytes + 5, &offset, sizeof(offset));
    memcpy(ret_bytes + 13, &check_be, sizeof(check_be));
}

PositionOutcome
position_decode(WireBytes bytes, guint32 check, Position *ret_position)
{
    guint32 partition;
    guint64 offset;
    guint32 check_be;

    if (bytes.len != POSITION_BYTES || bytes.data[0] != POSITION_VERSION) {
        return POSITION_MALFORMED;
    }
    memcpy(&partition, bytes.data + 1, sizeof(partition));
    memcpy(&offset, bytes.data + 5, sizeof(offset));
    memcpy(&check_be, bytes.data + 13, sizeof(check_be));
    if (GUINT32_FROM_BE(check_be) != check) {
        return POSITION_FOREIGN;
    }
    ret_position->partition = GUINT32_FROM_BE(partition);
    ret_position->offset = GUINT64_FROM_BE(offset);
    return POSITION_OK;
}
