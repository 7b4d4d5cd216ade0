/*
 * A stream's life: the place that was asked for becomes offsets (place.c), or
 * a 400; a tap is opened; then, over and over, what the tap has is written
 * as lines and sent as a chunk. The tap is asked for more only when the
 * client's socket has taken what was there, so a slow client slows its own
 * reading and nothing else. Text waiting for the socket is bounded by
 * CHUNK_BYTES and one line.
 *
 * While nothing comes the tap wakes up now and then, to see whether the
 * client is still there and the daemon goes on. SSE clients get a comment and
 * the place so far, which moves on while a filter lets nothing through.
 */
#include "firehose/stream.h"

#include "firehose/bookmark.h"
#include "firehose/line.h"
#include "ops/kit/logger.h"

#define CHUNK_BYTES (256 * 1024)
#define IDLE_MS 250
#define WAIT_US 20000
#define KEEP_ALIVE_US (15 * G_USEC_PER_SEC)

/* What stream_run() has at hand. */
typedef struct Run {
    Stream *stream;
    Tap *tap;          /* NULL: it has no partition */
    LogMember *member; /* NULL: it does not share */
    guint64 *next;     /* by partition: where it goes on without a tap */
    GString *text;     /* lines not sent yet */
    GString *position; /* the place after the last of them */
    gint64 left;       /* lines until the limit */
    gint64 sent_us;    /* when text was last sent */
} Run;

static const guint64 *
next_of(const Run *run)
{
    return run->tap != NULL ? tap_next(run->tap) : run->next;
}

static void
set_position(Run *run)
{
    const PlaceLog *log = run->stream->log;

    g_string_truncate(run->position, 0);
    bookmark_write(run->position, next_of(run), log_partitions(log->log),
                   log->check);
}

/* What stands around a line in the stream's format. */
static void
begin_line(Run *run)
{
    if (run->stream->query->format == QUERY_SSE) {
        g_string_append_len(run->text, "id: ", 4);
        g_string_append_len(run->text, run->position->str,
                            (gssize)run->position->len);
        g_string_append_len(run->text, "\ndata: ", 7);
    }
}

static void
end_line(Run *run)
{
    if (run->stream->query->format == QUERY_SSE) {
        g_string_append_c(run->text, '\n');
    }
}

static SinkOutcome
flush(Run *run)
{
    SinkOutcome outcome = sink_send(&run->stream->sink, run->text);

    metric_add(&run->stream->metrics[STREAM_BYTES], (gint64)run->text->len);
    g_string_truncate(run->text, 0);
    run->sent_us = g_get_monotonic_time();
    return outcome;
}

static void
add_item(Run *run, const TapItem *item)
{
    Metric *metrics = run->stream->metrics;

    set_position(run);
    begin_line(run);
    line_write(run->text, item, run->position);
    end_line(run);
    run->left--;
    metric_add(&metrics[STREAM_EVENTS], item->decoded ? 1 : 0);
    metric_add(&metrics[STREAM_UNDECODABLE], item->decoded ? 0 : 1);
}

/* All that the tap has at hand. */
static SinkOutcome
send_items(Run *run)
{
    SinkOutcome outcome = SINK_SENT;
    TapItem item;

    while (outcome == SINK_SENT && run->left > 0 && tap_take(run->tap, &item)) {
        add_item(run, &item);
        if (run->text->len >= CHUNK_BYTES) {
            outcome = flush(run);
        }
    }
    return outcome == SINK_SENT ? flush(run) : outcome;
}

/* Nothing has come for a while. */
static SinkOutcome
send_idle(Run *run)
{
    const Stream *stream = run->stream;

    if (!sink_is_open(&stream->sink)) {
        return SINK_GONE;
    }
    if (stream->query->format != QUERY_SSE ||
        g_get_monotonic_time() - run->sent_us < KEEP_ALIVE_US) {
        return SINK_SENT;
    }
    set_position(run);
    g_string_append_printf(run->text, ":\nid: %s\n\n", run->position->str);
    return flush(run);
}

static SinkOutcome
send_stopped(Run *run, const char *reason)
{
    metric_add(&run->stream->metrics[STREAM_STOPPED], 1);
    set_position(run);
    begin_line(run);
    line_write_last(run->text, "stopped", reason, run->position);
    end_line(run);
    return flush(run);
}

/* ---- sharing ---- */

/* With or_earliest a place that is gone is moved to what is left. */
static gboolean
skip_gone(Run *run, GError **error)
{
    Log *log = run->stream->log->log;

    for (guint i = 0; i < log_partitions(log); i++) {
        guint64 first;
        guint64 end;

        if (run->next[i] == LOG_NO_PLACE) {
            continue;
        }
        if (!log_bounds(log, i, &first, &end, error)) {
            return FALSE;
        }
        run->next[i] = MAX(run->next[i], first);
    }
    return TRUE;
}

static gboolean
has_partitions(const Run *run)
{
    for (guint i = 0; i < log_partitions(run->stream->log->log); i++) {
        if (run->next[i] != LOG_NO_PLACE) {
            return TRUE;
        }
    }
    return FALSE;
}

/* Reads the partitions that it has now, and says which they are. */
static SinkOutcome
read_anew(Run *run)
{
    const Stream *stream = run->stream;
    Log *log = stream->log->log;
    g_autoptr(GError) error = NULL;

    tap_close(run->tap);
    run->tap = NULL;
    if (stream->query->place.or_earliest && !skip_gone(run, &error)) {
        run->left = 0;
        return send_stopped(run, error->message);
    }
    set_position(run);
    begin_line(run);
    line_write_assigned(run->text, run->next, log_partitions(log),
                        run->position);
    end_line(run);
    if (has_partitions(run)) {
        run->tap = tap_open(log, run->next, &stream->query->tap, &error);
        if (run->tap == NULL) {
            run->left = 0;
            return send_stopped(run, error->message);
        }
    }
    return flush(run);
}

/* Asks for news of the group. TRUE: there is something to read now. */
static gboolean
may_read(Run *run, SinkOutcome *ret_outcome)
{
    guint partitions = log_partitions(run->stream->log->log);
    g_autoptr(GError) error = NULL;

    memmove(run->next, next_of(run), partitions * sizeof *run->next);
    switch (log_member_poll(run->member, run->tap == NULL ? IDLE_MS : 0,
                            run->next, &error)) {
    case LOG_MEMBER_SAME:
        *ret_outcome = run->tap == NULL ? send_idle(run) : SINK_SENT;
        return run->tap != NULL;
    case LOG_MEMBER_MOVED:
        *ret_outcome = read_anew(run);
        return FALSE;
    case LOG_MEMBER_WAIT:
        *ret_outcome = send_idle(run);
        g_usleep(WAIT_US);
        return FALSE;
    case LOG_MEMBER_FAILED:
    default:
        run->left = 0;
        *ret_outcome = send_stopped(run, error->message);
        return FALSE;
    }
}

/* ---- the loop ---- */

/* TRUE while the stream goes on. *ret_outcome: how the last sending went. */
static gboolean
run_step(Run *run, SinkOutcome *ret_outcome)
{
    g_autoptr(GError) error = NULL;

    if (atomic_load(run->stream->sink.stopping)) {
        *ret_outcome = send_stopped(run, "the gateway stops");
        return FALSE;
    }
    if (run->member != NULL && !may_read(run, ret_outcome)) {
        return *ret_outcome == SINK_SENT && run->left > 0;
    }
    switch (tap_fill(run->tap, IDLE_MS, &error)) {
    case TAP_RECORDS:
        *ret_outcome = send_items(run);
        return *ret_outcome == SINK_SENT && run->left > 0;
    case TAP_IDLE:
        *ret_outcome = send_idle(run);
        return *ret_outcome == SINK_SENT;
    case TAP_END:
        *ret_outcome = SINK_SENT;
        return FALSE;
    case TAP_STOP:
    default:
        *ret_outcome = send_stopped(run, error->message);
        return FALSE;
    }
}

static void
tell_end(Run *run, SinkOutcome outcome)
{
    Stream *stream = run->stream;

    if (outcome == SINK_SENT) {
        (void)sink_end(&stream->sink);
    } else if (outcome == SINK_STALLED) {
        metric_add(&stream->metrics[STREAM_CUT_OFF], 1);
        set_position(run);
        logger_warn("firehose.stream", "a client that takes nothing is cut off",
                    "waited_ms=%u position=%s", stream->sink.stall_ms,
                    run->position->str);
    }
}

/* Owns: takes @tap; borrows the other two. */
static void
run_lines(Stream *stream, Tap *tap, LogMember *member, guint64 *next)
{
    Run run = {
        .stream = stream,
        .tap = tap,
        .member = member,
        .next = next,
        .text = g_string_sized_new(CHUNK_BYTES + CHUNK_BYTES / 8),
        .position = g_string_new(NULL),
        .left = stream->query->limit,
        .sent_us = g_get_monotonic_time(),
    };
    SinkOutcome outcome =
        sink_begin(&stream->sink, stream->query->format == QUERY_SSE
                                      ? "text/event-stream"
                                      : "application/x-ndjson");

    while (outcome == SINK_SENT && run_step(&run, &outcome)) {
    }
    tell_end(&run, outcome);
    tap_close(run.tap);
    g_string_free(run.text, TRUE);
    g_string_free(run.position, TRUE);
}

static void
refuse(Stream *stream, const char *status, const char *field,
       const PlaceFault *fault)
{
    g_autoptr(GString) json = g_string_new(NULL);

    metric_add(&stream->metrics[STREAM_REFUSED], 1);
    line_write_fault(json, field, fault->reason, fault->limit);
    (void)sink_refuse(&stream->sink, status, json);
}

static void
refuse_unavailable(Stream *stream, const char *reason)
{
    const PlaceFault fault = {reason, -1, FALSE};

    refuse(stream, "503 Service Unavailable", NULL, &fault);
}

/* The offsets to begin with. FALSE after a refusal. */
static gboolean
find_place(Stream *stream, guint64 *next)
{
    g_autoptr(GError) error = NULL;
    PlaceFault fault;

    switch (place_resolve(stream->log, &stream->query->place, next, &fault,
                          &error)) {
    case PLACE_FOUND:
        return TRUE;
    case PLACE_REFUSED:
        refuse(stream, "400 Bad Request",
               fault.committed ? "client_id" : stream->query->place_field,
               &fault);
        return FALSE;
    case PLACE_FAILED:
    default:
        refuse_unavailable(stream, error->message);
        return FALSE;
    }
}

static void
run_alone(Stream *stream, guint64 *next)
{
    g_autoptr(GError) error = NULL;
    Tap *tap = tap_open(stream->log->log, next, &stream->query->tap, &error);

    if (tap == NULL) {
        refuse_unavailable(stream, error->message);
        return;
    }
    metric_add(&stream->metrics[STREAM_STARTED], 1);
    run_lines(stream, tap, NULL, next);
}

static void
run_shared(Stream *stream, guint64 *next)
{
    const char *client = stream->query->client;
    g_autoptr(GError) error = NULL;
    LogMember *member = log_member_join(stream->log->log, client, next, &error);

    if (member == NULL) {
        refuse_unavailable(stream, error->message);
        return;
    }
    for (guint i = 0; i < log_partitions(stream->log->log); i++) {
        next[i] = LOG_NO_PLACE;
    }
    members_add(stream->members, client, member);
    metric_add(&stream->metrics[STREAM_STARTED], 1);
    run_lines(stream, NULL, member, next);
    members_remove(stream->members, member);
    log_member_leave(member);
}

void
stream_run(Stream *stream)
{
    g_autofree guint64 *next =
        g_new0(guint64, log_partitions(stream->log->log));

    if (!find_place(stream, next)) {
        return;
    }
    if (stream->query->group) {
        run_shared(stream, next);
    } else {
        run_alone(stream, next);
    }
}
