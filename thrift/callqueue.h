/*
 * callqueue.h - calls that wait for their thread, bounded by time (private)
 *
 * Two questions are decided here. Whose call is next: callers share a thread
 * by the time that their calls take (start-time fair queueing, Goyal, Vin and
 * Cheng 1996), so that one with many or long calls makes itself wait and
 * nobody else. Which call is refused at once: one that would wait longer than
 * the limit. The limit is wide until a caller has been refused, and tight from
 * then on until nothing of his was refused for a while: so a burst or a pause
 * is waited out, and lasting overload is not. (The controlled delay of Maurer,
 * "Fail at scale", ACM Queue 2015, is wide again as soon as the queue has been
 * empty. With a limit of 3 ms any hiccup of the callers empties it, so that one
 * stays wide under ten times the load.)
 *
 * A caller is RequestContext.caller, hashed into one of CALLQUEUE_LANES lanes;
 * callers that meet in one lane share it.
 *
 * Thread: the worker's. Times are CLOCK_MONOTONIC in nanoseconds.
 */
#pragma once

#include "thrift/frame.h"

#include <sys/queue.h>

#define CALLQUEUE_LANES 1024
/* How long after a refusal a lane's limit is tight; and the wide limit: the
   work that a pause of 50 ms leaves at half load. */
#define CALLQUEUE_TIGHT_NS G_GINT64_CONSTANT(100000000)
#define CALLQUEUE_BURST_NS G_GINT64_CONSTANT(25000000)

typedef struct Request Request;

/* The calls of a caller, or of a few. */
typedef struct CallLane {
    TAILQ_HEAD(, Request) calls;   /* oldest first */
    guint n;                       /* of them */
    gint64 cost_ns;                /* of a call, moving average; 0: none yet */
    gint64 used_ns;                /* of the thread; on the queue's scale */
    gint64 tight_ns;               /* until when its limit is tight */
    TAILQ_ENTRY(CallLane) in_busy; /* lanes with calls */
} CallLane;

typedef struct CallQueue {
    TAILQ_HEAD(, CallLane) busy; /* with calls */
    guint n_busy;
    gint64 limit_ns;  /* of the wait; the tight one */
    gint64 clock_ns;  /* used_ns of the lane served last */
    gint64 cost_ns;   /* of a call, moving average of all */
    gint64 begin_ns;  /* of this turn */
    gint64 end_ns;    /* of the last one */
    gint64 served_ns; /* by handlers in it */
    gint64 round_ns; /* from turn to turn while calls wait, and what handlers */
    gint64 work_ns;  /* took of it: moving averages. The rest is sockets,
                        answers from elsewhere, other processes */
    gboolean left;   /* the last turn left calls waiting */
    const CallLane *last; /* whose call came last */
    gint64 mixed_ns;      /* when one came of another lane than that before */
    CallLane lanes[CALLQUEUE_LANES];
} CallQueue;

/** callqueue_now() - CLOCK_MONOTONIC in nanoseconds. */
gint64 callqueue_now(void);

/** callqueue_init() - empty; the tight limit is @limit_ms. */
void callqueue_init(CallQueue *queue, guint limit_ms);

/** callqueue_lane() - the lane of whoever sent @frame. */
CallLane *callqueue_lane(CallQueue *queue, const Frame *frame);

/**
 * callqueue_refuses() - whether one more call would wait for too long
 *
 * Effect: 0, or in how many milliseconds to try again; the call is refused
 *         then, which makes the lane's limit tight.
 */
guint callqueue_refuses(const CallQueue *queue, CallLane *lane, gint64 now_ns);

/** callqueue_put() - to the end of @lane. Owns: borrows @request. */
void callqueue_put(CallQueue *queue, CallLane *lane, Request *request,
                   gint64 now_ns);

/** callqueue_remove() - one that will not be served. */
void callqueue_remove(CallQueue *queue, Request *request);

/**
 * callqueue_begin() - a turn of serving begins
 *
 * Effect: when it should end. Between turns sockets are looked at. A caller
 *         who arrives waits for the turn, so it is short where there are
 *         several; where there is one, who waits for himself anyway, it is
 *         long, and more is read and sent with one call of the kernel. It is
 *         never much shorter than the look at the sockets before it was: what
 *         is refused there must not take the thread from who is served.
 */
gint64 callqueue_begin(CallQueue *queue, gint64 now_ns);

/** callqueue_take() - whose turn it is, taken out; NULL: none waits. */
Request *callqueue_take(CallQueue *queue, CallLane **ret_lane);

/**
 * callqueue_is_pressed() - whether who asks little is beside who asks much
 *
 * Effect: TRUE where none of @lane's calls wait, but many of another's: the
 *         answer should not wait for the turn's end.
 */
gboolean callqueue_is_pressed(const CallQueue *queue, const CallLane *lane);

/** callqueue_charge() - the call taken last from @lane took @ns. */
void callqueue_charge(CallQueue *queue, CallLane *lane, gint64 ns);

/** callqueue_end() - a turn is over. TRUE: calls are waiting. */
gboolean callqueue_end(CallQueue *queue, gint64 now_ns);
