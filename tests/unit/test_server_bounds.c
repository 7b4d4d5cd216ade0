/*
 * test_server_bounds.c - the framed server against peers that misbehave
 *
 * Each costs its own connection at most, is counted, and disturbs nobody. See
 * echo.h for what the handlers do.
 */
#include "tests/unit/echo.h"
#include "tests/unit/peer.h"

#include <string.h>
#include <unistd.h>

#define PEERS 8
#define HELD_BYTES_MAX ((gint64)1 << 20)
#define PIECE_BYTES ((gsize)512 << 10)

/* What is no call closes its own connection and is counted; others live. */
static void
test_garbage(void)
{
    static const struct {
        const char *bytes;
        gsize len;
    } table[] = {
        {"GET / HTTP/1.1\r\nHost: comb\r\n\r\n", 30},
        {"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11},
        {"\xff\xff\xff\xff\x80\x01\x00\x01", 8},
        {"\x00\x40\x00\x01", 4},
        {"\x00\x00\x00\x00", 4},
        {"\x00\x00\x00\x04hiho", 8},
        {"\x00\x00\x00\x11\x80\x01\x00\x04\x00\x00\x00\x04"
         "echo\x00\x00\x00\x01\x00",
         21},
        {"\x00\x00\x00\x11\x80\x01\x00\x02\x00\x00\x00\x04"
         "echo\x00\x00\x00\x01\x00",
         21},
        {"\x00\x00\x00\x11\x80\x01\x00\x01\x00\x00\x00\x04"
         "echo\x00\x00\x00\x01\x0b",
         21},
    };
    EchoServer f;
    guint16 port = echo_start(&f);
    int good = peer_connect(port);

    for (gsize i = 0; i < G_N_ELEMENTS(table); i++) {
        int bad = peer_connect(port);

        peer_send_raw(bad, table[i].bytes, table[i].len);
        peer_expect_closed(bad);
        close(bad);
        g_assert_cmpuint(echo_stats(&f).bad_frames, ==, i + 1);
    }
    peer_send(good, peer_call("echo", 1, 1));
    peer_expect(good, 1, 1);
    g_assert_cmpuint(echo_stats(&f).calls, ==, 1);
    close(good);
    echo_stop(&f);
}

/* A peer that goes away in the middle of a frame leaves nothing behind. */
static void
test_truncated(void)
{
    EchoServer f;
    guint16 port = echo_start(&f);
    g_autoptr(GByteArray) call = peer_call("echo", 1, 5);

    for (guint len = 0; len < call->len; len++) {
        int fd = peer_connect(port);

        peer_send_raw(fd, call->data, len);
        close(fd);
    }
    for (int i = 0; i < 5000 && echo_stats(&f).accepted < call->len; i++) {
        g_usleep(1000);
    }
    echo_wait_connections(&f, 0);
    g_assert_cmpuint(echo_stats(&f).calls, ==, 0);
    g_assert_cmpuint(echo_stats(&f).bad_frames, ==, 0);
    echo_stop(&f);
}

/* No more than in_flight_max calls of a connection are begun. */
static void
test_in_flight(void)
{
    EchoServer f;
    ServerOptions options = echo_options(&f);
    int fd;

    options.in_flight_max = 2;
    fd = peer_connect(echo_start_with(&f, &options));
    for (gint32 i = 0; i < 5; i++) {
        peer_send(fd, peer_call("hold", i, i));
    }
    for (gint32 i = 0; i < 5; i++) {
        guint expected = i < 4 ? 2 : 1;

        for (int j = 0; j < 5000 && echo_held(&f) < expected; j++) {
            g_usleep(1000);
        }
        g_usleep(20000);
        g_assert_cmpuint(echo_held(&f), ==, expected);
        echo_answer(&f, i);
        peer_expect(fd, i, i);
    }
    close(fd);
    echo_stop(&f);
}

/* The retry_after_ms of an Overloaded, or 0: an answer of another kind. */
static gint32
retry_after_ms(const GByteArray *message)
{
    WireReader reader;
    Frame frame;

    g_assert_cmpint(frame_scan(message->data, message->len, &frame), ==,
                    FRAME_OK);
    if (!frame_struct(&frame, 3, &reader)) {
        return 0;
    }
    while (reader.at < reader.end) {
        WireField field;

        g_assert_true(wire_read_field(&reader, &field));
        if (field.id == 1) {
            return wire_read_i32(&reader);
        }
        wire_skip(&reader, field.type);
    }
    return 0;
}

/* What would wait for longer than a burst is refused, in the order of the
   calls; with the queue gone all is as before. */
static void
test_overload(void)
{
    enum { CALLS = 100, NAP_US = 5000 };
    EchoServer f;
    ServerOptions options = echo_options(&f);
    guint good = 0;
    int fd;

    options.queue_ms = 1;
    fd = peer_connect(echo_start_with(&f, &options));
    peer_send(fd, peer_call("nap", 0, NAP_US));
    peer_expect(fd, 0, NAP_US);
    for (gint32 i = 1; i <= CALLS; i++) {
        peer_send(fd, peer_call("nap", i, NAP_US));
    }
    for (gint32 i = 1; i <= CALLS; i++) {
        g_autoptr(GByteArray) answer = peer_receive(fd);
        Frame frame;

        g_assert_nonnull(answer);
        g_assert_cmpint(frame_scan(answer->data, answer->len, &frame), ==,
                        FRAME_OK);
        g_assert_cmpint(frame.seqid, ==, i);
        good += retry_after_ms(answer) == 0 ? 1 : 0;
    }
    g_assert_cmpuint(good, >, 0);
    g_assert_cmpuint(good, <, CALLS);
    g_assert_cmpuint(echo_stats(&f).overloaded, ==, CALLS - good);
    peer_send(fd, peer_call("nap", 0, NAP_US));
    peer_expect(fd, 0, NAP_US);
    close(fd);
    echo_stop(&f);
}

/* Past connections_max a peer is closed at once; a place is used again. */
static void
test_connections_max(void)
{
    EchoServer f;
    ServerOptions options = echo_options(&f);
    guint16 port;
    int first, second;

    options.connections_max = 1;
    port = echo_start_with(&f, &options);
    first = peer_connect(port);
    peer_send(first, peer_call("echo", 1, 1));
    peer_expect(first, 1, 1);
    second = peer_connect(port);
    peer_expect_closed(second);
    close(second);
    g_assert_cmpuint(echo_stats(&f).refused, ==, 1);
    close(first);
    echo_wait_connections(&f, 0);
    second = peer_connect(port);
    peer_send(second, peer_call("echo", 2, 2));
    peer_expect(second, 2, 2);
    close(second);
    echo_stop(&f);
}

/* A frame begun and not finished in time is closed; an idle peer is not. */
static void
test_slow_sender(void)
{
    EchoServer f;
    ServerOptions options = echo_options(&f);
    int idle, slow;
    guint16 port;

    options.stall_ms = 60;
    port = echo_start_with(&f, &options);
    idle = peer_connect(port);
    slow = peer_connect(port);
    peer_send_raw(slow, "\x00\x00\x00\x11\x80\x01", 6);
    peer_expect_closed(slow);
    g_assert_cmpuint(echo_stats(&f).stalled, ==, 1);
    peer_send(idle, peer_call("echo", 1, 1));
    peer_expect(idle, 1, 1);
    close(slow);
    close(idle);
    echo_stop(&f);
}

/* Bytes one at a time do not put the time off. */
static void
test_dripping_sender(void)
{
    EchoServer f;
    ServerOptions options = echo_options(&f);
    g_autoptr(GByteArray) call = peer_call("echo", 1, 1);
    int fd;

    options.stall_ms = 100;
    fd = peer_connect(echo_start_with(&f, &options));
    for (guint i = 0; i < call->len && echo_stats(&f).stalled == 0; i++) {
        peer_send_raw(fd, call->data + i, 1);
        g_usleep(10000);
    }
    peer_expect_closed(fd);
    g_assert_cmpuint(echo_stats(&f).calls, ==, 0);
    close(fd);
    echo_stop(&f);
}

static void
send_blob_calls(int fd, gint32 n)
{
    for (gint32 i = 0; i < n; i++) {
        peer_send(fd, peer_call("blob", i, 1 << 20));
    }
}

/* A peer that reads nothing is not served on, and closed in time. */
static void
test_slow_reader(void)
{
    EchoServer f;
    ServerOptions options = echo_options(&f);
    int fd;

    options.stall_ms = 200;
    fd = peer_connect(echo_start_with(&f, &options));
    send_blob_calls(fd, 100);
    for (int i = 0; i < 5000 && echo_stats(&f).stalled == 0; i++) {
        g_usleep(1000);
    }
    g_assert_cmpuint(echo_stats(&f).stalled, ==, 1);
    g_assert_cmpuint(echo_stats(&f).calls, <, 20);
    echo_wait_connections(&f, 0);
    close(fd);
    echo_stop(&f);
}

/* A peer that reads late gets every answer. */
static void
test_late_reader(void)
{
    EchoServer f;
    int fd = peer_connect(echo_start(&f));

    send_blob_calls(fd, 30);
    g_usleep(50000);
    g_assert_cmpuint(echo_stats(&f).calls, <, 30);
    for (gint32 i = 0; i < 30; i++) {
        g_autoptr(GByteArray) message = peer_receive(fd);

        g_assert_cmpuint(message->len, >, 1 << 20);
    }
    close(fd);
    echo_stop(&f);
}

static guint16
start_with_little(EchoServer *f)
{
    ServerOptions options = echo_options(f);

    options.held_bytes_max = HELD_BYTES_MAX;
    options.frame_bytes_max = 16 << 20;
    return echo_start_with(f, &options);
}

/* Some of the peers were closed; one with a small call is served. */
static void
expect_few(EchoServer *f, guint16 port)
{
    int good = peer_connect(port);

    /* Accepted last, so that all others have been. */
    peer_send(good, peer_call("echo", 1, 1));
    peer_expect(good, 1, 1);
    for (int i = 0; i < 20000 && echo_stats(f).connections > PEERS / 2; i++) {
        g_usleep(1000);
    }
    g_assert_cmpuint(echo_stats(f).connections, <=, PEERS / 2);
    peer_send(good, peer_call("echo", 2, 2));
    peer_expect(good, 2, 2);
    close(good);
}

static void
close_all(EchoServer *f, const int peers[PEERS])
{
    for (guint i = 0; i < PEERS; i++) {
        close(peers[i]);
    }
    echo_wait_connections(f, 0);
}

static void
expect_shed(EchoServer *f, guint16 port, const int peers[PEERS])
{
    expect_few(f, port);
    close_all(f, peers);
}

/* What is held of unfinished frames is given back with each of them. */
static void
test_held_frames(void)
{
    g_autofree guint8 *piece = g_malloc0(PIECE_BYTES);
    guint32 prefix = GUINT32_TO_BE((guint32)16 << 20);
    EchoServer f;
    guint16 port = start_with_little(&f);
    int peers[PEERS];

    memcpy(piece, &prefix, sizeof prefix);
    for (guint turn = 0; turn < 2; turn++) {
        for (guint i = 0; i < PEERS; i++) {
            peers[i] = peer_connect(port);
            peer_send_raw(peers[i], piece, PIECE_BYTES);
        }
        expect_shed(&f, port, peers);
    }
    echo_stop(&f);
}

/* Likewise of answers that nobody reads. */
static void
test_held_answers(void)
{
    EchoServer f;
    guint16 port = start_with_little(&f);
    int peers[PEERS];

    for (guint i = 0; i < PEERS; i++) {
        peers[i] = peer_connect(port);
        peer_send(peers[i], peer_call("blob", 1, 12 << 20));
    }
    expect_shed(&f, port, peers);
    echo_stop(&f);
}

/* Likewise of answers that wait for an earlier call's. */
static void
test_held_behind(void)
{
    EchoServer f;
    guint16 port = start_with_little(&f);
    int peers[PEERS];

    for (gint32 i = 0; i < PEERS; i++) {
        peers[i] = peer_connect(port);
        peer_send(peers[i], peer_call("hold", 0, i));
        peer_send(peers[i], peer_call("blob", 1, 512 << 10));
    }
    expect_few(&f, port);
    for (gint32 i = 0; i < PEERS; i++) {
        echo_answer(&f, i);
    }
    close_all(&f, peers);
    echo_stop(&f);
}

/* While many bytes wait for an earlier call's answer no more calls are served;
   afterwards all are, in order. */
static void
test_behind(void)
{
    EchoServer f;
    int fd = peer_connect(echo_start(&f));

    peer_send(fd, peer_call("hold", 0, 0));
    for (gint32 i = 1; i < 20; i++) {
        peer_send(fd, peer_call("blob", i, 2 << 20));
    }
    while (echo_stats(&f).calls < 2) {
        g_usleep(1000);
    }
    g_usleep(50000);
    g_assert_cmpuint(echo_stats(&f).calls, ==, 2);
    echo_answer(&f, 0);
    peer_expect(fd, 0, 0);
    for (gint32 i = 1; i < 20; i++) {
        g_autoptr(GByteArray) message = peer_receive(fd);

        g_assert_cmpuint(message->len, >, 2 << 20);
    }
    close(fd);
    echo_stop(&f);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/server-bounds/garbage", test_garbage);
    g_test_add_func("/server-bounds/truncated", test_truncated);
    g_test_add_func("/server-bounds/in-flight", test_in_flight);
    g_test_add_func("/server-bounds/overload", test_overload);
    g_test_add_func("/server-bounds/connections-max", test_connections_max);
    g_test_add_func("/server-bounds/slow-sender", test_slow_sender);
    g_test_add_func("/server-bounds/dripping-sender", test_dripping_sender);
    g_test_add_func("/server-bounds/slow-reader", test_slow_reader);
    g_test_add_func("/server-bounds/late-reader", test_late_reader);
    g_test_add_func("/server-bounds/held-frames", test_held_frames);
    g_test_add_func("/server-bounds/held-answers", test_held_answers);
    g_test_add_func("/server-bounds/held-behind", test_held_behind);
    g_test_add_func("/server-bounds/behind", test_behind);
    return g_test_run();
}
