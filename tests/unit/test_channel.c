/*
 * test_channel.c - frames to and from one address, however they are cut
 *
 * The peer is a socket of the test's own, on the same thread: each step runs
 * the event loop until something has happened, or aborts after a while.
 */
#include "ops/kit/ensure.h"
#include "router/channel.h"
#include "tests/unit/peer.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define FRAME_MAX (16 * 1024 * 1024)
#define PATIENCE_S 20
/* More than sockets take, and than the buffer has at first. */
#define LARGE ((gsize)12 << 20)

typedef struct Line {
    struct event_base *base;
    struct evdns_base *dns;
    Channel *channel;
    int listener, peer;
    guint16 port;
    GPtrArray *frames; /* GByteArray, as they came */
    char *lost;        /* why; NULL: not yet */
    gboolean cut;      /* free the channel with the next frame */
} Line;

static void
on_received(gpointer user_data, WireBytes frame)
{
    Line *line = user_data;
    GByteArray *copy = g_byte_array_new();

    g_byte_array_append(copy, frame.data, (guint)frame.len);
    g_ptr_array_add(line->frames, copy);
    if (frame.len == 0 || line->cut) {
        g_clear_pointer(&line->channel, channel_free);
    }
}

static void
on_lost(gpointer user_data, const char *why)
{
    Line *line = user_data;

    g_assert_null(line->lost);
    line->lost = g_strdup(why);
    g_clear_pointer(&line->channel, channel_free);
}

static void
set_up(Line *line, gconstpointer unused)
{
    (void)unused;
    line->base = event_base_new();
    line->dns = evdns_base_new(line->base, EVDNS_BASE_DISABLE_WHEN_INACTIVE);
    ensure(line->base != NULL && line->dns != NULL);
    line->listener = peer_listen(&line->port);
    line->peer = -1;
    line->frames =
        g_ptr_array_new_with_free_func((GDestroyNotify)g_byte_array_unref);
}

static void
tear_down(Line *line, gconstpointer unused)
{
    (void)unused;
    g_clear_pointer(&line->channel, channel_free);
    evdns_base_free(line->dns, 1);
    event_base_loop(line->base, EVLOOP_NONBLOCK);
    event_base_free(line->base);
    if (line->peer >= 0) {
        close(line->peer);
    }
    if (line->listener >= 0) {
        close(line->listener);
    }
    g_ptr_array_unref(line->frames);
    g_free(line->lost);
}

static void
open_channel(Line *line, const char *host)
{
    const ChannelOptions options = {
        .base = line->base,
        .dns = line->dns,
        .host = host,
        .port = line->port,
        .frame_bytes_max = FRAME_MAX,
        .received = on_received,
        .lost = on_lost,
        .user_data = line,
    };

    line->channel = channel_open(&options);
}

/* Open, with the peer at the other end. */
static void
connect_peer(Line *line)
{
    open_channel(line, "127.0.0.1");
    line->peer = accept(line->listener, NULL, NULL);
    g_assert_cmpint(line->peer, >=, 0);
}

static void
turn(const Line *line)
{
    event_base_loop(line->base, EVLOOP_NONBLOCK);
}

/* Turns until so many frames have come, or the connection is lost. */
static void
wait_frames(const Line *line, guint n)
{
    gint64 until = g_get_monotonic_time() + PATIENCE_S * G_USEC_PER_SEC;

    while (line->frames->len < n && line->lost == NULL) {
        g_assert_cmpint(g_get_monotonic_time(), <, until);
        turn(line);
    }
}

/* A frame of @len bytes, which @seed tells apart. */
static GByteArray *
make(gsize len, guint8 seed)
{
    GByteArray *bytes = g_byte_array_sized_new((guint)len);

    g_byte_array_set_size(bytes, (guint)len);
    for (gsize i = 0; i < len; i++) {
        bytes->data[i] = (guint8)(i * 31 + seed);
    }
    return bytes;
}

static void
assert_frame(const Line *line, guint i, gsize len, guint8 seed)
{
    g_autoptr(GByteArray) want = make(len, seed);
    const GByteArray *got = line->frames->pdata[i];

    g_assert_cmpuint(got->len, ==, len);
    g_assert_cmpint(memcmp(got->data, want->data, len), ==, 0);
}

/* Sends what the peer's socket takes at once; how many bytes. */
static gsize
push(const Line *line, const guint8 *data, gsize len)
{
    gssize sent = send(line->peer, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);

    return sent > 0 ? (gsize)sent : 0;
}

/* Sends @frame from the peer, at most @piece bytes between two turns. */
static void
send_pieces(const Line *line, GByteArray *frame, gsize piece)
{
    g_autoptr(GByteArray) bytes = peer_frame(frame);

    for (gsize at = 0; at < bytes->len;) {
        at += push(line, bytes->data + at, MIN(piece, bytes->len - at));
        turn(line);
    }
}

static void
put(const Line *line, gsize len, guint8 seed)
{
    g_autoptr(GByteArray) bytes = make(len, seed);

    memcpy(channel_put(line->channel, len), bytes->data, len);
}

/* ---- what comes ---- */

static void
test_cut_anyhow(Line *line, gconstpointer unused)
{
    GByteArray *two = peer_frame(make(10, 1));
    g_autoptr(GByteArray) second = peer_frame(make(70000, 2));

    (void)unused;
    connect_peer(line);
    g_byte_array_append(two, second->data, second->len);
    peer_send(line->peer, two);
    send_pieces(line, make(100, 3), 1);
    send_pieces(line, make(200000, 4), 777);
    wait_frames(line, 4);
    assert_frame(line, 0, 10, 1);
    assert_frame(line, 1, 70000, 2);
    assert_frame(line, 2, 100, 3);
    assert_frame(line, 3, 200000, 4);
}

static void
test_large(Line *line, gconstpointer unused)
{
    (void)unused;
    connect_peer(line);
    send_pieces(line, make(LARGE, 1), LARGE);
    send_pieces(line, make(5, 2), LARGE);
    wait_frames(line, 2);
    assert_frame(line, 0, LARGE, 1);
    assert_frame(line, 1, 5, 2);
}

/* Too long, or of no bytes: told once, and freed from within. */
static void
test_no_frame(Line *line, gconstpointer data)
{
    guint32 prefix = g_htonl(GPOINTER_TO_UINT(data));

    connect_peer(line);
    send_pieces(line, make(7, 1), 100);
    peer_send_raw(line->peer, &prefix, sizeof prefix);
    peer_send_raw(line->peer, "what follows is not read", 24);
    wait_frames(line, 2);
    g_assert_cmpuint(((GByteArray *)line->frames->pdata[1])->len, ==, 0);
    turn(line);
    g_assert_null(line->lost);
    g_assert_null(line->channel);
    g_assert_cmpuint(line->frames->len, ==, 2);
}

/* Freed with the first of two frames: the other is not given. */
static void
test_freed_within(Line *line, gconstpointer unused)
{
    GByteArray *two = peer_frame(make(10, 1));
    g_autoptr(GByteArray) second = peer_frame(make(10, 2));

    (void)unused;
    connect_peer(line);
    line->cut = TRUE;
    g_byte_array_append(two, second->data, second->len);
    peer_send(line->peer, two);
    wait_frames(line, 1);
    turn(line);
    g_assert_cmpuint(line->frames->len, ==, 1);
    peer_expect_closed(line->peer);
}

/* ---- what goes ---- */

/* Put before the connection is there, in a turn together, and more than the
   peer takes: it comes whole and in order. */
static void
test_put(Line *line, gconstpointer unused)
{
    g_autoptr(GByteArray) got = g_byte_array_new();
    const gsize lens[] = {10, LARGE, 20, LARGE, 1};
    gsize all = 0, at = 0;

    (void)unused;
    open_channel(line, "127.0.0.1");
    put(line, lens[0], 0);
    put(line, lens[1], 1);
    line->peer = accept(line->listener, NULL, NULL);
    for (guint i = 0; i < 20; i++) {
        turn(line);
    }
    g_assert_true(channel_was_open(line->channel));
    g_assert_cmpuint(channel_unsent(line->channel), >, 0);
    for (guint i = 2; i < G_N_ELEMENTS(lens); i++) {
        put(line, lens[i], (guint8)i);
        turn(line);
    }
    for (guint i = 0; i < G_N_ELEMENTS(lens); i++) {
        all += lens[i] + sizeof(guint32);
    }
    while (got->len < all) {
        guint8 room[65536];
        gssize n = recv(line->peer, room, sizeof room, MSG_DONTWAIT);

        if (n > 0) {
            g_byte_array_append(got, room, (guint)n);
        }
        turn(line);
    }
    g_assert_cmpuint(channel_unsent(line->channel), ==, 0);
    for (guint i = 0; i < G_N_ELEMENTS(lens); i++) {
        g_autoptr(GByteArray) want = peer_frame(make(lens[i], (guint8)i));

        g_assert_cmpint(memcmp(got->data + at, want->data, want->len), ==, 0);
        at += want->len;
    }
}

/* ---- what goes wrong ---- */

static void
test_closed(Line *line, gconstpointer unused)
{
    (void)unused;
    connect_peer(line);
    send_pieces(line, make(3, 1), 100);
    close(line->peer);
    line->peer = -1;
    wait_frames(line, 2);
    g_assert_cmpuint(line->frames->len, ==, 1);
    g_assert_cmpstr(line->lost, ==, "closed the connection");
}

static void
test_refused(Line *line, gconstpointer unused)
{
    (void)unused;
    close(line->listener);
    line->listener = -1;
    open_channel(line, "127.0.0.1");
    put(line, 10, 1);
    g_assert_null(line->lost);
    wait_frames(line, 1);
    g_assert_cmpstr(line->lost, ==, "cannot be reached: Connection refused");
}

/* The name server does not answer. */
static void
test_no_such_name(Line *line, gconstpointer unused)
{
    (void)unused;
    evdns_base_nameserver_ip_add(line->dns, "127.0.0.1:1");
    evdns_base_set_option(line->dns, "timeout", "0.05");
    evdns_base_set_option(line->dns, "attempts", "1");
    open_channel(line, "nowhere.invalid");
    g_assert_null(line->lost);
    wait_frames(line, 1);
    g_assert_true(g_str_has_prefix(line->lost, "cannot be reached: "));
}

static void
test_freed_at_once(Line *line, gconstpointer unused)
{
    (void)unused;
    open_channel(line, "127.0.0.1");
    g_clear_pointer(&line->channel, channel_free);
    turn(line);
    g_assert_null(line->lost);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(path, data, test)                                                  \
    g_test_add("/channel/" path, Line, data, set_up, test, tear_down)
    ADD("cut_anyhow", NULL, test_cut_anyhow);
    ADD("large", NULL, test_large);
    ADD("no_frame/too_long", GUINT_TO_POINTER(FRAME_MAX + 1), test_no_frame);
    ADD("no_frame/empty", GUINT_TO_POINTER(0), test_no_frame);
    ADD("freed_within", NULL, test_freed_within);
    ADD("put", NULL, test_put);
    ADD("closed", NULL, test_closed);
    ADD("refused", NULL, test_refused);
    ADD("no_such_name", NULL, test_no_such_name);
    ADD("freed_at_once", NULL, test_freed_at_once);
    return g_test_run();
}
