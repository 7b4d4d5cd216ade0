/*
 * Reading the log by calls. A log reader blocks, and the server's threads must
 * not, so each of these calls is read and checked on the server's thread and
 * then has a thread of its own until it is answered; their number is bounded.
 * It counts as a call in progress (gateway_call_begin), so the gateway waits
 * for it when it stops, and it gives up waiting for events then.
 *
 * Two sides may answer, as with a publish: the thread, or the server thread's
 * timer at the deadline, because a log that is away can hold a look-up for
 * longer. `answered` decides, and each side holds a reference.
 *
 * A fetch is stateless: its place becomes offsets, a tap is opened (or one
 * that rests there is taken off the shelf), and what is there is written as
 * it comes. It waits only as long as it has nothing: for records that the log
 * has, up to the deadline; at the end, for wait_ms.
 */
#include "firehose/ask.h"
#include "firehose/bookmark.h"
#include "firehose/gateway_private.h"
#include "ops/kit/logger.h"
#include "thrift/reply.h"

#define CONSUMING_MAX 64
#define BYTES_MAX (4 * 1024 * 1024)
#define SLICE_MS 200
#define RETRY_MS 1000

/* Waiting for events ends so long before the deadline, to answer in time. */
#define ANSWER_MS 50

typedef struct Fetch Fetch;

/* A call that reads the log. partitions_call() asks for nothing in it. */
struct Fetch {
    Gateway *gateway;
    Request *request;          /* for the side that answers */
    struct event *timer;       /* the deadline */
    _Atomic gboolean answered; /* set by the side that answers */
    _Atomic guint refs;        /* the thread's and the timer's */
    gint64 deadline_us;        /* of the call */
    void (*run)(Fetch *fetch); /* on its own thread; answers */
    Ask ask;                   /* of fetch */
    guint64 *next;             /* by partition: where to begin */
    guint64 *end;              /* by partition: of the log when the call came */
    GByteArray *items;         /* encoded LoggedEvents */
    guint n;
    gboolean at_end;
};

static void
fetch_free(Fetch *fetch)
{
    ask_clear(&fetch->ask);
    g_free(fetch->next);
    g_free(fetch->end);
    g_byte_array_unref(fetch->items);
    g_free(fetch);
}

static Fetch *
fetch_new(Gateway *gateway, Request *request, const Context *context,
          void (*run)(Fetch *fetch))
{
    guint partitions = log_partitions(gateway->firehose);
    Fetch *fetch = g_new0(Fetch, 1);

    fetch->gateway = gateway;
    fetch->request = request;
    fetch->deadline_us = context->deadline_us;
    fetch->run = run;
    fetch->refs = 1;
    fetch->next = g_new0(guint64, partitions);
    fetch->end = g_new0(guint64, partitions);
    fetch->items = g_byte_array_new();
    return fetch;
}

static void
fetch_unref(Fetch *fetch)
{
    if (atomic_fetch_sub(&fetch->refs, 1) == 1) {
        fetch_free(fetch);
    }
}

/* ---- a thread of its own ---- */

/* TRUE for the side that comes first. */
static gboolean
fetch_claim(Fetch *fetch)
{
    return !atomic_exchange(&fetch->answered, TRUE);
}

/* The thread's side wants to answer. FALSE: the deadline has done so. Waits
   for a timer callback that is running. */
static gboolean
thread_claim(Fetch *fetch)
{
    if (!fetch_claim(fetch)) {
        return FALSE;
    }
    event_free(fetch->timer);
    fetch_unref(fetch);
    return TRUE;
}

static void
fetch_late(evutil_socket_t fd, short what, void *user_data)
{
    Fetch *fetch = user_data;

    (void)fd;
    (void)what;
    if (!fetch_claim(fetch)) {
        return;
    }
    event_free(fetch->timer);
    metric_add(&fetch->gateway->metrics[GATEWAY_LATE], 1);
    reply_deadline(fetch->request, "the log has not answered");
    fetch_unref(fetch);
}

static void
start_timer(Fetch *fetch)
{
    gint64 left_us = MAX(fetch->deadline_us - g_get_monotonic_time(), 0);
    struct timeval left = {left_us / G_USEC_PER_SEC, left_us % G_USEC_PER_SEC};

    fetch->refs++;
    fetch->timer = evtimer_new(request_base(fetch->request), fetch_late, fetch);
    evtimer_add(fetch->timer, &left);
}

static void *
run_thread(void *data)
{
    Fetch *fetch = data;
    Gateway *gateway = fetch->gateway;

    fetch->run(fetch);
    fetch_unref(fetch);
    atomic_fetch_sub(&gateway->consuming, 1);
    gateway_call_end(gateway);
    return NULL;
}

static void
refuse(Fetch *fetch)
{
    Gateway *gateway = fetch->gateway;

    atomic_fetch_sub(&gateway->consuming, 1);
    metric_add(&gateway->metrics[GATEWAY_OVERLOADED], 1);
    reply_overloaded(fetch->request, GATEWAY_RETRY_MS);
    fetch_free(fetch);
}

/* Owns: takes @fetch. The timer is of the thread that runs this. */
static void
fetch_start(Fetch *fetch)
{
    Gateway *gateway = fetch->gateway;
    pthread_attr_t attr;
    pthread_t thread;
    int failed;

    if (atomic_fetch_add(&gateway->consuming, 1) >= CONSUMING_MAX) {
        refuse(fetch);
        return;
    }
    gateway_call_begin(gateway);
    start_timer(fetch);
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    failed = pthread_create(&thread, &attr, run_thread, fetch);
    pthread_attr_destroy(&attr);
    if (failed != 0) {
        logger_warn("firehose.gateway", "no thread for a fetch", "errno=%d",
                    failed);
        event_free(fetch->timer);
        refuse(fetch);
        gateway_call_end(gateway);
    }
}

/* ---- fetching ---- */

static void
put_position(GByteArray *out, gint16 id, const Fetch *fetch, const Tap *tap)
{
    g_autoptr(GString) text = g_string_new(NULL);

    bookmark_write(text, tap_next(tap),
                   log_partitions(fetch->gateway->firehose),
                   fetch->gateway->check);
    wire_field_bytes(out, id, text->str, text->len);
}

static void
put_item(Fetch *fetch, const Tap *tap, const TapItem *item)
{
    GByteArray *out = fetch->items;

    wire_field_i32(out, 1, (gint32)item->record->partition);
    wire_field_i64(out, 2, (gint64)item->record->offset);
    wire_field_i64(out, 3, item->record->timestamp_ms);
    put_position(out, 4, fetch, tap);
    if (item->decoded) {
        wire_write_field(out, WIRE_STRUCT, 5);
        g_byte_array_append(out, item->event.bytes.data,
                            (guint)item->event.bytes.len);
    } else {
        g_autofree char *why =
            g_strdup_printf("%s %s", item->fault.field, item->fault.reason);
        wire_field_string(out, 6, why);
    }
    wire_write_stop(out);
    fetch->n++;
}

static gboolean
is_full(const Fetch *fetch)
{
    return fetch->n >= (guint)fetch->ask.events_max ||
           fetch->items->len >= BYTES_MAX;
}

static gboolean
is_at_end(const Fetch *fetch, const Tap *tap)
{
    for (guint i = 0; i < log_partitions(fetch->gateway->firehose); i++) {
        if (tap_next(tap)[i] < fetch->end[i]) {
            return FALSE;
        }
    }
    return TRUE;
}

/* How long to wait for records now; negative: no longer. */
static gint64
left_ms(const Fetch *fetch, gint64 begin_us)
{
    gint64 now_us = g_get_monotonic_time();
    gint64 left = (fetch->deadline_us - now_us) / 1000 - ANSWER_MS;

    if (atomic_load(&fetch->gateway->stopping)) {
        return -1;
    }
    if (fetch->n > 0) {
        return 0;
    }
    if (fetch->at_end) {
        left = MIN(left, fetch->ask.wait_ms - (now_us - begin_us) / 1000);
    }
    return left;
}

static void
take_items(Fetch *fetch, Tap *tap)
{
    TapItem item;

    while (!is_full(fetch) && tap_take(tap, &item)) {
        put_item(fetch, tap, &item);
    }
}

/* Reads until there is something to answer with. FALSE: the reader stopped. */
static gboolean
fetch_items(Fetch *fetch, Tap *tap, GError **error)
{
    gint64 begin_us = g_get_monotonic_time();
    TapOutcome outcome;
    gint64 left;

    for (;;) {
        fetch->at_end = is_at_end(fetch, tap);
        left = left_ms(fetch, begin_us);
        outcome = tap_fill(tap, (gint)CLAMP(left, 0, SLICE_MS), error);
        if (outcome == TAP_STOP) {
            return FALSE;
        }
        if (outcome == TAP_RECORDS) {
            take_items(fetch, tap);
        }
        fetch->at_end = is_at_end(fetch, tap);
        if (is_full(fetch) || left < 0 ||
            (outcome != TAP_RECORDS &&
             (fetch->n > 0 || left_ms(fetch, begin_us) <= 0))) {
            return TRUE;
        }
    }
}

static void
answer_fetch(Fetch *fetch, const Tap *tap)
{
    GByteArray *message;

    if (!thread_claim(fetch)) {
        return;
    }
    message = reply_begin(fetch->request);
    metric_add(&fetch->gateway->metrics[GATEWAY_FETCHED], fetch->n);
    wire_write_field(message, WIRE_STRUCT, REPLY_SUCCESS);
    wire_write_field(message, WIRE_LIST, 1);
    wire_write_list(message, WIRE_STRUCT, fetch->n);
    g_byte_array_append(message, fetch->items->data, fetch->items->len);
    put_position(message, 2, fetch, tap);
    wire_field_bool(message, 3, fetch->at_end);
    wire_write_stop(message);
    reply_send(fetch->request, message);
}

static void
answer_unavailable(Fetch *fetch, const char *reason)
{
    if (thread_claim(fetch)) {
        reply_unavailable(fetch->request, reason, RETRY_MS);
    }
}

static void
answer_invalid(Fetch *fetch, const PlaceFault *fault)
{
    if (thread_claim(fetch)) {
        reply_invalid(fetch->request,
                      fetch->ask.place.kind == PLACE_POSITION
                          ? "request.position"
                          : "request.since",
                      fault->reason, fault->limit);
    }
}

/* The offsets to begin with and the log's end. FALSE after an answer. */
static gboolean
find_place(Fetch *fetch)
{
    Gateway *gateway = fetch->gateway;
    const PlaceLog in = {gateway->firehose, gateway->check,
                         gateway->retention_ms};
    g_autoptr(GError) error = NULL;
    PlaceOutcome outcome;
    PlaceFault fault;

    outcome =
        place_resolve(&in, &fetch->ask.place, fetch->next, &fault, &error);
    for (guint i = 0;
         outcome == PLACE_FOUND && i < log_partitions(gateway->firehose); i++) {
        guint64 first;

        if (!log_bounds(gateway->firehose, i, &first, &fetch->end[i], &error)) {
            outcome = PLACE_FAILED;
        }
    }
    if (outcome == PLACE_REFUSED) {
        answer_invalid(fetch, &fault);
    }
    if (outcome == PLACE_FAILED) {
        answer_unavailable(fetch, error->message);
    }
    return outcome == PLACE_FOUND;
}

/* One that rests at the place, or a new one. */
static Tap *
get_tap(Fetch *fetch, GError **error)
{
    Tap *tap = shelf_take(fetch->gateway->shelf, fetch->next);

    if (tap == NULL) {
        return tap_open(fetch->gateway->firehose, fetch->next, &fetch->ask.tap,
                        error);
    }
    tap_set_filter(tap, &fetch->ask.tap);
    return tap;
}

static void
run_fetch(Fetch *fetch)
{
    g_autoptr(GError) error = NULL;
    Tap *tap;

    if (!find_place(fetch)) {
        return;
    }
    tap = get_tap(fetch, &error);
    if (tap == NULL || (!fetch_items(fetch, tap, &error) && fetch->n == 0)) {
        answer_unavailable(fetch, error->message);
    } else {
        answer_fetch(fetch, tap);
    }
    if (tap != NULL && error == NULL) {
        shelf_put(fetch->gateway->shelf, tap);
    } else {
        tap_close(tap);
    }
}

void
fetch_call(Request *request, gpointer user_data)
{
    Gateway *gateway = user_data;
    Context context;
    Fetch *fetch;

    if (!context_read(request, &context)) {
        return;
    }
    fetch = fetch_new(gateway, request, &context, run_fetch);
    if (ask_read(request, &fetch->ask)) {
        fetch_start(fetch);
    } else {
        fetch_free(fetch);
    }
}

/* ---- the partitions ---- */

static gboolean
put_bounds(GByteArray *out, Log *log, guint partition, GError **error)
{
    guint64 first;
    guint64 end;
    gint64 first_ms;
    gint64 last_ms;

    if (!log_bounds(log, partition, &first, &end, error)) {
        return FALSE;
    }
    wire_field_i32(out, 1, (gint32)partition);
    wire_field_i64(out, 2, (gint64)first);
    wire_field_i64(out, 3, (gint64)end);
    if (first < end) {
        if (!place_time_of(log, partition, first, &first_ms, error) ||
            !place_time_of(log, partition, end - 1, &last_ms, error)) {
            return FALSE;
        }
        wire_field_i64(out, 4, first_ms);
        wire_field_i64(out, 5, last_ms);
    }
    wire_write_stop(out);
    return TRUE;
}

static void
run_partitions(Fetch *fetch)
{
    Log *log = fetch->gateway->firehose;
    g_autoptr(GError) error = NULL;
    GByteArray *message;

    for (guint i = 0; i < log_partitions(log); i++) {
        if (!put_bounds(fetch->items, log, i, &error)) {
            answer_unavailable(fetch, error->message);
            return;
        }
    }
    if (!thread_claim(fetch)) {
        return;
    }
    message = reply_begin(fetch->request);
    wire_write_field(message, WIRE_LIST, REPLY_SUCCESS);
    wire_write_list(message, WIRE_STRUCT, log_partitions(log));
    g_byte_array_append(message, fetch->items->data, fetch->items->len);
    reply_send(fetch->request, message);
}

void
partitions_call(Request *request, gpointer user_data)
{
    Context context;

    if (context_read(request, &context)) {
        fetch_start(fetch_new(user_data, request, &context, run_partitions));
    }
}
