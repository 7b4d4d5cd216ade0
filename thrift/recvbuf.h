/*
 * recvbuf.h - bytes of a connection that are no call yet (private)
 *
 * Holds memory only while there are some: most connections are idle, or have
 * whole frames in what a read brings.
 */
#pragma once

#include "thrift/wire.h"

typedef struct RecvBuf {
    guint8 *data;  /* NULL: nothing */
    gsize at, len; /* the bytes are from @at to @len */
    gsize size;    /* of @data */
} RecvBuf;

/** recvbuf_bytes() - all that is there; borrowed until the next change. */
WireBytes recvbuf_bytes(const RecvBuf *buf);

/** recvbuf_space() - room for @n more bytes behind them; see recvbuf_added().
 */
guint8 *recvbuf_space(RecvBuf *buf, gsize n);

/** recvbuf_added() - @n bytes were written to the space. */
void recvbuf_added(RecvBuf *buf, gsize n);

/** recvbuf_drop() - the first @n bytes are of no use any more. */
void recvbuf_drop(RecvBuf *buf, gsize n);
