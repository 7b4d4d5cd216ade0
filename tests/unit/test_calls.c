/*
 * ops/kit/calls and slow: windows, users, the slowest, Prometheus' text.
 */
#include "ops/kit/calls.h"

#include <pthread.h>
#include <string.h>

#define SECOND G_GINT64_CONSTANT(1000000)
#define RECORDED 20000

static const char *const names[] = {"get", "put", "wait", NULL};

static void
record(Calls *calls, guint thread, guint method, gint64 us, gint64 ended)
{
    SlowCall call = {
        .us = us, .ended = ended, .user = 7, .method = method, .caller = "c"};

    if (calls_record(calls, thread, &call)) {
        calls_record_slow(calls, thread, &call);
    }
}

static void
cleared(CallsView *view)
{
    calls_view_clear(view);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(CallsView, cleared)

/* A method is found by its whole name; what nobody knows has one of its own. */
static void
test_find(void)
{
    Calls *calls = calls_new(names, 1);

    g_assert_cmpuint(calls_find(calls, "put", 3), ==, 1);
    g_assert_cmpuint(calls_find(calls, "pu", 2), ==, 3);
    g_assert_cmpuint(calls_find(calls, "<script>", 8), ==, 3);
    g_assert_cmpstr(calls_name(calls, 3), ==, "unknown");
    calls_free(calls);
}

/* Windows of 10 s, 1 min and 5 min forget, the number since the start does
   not; the longest of each is exact, however often somebody has looked. */
static void
test_windows(void)
{
    gint64 now = g_get_monotonic_time();
    Calls *calls = calls_new(names, 2);
    g_auto(CallsView) early = {0};
    g_auto(CallsView) late = {0};

    record(calls, 0, 0, 5000, now);
    record(calls, 1, 0, 7777, now);
    calls_view(calls, now + SECOND, &early);
    for (guint i = 0; i < CALLS_WINDOWS; i++) {
        g_assert_cmpuint(early.methods[0].window[i].calls, ==, 2);
        g_assert_cmpint(early.methods[0].window[i].max_us, ==, 7777);
        g_assert_cmpint(early.methods[0].window[i].p99_us, ==, 7777);
    }
    g_assert_cmpuint(early.methods[1].calls, ==, 0);
    for (guint s = CALLS_TICK_S; s <= 70; s += CALLS_TICK_S) {
        calls_tick(calls, now + s * SECOND);
    }
    g_assert_cmpuint(early.n_hottest, ==, 1);
    g_assert_cmpint(early.hottest[0].key, ==, 7);
    g_assert_cmpuint(early.hottest[0].count, ==, 2);
    g_assert_cmpuint(early.with_user, ==, 2);
    record(calls, 0, 0, 100, now + 71 * SECOND);
    calls_view(calls, now + 72 * SECOND, &late);
    g_assert_cmpuint(late.methods[0].calls, ==, 3);
    g_assert_cmpuint(late.methods[0].window[0].calls, ==, 1);
    g_assert_cmpint(late.methods[0].window[0].max_us, ==, 100);
    g_assert_cmpint(late.methods[0].window[0].us, ==, 12 * SECOND);
    g_assert_cmpuint(late.methods[0].window[1].calls, ==, 1);
    g_assert_cmpuint(late.methods[0].window[2].calls, ==, 3);
    g_assert_cmpint(late.methods[0].window[2].max_us, ==, 7777);
    calls_free(calls);
}

/* After five minutes of silence all windows are empty, and rings come round. */
static void
test_silence(void)
{
    gint64 now = g_get_monotonic_time();
    Calls *calls = calls_new(names, 1);
    g_auto(CallsView) view = {0};

    record(calls, 0, 0, 5000, now);
    for (guint s = CALLS_TICK_S; s <= 1000; s += CALLS_TICK_S) {
        calls_tick(calls, now + s * SECOND);
    }
    calls_view(calls, now + 1001 * SECOND, &view);
    for (guint i = 0; i < CALLS_WINDOWS; i++) {
        g_assert_cmpuint(view.methods[0].window[i].calls, ==, 0);
        g_assert_cmpint(view.methods[0].window[i].max_us, ==, 0);
    }
    g_assert_cmpint(view.methods[0].window[2].us, >=, 300 * SECOND);
    g_assert_cmpuint(view.methods[0].calls, ==, 1);
    g_assert_cmpuint(view.n_hottest, ==, 0);
    calls_free(calls);
}

/* The slowest 20 of all threads, sorted; patient methods are not among them. */
static void
test_slowest(void)
{
    gint64 now = g_get_monotonic_time();
    Calls *calls = calls_new(names, 2);
    g_auto(CallsView) view = {0};

    calls_patient(calls, "wait");
    for (gint64 us = 1; us <= 100; us++) {
        record(calls, (guint)us % 2, 0, us, now);
        record(calls, (guint)us % 2, 2, 1000 + us, now);
    }
    calls_view(calls, now, &view);
    g_assert_cmpuint(view.n_slowest, ==, SLOW_CALLS);
    for (gint64 i = 0; i < SLOW_CALLS; i++) {
        g_assert_cmpint(view.slowest[i].us, ==, 100 - i);
        g_assert_cmpuint(view.slowest[i].method, ==, 0);
    }
    g_assert_cmpuint(view.methods[2].calls, ==, 100);
    calls_free(calls);
}

/* What is older than an hour is forgotten, what is younger is not, although
   slower ones came before it. */
static void
test_hour(void)
{
    g_autofree SlowList *list = g_new0(SlowList, 1);
    SlowCall call = {0}, top[SLOW_CALLS];
    gint64 hour = 3600 * SECOND;

    for (gint64 i = 0; i < 30; i++) {
        call.us = 1000 + i;
        call.ended = 10 * hour + i;
        slow_add(list, &call);
    }
    call.us = 5;
    call.ended = 10 * hour + hour / 2;
    g_assert_true(slow_wants(list, call.us, call.ended));
    slow_add(list, &call);
    g_assert_cmpuint(slow_merge(list, 10 * hour + hour / 2, top, 0), ==,
                     SLOW_CALLS);
    g_assert_cmpint(top[0].us, ==, 1029);
    g_assert_cmpint(top[SLOW_CALLS - 1].us, ==, 1010);
    g_assert_cmpuint(slow_merge(list, 11 * hour + SECOND, top, 0), ==, 1);
    g_assert_cmpint(top[0].us, ==, 5);
}

/* Samples of one method: cumulative, with sum and count. */
static void
test_metrics(void)
{
    gint64 now = g_get_monotonic_time();
    Calls *calls = calls_new(names, 2);
    g_autoptr(GString) text = g_string_new(NULL);

    record(calls, 0, 0, 100, now);
    record(calls, 1, 0, 20000, now);
    record(calls, 1, 0, 60 * SECOND, now);
    calls_metrics(calls, "x", "server=\"s\"", text);
    g_assert_nonnull(strstr(
        text->str, "x_bucket{server=\"s\",method=\"get\",le=\"0.0001\"} 1\n"));
    g_assert_nonnull(strstr(
        text->str, "x_bucket{server=\"s\",method=\"get\",le=\"0.01\"} 1\n"
                   "x_bucket{server=\"s\",method=\"get\",le=\"0.025\"} 2\n"));
    g_assert_nonnull(strstr(
        text->str, "x_bucket{server=\"s\",method=\"get\",le=\"+Inf\"} 3\n"
                   "x_sum{server=\"s\",method=\"get\"} 60.020100\n"
                   "x_count{server=\"s\",method=\"get\"} 3\n"));
    g_assert_nonnull(
        strstr(text->str, "x_count{server=\"s\",method=\"unknown\"} 0\n"));
    calls_free(calls);
}

static void *
record_many(void *user_data)
{
    Calls *calls = user_data;
    gint64 now = g_get_monotonic_time();

    for (gint64 i = 0; i < RECORDED; i++) {
        record(calls, 1, (guint)(i % 3), i, now + i);
    }
    return NULL;
}

/* A page that is made meanwhile neither loses calls nor races with them. */
static void
test_looking_beside(void)
{
    Calls *calls = calls_new(names, 2);
    g_auto(CallsView) after = {0};
    pthread_t writer;

    pthread_create(&writer, NULL, record_many, calls);
    for (guint i = 0; i < 20; i++) {
        g_auto(CallsView) view = {0};

        calls_tick(calls, g_get_monotonic_time());
        calls_view(calls, g_get_monotonic_time(), &view);
    }
    pthread_join(writer, NULL);
    calls_view(calls, g_get_monotonic_time(), &after);
    g_assert_cmpuint(after.methods[0].calls + after.methods[1].calls +
                         after.methods[2].calls,
                     ==, RECORDED);
    g_assert_cmpint(after.hottest[0].key, ==, 7);
    calls_free(calls);
}

/* What a call costs; printed, and judged only against nonsense. */
static void
test_cost(void)
{
    enum { CALLS = 1000000 };
    Calls *calls = calls_new(names, 1);
    gint64 began = g_get_monotonic_time(), took;

    for (gint64 i = 0; i < CALLS; i++) {
        SlowCall call = {.us = 10 + i % 500,
                         .ended = began + i,
                         .user = 1 + i * 7919 % 3001,
                         .method = 1};

        if (calls_record(calls, 0, &call)) {
            calls_record_slow(calls, 0, &call);
        }
    }
    took = g_get_monotonic_time() - began;
    g_test_message("%.1f ns a call", (double)took * 1000 / CALLS);
    g_assert_cmpint(took, <, 20 * SECOND);
    calls_free(calls);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/calls/find", test_find);
    g_test_add_func("/calls/windows", test_windows);
    g_test_add_func("/calls/silence", test_silence);
    g_test_add_func("/calls/slowest", test_slowest);
    g_test_add_func("/calls/hour", test_hour);
    g_test_add_func("/calls/metrics", test_metrics);
    g_test_add_func("/calls/looking-beside", test_looking_beside);
    g_test_add_func("/calls/cost", test_cost);
    return g_test_run();
}
