/*
 * Read your own writes: a call with at_least is answered once its positions
 * are applied, at its deadline with a page that says it is stale, and in no
 * case waits by holding up a thread. Mostly the test applies the log itself,
 * so that what is not to be applied yet is not.
 */
#include "cell/atleast.h"
#include "cell/waits.h"
#include "tests/unit/peer.h"
#include "tests/unit/waiting.h"
#include "thrift/reply.h"

#include <pthread.h>
#include <string.h>
#include <unistd.h>

#define QUIET_MS 60
#define ROUNDS 200
#define CALLERS 4
#define DEADLINE_MS 2400
/* In flight on one connection at a cell. */
#define PIPELINED 128
/* PageEnd of dashboard.thrift. */
#define PAGE_MORE 1
/* A loaded machine takes a while; who is not woken waits for the deadline. */
#define SLOW_US (500 * 1000)

static int
connect_to(const Waiting *waiting)
{
    return peer_connect(serve_port(waiting->serve));
}

/* The last id on the page: what is older is on the next one. */
static gint64
oldest(const WaitingAnswer *answer)
{
    const GArray *entries = answer->page.entries;
    return entries->len > 0
               ? g_array_index(entries, SeenEntry, entries->len - 1).id
               : 0;
}

/* The next answer is a page with @post, unless the page is full of newer ones;
   not stale. */
static void
expect_post(int fd, gint64 post)
{
    g_auto(WaitingAnswer) answer = waiting_receive(fd);
    g_assert_true(waiting_shows(&answer, post) ||
                  (answer.page.end == PAGE_MORE && oldest(&answer) > post));
    g_assert_null(answer.stale);
    g_assert_cmpint(answer.page.as_of, >=, post);
}

/* It is one that says it is stale, with @words. */
static void
expect_stale(int fd, const char *words)
{
    g_auto(WaitingAnswer) answer = waiting_receive(fd);
    g_assert_nonnull(answer.stale);
    g_assert_nonnull(strstr(answer.stale, words));
}

static gint64
metric(const Waiting *waiting, StateMetric which)
{
    return metric_get(&waiting->state->metrics[which]);
}

static void
wait_for_waiting(const Waiting *waiting, gint64 n)
{
    while (metric(waiting, METRIC_WAITING) != n) {
        g_usleep(100);
    }
}

/* What is applied already is not waited for. */
static void
test_applied(void)
{
    Waiting waiting;
    WaitingCall call = {0};
    Position position;
    waiting_set_up(&waiting, FALSE);
    int fd = connect_to(&waiting);
    gint64 post = waiting_post(&waiting, 0, &position);
    waiting_apply(&waiting);
    waiting_add(&waiting, &call, position);
    waiting_send(fd, &call);
    expect_post(fd, post);
    g_assert_cmpint(metric(&waiting, METRIC_WAITS), ==, 0);
    close(fd);
    waiting_tear_down(&waiting);
}

/* What is not is, and the answer comes right after its commit. */
static void
test_waits(void)
{
    Waiting waiting;
    gint64 slowest_us = 0;
    gint64 sum_us = 0;
    waiting_set_up(&waiting, FALSE);
    int fd = connect_to(&waiting);
    for (guint i = 0; i < ROUNDS; i++) {
        WaitingCall call = {0};
        Position position;
        gint64 post = waiting_post(&waiting, i % 2, &position);
        waiting_add(&waiting, &call, position);
        waiting_send(fd, &call);
        wait_for_waiting(&waiting, 1);
        waiting_apply(&waiting);
        gint64 applied_us = g_get_monotonic_time();
        expect_post(fd, post);
        gint64 took_us = g_get_monotonic_time() - applied_us;
        g_assert_cmpint(took_us, <, 10 * SLOW_US);
        slowest_us = MAX(slowest_us, took_us);
        sum_us += took_us;
    }
    g_test_message("answered %.3f ms after the commit, at most %.3f",
                   (double)sum_us / ROUNDS / 1000, (double)slowest_us / 1000);
    g_assert_cmpint(sum_us, <, ROUNDS * SLOW_US);
    g_assert_cmpint(metric(&waiting, METRIC_WAITS), ==, ROUNDS);
    g_assert_cmpint(metric(&waiting, METRIC_WAITS_LATE), ==, 0);
    g_assert_cmpint(metric(&waiting, METRIC_WAITING), ==, 0);
    close(fd);
    waiting_tear_down(&waiting);
}

/* Other calls of the same thread are answered meanwhile. */
static void
test_holds_up_nobody(void)
{
    Waiting waiting;
    WaitingCall call = {0};
    WaitingCall other = {0};
    Position position;
    waiting_set_up(&waiting, FALSE);
    int fd = connect_to(&waiting);
    int beside = connect_to(&waiting);
    gint64 post = waiting_post(&waiting, 0, &position);
    waiting_add(&waiting, &call, position);
    waiting_send(fd, &call);
    for (guint i = 0; i < 20; i++) {
        waiting_send(beside, &other);
        g_auto(WaitingAnswer) answer = waiting_receive(beside);
        g_assert_false(waiting_shows(&answer, post));
        g_assert_null(answer.stale);
    }
    g_assert_true(peer_silent(fd, 0));
    waiting_apply(&waiting);
    expect_post(fd, post);
    close(fd);
    close(beside);
    waiting_tear_down(&waiting);
}

/* Of several positions all count, and a commit of one is not enough. */
static void
test_all_of_them(void)
{
    Waiting waiting;
    WaitingCall call = {0};
    Position first;
    Position second;
    waiting_set_up(&waiting, FALSE);
    int fd = connect_to(&waiting);
    gint64 posts[] = {waiting_post(&waiting, 0, &first), 0};
    waiting_add(&waiting, &call, first);
    /* The next one of the other partition, which is not there yet. */
    guint64 begin;
    g_assert_true(log_bounds(waiting.log, 1, &begin, &second.offset, NULL));
    second.partition = 1;
    waiting_add(&waiting, &call, second);
    waiting_send(fd, &call);
    waiting_apply(&waiting);
    g_assert_true(peer_silent(fd, QUIET_MS));
    posts[1] = waiting_post(&waiting, 1, &second);
    waiting_apply(&waiting);
    g_auto(WaitingAnswer) answer = waiting_receive(fd);
    g_assert_true(waiting_shows(&answer, posts[0]));
    g_assert_true(waiting_shows(&answer, posts[1]));
    close(fd);
    waiting_tear_down(&waiting);
}

/* A consumer's bookmark stands for all before it. */
static void
test_bookmark(void)
{
    Waiting waiting;
    WaitingCall call = {0};
    Position position;
    guint64 first;
    guint64 next[WAITING_PARTITIONS];
    waiting_set_up(&waiting, FALSE);
    int fd = connect_to(&waiting);
    gint64 post = waiting_post(&waiting, 1, &position);
    for (guint i = 0; i < WAITING_PARTITIONS; i++) {
        g_assert_true(log_bounds(waiting.log, i, &first, &next[i], NULL));
    }
    g_autoptr(GString) text = g_string_new(NULL);
    bookmark_write(text, next, WAITING_PARTITIONS,
                   position_check(log_identity(waiting.log)));
    waiting_add_bytes(&call, text->str, text->len);
    waiting_send(fd, &call);
    g_assert_true(peer_silent(fd, QUIET_MS));
    waiting_apply(&waiting);
    expect_post(fd, post);
    close(fd);
    waiting_tear_down(&waiting);
}

/* Timelines and posts by id wait alike. */
static void
test_other_reads(void)
{
    Waiting waiting;
    Position position;
    waiting_set_up(&waiting, FALSE);
    int fd = connect_to(&waiting);
    gint64 post = waiting_post(&waiting, 0, &position);
    WaitingCall timeline = {.method = "getTimeline",
                            .user = waiting.authors[0]};
    WaitingCall posts = {.method = "getPosts", .post = post};
    waiting_add(&waiting, &timeline, position);
    waiting_send(fd, &timeline);
    waiting_add(&waiting, &posts, position);
    waiting_send(fd, &posts);
    g_assert_true(peer_silent(fd, QUIET_MS));
    waiting_apply(&waiting);
    expect_post(fd, post);
    g_auto(WaitingAnswer) answer = waiting_receive(fd);
    WireReader reader;
    WireField field;
    WireType type;
    g_assert_true(frame_struct(&answer.frame, REPLY_SUCCESS, &reader));
    g_assert_true(wire_read_field(&reader, &field));
    g_assert_cmpuint(wire_read_list(&reader, &type), ==, 1);
    close(fd);
    waiting_tear_down(&waiting);
}

/* Where the deadline comes first, a page comes before it and says so. */
static void
test_deadline(void)
{
    static const struct {
        const char *method;
        gint64 post;
    } reads[] = {{"getDashboard", 0}, {"getTimeline", 0}, {"getPosts", 1}};
    Waiting waiting;
    Position position;
    int fds[G_N_ELEMENTS(reads)];
    waiting_set_up(&waiting, FALSE);
    waiting_post(&waiting, 0, &position);
    gint64 begin_us = g_get_monotonic_time();
    for (guint i = 0; i < G_N_ELEMENTS(reads); i++) {
        WaitingCall call = {.method = reads[i].method,
                            .post = reads[i].post,
                            .deadline_ms = DEADLINE_MS};
        fds[i] = connect_to(&waiting);
        waiting_add(&waiting, &call, position);
        waiting_send(fds[i], &call);
    }
    for (guint i = 0; i < G_N_ELEMENTS(reads); i++) {
        expect_stale(fds[i],
                     "at_least was not reached in time: of partition 0");
        close(fds[i]);
    }
    gint64 took_ms = (g_get_monotonic_time() - begin_us) / 1000;
    g_test_message("after %d ms of %d", (int)took_ms, DEADLINE_MS);
    g_assert_cmpint(took_ms, >=, DEADLINE_MS - 260);
    g_assert_cmpint(metric(&waiting, METRIC_WAITS_LATE), ==, 3);
    waiting_tear_down(&waiting);
}

static void
expect_refused(int fd, gint64 limit)
{
    g_auto(WaitingAnswer) answer = waiting_receive(fd);
    WireReader reader;
    WireField field;
    gint64 told = -1;
    g_assert_true(frame_struct(&answer.frame, REPLY_INVALID, &reader));
    while (wire_read_field(&reader, &field)) {
        if (field.id == 1) {
            WireBytes name = wire_read_bytes(&reader);
            g_assert_cmpuint(name.len, ==, strlen("ctx.at_least"));
            g_assert_true(memcmp(name.data, "ctx.at_least", name.len) == 0);
        } else if (field.id == 3) {
            told = wire_read_i64(&reader);
        } else {
            wire_skip(&reader, field.type);
        }
    }
    g_assert_cmpint(told, ==, limit);
}

/* What is no position, or cannot be one, is refused by name and limit. */
static void
test_refused(void)
{
    Waiting waiting;
    waiting_set_up(&waiting, FALSE);
    int fd = connect_to(&waiting);
    gint64 far =
        (gint64)(atomic_load(&waiting.state->next[1]) + ATLEAST_AHEAD_MAX);
    const struct {
        Position position;
        gint64 limit;
    } table[] = {
        {{WAITING_PARTITIONS, 0}, WAITING_PARTITIONS - 1},
        {{G_MAXUINT32, 0}, WAITING_PARTITIONS - 1},
        {{1, (guint64)far}, far},
        {{1, (guint64)G_MININT64}, far}, /* -2^63, as others read it */
        {{1, G_MAXUINT64}, far},
    };
    for (guint i = 0; i < G_N_ELEMENTS(table); i++) {
        WaitingCall call = {0};
        waiting_add(&waiting, &call, table[i].position);
        waiting_send(fd, &call);
        expect_refused(fd, table[i].limit);
    }
    guint8 foreign[POSITION_BYTES];
    WaitingCall call = {0};
    position_encode((Position){0, 0}, position_check("another log"), foreign);
    waiting_add_bytes(&call, foreign, sizeof foreign);
    waiting_send(fd, &call);
    expect_refused(fd, -1);
    waiting_add_bytes(&call, "", 0);
    waiting_send(fd, &call);
    expect_refused(fd, -1);
    waiting_add_bytes(&call, "rubbish", 7);
    waiting_send(fd, &call);
    expect_refused(fd, -1);
    for (guint i = 0; i <= AT_LEAST_MAX; i++) {
        waiting_add(&waiting, &call, (Position){0, 0});
    }
    waiting_send(fd, &call);
    expect_refused(fd, AT_LEAST_MAX);
    close(fd);
    waiting_tear_down(&waiting);
}

/* As many as a publish may have are fine. */
static void
test_whole_batch(void)
{
    Waiting waiting;
    WaitingCall call = {0};
    Position position;
    gint64 post = 0;
    waiting_set_up(&waiting, FALSE);
    int fd = connect_to(&waiting);
    for (guint i = 0; i < AT_LEAST_MAX; i++) {
        post = waiting_post(&waiting, i % 2, &position);
        waiting_add(&waiting, &call, position);
    }
    waiting_send(fd, &call);
    g_assert_true(peer_silent(fd, 1));
    waiting_apply(&waiting);
    expect_post(fd, post);
    close(fd);
    waiting_tear_down(&waiting);
}

/* A cell that stops applying says so to all who wait, at once, and after. */
static void
test_stopped(void)
{
    Waiting waiting;
    WaitingCall call = {0};
    Position position;
    waiting_set_up(&waiting, FALSE);
    int fd = connect_to(&waiting);
    waiting_post(&waiting, 0, &position);
    waiting_add(&waiting, &call, position);
    waiting_send(fd, &call);
    g_assert_true(peer_silent(fd, QUIET_MS));
    state_stop(waiting.state, "the disk is full");
    expect_stale(fd, "the disk is full");
    waiting_add(&waiting, &call, position);
    waiting_send(fd, &call);
    expect_stale(fd, "the disk is full");
    close(fd);
    waiting_tear_down(&waiting);
}

/* A cell that is stopped does not sit out what its callers have time for. */
static void
test_stopping(void)
{
    Waiting waiting;
    WaitingCall call = {.deadline_ms = 60000};
    Position position;
    waiting_set_up(&waiting, FALSE);
    int fd = connect_to(&waiting);
    waiting_post(&waiting, 0, &position);
    waiting_add(&waiting, &call, position);
    waiting_send(fd, &call);
    g_assert_true(peer_silent(fd, QUIET_MS));
    gint64 begin_us = g_get_monotonic_time();
    g_clear_pointer(&waiting.serve, serve_stop);
    g_assert_cmpint(g_get_monotonic_time() - begin_us, <, 4 * G_USEC_PER_SEC);
    expect_stale(fd, "the cell is stopping");
    close(fd);
    waiting_tear_down(&waiting);
}

/* Who has hung up is not minded. */
static void
test_hung_up(void)
{
    Waiting waiting;
    WaitingCall call = {0};
    Position position;
    waiting_set_up(&waiting, FALSE);
    int fd = connect_to(&waiting);
    waiting_post(&waiting, 0, &position);
    waiting_add(&waiting, &call, position);
    waiting_send(fd, &call);
    g_assert_true(peer_silent(fd, QUIET_MS));
    close(fd);
    g_usleep(20000);
    waiting_apply(&waiting);
    wait_for_waiting(&waiting, 0);
    waiting_tear_down(&waiting);
}

/* Only so many may wait on a thread: one more is refused, and the others are
   answered all the same. */
static void
test_full(void)
{
    enum { CONNECTIONS = WAITS_MAX / PIPELINED };
    Waiting waiting;
    Position position;
    int fds[CONNECTIONS];
    waiting_set_up(&waiting, FALSE);
    gint64 post = waiting_post(&waiting, 0, &position);
    for (guint i = 0; i < CONNECTIONS; i++) {
        fds[i] = connect_to(&waiting);
        for (guint j = 0; j < PIPELINED; j++) {
            WaitingCall call = {.deadline_ms = 60000};
            waiting_add(&waiting, &call, position);
            waiting_send(fds[i], &call);
        }
    }
    wait_for_waiting(&waiting, WAITS_MAX);
    WaitingCall call = {0};
    int fd = connect_to(&waiting);
    waiting_add(&waiting, &call, position);
    waiting_send(fd, &call);
    g_auto(WaitingAnswer) refusal = waiting_receive(fd);
    g_assert_cmpint(refusal.frame.field[REPLY_OVERLOADED].type, ==,
                    WIRE_STRUCT);
    waiting_apply(&waiting);
    for (guint i = 0; i < CONNECTIONS; i++) {
        for (guint j = 0; j < PIPELINED; j++) {
            expect_post(fds[i], post);
        }
        close(fds[i]);
    }
    close(fd);
    waiting_tear_down(&waiting);
}

typedef struct Caller {
    Waiting *waiting;
    guint number;
} Caller;

/* Posts and reads at once, again and again: nobody misses their own. */
static void *
run_caller(void *user_data)
{
    Caller *caller = user_data;
    Waiting *waiting = caller->waiting;
    int fd = connect_to(waiting);
    for (guint i = 0; i < ROUNDS; i++) {
        WaitingCall call = {0};
        Position position;
        gint64 post =
            waiting_post(waiting, (caller->number + i) % 2, &position);
        waiting_add(waiting, &call, position);
        waiting_send(fd, &call);
        expect_post(fd, post);
    }
    close(fd);
    return NULL;
}

static void
test_threads(void)
{
    Waiting waiting;
    Caller callers[CALLERS];
    pthread_t threads[CALLERS];
    waiting_set_up(&waiting, TRUE);
    for (guint i = 0; i < CALLERS; i++) {
        callers[i] = (Caller){&waiting, i};
        pthread_create(&threads[i], NULL, run_caller, &callers[i]);
    }
    for (guint i = 0; i < CALLERS; i++) {
        pthread_join(threads[i], NULL);
    }
    g_test_message("%d of %d calls waited", (int)metric(&waiting, METRIC_WAITS),
                   CALLERS * ROUNDS);
    waiting_tear_down(&waiting);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/at_least/applied", test_applied);
    g_test_add_func("/at_least/waits", test_waits);
    g_test_add_func("/at_least/holds_up_nobody", test_holds_up_nobody);
    g_test_add_func("/at_least/all_of_them", test_all_of_them);
    g_test_add_func("/at_least/bookmark", test_bookmark);
    g_test_add_func("/at_least/other_reads", test_other_reads);
    g_test_add_func("/at_least/deadline", test_deadline);
    g_test_add_func("/at_least/refused", test_refused);
    g_test_add_func("/at_least/whole_batch", test_whole_batch);
    g_test_add_func("/at_least/stopped", test_stopped);
    g_test_add_func("/at_least/stopping", test_stopping);
    g_test_add_func("/at_least/hung_up", test_hung_up);
    g_test_add_func("/at_least/full", test_full);
    g_test_add_func("/at_least/threads", test_threads);
    return g_test_run();
}
