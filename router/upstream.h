/*
 * upstream.h - one server thread's connection to one cell (private)
 *
 * Calls are pipelined: each gets a ticket, which is the seqid that the cell
 * sees, and answers must come in the order of the tickets. Connected when
 * first needed, and again after a pause when it was lost.
 *
 * Thread: the one whose event base it is on; nothing is shared.
 */
#pragma once

#include "ops/kit/metrics.h"
#include "router/cellmap.h"
#include "thrift/frame.h"
#include "thrift/tls.h"

#include <event2/dns.h>
#include <event2/event.h>

typedef struct Upstream Upstream;

/* What became of a call that was sent. */
typedef struct UpstreamAnswer {
    GByteArray *message; /* the reply, with the cell's seqid; taken by
                            g_steal_pointer() or freed; NULL: none came */
    Frame frame;         /* of @message */
    const char *lost;    /* why none came; follows "cell N ..." */
} UpstreamAnswer;

/* Called once for each ticket that was not given up. May send anew. */
typedef void (*UpstreamFunc)(gpointer call, UpstreamAnswer *answer);

typedef struct UpstreamOptions {
    struct event_base *base;
    struct evdns_base *dns;
    guint cell;
    guint in_flight_max;
    guint timeout_ms; /* an ordinary answer takes less */
    Tls *tls;         /* a client's, outlives it; NULL: plain text */
    UpstreamFunc answered;
    Metric *connects;     /* connections tried */
    Metric *lost;         /* connections lost or not made */
    Metric *bad_replies;  /* frames for which one was closed */
    Metric *late_replies; /* dropped: the call was given up */
} UpstreamOptions;

typedef enum UpstreamOutcome {
    UPSTREAM_SENT, /* answered() will be called */
    UPSTREAM_DOWN, /* not connected, and it is too early to try again */
    UPSTREAM_FULL, /* too many calls wait already */
    UPSTREAM_SLOW, /* likewise, for a cell that answers late or not at all */
} UpstreamOutcome;

/* So many calls may wait at a cell that is slow (see upstream.c). */
#define UPSTREAM_SLOW_IN_FLIGHT_MAX 8

/** upstream_new() - not connected yet. Owns: the caller; upstream_free(). */
Upstream *upstream_new(const UpstreamOptions *options);

/**
 * upstream_send() - send a call to the cell at @entry
 *
 * @message:    a whole call, copied; @seqid_at is where its seqid is.
 * @ret_ticket: for upstream_give_up(); written where UPSTREAM_SENT.
 * Effect: where the address is another one than before, what waits at the
 *         old one is lost first.
 */
UpstreamOutcome upstream_send(Upstream *upstream, const CellMapEntry *entry,
                              WireBytes message, gsize seqid_at, gpointer call,
                              guint64 *ret_ticket);

/**
 * upstream_give_up() - wait no longer for @ticket
 *
 * Effect: answered() is not called for it, a late reply is dropped. Where
 *         the cell has been silent for long, the connection is given up too.
 */
void upstream_give_up(Upstream *upstream, guint64 ticket);

/** upstream_set_failing() - keep calls that have a choice away for a second. */
void upstream_set_failing(Upstream *upstream);

/** upstream_is_failing() - TRUE where other cells should be preferred. */
gboolean upstream_is_failing(const Upstream *upstream);

/** upstream_in_flight() - calls that the cell owes an answer, given up or not.
 */
guint64 upstream_in_flight(const Upstream *upstream);

/**
 * upstream_set_callers() - how many there are who have one call at a time
 *
 * Effect: while calls wait for long, the cell holds three quarters of them at
 *         most. 0, as at first: there is no such limit.
 */
void upstream_set_callers(Upstream *upstream, guint callers);

/** upstream_free() - close and free; calls that wait are answered as lost. */
void upstream_free(Upstream *upstream);
