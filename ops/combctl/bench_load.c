/*
 * One thread. Three things wake it: an answer, the timer of the next due call,
 * and a tick that looks for Ctrl-C and for the end. The timer is a timerfd,
 * exact to some microseconds, where libevent's own are to the millisecond.
 */
#include "ops/combctl/bench_load.h"

#include "ops/combctl/interrupt.h"
#include "ops/combctl/progress.h"
#include "ops/combctl/text.h"
#include "ops/kit/error.h"
#include "thrift/limits.h"

#include <math.h>
#include <sys/resource.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define TICK_US 20000
#define NS_PER_S 1e9
#define GRACE_NS G_GINT64_CONSTANT(500000000)

typedef struct Load {
    const LoadOptions *options;
    LoadResult *result;
    struct event_base *base;
    ConnOptions conn_options;
    GPtrArray *conns;  /* Conn */
    GPtrArray *filled; /* of them, those with calls to flush */
    RequestPattern patterns[BENCH_METHODS];
    Dice dice; /* for methods, posts and gaps */
    Interrupt *interrupt;
    Progress *progress;
    int timer_fd;     /* open loop; else -1 */
    guint next_conn;  /* whose turn it is */
    gint64 due_ns;    /* open loop: when the next call is */
    gint64 window_ns; /* when the window begins */
    gint64 end_ns;    /* when it ends */
    gint64 drain_ns;  /* when to give up on the rest */
    gint64 cpu_begin; /* at the window's begin; -1 before */
    gint64 cpu_end;   /* at its end; -1 before */
    guint64 told;     /* answers when progress was last told */
    gint64 told_ns;
} Load;

static gint64
cpu_us(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * G_USEC_PER_SEC +
           usage.ru_utime.tv_usec + usage.ru_stime.tv_usec;
}

static guint
in_flight(const Load *load)
{
    guint n = 0;
    for (guint i = 0; i < load->conns->len; i++) {
        n += conn_in_flight(g_ptr_array_index(load->conns, i));
    }
    return n;
}

/* Whether a call that was due at @ns counts. */
static gboolean
is_counted(const Load *load, gint64 ns)
{
    return ns >= load->window_ns && ns < load->end_ns;
}

/* Notes the moments at which window and run begin and end. */
static void
look_at_clock(Load *load, gint64 now)
{
    if (load->cpu_begin < 0 && now >= load->window_ns) {
        load->cpu_begin = cpu_us();
    }
    if (load->cpu_end < 0 && now >= load->end_ns) {
        load->cpu_end = cpu_us();
    }
}

/* ---- making calls ---- */

static BenchMethod
draw_method(Load *load)
{
    guint pick = (guint)dice_below(&load->dice, 100);
    guint method = BENCH_DASHBOARD;
    while (pick >= load->options->share[method]) {
        pick -= load->options->share[method++];
    }
    return (BenchMethod)method;
}

static void
make_call(Load *load, Conn *conn, gint64 due_ns)
{
    gint64 ids[POSTS_MAX];
    BenchMethod method = load->options->share[BENCH_DASHBOARD] == 100
                             ? BENCH_DASHBOARD
                             : draw_method(load);
    const RequestPattern *pattern = &load->patterns[method];
    if (method == BENCH_POSTS) {
        const GArray *posts = load->options->posts;
        for (guint i = 0; i < pattern->ids; i++) {
            ids[i] = g_array_index(posts, gint64,
                                   dice_below(&load->dice, posts->len));
        }
    } else {
        ids[0] = users_draw(load->options->users);
    }
    conn_call(conn, method, pattern, ids, due_ns);
}

static void
fill_closed(Load *load, Conn *conn)
{
    gint64 now = clock_ns();
    look_at_clock(load, now);
    if (now >= load->end_ns) {
        return;
    }
    for (guint room = conn_room(conn); room > 0; room--) {
        make_call(load, conn, now);
    }
    conn_flush(conn);
}

/* ---- the open loop ---- */

static void
draw_due(Load *load)
{
    double gap = NS_PER_S / load->options->rate;
    if (!load->options->constant) {
        gap *= -log(dice_unit(&load->dice));
    }
    load->due_ns += (gint64)MAX(gap, 1);
}

/* The next connection with room, in turn; NULL: all are full. */
static Conn *
next_with_room(Load *load)
{
    for (guint i = 0; i < load->conns->len; i++) {
        Conn *conn = g_ptr_array_index(load->conns, load->next_conn);
        load->next_conn = (load->next_conn + 1) % load->conns->len;
        if (conn_room(conn) > 0) {
            return conn;
        }
    }
    return NULL;
}

static void
set_timer(const Load *load)
{
    gint64 ns = MIN(load->due_ns, load->end_ns);
    struct itimerspec at = {
        .it_value = {.tv_sec = (time_t)(ns / (gint64)NS_PER_S),
                     .tv_nsec = (long)(ns % (gint64)NS_PER_S)}};
    (void)timerfd_settime(load->timer_fd, TFD_TIMER_ABSTIME, &at, NULL);
}

/* Makes the calls that are due. Where there is no room, the next answer that
   makes some calls again. */
static void
fill_open(Load *load)
{
    gint64 now = clock_ns();
    gint64 until = MIN(now + 1, load->end_ns);
    Conn *conn = NULL;
    look_at_clock(load, now);
    while (load->due_ns < until && (conn = next_with_room(load)) != NULL) {
        make_call(load, conn, load->due_ns);
        if (is_counted(load, load->due_ns)) {
            latency_add(load->result->late, (guint64)(now - load->due_ns));
        }
        g_ptr_array_add(load->filled, conn);
        draw_due(load);
    }
    for (guint i = 0; i < load->filled->len; i++) {
        conn_flush(g_ptr_array_index(load->filled, i));
    }
    g_ptr_array_set_size(load->filled, 0);
    if (load->due_ns >= until && now < load->end_ns) {
        set_timer(load);
    }
}

static void
on_due(evutil_socket_t fd, short what, void *user_data)
{
    guint64 times;
    (void)what;
    if (read(fd, &times, sizeof times) > 0) {
        fill_open(user_data);
    }
}

/* Calls that were due and never found room. */
static void
count_unsent(Load *load)
{
    while (load->options->rate > 0 && load->due_ns < load->end_ns) {
        load->result->unsent += is_counted(load, load->due_ns) ? 1 : 0;
        draw_due(load);
    }
}

/* ---- what connections tell ---- */

static void
count_good(Load *load, const ConnCall *call, const Answer *answer)
{
    LoadResult *result = load->result;
    result->entries += answer->entries;
    result->incomplete += answer->complete ? 0 : 1;
    latency_add(result->latency[call->method],
                (guint64)MAX(clock_ns() - call->due_ns, 0));
}

static gboolean
on_answered(const ConnCall *call, WireBytes message, gpointer user_data)
{
    Load *load = user_data;
    LoadResult *result = load->result;
    const LoadOptions *options = load->options;
    AnswerAsked asked = {call->method, options->form.limit, options->check};
    Answer answer = answer_read(message, &asked);
    gboolean in_step = answer.seqid == call->seqid;
    if (!in_step) {
        answer.kind = ANSWER_MALFORMED;
        answer.fault = "an answer to another call";
    }
    if (answer.fault != NULL) {
        result->fault = answer.fault;
    }
    if (load->cpu_begin >= 0 && load->cpu_end < 0) {
        result->bytes_in += sizeof(gint32) + message.len;
        result->in_window += answer.kind == ANSWER_GOOD ? 1 : 0;
    }
    if (is_counted(load, call->due_ns)) {
        result->answers[answer.kind]++;
        if (answer.kind == ANSWER_GOOD) {
            count_good(load, call, &answer);
        } else if (answer.kind == ANSWER_OVERLOADED) {
            latency_add(result->refused,
                        (guint64)MAX(clock_ns() - call->made_ns, 0));
        }
    }
    return in_step;
}

static void
on_lost(const ConnCall *call, gpointer user_data)
{
    Load *load = user_data;
    load->result->unanswered += is_counted(load, call->due_ns) ? 1 : 0;
}

static void
on_ready(Conn *conn, gpointer user_data)
{
    Load *load = user_data;
    if (load->end_ns == 0) {
        return; /* not begun yet */
    }
    if (load->options->rate > 0) {
        fill_open(load);
    } else {
        fill_closed(load, conn);
    }
}

static void
on_broke(const char *why, gpointer user_data)
{
    Load *load = user_data;
    load->result->broken++;
    load->result->broken_why = why;
}

/* ---- the run ---- */

static void
tell_progress(Load *load, gint64 now)
{
    if (now - load->told_ns < (gint64)NS_PER_S) {
        return;
    }
    g_autofree char *rate = text_count(load->result->in_window - load->told);
    g_autofree char *words = g_strdup_printf("%s answers/s", rate);
    progress_say(load->progress, now < load->window_ns ? "warming up" : words);
    load->told = load->result->in_window;
    load->told_ns = now;
}

static void
on_tick(evutil_socket_t fd, short what, void *user_data)
{
    Load *load = user_data;
    gint64 now = clock_ns();
    (void)fd;
    (void)what;
    if (!load->result->interrupted && interrupt_wait(load->interrupt, 0)) {
        load->result->interrupted = TRUE;
        load->end_ns = MIN(load->end_ns, now);
        load->drain_ns = MIN(load->drain_ns, now + GRACE_NS);
    }
    look_at_clock(load, now);
    tell_progress(load, now);
    if (now >= load->end_ns &&
        (in_flight(load) == 0 || now >= load->drain_ns)) {
        (void)event_base_loopbreak(load->base);
    }
}

static gboolean
open_conns(Load *load, GError **error)
{
    g_autoptr(GError) local = NULL;
    for (guint i = 0; i < load->options->connections; i++) {
        Conn *conn = conn_open(&load->conn_options, &local);
        if (conn == NULL) {
            g_set_error(error, COMB_ERROR, COMB_ERROR_UNREACHABLE,
                        "connection %u of %u to %s: %s", i + 1,
                        load->options->connections, load->options->address,
                        local->message);
            return FALSE;
        }
        g_ptr_array_add(load->conns, conn);
    }
    return TRUE;
}

static void
begin(Load *load)
{
    const LoadOptions *options = load->options;
    gint64 now = clock_ns();
    load->told_ns = now;
    load->due_ns = now;
    load->window_ns = now + (gint64)(options->warmup_s * NS_PER_S);
    load->end_ns = load->window_ns + (gint64)(options->duration_s * NS_PER_S);
    load->drain_ns =
        load->end_ns + GRACE_NS + (gint64)options->form.deadline_ms * 1000000;
    for (guint i = 0; options->rate <= 0 && i < load->conns->len; i++) {
        fill_closed(load, g_ptr_array_index(load->conns, i));
    }
    if (options->rate > 0) {
        draw_due(load);
        set_timer(load);
    }
}

static void
finish(Load *load)
{
    LoadResult *result = load->result;
    if (load->cpu_begin >= 0) {
        gint64 end = load->cpu_end >= 0 ? load->cpu_end : cpu_us();
        result->cpu_us = (double)(end - load->cpu_begin);
    }
    /* Which tells what is under way as lost. */
    g_clear_pointer(&load->conns, g_ptr_array_unref);
    result->seconds =
        MAX(0, (double)(load->end_ns - load->window_ns) / NS_PER_S);
    count_unsent(load);
}

static void
run_loop(Load *load)
{
    struct timeval tick_time = {.tv_usec = TICK_US};
    struct event *tick = event_new(load->base, -1, EV_PERSIST, on_tick, load);
    struct event *due = event_new(load->base, load->timer_fd,
                                  EV_READ | EV_PERSIST, on_due, load);
    event_add(tick, &tick_time);
    if (load->options->rate > 0) {
        event_add(due, NULL);
    }
    begin(load);
    (void)event_base_dispatch(load->base);
    event_free(due);
    event_free(tick);
    progress_clear(load->progress);
    finish(load);
}

static void
free_conn(gpointer conn)
{
    conn_close(conn);
}

static gboolean
set_up(Load *load, const LoadOptions *options, GError **error)
{
    load->base = event_base_new();
    load->timer_fd =
        timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    load->interrupt = interrupt_new(error);
    if (load->interrupt == NULL) {
        return FALSE;
    }
    load->conn_options = (ConnOptions){
        .base = load->base,
        .address = options->sockaddr,
        .address_len = options->sockaddr_len,
        .depth = options->depth,
        .timeout_ms = options->timeout_ms,
        .events = {on_answered, on_lost, on_ready, on_broke, load},
    };
    for (guint i = 0; i < BENCH_METHODS; i++) {
        request_pattern_init(&load->patterns[i], (BenchMethod)i,
                             &options->form);
        load->result->latency[i] = latency_new();
    }
    load->result->late = latency_new();
    load->result->refused = latency_new();
    return open_conns(load, error);
}

static void
take_down(Load *load)
{
    for (guint i = 0; i < BENCH_METHODS; i++) {
        request_pattern_clear(&load->patterns[i]);
    }
    g_clear_pointer(&load->conns, g_ptr_array_unref);
    g_clear_pointer(&load->interrupt, interrupt_free);
    g_ptr_array_unref(load->filled);
    progress_free(load->progress);
    (void)close(load->timer_fd);
    event_base_free(load->base);
}

gboolean
load_run(const LoadOptions *options, LoadResult *ret_result, GError **error)
{
    Load load = {
        .options = options,
        .result = ret_result,
        .conns = g_ptr_array_new_with_free_func(free_conn),
        .filled = g_ptr_array_new(),
        .dice = {options->seed + 1},
        .progress = progress_new(-1),
        .cpu_begin = -1,
        .cpu_end = -1,
    };
    *ret_result = (LoadResult){0};
    gboolean done = set_up(&load, options, error);
    if (done) {
        run_loop(&load);
    }
    take_down(&load);
    if (done && ret_result->seconds <= 0) {
        g_set_error(error, COMB_ERROR, COMB_ERROR_INPUT,
                    "interrupted while warming up: nothing was measured");
        done = FALSE;
    }
    if (!done) {
        load_result_clear(ret_result);
    }
    return done;
}

void
load_result_clear(LoadResult *result)
{
    for (guint i = 0; i < BENCH_METHODS; i++) {
        g_clear_pointer(&result->latency[i], latency_free);
    }
    g_clear_pointer(&result->late, latency_free);
    g_clear_pointer(&result->refused, latency_free);
}
