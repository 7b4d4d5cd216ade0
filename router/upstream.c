/*
 * The life of a call here: upstream_send() connects where needed, copies the
 * frame with the ticket in the place of the seqid, and notes the call in a
 * ring. The cell answers in order, so the reply's seqid must be that of the
 * oldest ticket; the call is told, with the reply as it came. A call that was
 * given up leaves an empty place in the ring, which its late reply fills and
 * which counts as in flight until then: a cell that does not answer is not
 * given more and more.
 *
 * A cell that is slow holds little: a few calls may wait, the others fail at
 * once instead of each keeping a caller for a whole time-out. It is slow
 * - when the oldest call that it owes has waited for a quarter of the time-out;
 * - when that has waited for a twentieth only, but most callers wait here by
 *   now, so that soon nobody would be left to ask other cells. Where more
 *   calls wait than there are callers, these pipeline and can ask on;
 * - after a lost connection, until the next one has brought a reply.
 * The few are the probe: replies let in as many as before.
 *
 * Tickets count up over all connections, so that a place in the ring is
 * ticket modulo size, and a new connection never takes an old one's reply.
 *
 * What can go wrong, each ending this connection and no other:
 * - It cannot be made, or breaks: calls that wait are lost. It is tried again
 *   when next needed, after a pause that doubles from 50 ms to 2 s; in the
 *   meantime calls fail at once instead of queueing.
 * - A reply that is none, too long, or not for the oldest ticket: what comes
 *   after it cannot be trusted.
 * - Silence for two time-outs while calls wait: the machine may be gone
 *   without a word, and only a new connection can find out.
 * - The map has another address for the cell: the old one is left.
 * - TLS: the cell's certificate is not what it must be, or the cell does not
 *   like ours, which it says after the handshake.
 */
#include "router/upstream.h"

#include "ops/kit/ensure.h"
#include "ops/kit/logger.h"
#include "router/channel.h"

#include <string.h>

/* A cell that owes answers for so long is given no call that another can take.
 */
#define SILENT_US (200 * 1000)
#define AREA "router.cell"
#define BACKOFF_FIRST_MS 50
#define BACKOFF_LAST_MS 2000
#define FAILING_MS 1000
/* What part of the time-out the oldest call may wait before a cell is slow. */
#define SLOW_PART 4
/* And where most callers wait for it. */
#define CROWDED_PART 20
/* Calls that the kernel has not taken yet. */
#define OUTPUT_BYTES_MAX (4 * 1024 * 1024)

/* A call in flight. */
typedef struct Waiting {
    gpointer call; /* NULL: given up */
    gint64 sent_us;
} Waiting;

struct Upstream {
    UpstreamOptions options;
    char *host; /* of the connection; owned, NULL before the first */
    guint16 port;
    Channel *channel;        /* NULL: none */
    guint failures;          /* in a row, without a good reply between */
    gint64 retry_at_us;      /* no connection is tried before */
    gint64 failing_until_us; /* see upstream_is_failing() */
    gint64 silent_since_us;  /* while calls wait: since the last reply, or
                                since the first of them was sent */
    guint64 oldest;          /* ticket; calls wait from here ... */
    guint64 next;            /* ... to before this one */
    Waiting *ring;           /* by ticket modulo in_flight_max */
    guint given_up;          /* of them */
    guint callers;           /* see upstream_set_callers() */
};

Upstream *
upstream_new(const UpstreamOptions *options)
{
    Upstream *upstream = g_new0(Upstream, 1);
    ensure(options->in_flight_max >= 1);
    upstream->options = *options;
    upstream->ring = g_new0(Waiting, options->in_flight_max);
    return upstream;
}

static Waiting *
ring_at(const Upstream *upstream, guint64 ticket)
{
    return &upstream->ring[ticket % upstream->options.in_flight_max];
}

/* Takes the oldest call off the ring; NULL where it was given up. */
static gpointer
ring_take(Upstream *upstream)
{
    gpointer call =
        g_steal_pointer(&ring_at(upstream, upstream->oldest++)->call);
    upstream->given_up -= call == NULL;
    return call;
}

/* ---- losing the connection ---- */

/* Tells every call that waits; they may send anew, here too. */
static void
calls_lose(Upstream *upstream, const char *why)
{
    g_autoptr(GPtrArray) calls = g_ptr_array_new();
    while (upstream->oldest < upstream->next) {
        gpointer call = ring_take(upstream);
        if (call != NULL) {
            g_ptr_array_add(calls, call);
        }
    }
    for (guint i = 0; i < calls->len; i++) {
        UpstreamAnswer answer = {.lost = why};
        upstream->options.answered(calls->pdata[i], &answer);
    }
}

static gint64
backoff_us(guint failures)
{
    guint doublings = MIN(failures - 1, 10);
    return MIN((gint64)BACKOFF_FIRST_MS << doublings, BACKOFF_LAST_MS) * 1000;
}

/* @why follows "cell N ...". */
static void
connection_fail(Upstream *upstream, const char *why)
{
    gint64 now_us = g_get_monotonic_time();
    g_autofree char *reason = logger_quote(why);
    logger_warn(AREA, "connection lost",
                "cell=%u address=%s:%u waiting=%" G_GUINT64_FORMAT " reason=%s",
                upstream->options.cell, upstream->host, upstream->port,
                upstream->next - upstream->oldest, reason);
    metric_add(upstream->options.lost, 1);
    g_clear_pointer(&upstream->channel, channel_free);
    upstream->failures++;
    upstream->retry_at_us = now_us + backoff_us(upstream->failures);
    upstream->failing_until_us =
        MAX(upstream->retry_at_us, now_us + FAILING_MS * 1000);
    calls_lose(upstream, why);
}

/* ---- replies ---- */

static void
reply_refuse(Upstream *upstream)
{
    metric_add(upstream->options.bad_replies, 1);
    connection_fail(upstream, "sent a reply that makes no sense");
}

static void
reply_accept(Upstream *upstream, UpstreamAnswer *answer)
{
    gpointer call = ring_take(upstream);
    upstream->silent_since_us = g_get_monotonic_time();
    upstream->failures = 0;
    upstream->failing_until_us = 0;
    if (call == NULL) {
        metric_add(upstream->options.late_replies, 1);
        return;
    }
    upstream->options.answered(call, answer);
}

static void
on_received(gpointer user_data, WireBytes bytes)
{
    Upstream *upstream = user_data;
    GByteArray *message = g_byte_array_sized_new((guint)bytes.len);
    UpstreamAnswer answer = {.message = message};
    g_byte_array_append(message, bytes.data, (guint)bytes.len);
    FrameOutcome outcome =
        frame_scan(message->data, message->len, &answer.frame);
    if (outcome != FRAME_OK || answer.frame.kind == FRAME_CALL ||
        upstream->oldest == upstream->next ||
        (guint32)answer.frame.seqid != (guint32)upstream->oldest) {
        reply_refuse(upstream);
    } else {
        reply_accept(upstream, &answer);
    }
    if (answer.message != NULL) {
        g_byte_array_unref(answer.message);
    }
}

/* ---- connecting ---- */

static void
on_lost(gpointer user_data, const char *why)
{
    Upstream *upstream = user_data;
    if (upstream->oldest == upstream->next &&
        channel_was_open(upstream->channel)) {
        /* Nobody waits: a cell that restarts. */
        g_clear_pointer(&upstream->channel, channel_free);
        return;
    }
    connection_fail(upstream, why);
}

static void
connection_open(Upstream *upstream)
{
    const UpstreamOptions *options = &upstream->options;
    const ChannelOptions channel = {
        .base = options->base,
        .dns = options->dns,
        .host = upstream->host,
        .port = upstream->port,
        .tls = options->tls,
        .frame_bytes_max = FRAME_BYTES_MAX,
        .received = on_received,
        .lost = on_lost,
        .user_data = upstream,
    };
    metric_add(options->connects, 1);
    upstream->channel = channel_open(&channel);
}

static void
address_set(Upstream *upstream, const CellMapEntry *entry)
{
    if (upstream->port == entry->port &&
        g_strcmp0(upstream->host, entry->host) == 0) {
        return;
    }
    g_free(upstream->host);
    upstream->host = g_strdup(entry->host);
    upstream->port = entry->port;
    upstream->failures = 0;
    upstream->retry_at_us = 0;
    if (upstream->channel != NULL) {
        g_clear_pointer(&upstream->channel, channel_free);
        calls_lose(upstream, "has moved");
    }
}

/* ---- for the calls ---- */

static gboolean
is_silent(const Upstream *upstream, guint timeouts)
{
    gint64 limit_us = (gint64)upstream->options.timeout_ms * 1000 * timeouts;
    return upstream->oldest < upstream->next &&
           g_get_monotonic_time() - upstream->silent_since_us >= limit_us;
}

static void
silence_check(Upstream *upstream)
{
    /* A connection that is not even made is not given the second time. */
    if (upstream->channel != NULL &&
        is_silent(upstream, channel_was_open(upstream->channel) ? 2 : 1)) {
        connection_fail(upstream, "does not answer");
    }
}

static void
call_write(Upstream *upstream, WireBytes message, gsize seqid_at)
{
    guint8 *room = channel_put(upstream->channel, message.len);
    guint32 seqid = g_htonl((guint32)upstream->next);
    ensure(seqid_at + sizeof seqid <= message.len);
    memcpy(room, message.data, message.len);
    memcpy(room + seqid_at, &seqid, sizeof seqid);
}

guint64
upstream_in_flight(const Upstream *upstream)
{
    return upstream->next - upstream->oldest;
}

void
upstream_set_callers(Upstream *upstream, guint callers)
{
    upstream->callers = callers;
}

static gboolean
upstream_is_crowded(const Upstream *upstream)
{
    guint64 waiting = upstream_in_flight(upstream);
    return waiting * 4 >= (guint64)upstream->callers * 3 &&
           waiting - upstream->given_up <= upstream->callers;
}

/* It has as many calls as a slow cell may have, and is slow. */
static gboolean
upstream_is_slow(const Upstream *upstream, gint64 now_us)
{
    if (upstream_in_flight(upstream) < UPSTREAM_SLOW_IN_FLIGHT_MAX) {
        return FALSE;
    }
    gint64 timeout_us = (gint64)upstream->options.timeout_ms * 1000;
    gint64 waited_us = now_us - ring_at(upstream, upstream->oldest)->sent_us;
    return upstream->failures > 0 || waited_us >= timeout_us / SLOW_PART ||
           (waited_us >= timeout_us / CROWDED_PART &&
            upstream_is_crowded(upstream));
}

UpstreamOutcome
upstream_send(Upstream *upstream, const CellMapEntry *entry, WireBytes message,
              gsize seqid_at, gpointer call, guint64 *ret_ticket)
{
    address_set(upstream, entry);
    silence_check(upstream);
    gint64 now_us = g_get_monotonic_time();
    if (upstream->channel == NULL && now_us >= upstream->retry_at_us) {
        connection_open(upstream);
    }
    if (upstream->channel == NULL) {
        return UPSTREAM_DOWN;
    }
    guint64 waiting = upstream_in_flight(upstream);
    if (waiting >= upstream->options.in_flight_max ||
        channel_unsent(upstream->channel) + message.len > OUTPUT_BYTES_MAX) {
        return UPSTREAM_FULL;
    }
    if (upstream_is_slow(upstream, now_us)) {
        return UPSTREAM_SLOW;
    }
    if (waiting == 0) {
        upstream->silent_since_us = now_us;
    }
    call_write(upstream, message, seqid_at);
    *ring_at(upstream, upstream->next) = (Waiting){call, now_us};
    *ret_ticket = upstream->next++;
    return UPSTREAM_SENT;
}

void
upstream_give_up(Upstream *upstream, guint64 ticket)
{
    ensure(ticket >= upstream->oldest && ticket < upstream->next);
    ring_at(upstream, ticket)->call = NULL;
    upstream->given_up++;
    if (is_silent(upstream, 1)) {
        upstream_set_failing(upstream);
    }
    silence_check(upstream);
}

void
upstream_set_failing(Upstream *upstream)
{
    upstream->failing_until_us = g_get_monotonic_time() + FAILING_MS * 1000;
}

/* Calls wait and nothing has come for a while, or not since the connection was
   lost: one of them is the probe. */
static gboolean
upstream_is_silent(const Upstream *upstream, gint64 now_us)
{
    return upstream->oldest < upstream->next &&
           (upstream->failures > 0 ||
            now_us - upstream->silent_since_us > SILENT_US);
}

gboolean
upstream_is_failing(const Upstream *upstream)
{
    gint64 now_us = g_get_monotonic_time();
    return now_us < upstream->failing_until_us ||
           upstream_is_silent(upstream, now_us) ||
           upstream_is_slow(upstream, now_us);
}

void
upstream_free(Upstream *upstream)
{
    if (upstream->channel != NULL) {
        g_clear_pointer(&upstream->channel, channel_free);
    }
    calls_lose(upstream, "is not waited for: the router is stopping");
    g_free(upstream->ring);
    g_free(upstream->host);
    g_free(upstream);
}
