/*
 * callqueue.c - calls that wait for their thread, bounded by time
 *
 * The wait of a call is reckoned, not measured: so a refusal goes out when the
 * call arrives, and not after it has waited in vain. It is what the lane's
 * calls have cost on average, times how many of them wait, times how many
 * lanes share the thread, times what the thread does besides.
 *
 * A lane's time begins at the clock of the queue when its first call arrives:
 * nobody saves up a share by being silent, and nobody's debt is forgotten by
 * pausing.
 */
#include "thrift/callqueue.h"

#include "thrift/connection.h"
#include "thrift/context.h"

#include <time.h>

#define NS_PER_MS 1000000
#define FIRST_COST_NS 10000
/* Calls that wait in one lane. */
#define MANY 16
#define SHORT_TURN_NS 100000
#define LONG_TURN_NS 1000000
/* So long after a change of callers there are said to be several. */
#define MIXED_NS G_GINT64_CONSTANT(1000000000)
/* Averages move by 1/8 a call or turn. */
#define WEIGHT 8
#define STRETCH_MAX 50.0
#define RETRY_MS_MAX 1000

/* One sample at most doubles it: to have been preempted says little. */
static void
average(gint64 *value, gint64 sample)
{
    *value += (MIN(sample, (WEIGHT + 1) * *value) - *value) / WEIGHT;
    *value = MAX(*value, 1);
}

gint64
callqueue_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * G_GINT64_CONSTANT(1000000000) + now.tv_nsec;
}

void
callqueue_init(CallQueue *queue, guint limit_ms)
{
    TAILQ_INIT(&queue->busy);
    queue->limit_ns = (gint64)limit_ms * NS_PER_MS;
    queue->cost_ns = FIRST_COST_NS;
    queue->round_ns = FIRST_COST_NS;
    queue->work_ns = FIRST_COST_NS;
    for (guint i = 0; i < CALLQUEUE_LANES; i++) {
        TAILQ_INIT(&queue->lanes[i].calls);
    }
}

/* FNV-1a: names are a few bytes long, and refused later where not. */
static guint64
hash(WireBytes name)
{
    const guint8 *data = name.data;
    guint64 h = G_GUINT64_CONSTANT(0xcbf29ce484222325);

    for (gsize i = 0; i < MIN(name.len, CONTEXT_CALLER_BYTES_MAX); i++) {
        h = (h ^ data[i]) * G_GUINT64_CONSTANT(0x100000001b3);
    }
    return h ^ h >> 32;
}

CallLane *
callqueue_lane(CallQueue *queue, const Frame *frame)
{
    return &queue->lanes[hash(context_caller(frame)) % CALLQUEUE_LANES];
}

/* What a call of @lane is thought to cost. */
static gint64
cost(const CallQueue *queue, const CallLane *lane)
{
    return lane->cost_ns != 0 ? lane->cost_ns : queue->cost_ns;
}

guint
callqueue_refuses(const CallQueue *queue, CallLane *lane, gint64 now_ns)
{
    guint sharers = lane->n > 0 ? queue->n_busy : queue->n_busy + 1;
    double stretch = (double)queue->round_ns / (double)queue->work_ns;
    double wait_ns = (double)lane->n * (double)cost(queue, lane) * sharers *
                     CLAMP(stretch, 1, STRETCH_MAX);
    gint64 limit_ns = queue->limit_ns;

    if (now_ns >= lane->tight_ns) {
        limit_ns = MAX(limit_ns, CALLQUEUE_BURST_NS);
    }
    if (wait_ns <= (double)limit_ns) {
        return 0;
    }
    lane->tight_ns = now_ns + CALLQUEUE_TIGHT_NS;
    return (guint)MIN(wait_ns / NS_PER_MS + 1, RETRY_MS_MAX);
}

void
callqueue_put(CallQueue *queue, CallLane *lane, Request *request, gint64 now_ns)
{
    if (lane->n++ == 0) {
        lane->used_ns = MAX(lane->used_ns, queue->clock_ns);
        TAILQ_INSERT_TAIL(&queue->busy, lane, in_busy);
        queue->n_busy++;
    }
    if (queue->last != lane) {
        queue->last = lane;
        queue->mixed_ns = now_ns;
    }
    request->lane = lane;
    request->stage = CALL_WAITING;
    TAILQ_INSERT_TAIL(&lane->calls, request, in_lane);
}

void
callqueue_remove(CallQueue *queue, Request *request)
{
    CallLane *lane = request->lane;

    TAILQ_REMOVE(&lane->calls, request, in_lane);
    if (--lane->n == 0) {
        TAILQ_REMOVE(&queue->busy, lane, in_busy);
        queue->n_busy--;
    }
}

gint64
callqueue_begin(CallQueue *queue, gint64 now_ns)
{
    gint64 turn_ns;

    if (queue->left) {
        average(&queue->round_ns, now_ns - queue->begin_ns);
        average(&queue->work_ns, queue->served_ns);
    }
    queue->begin_ns = now_ns;
    queue->served_ns = 0;
    turn_ns =
        now_ns - queue->mixed_ns < MIXED_NS ? SHORT_TURN_NS : LONG_TURN_NS;
    if (queue->left) {
        turn_ns = MAX(turn_ns, MIN(now_ns - queue->end_ns, LONG_TURN_NS));
    }
    return now_ns + turn_ns;
}

/* The lane that has had least; the one waiting longest where two are equal. */
static CallLane *
poorest(const CallQueue *queue)
{
    CallLane *lane = TAILQ_FIRST(&queue->busy), *least = lane;

    for (; lane != NULL; lane = TAILQ_NEXT(lane, in_busy)) {
        if (lane->used_ns < least->used_ns) {
            least = lane;
        }
    }
    return least;
}

Request *
callqueue_take(CallQueue *queue, CallLane **ret_lane)
{
    CallLane *lane = poorest(queue);
    Request *request;

    *ret_lane = lane;
    if (lane == NULL) {
        return NULL;
    }
    queue->clock_ns = lane->used_ns;
    request = TAILQ_FIRST(&lane->calls);
    callqueue_remove(queue, request);
    return request;
}

void
callqueue_charge(CallQueue *queue, CallLane *lane, gint64 ns)
{
    lane->used_ns += ns;
    queue->served_ns += ns;
    average(&queue->cost_ns, ns);
    if (lane->cost_ns == 0) {
        lane->cost_ns = ns;
    } else {
        average(&lane->cost_ns, ns);
    }
}

gboolean
callqueue_is_pressed(const CallQueue *queue, const CallLane *lane)
{
    const CallLane *other = lane->n == 0 ? TAILQ_FIRST(&queue->busy) : NULL;

    while (other != NULL && other->n < MANY) {
        other = TAILQ_NEXT(other, in_busy);
    }
    return other != NULL;
}

gboolean
callqueue_end(CallQueue *queue, gint64 now_ns)
{
    queue->end_ns = now_ns;
    queue->left = queue->n_busy > 0;
    return queue->left;
}
