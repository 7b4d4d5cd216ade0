/*
 * A fetch is stateless: its place becomes offsets, a tap is opened (or one
 * that rests there is taken off the shelf), and what is there is written as
 * it comes, on a thread of its own (blockingcall.h). It waits only as long as
 * it has nothing: for records that the log has, up to the deadline; at the
 * end, for wait_ms; no longer where the gateway stops.
 */
#include "firehose/ask.h"
#include "firehose/blockingcall.h"
#include "firehose/bookmark.h"
#include "thrift/reply.h"

#define BYTES_MAX (4 * 1024 * 1024)
#define SLICE_MS 200

/* Waiting for events ends so long before the deadline, to answer in time. */
#define ANSWER_MS 50

typedef struct Fetch {
    BlockingCall call;
    Ask ask;
    guint64 *next;     /* by partition: where to begin */
    guint64 *end;      /* by partition: of the log when the call came */
    GByteArray *items; /* encoded LoggedEvents */
    guint n;
    gboolean at_end;
} Fetch;

static void
fetch_clear(BlockingCall *call)
{
    Fetch *fetch = (Fetch *)call;

    ask_clear(&fetch->ask);
    g_free(fetch->next);
    g_free(fetch->end);
    g_byte_array_unref(fetch->items);
}

static void
put_position(GByteArray *out, gint16 id, const Fetch *fetch, const Tap *tap)
{
    g_autoptr(GString) text = g_string_new(NULL);

    bookmark_write(text, tap_next(tap),
                   log_partitions(fetch->call.gateway->firehose),
                   fetch->call.gateway->check);
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
    for (guint i = 0; i < log_partitions(fetch->call.gateway->firehose); i++) {
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
    gint64 left = (fetch->call.deadline_us - now_us) / 1000 - ANSWER_MS;

    if (atomic_load(&fetch->call.gateway->stopping)) {
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

    if (!blockingcall_claim(&fetch->call)) {
        return;
    }
    message = reply_begin(fetch->call.request);
    metric_add(&fetch->call.gateway->metrics[GATEWAY_FETCHED], fetch->n);
    wire_write_field(message, WIRE_STRUCT, REPLY_SUCCESS);
    wire_write_field(message, WIRE_LIST, 1);
    wire_write_list(message, WIRE_STRUCT, fetch->n);
    g_byte_array_append(message, fetch->items->data, fetch->items->len);
    put_position(message, 2, fetch, tap);
    wire_field_bool(message, 3, fetch->at_end);
    wire_write_stop(message);
    reply_send(fetch->call.request, message);
}

static void
answer_invalid(Fetch *fetch, const PlaceFault *fault)
{
    const char *field = fetch->ask.place.kind == PLACE_POSITION
                            ? "request.position"
                            : "request.since";

    blockingcall_invalid(&fetch->call,
                         fault->committed ? "request.client_id" : field,
                         fault->reason, fault->limit);
}

/* The offsets to begin with and the log's end. FALSE after an answer. */
static gboolean
find_place(Fetch *fetch)
{
    Gateway *gateway = fetch->call.gateway;
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
        blockingcall_unavailable(&fetch->call, error->message);
    }
    return outcome == PLACE_FOUND;
}

/* One that rests at the place, or a new one. */
static Tap *
get_tap(Fetch *fetch, GError **error)
{
    Tap *tap = shelf_take(fetch->call.gateway->shelf, fetch->next);

    if (tap == NULL) {
        return tap_open(fetch->call.gateway->firehose, fetch->next,
                        &fetch->ask.tap, error);
    }
    tap_set_filter(tap, &fetch->ask.tap);
    return tap;
}

static void
run_fetch(BlockingCall *call)
{
    Fetch *fetch = (Fetch *)call;
    g_autoptr(GError) error = NULL;
    Tap *tap;

    if (!find_place(fetch)) {
        return;
    }
    tap = get_tap(fetch, &error);
    if (tap == NULL || (!fetch_items(fetch, tap, &error) && fetch->n == 0)) {
        blockingcall_unavailable(&fetch->call, error->message);
    } else {
        answer_fetch(fetch, tap);
    }
    if (tap != NULL && error == NULL) {
        shelf_put(fetch->call.gateway->shelf, tap);
    } else {
        tap_close(tap);
    }
}

void
fetch_call(Request *request, gpointer user_data)
{
    Gateway *gateway = user_data;
    guint partitions = log_partitions(gateway->firehose);
    Context context;
    Fetch *fetch;

    if (!context_read(request, &context)) {
        return;
    }
    fetch = g_new0(Fetch, 1);
    blockingcall_init(&fetch->call, gateway, request, &context);
    fetch->call.run = run_fetch;
    fetch->call.clear = fetch_clear;
    fetch->next = g_new0(guint64, partitions);
    fetch->end = g_new0(guint64, partitions);
    fetch->items = g_byte_array_new();
    blockingcall_start(&fetch->call, ask_read(request, &fetch->ask));
}
