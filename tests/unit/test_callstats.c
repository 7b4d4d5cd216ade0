/*
 * thrift/callstats: what a server records of its calls.
 */
#include "thrift/callstats.h"

#include "ops/kit/daemon.h"
#include "tests/unit/echo.h"
#include "tests/unit/peer.h"
#include "thrift/context.h"

#include <string.h>
#include <unistd.h>

#define ECHO 0
#define HOLD 1
#define UNKNOWN 6

static void
cleared(CallsView *view)
{
    calls_view_clear(view);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(CallsView, cleared)

static void
look(EchoServer *echo, CallsView *ret_view)
{
    calls_view(server_calls(echo->server), g_get_monotonic_time(), ret_view);
}

/* A framed call with a context. */
static GByteArray *
call_with_context(const char *caller, const char *trace)
{
    GByteArray *message = g_byte_array_new();
    WireBytes name = {(const guint8 *)"echo", 4};

    frame_begin(message, FRAME_CALL, name, 1);
    wire_field_i64(message, 1, 4711);
    wire_write_field(message, WIRE_STRUCT, CONTEXT_FIELD);
    wire_field_string(message, 1, caller);
    wire_field_i32(message, 2, 5000);
    wire_field_string(message, 3, trace);
    wire_write_stop(message);
    wire_write_stop(message);
    return peer_frame(message);
}

/* Calls are counted by method, unknown ones together, and users by theirs. */
static void
test_counts(void)
{
    EchoServer echo;
    guint16 port = echo_start(&echo);
    int fd = peer_connect(port);
    g_auto(CallsView) view = {0};

    for (gint32 i = 0; i < 3; i++) {
        peer_send(fd, peer_call("echo", i, 42));
        peer_expect(fd, i, 42);
    }
    peer_send(fd, peer_call("<script>", 9, 43));
    g_byte_array_unref(peer_receive(fd));
    look(&echo, &view);
    g_assert_cmpuint(view.n_methods, ==, UNKNOWN + 1);
    g_assert_cmpuint(view.methods[ECHO].calls, ==, 3);
    g_assert_cmpuint(view.methods[HOLD].calls, ==, 0);
    g_assert_cmpuint(view.methods[UNKNOWN].calls, ==, 1);
    g_assert_cmpint(view.hottest[0].key, ==, 42);
    g_assert_cmpuint(view.hottest[0].count, ==, 3);
    g_assert_cmpint(view.hottest[1].key, ==, 43);
    close(fd);
    echo_stop(&echo);
}

/* A call lasts until it is answered, from whichever thread, and not before. */
static void
test_duration(void)
{
    EchoServer echo;
    guint16 port = echo_start(&echo);
    int fd = peer_connect(port);
    g_auto(CallsView) view = {0};
    Request *request;

    peer_send(fd, peer_call("hold", 1, 5));
    request = echo_take(&echo, 5);
    look(&echo, &view);
    g_assert_cmpuint(view.methods[HOLD].calls, ==, 0);
    g_usleep(30000);
    echo_reply(request);
    peer_expect(fd, 1, 5);
    calls_view_clear(&view);
    look(&echo, &view);
    g_assert_cmpuint(view.methods[HOLD].calls, ==, 1);
    g_assert_cmpint(view.methods[HOLD].window[0].max_us, >=, 30000);
    g_assert_cmpint(view.slowest[0].us, ==,
                    view.methods[HOLD].window[0].max_us);
    g_assert_cmpuint(view.slowest[0].method, ==, HOLD);
    close(fd);
    echo_stop(&echo);
}

/* Caller and trace of a slow call are kept as they came, cut at their room. */
static void
test_context(void)
{
    EchoServer echo;
    guint16 port = echo_start(&echo);
    int fd = peer_connect(port);
    g_autofree char *longer = g_strnfill(1000, 'x');
    g_auto(CallsView) view = {0};

    peer_send(fd, call_with_context("<script>", longer));
    peer_expect(fd, 1, 4711);
    look(&echo, &view);
    g_assert_cmpuint(view.n_slowest, ==, 1);
    g_assert_cmpstr(view.slowest[0].caller, ==, "<script>");
    g_assert_cmpuint(strlen(view.slowest[0].trace), ==, SLOW_TRACE_BYTES);
    g_assert_cmpint(view.slowest[0].user, ==, 4711);
    close(fd);
    echo_stop(&echo);
}

int
main(int argc, char **argv)
{
    daemon_begin();
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/callstats/counts", test_counts);
    g_test_add_func("/callstats/duration", test_duration);
    g_test_add_func("/callstats/context", test_context);
    return g_test_run();
}
