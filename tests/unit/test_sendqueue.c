/*
 * test_sendqueue.c - answers as pieces, and bytes received
 *
 * Whatever their sizes and whatever the kernel takes at a time: what leaves is
 * the answers with their length prefixes, in order.
 */
#include "thrift/connection.h"
#include "thrift/recvbuf.h"
#include "thrift/sendqueue.h"

#include <string.h>

/* An answered request of @len bytes, also appended to @expected with prefix. */
static Request *
answer(GByteArray *expected, guint len)
{
    Request *request = g_malloc0(sizeof(*request));
    guint32 prefix = GUINT32_TO_BE(len);

    request->reply = g_byte_array_new();
    for (guint i = 0; i < len; i++) {
        guint8 byte = (guint8)g_test_rand_int_range(0, 256);

        g_byte_array_append(request->reply, &byte, 1);
    }
    g_byte_array_append(expected, (const guint8 *)&prefix, sizeof(prefix));
    g_byte_array_append(expected, request->reply->data, len);
    return request;
}

static guint
some_length(void)
{
    static const gint32 most[] = {2, 60, 1500, 20000};

    return (guint)g_test_rand_int_range(1, most[g_test_rand_int_range(0, 4)]);
}

/* Sends a part of what is offered, as a kernel would. */
static void
send_some(SendQueue *queue, GByteArray *sent)
{
    guint8 memory[3000];
    SendRoom room = {memory, (gsize)g_test_rand_int_range(1100, 3000)};
    struct iovec pieces[5];
    guint n =
        sendqueue_peek(queue, room, pieces, (guint)g_test_rand_int_range(1, 6));
    gsize offered = 0, taken;

    g_assert_cmpuint(n, >, 0);
    for (guint i = 0; i < n; i++) {
        offered += pieces[i].iov_len;
    }
    taken = (gsize)g_test_rand_int_range(1, (gint32)offered + 1);
    offered = taken;
    for (guint i = 0; i < n && offered > 0; i++) {
        gsize part = MIN(offered, pieces[i].iov_len);

        g_byte_array_append(sent, pieces[i].iov_base, (guint)part);
        offered -= part;
    }
    sendqueue_drain(queue, taken);
}

static void
copy_some(SendQueue *queue, GByteArray *sent)
{
    guint8 record[2000];
    gsize n = sendqueue_copy(queue, record,
                             (gsize)g_test_rand_int_range(1, sizeof(record)));

    g_assert_cmpuint(n, >, 0);
    n = (gsize)g_test_rand_int_range(1, (gint32)n + 1);
    g_byte_array_append(sent, record, (guint)n);
    sendqueue_drain(queue, n);
}

static void
test_any_pieces(void)
{
    g_autoptr(GByteArray) expected = g_byte_array_new();
    g_autoptr(GByteArray) sent = g_byte_array_new();
    SendQueue queue = {0};

    sendqueue_init(&queue);
    for (guint i = 0; i < 400; i++) {
        sendqueue_put(&queue, answer(expected, some_length()));
        while (queue.bytes > 0 && g_test_rand_int_range(0, 3) > 0) {
            if (g_test_rand_bit()) {
                send_some(&queue, sent);
            } else {
                copy_some(&queue, sent);
            }
        }
        g_assert_cmpuint(queue.bytes, ==, expected->len - sent->len);
        g_assert_cmpuint(queue.held, ==, queue.bytes + queue.sent);
    }
    while (queue.bytes > 0) {
        send_some(&queue, sent);
    }
    g_assert_cmpuint(sent->len, ==, expected->len);
    g_assert_cmpint(memcmp(sent->data, expected->data, sent->len), ==, 0);
    g_assert_true(TAILQ_EMPTY(&queue.replies));
}

/* Many small answers are one piece; a large one is not copied. */
static void
test_gathers(void)
{
    g_autoptr(GByteArray) expected = g_byte_array_new();
    guint8 memory[8192];
    SendRoom room = {memory, sizeof(memory)};
    struct iovec pieces[8];
    SendQueue queue = {0};
    Request *large = answer(expected, 5000);

    sendqueue_init(&queue);
    for (guint i = 0; i < 50; i++) {
        sendqueue_put(&queue, answer(expected, 60));
    }
    sendqueue_put(&queue, large);
    sendqueue_put(&queue, answer(expected, 60));
    g_assert_cmpuint(sendqueue_peek(&queue, room, pieces, 8), ==, 3);
    g_assert_cmpuint(pieces[0].iov_len, ==, 50 * 64 + 4);
    g_assert_true(pieces[1].iov_base == large->reply->data);
    g_assert_cmpuint(pieces[2].iov_len, ==, 64);
    sendqueue_clear(&queue);
    g_assert_cmpuint(queue.bytes, ==, 0);
    g_assert_cmpuint(sendqueue_peek(&queue, room, pieces, 8), ==, 0);
}

/* Memory is held for a whole answer and its call until all of it is sent. */
static void
test_held(void)
{
    g_autoptr(GByteArray) expected = g_byte_array_new();
    Request *request = answer(expected, 5000);
    SendQueue queue = {0};

    sendqueue_init(&queue);
    request->len = 3000;
    sendqueue_put(&queue, request);
    sendqueue_drain(&queue, 5003);
    g_assert_cmpuint(queue.bytes, ==, 1);
    g_assert_cmpuint(queue.held, ==, 3000 + 4 + 5000);
    sendqueue_drain(&queue, 1);
    g_assert_cmpuint(queue.held, ==, 0);
}

/* Bytes come out as they went in, and nothing is held for none. */
static void
test_received(void)
{
    RecvBuf buf = {0};
    guint8 in = 0, out = 0;

    for (guint i = 0; i < 3000; i++) {
        gsize n = (gsize)g_test_rand_int_range(1, 700);
        guint8 *space = recvbuf_space(&buf, n);
        gsize drop;

        for (gsize j = 0; j < n; j++) {
            space[j] = in++;
        }
        recvbuf_added(&buf, n);
        drop = i % 50 == 49 ? recvbuf_bytes(&buf).len
                            : (gsize)g_test_rand_int_range(
                                  0, (gint32)recvbuf_bytes(&buf).len + 1);
        for (gsize j = 0; j < drop; j++) {
            g_assert_cmpuint(recvbuf_bytes(&buf).data[j], ==, out);
            out++;
        }
        recvbuf_drop(&buf, drop);
        g_assert_true((recvbuf_bytes(&buf).len == 0) == (buf.data == NULL));
    }
    recvbuf_drop(&buf, recvbuf_bytes(&buf).len);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/sendqueue/any-pieces", test_any_pieces);
    g_test_add_func("/sendqueue/held", test_held);
    g_test_add_func("/sendqueue/gathers", test_gathers);
    g_test_add_func("/recvbuf/any-pieces", test_received);
    return g_test_run();
}
