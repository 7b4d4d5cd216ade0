/*
 * What the router does about load: second tries within a budget, calls for
 * any cell where little waits, and little that waits at a cell that is slow.
 */
#include "ops/kit/daemon.h"
#include "router/retrybudget.h"
#include "router/upstream.h"
#include "tests/unit/peer.h"
#include "tests/unit/town.h"

#include <string.h>
#include <unistd.h>

#define LEAST (RETRYBUDGET_SECONDS * RETRYBUDGET_MIN_PER_S)
#define SLOW UPSTREAM_SLOW_IN_FLIGHT_MAX
/* Of cells; a busy machine shall not look like a slow one. */
#define TIMEOUT_MS 2000
/* A quarter of it, and a bit. */
#define SLOW_US (TIMEOUT_MS * 1000 / 3)

static void
set_up(Town *town, gconstpointer unused)
{
    town_set_up(town, unused);
    town_restart_router(town, TIMEOUT_MS);
}

/* @n replies come, whatever they say. */
static void
expect_any(Town *town, guint n)
{
    for (guint i = 0; i < n; i++) {
        g_autoptr(GByteArray) message = peer_receive(town->client);
        g_assert_nonnull(message);
    }
}

/* ---- cells that are overloaded ---- */

/* A dashboard gets its cell's own refusal, at once; nobody is asked again. */
static void
test_overloaded_dashboard(Town *town, gconstpointer unused)
{
    (void)unused;
    town_use_map(town, 1, 0, TOWN_CELLS);
    Fake *cell = &town->fakes[1];
    cell->mode = FAKE_OVERLOADED;
    town_ask(town, "getDashboard", 1, town_user_of(town, 1));
    g_autoptr(GByteArray) message = peer_receive(town->client);
    Frame frame;
    WireReader reader;
    WireField field;
    g_assert_cmpint(frame_scan(message->data, message->len, &frame), ==,
                    FRAME_OK);
    g_assert_true(frame_struct(&frame, REPLY_OVERLOADED, &reader));
    g_assert_true(wire_read_field(&reader, &field));
    g_assert_cmpint(field.id, ==, 1);
    g_assert_cmpint(wire_read_i32(&reader), ==, TOWN_RETRY_AFTER_MS);
    g_assert_cmpint(cell->calls, ==, 1);
    g_assert_cmpint(town->fakes[0].calls + town->fakes[2].calls, ==, 0);
    town_wait_for_metric(town, "comb_router_retries_total 0\n");
    town_wait_for_metric(town, "{reason=\"overloaded\"} 0\n");
}

/* Timelines get another cell's answer, and then avoid the busy one. */
static void
test_overloaded_timeline(Town *town, gconstpointer unused)
{
    (void)unused;
    town_use_map(town, 1, 0, 2);
    town->fakes[0].mode = FAKE_OVERLOADED;
    for (gint32 i = 0; i < 20; i++) {
        town_ask(town, "getTimeline", i, 7);
        town_expect(town, i, 1, 7);
    }
    g_assert_cmpint(town->fakes[0].calls, >=, 1);
    g_assert_cmpint(town->fakes[0].calls, <=, 4);
}

/* Where all are busy, so is the answer. */
static void
test_overloaded_all(Town *town, gconstpointer unused)
{
    (void)unused;
    town_use_map(town, 1, 0, 2);
    town->fakes[0].mode = FAKE_OVERLOADED;
    town->fakes[1].mode = FAKE_OVERLOADED;
    town_ask(town, "getTimeline", 1, 7);
    town_expect_refusal(town, 1, REPLY_OVERLOADED, "");
    g_assert_cmpint(town->fakes[0].calls, ==, 1);
    g_assert_cmpint(town->fakes[1].calls, ==, 1);
}

/* ---- the budget ---- */

/* When every cell refuses everything, the cells get a fifth more calls, not
   twice as many, and what is refused is the cell's own answer. */
static void
test_budget_moved_on(Town *town, gconstpointer unused)
{
    const gint32 n = 400;
    (void)unused;
    town_use_map(town, 1, 0, 2);
    town->fakes[0].mode = FAKE_UNAVAILABLE;
    town->fakes[1].mode = FAKE_UNAVAILABLE;
    for (gint32 i = 0; i < n; i++) {
        town_ask(town, "getTimeline", i, 7);
        town_expect_refusal(town, i, REPLY_UNAVAILABLE, "recovering");
    }
    int calls = town->fakes[0].calls + town->fakes[1].calls;
    g_assert_cmpint(calls, >=, n + LEAST);
    /* Twice the least, should the test take longer than the window. */
    g_assert_cmpint(calls, <=, n + n / 5 + 2 * 2 * LEAST);
    g_autofree char *text = metrics_text(town->metrics);
    g_assert_null(strstr(text, "comb_router_retries_total 0\n"));
    g_assert_null(strstr(text, "comb_router_retries_refused_total 0\n"));
}

/* NotHomed is a retry like any other: over the budget the caller is told
   at once, and never with NotHomed. */
static void
test_budget_not_homed(Town *town, gconstpointer unused)
{
    const gint32 n = 16; /* what the router takes of one connection */
    const gint32 granted = LEAST + n / 5;
    gint32 refused = 0;
    (void)unused;
    town_use_map(town, 2, 0, 1);
    town->fakes[0].mode = FAKE_NOT_HOMED;
    town->fakes[0].epoch = 1;
    for (gint32 i = 0; i < n; i++) {
        town_ask(town, "getDashboard", i, 5);
    }
    for (gint32 i = 0; i < LEAST; i++) {
        town_expect_refusal(town, i, REPLY_UNAVAILABLE, "no cell is");
    }
    /* How many tries had been counted when the others came back is chance. */
    for (gint32 i = LEAST; i < n; i++) {
        refused += town_is_refused(town, i, "tried again already") ? 1 : 0;
    }
    g_assert_cmpint(refused, >=, n - granted);
    g_assert_cmpint(town->fakes[0].calls, ==, n + n - refused);
}

/* One cell's failures do not use up what another's calls may need. */
static void
test_budget_own(Town *town, gconstpointer unused)
{
    (void)unused;
    town_use_map(town, 2, 0, TOWN_CELLS);
    gint64 hurt = town_user_of(town, 1);
    town->fakes[1].mode = FAKE_NOT_HOMED;
    town->fakes[1].epoch = 1;
    for (gint32 i = 0; i < 16; i++) {
        town_ask(town, "getDashboard", i, hurt);
    }
    for (gint32 i = 0; i < 16; i++) {
        town_expect_refusal(town, i, REPLY_UNAVAILABLE, "");
    }
    town_wait_for_metric(town, "comb_router_moved_on_total 0\n");
    town->fakes[0].mode = FAKE_UNAVAILABLE;
    town->fakes[1].mode = FAKE_ANSWER;
    for (gint32 i = 0; i < 9; i++) {
        town_ask(town, "getPosts", i, 7);
        g_autoptr(GByteArray) message = peer_receive(town->client);
        Frame frame;
        g_assert_cmpint(frame_scan(message->data, message->len, &frame), ==,
                        FRAME_OK);
        g_assert_cmpint(frame.field[REPLY_SUCCESS].type, ==, WIRE_I64);
    }
    g_autofree char *text = metrics_text(town->metrics);
    g_assert_null(strstr(text, "comb_router_moved_on_total 0\n"));
}

/* ---- a choice by load ---- */

/* Calls for any cell go round the one where calls wait. */
static void
test_spread(Town *town, gconstpointer unused)
{
    (void)unused;
    town_use_map(town, 1, 0, TOWN_CELLS);
    Fake *busy = &town->fakes[2];
    busy->mode = FAKE_HOLD;
    for (gint32 i = 0; i < 10; i++) {
        town_ask(town, "getDashboard", i, town_user_of(town, 2));
    }
    fake_wait(busy, 10);
    for (gint32 i = 0; i < 6; i++) {
        town_ask(town, "getTimeline", 10 + i, 7);
    }
    town_wait_for_metric(town,
                         "comb_router_calls_total{method=\"getTimeline\"} 6");
    fake_release(busy);
    expect_any(town, 16);
    g_assert_cmpint(busy->calls, ==, 10);
}

/* ---- a cell that is slow ---- */

/* Once a call has waited long, only a few wait; the rest hears so at once.
   What the cell answers late is passed on, and all is as before. */
static void
test_slow_cell(Town *town, gconstpointer unused)
{
    (void)unused;
    Fake *cell = &town->fakes[0];
    town_use_map(town, 1, 0, 1);
    cell->mode = FAKE_HOLD;
    for (gint32 i = 0; i < SLOW; i++) {
        town_ask(town, "getDashboard", i, 5);
    }
    fake_wait(cell, SLOW);
    g_usleep(SLOW_US);
    town_ask(town, "getDashboard", 100, 5);
    town_wait_for_metric(town, "comb_router_cell_slow_total 1\n");
    fake_release(cell);
    expect_any(town, SLOW);
    town_expect_refusal(town, 100, REPLY_UNAVAILABLE, "cell 0 is slow");
    g_assert_cmpint(cell->calls, ==, SLOW);
    town_ask_until_answered(town, 0, 5);
}

/* Many at once are no sign of a slow cell. */
static void
test_burst(Town *town, gconstpointer unused)
{
    (void)unused;
    Fake *cell = &town->fakes[0];
    town_use_map(town, 1, 0, 1);
    cell->mode = FAKE_HOLD;
    for (gint32 i = 0; i < 16; i++) {
        town_ask(town, "getDashboard", i, 5);
    }
    fake_wait(cell, 16);
    fake_release(cell);
    expect_any(town, 16);
    town_wait_for_metric(town, "comb_router_cell_slow_total 0\n");
}

#define CALLERS 24
/* Those that one cell may keep waiting, and long before a time-out. */
#define CROWD (CALLERS * 3 / 4)
#define PATIENT_MS 20000
#define CROWDED_US (PATIENT_MS * 1000 / 19)

/* A cell that makes callers wait does not get all of them: some are left to
   ask the other cells. */
static void
test_crowded(Town *town, gconstpointer unused)
{
    int callers[CALLERS];
    (void)unused;
    town_restart_router(town, PATIENT_MS);
    town_use_map(town, 1, 0, TOWN_CELLS);
    gint64 hurt = town_user_of(town, 1);
    gint64 well = town_user_of(town, 2);
    int own = town->client;
    for (guint i = 0; i < CALLERS; i++) {
        callers[i] = peer_connect(router_port(town->router));
    }
    town_wait_for_metric(town, "comb_router_connections 25\n");
    town->fakes[1].mode = FAKE_HOLD;
    for (guint i = 0; i < CROWD; i++) {
        g_usleep(i == CROWD / 2 ? CROWDED_US : 0);
        peer_send(callers[i], peer_call("getDashboard", 1, hurt));
    }
    fake_wait(&town->fakes[1], CROWD);
    for (guint i = CROWD; i < CALLERS; i++) {
        town->client = callers[i];
        town_ask(town, "getDashboard", 1, hurt);
        town_expect_refusal(town, 1, REPLY_UNAVAILABLE, "cell 1 is slow");
        town_ask(town, "getDashboard", 2, well);
        town_expect(town, 2, 2, well);
    }
    fake_release(&town->fakes[1]);
    for (guint i = 0; i < CALLERS; i++) {
        town->client = callers[i];
        town_ask_until_answered(town, 1, hurt);
        close(callers[i]);
    }
    town->client = own;
}

/* After a connection was lost the next one has to prove itself. */
static void
test_new_connection(Town *town, gconstpointer unused)
{
    (void)unused;
    Fake *cell = &town->fakes[0];
    town_use_map(town, 1, 0, 1);
    town_ask(town, "getDashboard", 1, 5);
    town_expect(town, 1, 0, 5);
    fake_stop(cell);
    town_ask(town, "getDashboard", 2, 5);
    town_expect_refusal(town, 2, REPLY_UNAVAILABLE, "cell 0");
    cell->calls = 0;
    fake_start(cell, 0, town->entries[0].port);
    cell->mode = FAKE_HOLD;
    g_usleep(TOWN_BACKOFF_US);
    for (gint32 i = 0; i < 16; i++) {
        town_ask(town, "getDashboard", i, 5);
    }
    fake_wait(cell, SLOW);
    town_wait_for_metric(town, "comb_router_cell_slow_total 8\n");
    g_assert_cmpint(cell->calls, ==, SLOW);
    fake_release(cell);
    expect_any(town, 16);
    for (gint32 i = 0; i < 16; i++) {
        town_ask(town, "getDashboard", i, 5);
    }
    for (gint32 i = 0; i < 16; i++) {
        town_expect(town, i, 0, 5);
    }
}

#define ADD(name)                                                              \
    g_test_add("/router-load/" #name, Town, NULL, set_up, test_##name,         \
               town_tear_down)

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    daemon_begin();
    ADD(overloaded_dashboard);
    ADD(overloaded_timeline);
    ADD(overloaded_all);
    ADD(budget_moved_on);
    ADD(budget_not_homed);
    ADD(budget_own);
    ADD(spread);
    ADD(slow_cell);
    ADD(burst);
    ADD(crowded);
    ADD(new_connection);
    return g_test_run();
}
