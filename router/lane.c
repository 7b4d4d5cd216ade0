/*
 * The life of a call: lane_take() reads context and user; call_route() looks
 * the cell up in the map and sends the frame; a timer runs until the cell has
 * answered (lane_answered()) and the answer, with the caller's seqid put
 * back, is passed on. A call is on its lane's list from take to answer.
 *
 *     take -> route -> sent ----reply----> passed on
 *               ^       |-- NotHomed --> waiting for the map --\
 *               |       |-- lost, any cell will do -------------|
 *               \---------------- once -------------------------/
 *
 * A call is sent twice at most. The second time is spent
 * - after NotHomed: when our map has reached the epoch that the cell named and
 *   names another cell. Where it names the same one, the cell itself may be
 *   behind, and is given a moment. The loop never waits: a short timer looks
 *   at the map again.
 * - where any cell will do and the first is down, silent, slow, full,
 *   overloaded or not ready. A dashboard has one home and no second choice: its
 *   cell's Overloaded goes to the caller as it came.
 * and only where the budget of the cell that was asked first allows
 * (retrybudget.h). Each cell has its own, so that one that makes every call
 * fail cannot use up what the others' calls may need.
 *
 * A call with at_least may wait at its cell, which answers in order: such
 * calls have a connection of their own, so that others do not wait with them,
 * and are waited for longer.
 *
 * What can go wrong is told to the caller: Unavailable with the cell and the
 * reason, DeadlineExceeded where the caller's own time is over, Overloaded
 * where too many calls wait at the cell. NotHomed never reaches a caller.
 */
#include "router/lane.h"

#include "ops/kit/ensure.h"
#include "router/choice.h"
#include "router/retrybudget.h"
#include "router/upstream.h"
#include "thrift/context.h"
#include "thrift/limits.h"
#include "thrift/reply.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#define NO_MAP_RETRY_MS 1000
#define RETRY_MS 200
#define OVERLOADED_RETRY_MS 100
/* After NotHomed: how long the map, and a cell that is behind it, is waited
   for; and how often it is looked at. */
#define MAP_WAIT_MS 1000
#define CELL_BEHIND_MS 250
#define MAP_POLL_MS 10
#define NO_CELL G_MAXUINT

typedef struct Call Call;

/* Which of a lane's connections to a cell. */
typedef enum Patience {
    PROMPT,  /* for calls that the cell answers at once */
    PATIENT, /* for calls with at_least */
    PATIENCES,
} Patience;

/* What a lane knows of a cell that it has asked. */
typedef struct LaneCell {
    Upstream *upstreams[PATIENCES]; /* NULL: not asked so */
    RetryBudget retries;            /* of calls that were sent here first */
} LaneCell;

struct Lane {
    LaneOptions options;
    _Atomic(struct event_base *) base; /* set by the first call */
    struct evdns_base *dns;            /* likewise; for names in the map */
    LaneCell *cells[CELL_MAX + 1];     /* by number; NULL: never asked */
    Choice choice;                     /* of any cell */
    GQueue calls;                      /* Call, in progress */
    gboolean ending;                   /* no second tries */
    pthread_mutex_t lock;              /* ended */
    pthread_cond_t ended_news;
    gboolean ended;
};

struct Call {
    Lane *lane;
    Request *request;
    const LaneRoute *route;
    Patience patience;
    UserId user; /* where the route has one */
    gint64 deadline_us;
    struct event *timer; /* for the cell or for the map */
    GList link;          /* in Lane.calls */
    Upstream *upstream;  /* that was asked; NULL: none is just now */
    guint64 ticket;      /* there */
    guint cell;          /* asked last; NO_CELL: none yet */
    gboolean retried;    /* the second try is spent */
    gint64 epoch;        /* after NotHomed: what our map must reach */
    gint64 refused_us;   /* and when it came */
};

static void
lane_count(Lane *lane, RouterMetric metric)
{
    metric_add(&lane->options.metrics[metric], 1);
}

/* ---- ends of a call ---- */

/* Gives the request, which is still to be answered. */
static Request *
call_finish(Call *call)
{
    Request *request = call->request;
    g_queue_unlink(&call->lane->calls, &call->link);
    event_free(call->timer);
    g_free(call);
    return request;
}

static void
call_unavailable(Call *call, const char *reason, gint retry_after_ms)
{
    lane_count(call->lane, ROUTER_UNAVAILABLE);
    reply_unavailable(call_finish(call), reason, retry_after_ms);
}

static void
call_deadline(Call *call, const char *reason)
{
    lane_count(call->lane, ROUTER_DEADLINE);
    reply_deadline(call_finish(call), reason);
}

static void
call_overloaded(Call *call)
{
    lane_count(call->lane, ROUTER_OVERLOADED);
    reply_overloaded(call_finish(call), OVERLOADED_RETRY_MS);
}

static void
call_pass_on(Call *call, UpstreamAnswer *answer)
{
    guint32 seqid = g_htonl((guint32)request_frame(call->request)->seqid);
    ensure(answer->frame.seqid_at + sizeof seqid <= answer->message->len);
    memcpy(answer->message->data + answer->frame.seqid_at, &seqid,
           sizeof seqid);
    request_reply(call_finish(call), g_steal_pointer(&answer->message));
}

static void
call_set_timer(Call *call, gint64 at_us)
{
    gint64 us = MIN(at_us, call->deadline_us) - g_get_monotonic_time();
    us = MAX(us, 0);
    struct timeval time = {.tv_sec = us / G_USEC_PER_SEC,
                           .tv_usec = us % G_USEC_PER_SEC};
    evtimer_add(call->timer, &time);
}

static void
call_set_timer_ms(Call *call, guint ms)
{
    call_set_timer(call, g_get_monotonic_time() + (gint64)ms * 1000);
}

/* ---- sending ---- */

static void lane_answered(gpointer user_data, UpstreamAnswer *answer);

static LaneCell *
lane_cell(Lane *lane, guint number)
{
    if (lane->cells[number] == NULL) {
        lane->cells[number] = g_new0(LaneCell, 1);
        retrybudget_init(&lane->cells[number]->retries);
    }
    return lane->cells[number];
}

/* How long a cell may take for an answer. */
static guint
lane_timeout_ms(const Lane *lane, Patience patience)
{
    guint wait_ms = patience == PATIENT ? AT_LEAST_WAIT_MS_MAX : 0;
    return lane->options.cell_timeout_ms + wait_ms;
}

static Upstream *
lane_upstream(Lane *lane, Patience patience, guint number)
{
    LaneCell *cell = lane_cell(lane, number);
    if (cell->upstreams[patience] == NULL) {
        UpstreamOptions options = {
            .base = lane->base,
            .dns = lane->dns,
            .cell = number,
            .in_flight_max = lane->options.cell_in_flight_max,
            .timeout_ms = lane_timeout_ms(lane, patience),
            .tls = lane->options.cell_tls,
            .answered = lane_answered,
            .connects = &lane->options.metrics[ROUTER_CONNECTS],
            .lost = &lane->options.metrics[ROUTER_LOST],
            .bad_replies = &lane->options.metrics[ROUTER_BAD_REPLIES],
            .late_replies = &lane->options.metrics[ROUTER_LATE_REPLIES],
        };
        cell->upstreams[patience] = upstream_new(&options);
    }
    return cell->upstreams[patience];
}

/* The cells among which one is chosen. */
typedef struct Candidates {
    const Lane *lane;
    Patience patience;
    const CellMapEntry *entries;
} Candidates;

/* Where calls with at_least wait, others do not care. */
static ChoiceLoad
candidate_load(gconstpointer user_data, guint candidate)
{
    const Candidates *candidates = user_data;
    guint number = candidates->entries[candidate].cell;
    const LaneCell *cell = candidates->lane->cells[number];
    ChoiceLoad load = {FALSE, 0};
    for (guint i = PROMPT; cell != NULL && i <= candidates->patience; i++) {
        if (cell->upstreams[i] != NULL) {
            load.failing |= upstream_is_failing(cell->upstreams[i]);
            load.in_flight += upstream_in_flight(cell->upstreams[i]);
        }
    }
    return load;
}

/* By load, but for @except; NULL: there is no other. */
static const CellMapEntry *
lane_pick(Lane *lane, Patience patience, const CellMap *map, guint except)
{
    guint n = 0;
    const CellMapEntry *entries = cellmap_entries(map, &n);
    Candidates candidates = {lane, patience, entries};
    ChoiceOf of = {
        .n = n,
        .except = CHOICE_NONE,
        .load = candidate_load,
        .user_data = &candidates,
    };
    for (guint i = 0; i < n && except != NO_CELL; i++) {
        if (entries[i].cell == except) {
            of.except = i;
        }
    }
    guint pick = choice_pick(&lane->choice, &of);
    return pick != CHOICE_NONE ? &entries[pick] : NULL;
}

/* Who could be kept waiting. Where there is one cell, it may keep all. */
static guint
lane_callers(const Lane *lane, const CellMap *map)
{
    guint n = 0;
    cellmap_entries(map, &n);
    return n > 1 ? lane->options.callers(lane->options.user_data) : 0;
}

static UpstreamOutcome
call_send(Call *call, const CellMap *map, const CellMapEntry *entry)
{
    Upstream *upstream = lane_upstream(call->lane, call->patience, entry->cell);
    call->cell = entry->cell;
    upstream_set_callers(upstream, lane_callers(call->lane, map));
    if (!call->retried) {
        LaneCell *cell = lane_cell(call->lane, entry->cell);
        retrybudget_try(&cell->retries, g_get_monotonic_time());
    }
    UpstreamOutcome outcome = upstream_send(
        upstream, entry, request_bytes(call->request),
        request_frame(call->request)->seqid_at, call, &call->ticket);
    if (outcome == UPSTREAM_SENT) {
        call->upstream = upstream;
        call_set_timer_ms(call, lane_timeout_ms(call->lane, call->patience));
    } else if (outcome == UPSTREAM_SLOW) {
        lane_count(call->lane, ROUTER_SLOW);
    }
    return outcome;
}

/* Spends the second try, where the cell that was asked first has one left. */
static gboolean
call_take_retry(Call *call)
{
    LaneCell *cell = lane_cell(call->lane, call->cell);
    if (!retrybudget_take(&cell->retries, g_get_monotonic_time())) {
        lane_count(call->lane, ROUTER_RETRIES_REFUSED);
        return FALSE;
    }
    lane_count(call->lane, ROUTER_RETRIES);
    call->retried = TRUE;
    return TRUE;
}

/* Sends the call to a second cell, where one will do and is there. */
static gboolean
call_move_on(Call *call)
{
    if (call->route->home || call->retried || call->lane->ending) {
        return FALSE;
    }
    g_autoptr(CellMap) map = mapfeed_get(call->lane->options.feed);
    const CellMapEntry *entry =
        lane_pick(call->lane, call->patience, map, call->cell);
    if (entry == NULL || !call_take_retry(call)) {
        return FALSE;
    }
    guint first = call->cell;
    if (call_send(call, map, entry) != UPSTREAM_SENT) {
        call->cell = first;
        return FALSE;
    }
    lane_count(call->lane, ROUTER_MOVED_ON);
    return TRUE;
}

/* No answer will come; @why follows "cell N ...". */
static void
call_lost(Call *call, const char *why)
{
    if (!call_move_on(call)) {
        g_autofree char *reason =
            g_strdup_printf("cell %u %s", call->cell, why);
        call_unavailable(call, reason, RETRY_MS);
    }
}

static void
call_route(Call *call, const CellMap *map)
{
    const CellMapEntry *entry =
        call->route->home ? cellmap_find(map, cellmap_home(map, call->user))
                          : lane_pick(call->lane, call->patience, map, NO_CELL);
    ensure(entry != NULL);
    switch (call_send(call, map, entry)) {
    case UPSTREAM_SENT:
        break;
    case UPSTREAM_DOWN:
        call_lost(call, "cannot be reached");
        break;
    case UPSTREAM_FULL:
        if (!call_move_on(call)) {
            call_overloaded(call);
        }
        break;
    case UPSTREAM_SLOW:
        call_lost(call, "is slow to answer, and enough calls wait there");
        break;
    }
}

/* ---- after NotHomed ---- */

/* Sends the call again where the map allows, or looks again later. */
static void
call_look_at_map(Call *call)
{
    g_autoptr(CellMap) map = mapfeed_get(call->lane->options.feed);
    gint64 waited_us = g_get_monotonic_time() - call->refused_us;
    gboolean reached = cellmap_epoch(map) >= call->epoch;
    gboolean elsewhere = cellmap_home(map, call->user) != call->cell;
    if (reached && (elsewhere || waited_us >= CELL_BEHIND_MS * 1000)) {
        call_route(call, map);
    } else if (waited_us >= MAP_WAIT_MS * 1000) {
        call_unavailable(call, "the router's cell map is behind", RETRY_MS);
    } else {
        call_set_timer_ms(call, MAP_POLL_MS);
    }
}

static gint64
not_homed_epoch(const Frame *frame)
{
    gint64 epoch = 0;
    WireReader reader;
    WireField field;
    ensure(frame_struct(frame, REPLY_NOT_HOMED, &reader));
    while (wire_read_field(&reader, &field)) {
        if (field.id == 2 && field.type == WIRE_I64) {
            epoch = wire_read_i64(&reader);
        } else {
            wire_skip(&reader, field.type);
        }
    }
    return epoch;
}

static void
call_not_homed(Call *call, gint64 epoch)
{
    lane_count(call->lane, ROUTER_NOT_HOMED);
    if (call->retried) {
        call_unavailable(call, "no cell is the user's home just now", RETRY_MS);
        return;
    }
    if (!call_take_retry(call)) {
        g_autofree char *reason =
            g_strdup_printf("cell %u is not the user's home, and too many "
                            "calls are tried again already",
                            call->cell);
        call_unavailable(call, reason, RETRY_MS);
        return;
    }
    call->epoch = epoch;
    call->refused_us = g_get_monotonic_time();
    call_look_at_map(call);
}

/* ---- answers and timers ---- */

static gboolean
answer_has(const UpstreamAnswer *answer, ReplyField field)
{
    return answer->frame.kind == FRAME_REPLY &&
           answer->frame.field[field].type == WIRE_STRUCT;
}

static void
lane_answered(gpointer user_data, UpstreamAnswer *answer)
{
    Call *call = user_data;
    Upstream *upstream = g_steal_pointer(&call->upstream);
    if (answer->message == NULL) {
        call_lost(call, answer->lost);
        return;
    }
    if (call->route->home && answer_has(answer, REPLY_NOT_HOMED)) {
        call_not_homed(call, not_homed_epoch(&answer->frame));
        return;
    }
    if (answer_has(answer, REPLY_UNAVAILABLE) ||
        answer_has(answer, REPLY_OVERLOADED)) {
        upstream_set_failing(upstream);
        if (call_move_on(call)) {
            return;
        }
    }
    call_pass_on(call, answer);
}

static void
call_timed_out(Call *call)
{
    Upstream *upstream = g_steal_pointer(&call->upstream);
    guint timeout_ms = lane_timeout_ms(call->lane, call->patience);
    upstream_give_up(upstream, call->ticket);
    if (g_get_monotonic_time() >= call->deadline_us) {
        g_autofree char *late =
            g_strdup_printf("passed while cell %u was waited for", call->cell);
        call_deadline(call, late);
        return;
    }
    g_autofree char *why =
        g_strdup_printf("did not answer within %u ms", timeout_ms);
    call_lost(call, why);
}

static void
on_timer(evutil_socket_t fd, short what, void *user_data)
{
    Call *call = user_data;
    (void)fd;
    (void)what;
    if (call->upstream != NULL) {
        call_timed_out(call);
    } else if (g_get_monotonic_time() >= call->deadline_us) {
        call_deadline(call, "passed while the cell map was waited for");
    } else {
        call_look_at_map(call);
    }
}

/* ---- the lane ---- */

Lane *
lane_new(const LaneOptions *options)
{
    Lane *lane = g_new0(Lane, 1);
    lane->options = *options;
    choice_init(&lane->choice, g_random_int());
    g_queue_init(&lane->calls);
    pthread_mutex_init(&lane->lock, NULL);
    pthread_cond_init(&lane->ended_news, NULL);
    return lane;
}

static void
lane_settle(Lane *lane, struct event_base *base)
{
    if (lane->base == NULL) {
        lane->dns = evdns_base_new(base, EVDNS_BASE_INITIALIZE_NAMESERVERS |
                                             EVDNS_BASE_DISABLE_WHEN_INACTIVE);
        lane->base = base;
    }
}

static void
lane_start_call(Lane *lane, Request *request, const LaneRoute *route,
                const Context *context)
{
    g_autoptr(CellMap) map = mapfeed_get(lane->options.feed);
    if (map == NULL) {
        lane_count(lane, ROUTER_UNAVAILABLE);
        reply_unavailable(request, "the router has no cell map yet",
                          NO_MAP_RETRY_MS);
        return;
    }
    Call *call = g_new0(Call, 1);
    lane_settle(lane, request_base(request));
    call->lane = lane;
    call->request = request;
    call->route = route;
    call->user.v = frame_i64(request_frame(request), 1, 0);
    call->patience = context->at_least.len > 0 ? PATIENT : PROMPT;
    call->deadline_us = context->deadline_us;
    call->timer = evtimer_new(lane->base, on_timer, call);
    call->link.data = call;
    call->cell = NO_CELL;
    ensure(call->timer != NULL);
    g_queue_push_tail_link(&lane->calls, &call->link);
    call_route(call, map);
}

void
lane_take(Lane *lane, Request *request, const LaneRoute *route)
{
    Context context;
    if (!context_read(request, &context)) {
        lane_count(lane, ROUTER_INVALID);
        return;
    }
    if (route->user != NULL && frame_i64(request_frame(request), 1, 0) < 1) {
        lane_count(lane, ROUTER_INVALID);
        reply_invalid(request, route->user, "must be 1 or more", 1);
        return;
    }
    lane_start_call(lane, request, route, &context);
}

static void
lane_clear(Lane *lane)
{
    lane->ending = TRUE;
    for (guint i = 0; i <= CELL_MAX; i++) {
        if (lane->cells[i] != NULL) {
            for (guint j = 0; j < PATIENCES; j++) {
                g_clear_pointer(&lane->cells[i]->upstreams[j], upstream_free);
            }
        }
    }
    while (lane->calls.head != NULL) {
        call_unavailable(lane->calls.head->data, "the router is stopping",
                         RETRY_MS);
    }
    if (lane->dns != NULL) {
        evdns_base_free(lane->dns, 1);
    }
}

static void
on_end(evutil_socket_t fd, short what, void *user_data)
{
    Lane *lane = user_data;
    (void)fd;
    (void)what;
    lane_clear(lane);
    pthread_mutex_lock(&lane->lock);
    lane->ended = TRUE;
    pthread_cond_signal(&lane->ended_news);
    pthread_mutex_unlock(&lane->lock);
}

void
lane_end(Lane *lane)
{
    static const struct timeval now;
    if (lane->base == NULL) {
        return;
    }
    ensure(event_base_once(lane->base, -1, EV_TIMEOUT, on_end, lane, &now) ==
           0);
    pthread_mutex_lock(&lane->lock);
    while (!lane->ended) {
        pthread_cond_wait(&lane->ended_news, &lane->lock);
    }
    pthread_mutex_unlock(&lane->lock);
}

void
lane_free(Lane *lane)
{
    pthread_cond_destroy(&lane->ended_news);
    pthread_mutex_destroy(&lane->lock);
    for (guint i = 0; i <= CELL_MAX; i++) {
        g_free(lane->cells[i]);
    }
    g_free(lane);
}
