#include "thrift/sendqueue.h"

#include "thrift/connection.h"

#include <string.h>

#define PREFIX_BYTES sizeof(guint32)
/* From here on a reply is a piece of its own. */
#define SMALL_BYTES 1024

void
sendqueue_init(SendQueue *queue)
{
    TAILQ_INIT(&queue->replies);
}

static gsize
framed_bytes(const Request *request)
{
    return PREFIX_BYTES + request->reply->len;
}

/* A request goes as a whole, with the bytes of its call. */
static gsize
held_bytes(const Request *request)
{
    return request->len + framed_bytes(request);
}

void
sendqueue_put(SendQueue *queue, Request *request)
{
    TAILQ_INSERT_TAIL(&queue->replies, request, in_order);
    queue->bytes += framed_bytes(request);
    queue->held += held_bytes(request);
}

/* The bytes of a framed reply from @from on: of its prefix, which is written to
 *prefix, else of its body. */
static struct iovec
part_from(const Request *request, gsize from, guint32 *prefix)
{
    if (from >= PREFIX_BYTES) {
        return (struct iovec){request->reply->data + (from - PREFIX_BYTES),
                              framed_bytes(request) - from};
    }
    *prefix = GUINT32_TO_BE(request->reply->len);
    return (struct iovec){(guint8 *)prefix + from, PREFIX_BYTES - from};
}

/* Pieces that grow at their end. */
typedef struct Gather {
    struct iovec *pieces;
    guint n, max;
    SendRoom room; /* what is left of it */
} Gather;

/* FALSE: there is no room, or no piece, for it. */
static gboolean
gather(Gather *gather, struct iovec part)
{
    gboolean copied = part.iov_len < SMALL_BYTES;
    struct iovec *last = gather->n > 0 ? &gather->pieces[gather->n - 1] : NULL;
    gboolean joins =
        copied && last != NULL &&
        (guint8 *)last->iov_base + last->iov_len == gather->room.data;

    if ((copied && part.iov_len > gather->room.size) ||
        (!joins && gather->n == gather->max)) {
        return FALSE;
    }
    if (copied) {
        memcpy(gather->room.data, part.iov_base, part.iov_len);
        part.iov_base = gather->room.data;
        gather->room.data += part.iov_len;
        gather->room.size -= part.iov_len;
    }
    if (joins) {
        last->iov_len += part.iov_len;
    } else {
        gather->pieces[gather->n++] = part;
    }
    return TRUE;
}

guint
sendqueue_peek(const SendQueue *queue, SendRoom room, struct iovec *ret_pieces,
               guint max)
{
    Gather to = {ret_pieces, 0, max, room};
    gsize from = queue->sent;
    const Request *request;
    guint32 prefix;

    for (request = TAILQ_FIRST(&queue->replies); request != NULL;
         request = TAILQ_NEXT(request, in_order)) {
        while (from < framed_bytes(request)) {
            struct iovec part = part_from(request, from, &prefix);

            if (!gather(&to, part)) {
                return to.n;
            }
            from += part.iov_len;
        }
        from = 0;
    }
    return to.n;
}

gsize
sendqueue_copy(const SendQueue *queue, guint8 *ret_data, gsize max)
{
    gsize n = 0, from = queue->sent;
    const Request *request;
    guint32 prefix;

    for (request = TAILQ_FIRST(&queue->replies); request != NULL;
         request = TAILQ_NEXT(request, in_order)) {
        while (from < framed_bytes(request)) {
            struct iovec part = part_from(request, from, &prefix);
            gsize len = MIN(part.iov_len, max - n);

            memcpy(ret_data + n, part.iov_base, len);
            n += len;
            from += len;
            if (n == max) {
                return n;
            }
        }
        from = 0;
    }
    return n;
}

void
sendqueue_drain(SendQueue *queue, gsize n)
{
    Request *first;

    queue->bytes -= n;
    queue->sent += n;
    while ((first = TAILQ_FIRST(&queue->replies)) != NULL &&
           queue->sent >= framed_bytes(first)) {
        queue->sent -= framed_bytes(first);
        queue->held -= held_bytes(first);
        TAILQ_REMOVE(&queue->replies, first, in_order);
        request_free(first);
    }
}

void
sendqueue_clear(SendQueue *queue)
{
    sendqueue_drain(queue, queue->bytes);
}
