/*
 * test_server.c - the framed server: calls, answers, order, threads, the end
 *
 * See echo.h for what the handlers do.
 */
#include "ops/kit/error.h"
#include "tests/unit/echo.h"
#include "tests/unit/peer.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* A call is answered with its own seqid. */
static void
test_echo(void)
{
    EchoServer f;
    int fd = peer_connect(echo_start(&f));

    peer_send(fd, peer_call("echo", 7, 42));
    peer_expect(fd, 7, 42);
    g_assert_cmpuint(echo_stats(&f).calls, ==, 1);
    close(fd);
    echo_stop(&f);
}

/* A frame that arrives a byte at a time is a frame. */
static void
test_bytewise(void)
{
    EchoServer f;
    int fd = peer_connect(echo_start(&f));
    g_autoptr(GByteArray) call = peer_call("echo", 1, 5);

    for (guint i = 0; i < call->len; i++) {
        peer_send_raw(fd, call->data + i, 1);
    }
    peer_expect(fd, 1, 5);
    close(fd);
    echo_stop(&f);
}

/* Frames of a megabyte arrive whole, and are answered by ones as large. */
static void
test_large(void)
{
    EchoServer f;
    int fd = peer_connect(echo_start(&f));
    GByteArray *message = g_byte_array_new();
    g_autofree guint8 *blob = g_malloc0(3 << 20);
    WireBytes name = {(const guint8 *)"length", 6};
    g_autoptr(GByteArray) back = NULL;
    guint len;

    frame_begin(message, FRAME_CALL, name, 1);
    wire_field_bytes(message, 1, blob, 3 << 20);
    wire_write_stop(message);
    len = message->len;
    peer_send(fd, peer_frame(message));
    peer_expect(fd, 1, len);
    peer_send(fd, peer_call("blob", 2, 3 << 20));
    back = peer_receive(fd);
    g_assert_cmpuint(back->len, >, 3 << 20);
    close(fd);
    echo_stop(&f);
}

/* Calls sent together are answered in their order. */
static void
test_pipelined(void)
{
    EchoServer f;
    int fd = peer_connect(echo_start(&f));
    GByteArray *calls = g_byte_array_new();

    for (gint32 i = 0; i < 1000; i++) {
        g_autoptr(GByteArray) call = peer_call("echo", i, i * 3);

        g_byte_array_append(calls, call->data, call->len);
    }
    peer_send(fd, calls);
    for (gint32 i = 0; i < 1000; i++) {
        peer_expect(fd, i, i * 3);
    }
    close(fd);
    echo_stop(&f);
}

/* Answers given late, from another thread and backwards, leave in order. */
static void
test_deferred(void)
{
    EchoServer f;
    int fd = peer_connect(echo_start(&f));

    for (gint32 i = 0; i < 20; i++) {
        peer_send(fd, peer_call("hold", i, i));
    }
    peer_send(fd, peer_call("echo", 20, 20));
    for (gint32 i = 19; i > 0; i--) {
        echo_answer(&f, i);
    }
    g_assert_true(peer_silent(fd, 20));
    echo_answer(&f, 0);
    for (gint32 i = 0; i <= 20; i++) {
        peer_expect(fd, i, i);
    }
    close(fd);
    echo_stop(&f);
}

/* An unknown method gets Thrift's own exception, and the connection lives. */
static void
test_unknown_method(void)
{
    EchoServer f;
    int fd = peer_connect(echo_start(&f));
    g_autoptr(GByteArray) message = NULL;
    Frame frame;

    peer_send(fd, peer_call("echoes", 3, 1));
    message = peer_receive(fd);
    g_assert_cmpint(frame_scan(message->data, message->len, &frame), ==,
                    FRAME_OK);
    g_assert_cmpint(frame.kind, ==, FRAME_EXCEPTION);
    g_assert_cmpint(frame.seqid, ==, 3);
    g_assert_cmpint(frame_i32(&frame, 2, -1), ==, 1);
    g_assert_cmpuint(frame.method.len, ==, 6);
    g_assert_true(memcmp(frame.method.data, "echoes", 6) == 0);
    g_assert_cmpuint(echo_stats(&f).unknown_methods, ==, 1);
    peer_send(fd, peer_call("echo", 4, 9));
    peer_expect(fd, 4, 9);
    close(fd);
    echo_stop(&f);
}

/* A peer that has finished sending still gets its answers, then the end. */
static void
test_half_closed(void)
{
    EchoServer f;
    int fd = peer_connect(echo_start(&f));

    peer_send(fd, peer_call("hold", 1, 1));
    peer_send(fd, peer_call("echo", 2, 2));
    shutdown(fd, SHUT_WR);
    echo_answer(&f, 1);
    peer_expect(fd, 1, 1);
    peer_expect(fd, 2, 2);
    peer_expect_closed(fd);
    echo_wait_connections(&f, 0);
    close(fd);
    echo_stop(&f);
}

/* An answer for a connection that has gone is dropped. */
static void
test_gone(void)
{
    EchoServer f;
    int fd = peer_connect(echo_start(&f));
    struct linger reset = {1, 0};
    Request *first, *second;

    peer_send(fd, peer_call("hold", 1, 1));
    peer_send(fd, peer_call("hold", 2, 2));
    first = echo_take(&f, 1);
    second = echo_take(&f, 2);
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    close(fd);
    echo_wait_connections(&f, 0);
    echo_reply(second);
    echo_reply(first);
    g_assert_true(server_drain(f.server, 5000));
    echo_stop(&f);
}

/* Draining answers what is in progress and takes nothing new. */
static void
test_drain(void)
{
    EchoServer f;
    guint16 port = echo_start(&f);
    int fd = peer_connect(port);
    Request *held;

    peer_send(fd, peer_call("hold", 1, 1));
    held = echo_take(&f, 1);
    g_assert_false(server_drain(f.server, 20));
    g_assert_cmpint(peer_try_connect(port), ==, -1);
    peer_send(fd, peer_call("echo", 2, 2));
    echo_reply(held);
    g_assert_true(server_drain(f.server, 5000));
    peer_expect(fd, 1, 1);
    g_assert_true(peer_silent(fd, 20));
    g_assert_cmpuint(echo_stats(&f).calls, ==, 1);
    echo_stop(&f);
    peer_expect_closed(fd);
    close(fd);
}

/* A stop with calls never answered and connections open frees them all. */
static void
test_stop_busy(void)
{
    EchoServer f;
    guint16 port = echo_start(&f);
    int open = peer_connect(port);
    int gone = peer_connect(port);
    struct linger reset = {1, 0};

    peer_send(open, peer_call("hold", 1, 1));
    peer_send(gone, peer_call("hold", 2, 2));
    echo_take(&f, 1);
    echo_take(&f, 2);
    setsockopt(gone, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    close(gone);
    echo_wait_connections(&f, 1);
    echo_stop(&f);
    peer_expect_closed(open);
    close(open);
}

/* Connections are dealt out to the threads in turn. */
static void
test_two_threads(void)
{
    EchoServer f;
    guint16 port = echo_start(&f);

    for (gint32 i = 0; i < 6; i++) {
        int fd = peer_connect(port);

        peer_send(fd, peer_call("thread", i, 0));
        peer_expect(fd, i, i % 2);
        close(fd);
    }
    echo_stop(&f);
}

typedef struct Caller {
    guint16 port;
    gint64 first; /* arguments are first, first+1, ... */
} Caller;

enum { CALLERS = 6, CALLS_EACH = 200 };

static void *
run_caller(void *user_data)
{
    const Caller *caller = user_data;
    int fd = peer_connect(caller->port);

    for (gint32 i = 0; i < CALLS_EACH; i++) {
        peer_send(
            fd, peer_call(i % 2 == 0 ? "hold" : "echo", i, caller->first + i));
    }
    for (gint32 i = 0; i < CALLS_EACH; i++) {
        peer_expect(fd, i, caller->first + i);
    }
    close(fd);
    return NULL;
}

/* Many callers, two threads, and answers from a third: each gets its own. */
static void
test_crowd(void)
{
    EchoServer f;
    ServerOptions options = echo_options(&f);
    Caller callers[CALLERS];
    pthread_t threads[CALLERS];
    guint16 port;

    options.in_flight_max = CALLS_EACH;
    port = echo_start_with(&f, &options);
    for (int i = 0; i < CALLERS; i++) {
        callers[i] = (Caller){port, i * 1000};
        pthread_create(&threads[i], NULL, run_caller, &callers[i]);
    }
    for (gint64 j = 0; j < CALLS_EACH; j += 2) {
        for (gint64 i = CALLERS - 1; i >= 0; i--) {
            echo_answer(&f, i * 1000 + j);
        }
    }
    for (int i = 0; i < CALLERS; i++) {
        pthread_join(threads[i], NULL);
    }
    g_assert_true(server_drain(f.server, 5000));
    g_assert_cmpuint(echo_stats(&f).calls, ==, CALLERS * CALLS_EACH);
    echo_stop(&f);
}

/* A port in use, or an address that is none, fails with a reason. */
static void
test_start_fails(void)
{
    EchoServer f;
    ServerOptions options = echo_options(&f);
    g_autoptr(GError) in_use = NULL;
    g_autoptr(GError) no_address = NULL;

    options.port = echo_start(&f);
    g_assert_null(server_start(&options, &in_use));
    g_assert_error(in_use, COMB_ERROR, COMB_ERROR_IO);
    options.host = "not-an-address";
    g_assert_null(server_start(&options, &no_address));
    g_assert_error(no_address, COMB_ERROR, COMB_ERROR_SETTING);
    echo_stop(&f);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/server/echo", test_echo);
    g_test_add_func("/server/bytewise", test_bytewise);
    g_test_add_func("/server/large", test_large);
    g_test_add_func("/server/pipelined", test_pipelined);
    g_test_add_func("/server/deferred", test_deferred);
    g_test_add_func("/server/unknown-method", test_unknown_method);
    g_test_add_func("/server/half-closed", test_half_closed);
    g_test_add_func("/server/gone", test_gone);
    g_test_add_func("/server/drain", test_drain);
    g_test_add_func("/server/stop-busy", test_stop_busy);
    g_test_add_func("/server/two-threads", test_two_threads);
    g_test_add_func("/server/crowd", test_crowd);
    g_test_add_func("/server/start-fails", test_start_fails);
    return g_test_run();
}
