/*
 * A batch's life: its events are checked and stamped one by one, the good
 * ones are sealed and appended in one go (sealer.h), and when the log has
 * acknowledged all of them
 * the results are told in the order of the events. A wrong event costs itself
 * only.
 *
 * Two sides may answer: the log's thread with the acks, or the server
 * thread's timer at the deadline. `answered` decides: the first one to set it
 * answers. Each side holds a reference. Where the log's side wins it frees
 * the timer before it answers, and that waits for a timer callback that is
 * running; so the callback never meets a batch that has gone, nor the timer
 * an event base that has. Where the timer wins, the events may still reach
 * the log: DeadlineExceeded says so, and the batch waits for the acks only to
 * keep the books.
 *
 * Bounds: events in a batch, bytes of an event (event.h), and bytes that are
 * appended and not yet acknowledged, over all calls. A batch that is alone
 * always passes, so that no legal frame is refused for ever.
 *
 * A partition that stalls must not take all of these bytes, or nobody could
 * publish anything. So a batch is charged to a lane, its partition's or, with
 * events of several, the one that these share; and a lane may hold as much as
 * is still free afterwards, the dynamic threshold of switches with shared
 * memory. One busy lane may have half, with k stalled ones there is 1/(k+1)
 * left, and it is one comparison: no fixed part that is too small for one and
 * too much for a thousand. A batch of several partitions waits for the slowest
 * of them and must not be charged to the others, hence the lane of their own:
 * where those fill it, what is of one healthy partition still passes.
 */
#include "firehose/gateway_private.h"

#include "firehose/partition.h"
#include "firehose/position.h"
#include "firehose/seal.h"
#include "thrift/reply.h"

/* Fields of struct PublishResult. */
enum {
    RESULT_ID = 1,
    RESULT_POSITION = 2,
    RESULT_REFUSED = 3,
    RESULT_FAILED = 4,
};

/* What became of one event so far. */
typedef struct Verdict {
    gint64 id;
    gboolean logged; /* handed to the log, as the next three tell */
    gint32 kind;
    guint partition;
    guint bytes;
    EventFault fault; /* where not logged */
} Verdict;

typedef struct Batch {
    Gateway *gateway;
    Request *request; /* for the side that answers */
    PublishAnswer answer;
    struct event *timer;       /* the deadline */
    _Atomic gboolean answered; /* set by the side that answers */
    _Atomic guint refs;        /* the log's side and the timer's */
    guint lane;                /* that is charged for them */
    gsize bytes;               /* counted in the gateway's pending_bytes */
    guint n;
    Verdict verdicts[]; /* by event */
} Batch;

/* The good events on their way into the log, with room for their seals; gone
   when log_append() has copied them. */
typedef struct Outbox {
    GByteArray *arena; /* their encodings, one after the other */
    LogEntry *entries;
    guint8 (*keys)[PARTITION_KEY_BYTES]; /* by entry */
    guint n;
    guint lane; /* the partition of all, or the number of partitions */
} Outbox;

/* ---- answering ---- */

/* @ack is NULL where the event did not get as far as the log. */
static void
result_write(GByteArray *out, const Batch *batch, const Verdict *verdict,
             const LogAck *ack)
{
    guint8 position[POSITION_BYTES];

    wire_field_i64(out, RESULT_ID, verdict->id);
    if (ack == NULL) {
        wire_write_field(out, WIRE_STRUCT, RESULT_REFUSED);
        reply_write_invalid(out, verdict->fault.field, verdict->fault.reason,
                            verdict->fault.limit);
    } else if (ack->outcome != LOG_APPENDED) {
        wire_write_field(out, WIRE_STRUCT, RESULT_FAILED);
        reply_write_unavailable(out, ack->reason, GATEWAY_RETRY_MS);
    } else {
        position_encode((Position){verdict->partition, ack->offset},
                        batch->gateway->check, position);
        wire_field_bytes(out, RESULT_POSITION, position, sizeof(position));
    }
    wire_write_stop(out);
}

static void
answer_list(const Batch *batch, const LogAck *acks)
{
    GByteArray *message = reply_begin(batch->request);
    gsize next_ack = 0;

    wire_write_field(message, WIRE_LIST, REPLY_SUCCESS);
    wire_write_list(message, WIRE_STRUCT, batch->n);
    for (guint i = 0; i < batch->n; i++) {
        const Verdict *verdict = &batch->verdicts[i];

        result_write(message, batch, verdict,
                     verdict->logged ? &acks[next_ack++] : NULL);
    }
    reply_send(batch->request, message);
}

static void
answer_one(const Batch *batch, const LogAck *ack)
{
    const Verdict *verdict = &batch->verdicts[0];
    GByteArray *message;

    if (ack == NULL) {
        reply_invalid(batch->request, form_field(verdict->fault.field),
                      verdict->fault.reason, verdict->fault.limit);
        return;
    }
    switch (ack->outcome) {
    case LOG_APPENDED:
        message = reply_begin(batch->request);
        wire_write_field(message, WIRE_STRUCT, REPLY_SUCCESS);
        result_write(message, batch, verdict, ack);
        reply_send(batch->request, message);
        break;
    case LOG_APPEND_UNCERTAIN:
        reply_deadline(batch->request, ack->reason);
        break;
    case LOG_APPEND_FULL:
    case LOG_APPEND_FAILED:
    default:
        reply_unavailable(batch->request, ack->reason, GATEWAY_RETRY_MS);
        break;
    }
}

static void
batch_answer(const Batch *batch, const LogAck *acks)
{
    if (batch->answer == PUBLISH_ONE) {
        answer_one(batch, acks);
    } else {
        answer_list(batch, acks);
    }
}

/* TRUE for the side that comes first. */
static gboolean
batch_claim(Batch *batch)
{
    return !atomic_exchange(&batch->answered, TRUE);
}

static void
batch_unref(Batch *batch)
{
    Gateway *gateway = batch->gateway;

    if (atomic_fetch_sub(&batch->refs, 1) == 1) {
        g_free(batch);
        gateway_call_end(gateway);
    }
}

/* ---- what may be pending ---- */

static void
bytes_release(Gateway *gateway, guint lane, gsize bytes)
{
    atomic_fetch_sub(&gateway->lane_bytes[lane], bytes);
    atomic_fetch_sub(&gateway->pending_bytes, bytes);
}

/* All lanes, and this one once more, which leaves as much free as it has. */
static gboolean
bytes_admit(Gateway *gateway, guint lane, gsize bytes)
{
    gsize all = atomic_fetch_add(&gateway->pending_bytes, bytes);
    gsize own = atomic_fetch_add(&gateway->lane_bytes[lane], bytes);

    if (all == 0 || all + own + 2 * bytes <= gateway->pending_bytes_max) {
        return TRUE;
    }
    bytes_release(gateway, lane, bytes);
    return FALSE;
}

static void
refuse_bytes(const Gateway *gateway, Request *request, guint lane)
{
    g_autofree char *whose =
        lane < log_partitions(gateway->firehose)
            ? g_strdup_printf("partition %u", lane)
            : g_strdup("calls with events of several partitions");
    g_autofree char *reason = g_strdup_printf(
        "bytes that wait for the log, of %s (limit: as many as are free of "
        "%zu)",
        whose, gateway->pending_bytes_max);

    reply_overloaded_by(request, reason, GATEWAY_RETRY_MS);
}

/* ---- the two sides ---- */

static void
count_acks(Batch *batch, const LogAck *acks)
{
    Metric *metrics = batch->gateway->metrics;
    gsize next_ack = 0;

    for (guint i = 0; i < batch->n; i++) {
        const Verdict *verdict = &batch->verdicts[i];

        if (!verdict->logged) {
            continue;
        }
        LogAppendOutcome outcome = acks[next_ack++].outcome;

        if (outcome == LOG_APPEND_FAILED) {
            /* An event is never too large: the log has failed for good. */
            atomic_store(&batch->gateway->log_failed, TRUE);
        }
        if (outcome == LOG_APPENDED) {
            metric_add(&metrics[GATEWAY_PUBLISHED + verdict->kind - 1], 1);
            metric_add(&metrics[GATEWAY_BYTES], verdict->bytes);
        } else {
            metric_add(&metrics[GATEWAY_FAILED], 1);
            sealer_renew(batch->gateway->sealer);
        }
    }
}

static void
batch_acked(const LogAck *acks, gsize n, gpointer user_data)
{
    Batch *batch = user_data;

    (void)n;
    bytes_release(batch->gateway, batch->lane, batch->bytes);
    count_acks(batch, acks);
    if (batch_claim(batch)) {
        event_free(batch->timer);
        batch_answer(batch, acks);
        batch_unref(batch);
    }
    batch_unref(batch);
}

static void
batch_late(evutil_socket_t fd, short what, void *user_data)
{
    Batch *batch = user_data;

    (void)fd;
    (void)what;
    if (!batch_claim(batch)) {
        return;
    }
    event_free(batch->timer);
    metric_add(&batch->gateway->metrics[GATEWAY_LATE], 1);
    reply_deadline(batch->request,
                   "the log has not answered; it may still take the events");
    batch_unref(batch);
}

/* ---- from the call to the log ---- */

static guint
count_without_id(const WireBytes *events, guint n)
{
    guint count = 0;

    for (guint i = 0; i < n; i++) {
        count += event_peek_id(events[i]) == 0;
    }
    return count;
}

static void
outbox_init(Outbox *outbox, guint n, gsize bytes)
{
    outbox->arena = g_byte_array_sized_new((guint)bytes);
    outbox->entries = g_new(LogEntry, n);
    outbox->keys = g_malloc_n(n, PARTITION_KEY_BYTES);
    outbox->n = 0;
    outbox->lane = 0;
}

static void
outbox_clear(Outbox *outbox)
{
    g_byte_array_unref(outbox->arena);
    g_free(outbox->entries);
    g_free(outbox->keys);
}

static guint
outbox_add(Outbox *outbox, const Event *event, guint partitions)
{
    guint8 *key = outbox->keys[outbox->n];
    LogEntry *entry = &outbox->entries[outbox->n++];

    partition_key(event->user, key);
    entry->partition = partition_of(key, PARTITION_KEY_BYTES, partitions);
    if (outbox->n == 1) {
        outbox->lane = entry->partition;
    } else if (outbox->lane != entry->partition) {
        outbox->lane = partitions;
    }
    entry->key = (WireBytes){key, PARTITION_KEY_BYTES};
    entry->value = event->bytes;
    return entry->partition;
}

/* The arena may have moved while it grew. */
static void
outbox_settle(Outbox *outbox)
{
    const guint8 *at = outbox->arena->data;

    for (guint i = 0; i < outbox->n; i++) {
        outbox->entries[i].value.data = at;
        at += outbox->entries[i].value.len;
    }
}

/* Checks and stamps each event; @id is the first of those to give. */
static void
batch_stamp(Batch *batch, const WireBytes *events, gint64 id, Outbox *outbox)
{
    guint partitions = log_partitions(batch->gateway->firehose);
    Event event;

    for (guint i = 0; i < batch->n; i++) {
        Verdict *verdict = &batch->verdicts[i];

        verdict->id = event_peek_id(events[i]);
        if (verdict->id == 0) {
            verdict->id = id;
            id += IDCLOCK_STEP;
        }
        verdict->logged = event_stamp(events[i], (EventId){verdict->id},
                                      outbox->arena, &event, &verdict->fault);
        if (!verdict->logged) {
            metric_add(&batch->gateway->metrics[GATEWAY_REFUSED], 1);
            continue;
        }
        seal_room(outbox->arena);
        event.bytes.len += SEAL_BYTES;
        verdict->kind = (gint32)event.kind;
        verdict->bytes = (guint)event.bytes.len;
        verdict->partition = outbox_add(outbox, &event, partitions);
    }
    outbox_settle(outbox);
}

/* Nothing of @batch may be touched after the append: it may be gone. */
static void
batch_append(Batch *batch, const Outbox *outbox, gint64 deadline_us)
{
    gint64 left_us = MAX(deadline_us - g_get_monotonic_time(), 0);
    struct timeval left = {left_us / G_USEC_PER_SEC, left_us % G_USEC_PER_SEC};

    batch->lane = outbox->lane;
    batch->bytes = outbox->arena->len;
    batch->timer = evtimer_new(request_base(batch->request), batch_late, batch);
    evtimer_add(batch->timer, &left);
    sealer_append(batch->gateway->sealer, outbox->entries, outbox->n,
                  batch_acked, batch);
}

static Batch *
batch_new(Gateway *gateway, Request *request, PublishAnswer answer, guint n)
{
    Batch *batch = g_malloc0(sizeof(*batch) + n * sizeof(Verdict));

    gateway_call_begin(gateway);
    batch->gateway = gateway;
    batch->request = request;
    batch->answer = answer;
    batch->refs = 2;
    batch->n = n;
    return batch;
}

/* A batch that the log never sees. */
static void
batch_drop(Batch *batch)
{
    batch_unref(batch);
    batch_unref(batch);
}

static gsize
total_bytes(const WireBytes *events, guint n)
{
    gsize bytes = 0;

    for (guint i = 0; i < n; i++) {
        bytes += events[i].len;
    }
    return bytes;
}

void
publish_events(Gateway *gateway, Request *request, const Context *context,
               PublishAnswer answer, const WireBytes *events, guint n)
{
    guint fresh = count_without_id(events, n);
    gint64 first = 0;
    Outbox outbox;
    Batch *batch;

    if (fresh > 0 && !gateway_ids(gateway, request, context, fresh, &first)) {
        return;
    }
    batch = batch_new(gateway, request, answer, n);
    outbox_init(&outbox, n, total_bytes(events, n) + n * sizeof(Event));
    batch_stamp(batch, events, first, &outbox);
    if (outbox.n == 0) {
        batch_answer(batch, NULL);
        batch_drop(batch);
    } else if (!bytes_admit(gateway, outbox.lane, outbox.arena->len)) {
        metric_add(&gateway->metrics[GATEWAY_OVERLOADED], 1);
        refuse_bytes(gateway, request, outbox.lane);
        batch_drop(batch);
    } else {
        batch_append(batch, &outbox, context->deadline_us);
    }
    outbox_clear(&outbox);
}

/* The ranges of the elements of a list of structs. */
static WireBytes *
events_split(const FrameField *field, guint *ret_n)
{
    WireReader reader;
    WireType type;
    WireBytes *events;
    guint32 n;

    wire_reader_init(&reader, field->value.data, field->value.len);
    n = wire_read_list(&reader, &type);
    *ret_n = n;
    if (n == 0 || n > BATCH_EVENTS_MAX || type != WIRE_STRUCT) {
        return NULL;
    }
    events = g_new(WireBytes, n);
    for (guint32 i = 0; i < n; i++) {
        events[i] = wire_read_value(&reader, WIRE_STRUCT);
    }
    return events;
}

void
publish_call(Request *request, gpointer user_data)
{
    Gateway *gateway = user_data;
    const FrameField *field = &request_frame(request)->field[2];
    g_autofree WireBytes *events = NULL;
    Context context;
    guint n;

    if (!context_read(request, &context)) {
        return;
    }
    if (field->type != WIRE_LIST) {
        reply_invalid(request, "events", "must be a list of events", -1);
        return;
    }
    events = events_split(field, &n);
    if (n > BATCH_EVENTS_MAX) {
        reply_invalid(request, "events", "has too many", BATCH_EVENTS_MAX);
        return;
    }
    if (n > 0 && events == NULL) {
        reply_invalid(request, "events", "must be a list of events", -1);
        return;
    }
    publish_events(gateway, request, &context, PUBLISH_LIST, events, n);
}
