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
#define KEEP_ALIVE_US (15 * G_USEC_PER_SEC)

/* What stream_run() has at hand. */
typedef struct Run {
    Stream *stream;
    Tap *tap;
    GString *text;     /* lines not sent yet */
    GString *position; /* the place after the last of them */
    gint64 left;       /* lines until the limit */
    gint64 sent_us;    /* when text was last sent */
} Run;

static void
set_position(Run *run)
{
    const PlaceLog *log = run->stream->log;

    g_string_truncate(run->position, 0);
    bookmark_write(run->position, tap_next(run->tap), log_partitions(log->log),
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

/* TRUE while the stream goes on. *ret_outcome: how the last sending went. */
static gboolean
run_step(Run *run, SinkOutcome *ret_outcome)
{
    g_autoptr(GError) error = NULL;

    if (atomic_load(run->stream->sink.stopping)) {
        *ret_outcome = send_stopped(run, "the gateway stops");
        return FALSE;
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

static void
run_tap(Stream *stream, Tap *tap)
{
    Run run = {
        .stream = stream,
        .tap = tap,
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

static Tap *
begin(Stream *stream, guint64 *next)
{
    g_autoptr(GError) error = NULL;
    PlaceFault fault;
    Tap *tap = NULL;

    switch (place_resolve(stream->log, &stream->query->place, next, &fault,
                          &error)) {
    case PLACE_FOUND:
        tap = tap_open(stream->log->log, next, &stream->query->tap, &error);
        break;
    case PLACE_REFUSED:
        refuse(stream, "400 Bad Request",
               fault.committed ? "client_id" : stream->query->place_field,
               &fault);
        return NULL;
    case PLACE_FAILED:
    default:
        break;
    }
    if (tap == NULL) {
        fault = (PlaceFault){error->message, -1, FALSE};
        refuse(stream, "503 Service Unavailable", NULL, &fault);
    }
    return tap;
}

void
stream_run(Stream *stream)
{
    g_autofree guint64 *next =
        g_new0(guint64, log_partitions(stream->log->log));
    Tap *tap = begin(stream, next);

    if (tap != NULL) {
        metric_add(&stream->metrics[STREAM_STARTED], 1);
        run_tap(stream, tap);
    }
    tap_close(tap);
}
