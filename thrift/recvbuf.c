#include "thrift/recvbuf.h"

#include <string.h>

WireBytes
recvbuf_bytes(const RecvBuf *buf)
{
    return (WireBytes){buf->data + buf->at, buf->len - buf->at};
}

guint8 *
recvbuf_space(RecvBuf *buf, gsize n)
{
    gsize held = buf->len - buf->at;

    if (buf->size - buf->len < n && buf->at > 0) {
        memmove(buf->data, buf->data + buf->at, held);
        buf->at = 0;
        buf->len = held;
    }
    if (buf->size - buf->len < n) {
        buf->size = MAX(buf->len + n, buf->size * 2);
        buf->data = g_realloc(buf->data, buf->size);
    }
    return buf->data + buf->len;
}

void
recvbuf_added(RecvBuf *buf, gsize n)
{
    buf->len += n;
}

void
recvbuf_drop(RecvBuf *buf, gsize n)
{
    buf->at += n;
    if (buf->at == buf->len) {
        g_free(buf->data);
        *buf = (RecvBuf){0};
    }
}
