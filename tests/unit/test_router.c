/*
 * The router between a raw client and cells of the test's own (town.h): what
 * is hard about a router is the cell that misbehaves.
 */
#include "ops/kit/daemon.h"
#include "tests/unit/peer.h"
#include "tests/unit/town.h"

#include <string.h>
#include <unistd.h>

/* ---- the good days ---- */

/* Each user's dashboard is asked of the home cell, and of no other. */
static void
test_by_slot(Town *town, gconstpointer unused)
{
    (void)unused;
    town_use_map(town, 1, 0, TOWN_CELLS);
    g_autoptr(CellMap) map = mapfeed_get(town->feed);
    for (gint32 user = 1; user <= 100; user++) {
        town_ask(town, "getDashboard", user, user);
        town_expect(town, user, cellmap_home(map, (UserId){user}), user);
    }
}

/* Timelines and posts go to every cell in turn. */
static void
test_any_cell(Town *town, gconstpointer unused)
{
    (void)unused;
    town_use_map(town, 1, 0, TOWN_CELLS);
    for (gint32 i = 0; i < 30; i++) {
        town_ask(town, i % 2 ? "getPosts" : "getTimeline", i, 7);
        g_autoptr(GByteArray) message = peer_receive(town->client);
        g_assert_nonnull(message);
    }
    for (guint i = 0; i < TOWN_CELLS; i++) {
        g_assert_cmpint(town->fakes[i].calls, ==, 10);
    }
}

/* But for the seqid, bytes pass unchanged, what nobody knows included. */
static void
test_bytes_unchanged(Town *town, gconstpointer unused)
{
    (void)unused;
    int listener = town_replace_cell(town, 0);
    town_use_map(town, 1, 0, 1);
    GByteArray *call = peer_call("getDashboard", 77, 5);
    g_byte_array_set_size(call, call->len - 1);
    wire_field_string(call, 999, "from the future");
    wire_write_stop(call);
    g_autofree guint8 *sent = g_memdup2(call->data, call->len);
    gsize len = call->len - 4;
    guint32 prefix = g_htonl((guint32)len);
    memcpy(call->data, &prefix, sizeof prefix);
    peer_send(town->client, call);

    int cell = town_accept(listener);
    g_autoptr(GByteArray) got = peer_receive(cell);
    Frame frame;
    g_assert_cmpuint(got->len, ==, len);
    g_assert_cmpint(frame_scan(got->data, got->len, &frame), ==, FRAME_OK);
    gsize at = frame.seqid_at;
    g_assert_cmpint(memcmp(got->data, sent + 4, at), ==, 0);
    g_assert_cmpint(memcmp(got->data + at + 4, sent + 4 + at + 4, len - at - 4),
                    ==, 0);

    GByteArray *reply = g_byte_array_new();
    frame_begin(reply, FRAME_REPLY, frame.method, frame.seqid);
    wire_field_string(reply, 0, "a page, to the router just bytes");
    wire_field_i64(reply, 1234, 1);
    wire_write_stop(reply);
    g_autofree guint8 *answered = g_memdup2(reply->data, reply->len);
    gsize answered_len = reply->len;
    guint32 seqid = g_htonl(77);
    memcpy(answered + at, &seqid, sizeof seqid);
    peer_send(cell, peer_frame(reply));
    g_autoptr(GByteArray) back = peer_receive(town->client);
    g_assert_cmpuint(back->len, ==, answered_len);
    g_assert_cmpint(memcmp(back->data, answered, answered_len), ==, 0);
    close(cell);
    close(listener);
}

/* Many calls on one connection, none waited for, all answered in order. */
static void
test_pipelined(Town *town, gconstpointer unused)
{
    (void)unused;
    town_use_map(town, 1, 0, TOWN_CELLS);
    g_autoptr(CellMap) map = mapfeed_get(town->feed);
    for (gint32 round = 0; round < 20; round++) {
        for (gint32 i = 1; i <= 50; i++) {
            town_ask(town, "getDashboard", round * 1000 + i, i);
        }
        for (gint32 i = 1; i <= 50; i++) {
            town_expect(town, round * 1000 + i, cellmap_home(map, (UserId){i}),
                        i);
        }
    }
}

/* The map may name a cell's machine instead of giving its address. */
static void
test_by_name(Town *town, gconstpointer unused)
{
    (void)unused;
    static char name[] = "localhost";
    town->entries[0].host = name;
    town_use_map(town, 1, 0, 1);
    town_ask(town, "getDashboard", 1, 5);
    town_expect(town, 1, 0, 5);
}

/* ---- callers' mistakes ---- */

static void
test_invalid(Town *town, gconstpointer unused)
{
    (void)unused;
    GByteArray *message = g_byte_array_new();
    WireBytes name = {(const guint8 *)"getTimeline", strlen("getTimeline")};
    town_use_map(town, 1, 0, TOWN_CELLS);
    town_ask(town, "getDashboard", 1, 0);
    town_expect_refusal(town, 1, REPLY_INVALID, "user");
    town_ask(town, "getTimeline", 2, -1);
    town_expect_refusal(town, 2, REPLY_INVALID, "author");
    frame_begin(message, FRAME_CALL, name, 3);
    wire_write_stop(message);
    peer_send(town->client, peer_frame(message));
    town_expect_refusal(town, 3, REPLY_INVALID, "author");
    town_ask_with_deadline(town, 4, 1, 0);
    town_expect_refusal(town, 4, REPLY_INVALID, "ctx.deadline_ms");
}

static void
test_no_map(Town *town, gconstpointer unused)
{
    (void)unused;
    town_ask(town, "getDashboard", 1, 1);
    town_expect_refusal(town, 1, REPLY_UNAVAILABLE, "no cell map");
    town_ask(town, "getPosts", 2, 1);
    town_expect_refusal(town, 2, REPLY_UNAVAILABLE, "no cell map");
}

/* ---- users who move ---- */

/* The map comes after the refusal: the caller sees nothing of it. */
static void
test_not_homed(Town *town, gconstpointer unused)
{
    (void)unused;
    Fake *old = &town->fakes[0];
    town_use_map(town, 1, 0, 1);
    old->mode = FAKE_NOT_HOMED;
    old->epoch = 2;
    town_ask(town, "getDashboard", 1, 5);
    fake_wait(old, 1);
    town_use_map(town, 2, 1, 1);
    town_expect(town, 1, 1, 5);
    g_assert_cmpint(old->calls, ==, 1);
}

/* A cell that is behind the router's map is asked once more. */
static void
test_cell_behind(Town *town, gconstpointer unused)
{
    (void)unused;
    Fake *cell = &town->fakes[0];
    town_use_map(town, 2, 0, 1);
    cell->mode = FAKE_NOT_HOMED;
    cell->epoch = 1;
    town_ask(town, "getDashboard", 1, 5);
    fake_wait(cell, 1);
    cell->mode = FAKE_ANSWER;
    town_expect(town, 1, 0, 5);
    g_assert_cmpint(cell->calls, ==, 2);
}

/* Without an end to it, the caller hears Unavailable, never NotHomed. */
static void
test_not_homed_for_ever(Town *town, gconstpointer unused)
{
    (void)unused;
    Fake *cell = &town->fakes[0];
    town_use_map(town, 1, 0, 1);
    cell->mode = FAKE_NOT_HOMED;
    cell->epoch = 1;
    town_ask(town, "getDashboard", 1, 5);
    town_expect_refusal(town, 1, REPLY_UNAVAILABLE, "no cell is");
    g_assert_cmpint(cell->calls, ==, 2);
    cell->epoch = 9;
    town_ask(town, "getDashboard", 2, 5);
    town_expect_refusal(town, 2, REPLY_UNAVAILABLE, "behind");
    town_ask_with_deadline(town, 3, 5, 100);
    town_expect_refusal(town, 3, REPLY_DEADLINE, "cell map");
}

/* A cell at another address is found there, and the old one is left. */
static void
test_moved_cell(Town *town, gconstpointer unused)
{
    (void)unused;
    static char name[] = "localhost";
    town_use_map(town, 1, 0, 1);
    town_ask(town, "getDashboard", 1, 5);
    town_expect(town, 1, 0, 5);
    town->entries[0].port = town->entries[1].port;
    town_use_map(town, 2, 0, 1);
    town_ask(town, "getDashboard", 2, 5);
    town_expect(town, 2, 1, 5);
    town->entries[0].host = name;
    town_use_map(town, 3, 0, 1);
    town_ask(town, "getDashboard", 3, 5);
    town_expect(town, 3, 1, 5);
    town_wait_for_metric(town, "comb_router_cell_connects_total 3\n");
    town_wait_for_metric(town, "comb_router_cell_connections_lost_total 0\n");
}

/* ---- cells that fail ---- */

/* A dead cell costs its own users an Unavailable, and nobody else anything;
   when it is back, so are they. */
static void
test_dead_cell(Town *town, gconstpointer unused)
{
    (void)unused;
    town_use_map(town, 1, 0, TOWN_CELLS);
    gint64 hurt = town_user_of(town, 1);
    gint64 well = town_user_of(town, 2);
    town_ask_until_answered(town, 1, hurt);
    fake_stop(&town->fakes[1]);
    for (gint32 i = 0; i < 20; i++) {
        town_ask(town, "getDashboard", i, hurt);
        town_expect_refusal(town, i, REPLY_UNAVAILABLE, "cell 1 ");
        town_ask(town, "getDashboard", i, well);
        town_expect(town, i, 2, well);
    }
    fake_start(&town->fakes[1], 1, town->entries[1].port);
    town_ask_until_answered(town, 1, hurt);
}

/* Timelines move on from a dead cell: no caller notices. */
static void
test_timeline_moves_on(Town *town, gconstpointer unused)
{
    (void)unused;
    fake_stop(&town->fakes[0]);
    town_use_map(town, 1, 0, 2);
    for (gint32 i = 0; i < 30; i++) {
        town_ask(town, "getTimeline", i, 7);
        town_expect(town, i, 1, 7);
    }
}

/* And from one that is not ready, or does not answer. */
static void
test_timeline_avoids(Town *town, gconstpointer unused)
{
    (void)unused;
    town_use_map(town, 1, 0, 2);
    town->fakes[0].mode = FAKE_UNAVAILABLE;
    for (gint32 i = 0; i < 10; i++) {
        town_ask(town, "getTimeline", i, 7);
        town_expect(town, i, 1, 7);
    }
    g_assert_cmpint(town->fakes[0].calls, <=, 3);
    town->fakes[0].mode = FAKE_HOLD;
    g_usleep(1100 * 1000);
    for (gint32 i = 0; i < 10; i++) {
        town_ask(town, "getTimeline", i, 7);
        town_expect(town, i, 1, 7);
    }
}

/* The only cell's own answer is passed on: it is not asked twice. */
static void
test_timeline_one_cell(Town *town, gconstpointer unused)
{
    (void)unused;
    town_use_map(town, 1, 0, 1);
    town->fakes[0].mode = FAKE_UNAVAILABLE;
    town_ask(town, "getTimeline", 1, 7);
    town_expect_refusal(town, 1, REPLY_UNAVAILABLE, "recovering");
    g_assert_cmpint(town->fakes[0].calls, ==, 1);
}

/* Where all cells are down, the first one's failure is told. */
static void
test_timeline_nowhere(Town *town, gconstpointer unused)
{
    (void)unused;
    town_use_map(town, 1, 0, 2);
    fake_stop(&town->fakes[0]);
    fake_stop(&town->fakes[1]);
    for (gint32 i = 0; i < 10; i++) {
        town_ask(town, "getTimeline", i, 7);
        town_expect_refusal(town, i, REPLY_UNAVAILABLE, "cell ");
    }
}

/* A cell that hangs costs the time-out, or the caller's deadline where that
   is sooner; what it says later is dropped, and the connection lives on. */
static void
test_hung_cell(Town *town, gconstpointer unused)
{
    (void)unused;
    Fake *cell = &town->fakes[0];
    town_use_map(town, 1, 0, 1);
    cell->mode = FAKE_HOLD;
    town_ask(town, "getDashboard", 1, 5);
    town_expect_refusal(town, 1, REPLY_UNAVAILABLE,
                        "cell 0 did not answer within 300 ms");
    town_ask_with_deadline(town, 2, 6, 50);
    town_expect_refusal(town, 2, REPLY_DEADLINE, "cell 0");
    fake_wait(cell, 2);
    fake_release(cell);
    town_ask(town, "getDashboard", 3, 7);
    town_expect(town, 3, 0, 7);
}

/* A cell that is silent for long is connected to anew. */
static void
test_silent_cell(Town *town, gconstpointer unused)
{
    (void)unused;
    int listener = town_replace_cell(town, 0);
    town_use_map(town, 1, 0, 1);
    town_ask(town, "getDashboard", 1, 5);
    int first = town_accept(listener);
    town_expect_refusal(town, 1, REPLY_UNAVAILABLE, "did not answer");
    town_ask(town, "getDashboard", 2, 5);
    town_expect_refusal(town, 2, REPLY_UNAVAILABLE, "did not answer");
    town_ask(town, "getDashboard", 3, 5);
    town_expect_refusal(town, 3, REPLY_UNAVAILABLE, "cell 0");
    g_usleep(TOWN_BACKOFF_US);
    town_ask(town, "getDashboard", 4, 5);
    int second = town_accept(listener);
    town_expect_refusal(town, 4, REPLY_UNAVAILABLE, "did not answer");
    close(first);
    close(second);
    close(listener);
}

/* At the bound the refusal is at once, and only while the bound is reached. */
static void
test_in_flight_max(Town *town, gconstpointer max)
{
    Fake *cell = &town->fakes[0];
    gint32 n = GPOINTER_TO_INT(max);
    town_use_map(town, 1, 0, 1);
    cell->mode = FAKE_HOLD;
    for (gint32 i = 0; i <= n; i++) {
        town_ask(town, "getDashboard", i, 5);
    }
    fake_wait(cell, n);
    town_wait_for_metric(town, "{reason=\"overloaded\"} 1\n");
    fake_release(cell);
    for (gint32 i = 0; i < n; i++) {
        town_expect(town, i, 0, 5);
    }
    town_expect_refusal(town, n, REPLY_OVERLOADED, "");
    town_ask(town, "getDashboard", 50, 5);
    town_expect(town, 50, 0, 5);
}

typedef enum Lie {
    LIE_SEQID,
    LIE_CALL,
    LIE_GARBAGE,
    LIE_CUT,
    LIE_EMPTY,
    LIE_HUGE,
    LIE_CLOSE,
    LIES,
} Lie;

/* Answers one call as a cell should: field 0 is 1. */
static void
tell_truth(int cell)
{
    g_autoptr(GByteArray) call = peer_receive(cell);
    GByteArray *reply = g_byte_array_new();
    Frame frame;
    g_assert_cmpint(frame_scan(call->data, call->len, &frame), ==, FRAME_OK);
    frame_begin(reply, FRAME_REPLY, frame.method, frame.seqid);
    wire_field_i64(reply, 0, 1);
    wire_write_stop(reply);
    peer_send(cell, peer_frame(reply));
}

static void
tell_lie(int cell, Lie lie, const Frame *call)
{
    static const guint8 lengths[] = {0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0};
    GByteArray *reply = g_byte_array_new();
    frame_begin(reply, lie == LIE_CALL ? FRAME_CALL : FRAME_REPLY, call->method,
                call->seqid + (lie == LIE_SEQID));
    wire_field_i64(reply, 0, 1);
    if (lie != LIE_CUT) {
        wire_write_stop(reply);
    }
    if (lie == LIE_GARBAGE) {
        memset(reply->data, 'x', reply->len);
    }
    if (lie == LIE_HUGE || lie == LIE_EMPTY) {
        peer_send_raw(cell, lengths + (lie == LIE_EMPTY) * 4, 4);
    } else if (lie != LIE_CLOSE) {
        peer_send(cell, peer_frame(g_steal_pointer(&reply)));
    }
    if (reply != NULL) {
        g_byte_array_unref(reply);
    }
}

/* A cell that talks nonsense loses the connection and the calls on it; the
   caller hears Unavailable; the next connection is a new beginning. */
static void
test_lying_cell(Town *town, gconstpointer unused)
{
    (void)unused;
    int listener = town_replace_cell(town, 0);
    town_use_map(town, 1, 0, 1);
    for (Lie lie = 0; lie < LIES; lie++) {
        Frame frame;
        town_ask(town, "getDashboard", 0, 5);
        int cell = town_accept(listener);
        tell_truth(cell);
        peer_expect(town->client, 0, 1);
        town_ask(town, "getDashboard", 1, 5);
        town_ask(town, "getDashboard", 2, 5);
        g_autoptr(GByteArray) call = peer_receive(cell);
        g_assert_cmpint(frame_scan(call->data, call->len, &frame), ==,
                        FRAME_OK);
        g_autoptr(GByteArray) next = peer_receive(cell);
        g_assert_nonnull(next);
        tell_lie(cell, lie, &frame);
        if (lie == LIE_CLOSE) {
            close(cell);
        }
        town_expect_refusal(town, 1, REPLY_UNAVAILABLE, "cell 0 ");
        town_expect_refusal(town, 2, REPLY_UNAVAILABLE, "cell 0 ");
        if (lie != LIE_CLOSE) {
            peer_expect_closed(cell);
            close(cell);
        }
        g_usleep(TOWN_BACKOFF_US);
    }
    close(listener);
}

/* Stopping with calls in progress answers them. */
static void
test_stop(Town *town, gconstpointer unused)
{
    (void)unused;
    town_use_map(town, 1, 0, 2);
    town->fakes[0].mode = FAKE_HOLD;
    town->fakes[1].mode = FAKE_NOT_HOMED;
    town->fakes[1].epoch = 9;
    town_ask(town, "getDashboard", 1, town_user_of(town, 0));
    fake_wait(&town->fakes[0], 1);
    town_ask(town, "getDashboard", 2, town_user_of(town, 1));
    fake_wait(&town->fakes[1], 1);
    router_stop(g_steal_pointer(&town->router));
    town_expect_refusal(town, 1, REPLY_UNAVAILABLE, "did not answer");
    town_expect_refusal(town, 2, REPLY_UNAVAILABLE, "is stopping");
    peer_expect_closed(town->client);
    metrics_free(town->metrics);
    close(town->client);
}

/* A call with at_least may wait at its cell for longer than others may: those
   of both router threads are answered meanwhile. */
static void
test_at_least(Town *town, gconstpointer unused)
{
    (void)unused;
    Fake *cell = &town->fakes[0];
    town_use_map(town, 1, 0, 1);
    cell->mode = FAKE_HOLD;
    town_ask_at_least(town, 1, 5);
    fake_wait(cell, 1);
    cell->mode = FAKE_ANSWER;
    for (gint32 i = 0; i < 2; i++) {
        int other = peer_connect(router_port(town->router));
        peer_send(other, peer_call("getDashboard", 2, 7));
        peer_expect(other, 2, ANSWER(0, 7));
        close(other);
    }
    g_assert_true(peer_silent(town->client, 2 * TOWN_TIMEOUT_MS));
    fake_release(cell);
    town_expect(town, 1, 0, 5);
    town_wait_for_metric(town, "comb_router_cell_connects_total 3\n");
}

/* Every metric has a value that tells what happened. */
static void
test_metrics(Town *town, gconstpointer unused)
{
    (void)unused;
    town_use_map(town, 3, 0, TOWN_CELLS);
    town_ask(town, "getDashboard", 1, 5);
    g_autoptr(GByteArray) reply = peer_receive(town->client);
    town_wait_for_metric(
        town, "comb_router_calls_total{method=\"getDashboard\"} 1\n");
    town_wait_for_metric(town, "comb_router_map_epoch 3\n");
    town_wait_for_metric(town, "comb_router_connections 1\n");
    town_wait_for_metric(town, "comb_router_cell_connects_total 1\n");
}

#define ADD(name, in_flight_max)                                               \
    g_test_add("/router/" #name, Town, GUINT_TO_POINTER(in_flight_max),        \
               town_set_up, test_##name, town_tear_down)

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    daemon_begin();
    ADD(by_slot, 0);
    ADD(any_cell, 0);
    ADD(bytes_unchanged, 0);
    ADD(pipelined, 0);
    ADD(by_name, 0);
    ADD(invalid, 0);
    ADD(no_map, 0);
    ADD(not_homed, 0);
    ADD(cell_behind, 0);
    ADD(not_homed_for_ever, 0);
    ADD(moved_cell, 0);
    ADD(dead_cell, 0);
    ADD(timeline_moves_on, 0);
    ADD(timeline_avoids, 0);
    ADD(timeline_one_cell, 0);
    ADD(timeline_nowhere, 0);
    ADD(hung_cell, 0);
    ADD(silent_cell, 0);
    ADD(in_flight_max, 3);
    ADD(lying_cell, 0);
    ADD(at_least, 0);
    ADD(stop, 0);
    ADD(metrics, 0);
    return g_test_run();
}
