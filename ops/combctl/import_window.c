/*
 * import_window.c - events on their way to the gateway, many at a time
 *
 * The batches are a ring: [first, first + used) hold events, in the order of
 * the file; the one behind them is being filled. Each batch goes through:
 *
 *   filling -> to send -> under way -> settled (leaves at the ring's front)
 *                 ^           |
 *                 +-----------+  some events were not taken
 *
 * Replies come in the order of sending. As long as nothing fails, that is the
 * order of the ring: the oldest reply is awaited only when the ring is full.
 * When something fails, no new events are taken: the replies that are still to
 * come are read, and then what is left of each batch is sent again, after a
 * pause that doubles. A lost connection is the same, with no reply to come.
 *
 * Order on the wire does not matter to Comb, so that a batch may overtake.
 */
#include "ops/combctl/import_window.h"

#include "ops/kit/ensure.h"
#include "ops/kit/error.h"

#include <thrift/c_glib/thrift_application_exception.h>

#define BATCH_BYTES_MAX (4 << 20)
#define PAUSE_FIRST_MS 50
#define PAUSE_MAX_MS 2000

typedef struct Slot {
    CombEvent *event; /* owned, filled again and again */
    guint64 line;     /* where it came from */
} Slot;

typedef struct Batch {
    Slot *slots;       /* as many as a batch holds */
    guint used;        /* slots filled */
    gsize bytes;       /* about how much they take */
    GArray *open;      /* indexes of slots that are not settled */
    gboolean underway; /* sent, and no reply yet */
} Batch;

struct Window {
    WindowOptions options; /* as given */
    Peer *peer;            /* NULL while disconnected */
    Batch *ring;           /* options.batches + 1 */
    guint first;           /* the oldest batch */
    guint used;            /* batches closed for filling */
    GPtrArray *sending;    /* borrowed events, for the generated call */
    GPtrArray *results;    /* CombPublishResult, used for each reply */
    GQueue underway;       /* Batch, in the order of sending */
    GError *trouble;       /* the last failure; NULL: all goes well */
    guint pause_ms;        /* before sending again */
    gint64 progress_us;    /* monotonic, of the last acknowledgement */
    guint64 acknowledged;  /* events */
    guint64 lines_in;      /* of the last batch that left the ring */
};

static Batch *
batch_at(Window *window, guint i)
{
    return &window->ring[(window->first + i) % (window->options.batches + 1)];
}

Window *
window_open(const WindowOptions *options, GError **error)
{
    Peer *peer = peer_open_gateway(options->ctl, error);

    if (peer == NULL) {
        return NULL;
    }
    Window *window = g_new0(Window, 1);
    window->options = *options;
    window->peer = peer;
    window->ring = g_new0(Batch, options->batches + 1);
    for (guint i = 0; i <= options->batches; i++) {
        window->ring[i].slots = g_new0(Slot, options->batch);
        window->ring[i].open = g_array_new(FALSE, FALSE, sizeof(guint));
    }
    window->sending = g_ptr_array_new();
    window->results = g_ptr_array_new_with_free_func(g_object_unref);
    window->pause_ms = PAUSE_FIRST_MS;
    window->progress_us = g_get_monotonic_time();
    return window;
}

/* Notes why a batch did not go through. Takes @error. */
static void
note_trouble(Window *window, GError *error)
{
    g_clear_error(&window->trouble);
    window->trouble = error;
}

/* After a failed send or receive nothing on the connection can be trusted. */
static void
disconnect(Window *window, GError *error)
{
    Batch *batch = NULL;

    while ((batch = g_queue_pop_head(&window->underway)) != NULL) {
        batch->underway = FALSE;
    }
    g_clear_pointer(&window->peer, peer_close);
    note_trouble(window, error);
}

static void
send_batch(Window *window, Batch *batch)
{
    GError *error = NULL;

    g_ptr_array_set_size(window->sending, 0);
    for (guint i = 0; i < batch->open->len; i++) {
        guint slot = g_array_index(batch->open, guint, i);
        g_ptr_array_add(window->sending, batch->slots[slot].event);
    }
    if (!comb_firehose_client_send_publish(window->peer->service,
                                           window->sending,
                                           window->peer->context, &error)) {
        disconnect(window, error);
        return;
    }
    batch->underway = TRUE;
    g_queue_push_tail(&window->underway, batch);
}

/* Looks at one event's result. TRUE: it need not be sent again. */
static gboolean
settle_event(Window *window, const Slot *slot, const CombPublishResult *result)
{
    if (result->__isset_refused) {
        window->options.refused(slot->line, result->refused,
                                window->options.user_data);
        return TRUE;
    }
    if (result->__isset_failed || !result->__isset_position) {
        note_trouble(window,
                     g_error_new(COMB_ERROR, COMB_ERROR_UNREACHABLE,
                                 "the gateway could not log an event: %s",
                                 result->__isset_failed ? result->failed->reason
                                                        : "no position"));
        return FALSE;
    }
    window->acknowledged++;
    return TRUE;
}

static void
settle_batch(Window *window, Batch *batch)
{
    guint left = 0;

    for (guint i = 0; i < batch->open->len; i++) {
        guint slot = g_array_index(batch->open, guint, i);
        if (!settle_event(window, &batch->slots[slot],
                          g_ptr_array_index(window->results, i))) {
            g_array_index(batch->open, guint, left++) = slot;
        }
    }
    if (left < batch->open->len) {
        window->progress_us = g_get_monotonic_time();
        window->pause_ms = PAUSE_FIRST_MS;
    }
    g_array_set_size(batch->open, left);
}

/*
 * The call as a whole was not answered with results. TRUE: it may be sent
 * again.
 */
static gboolean
take_refusal(Window *window, const Refusals *refusals, GError *left,
             GError **error)
{
    gboolean lost = refusals->invalid == NULL && refusals->overloaded == NULL &&
                    refusals->deadline == NULL &&
                    refusals->unavailable == NULL && refusals->denied == NULL;
    gboolean foreign =
        g_error_matches(left, THRIFT_APPLICATION_EXCEPTION_ERROR,
                        THRIFT_APPLICATION_EXCEPTION_ERROR_UNKNOWN_METHOD);

    (void)refusals_explain(refusals, window->peer, &left);
    if (refusals->invalid != NULL || refusals->denied != NULL || foreign) {
        g_propagate_error(error, left);
        return FALSE;
    }
    if (lost) {
        disconnect(window, left);
        return TRUE;
    }
    if (refusals->overloaded != NULL) {
        window->pause_ms = MAX(
            window->pause_ms, (guint)CLAMP(refusals->overloaded->retry_after_ms,
                                           0, PAUSE_MAX_MS));
    }
    note_trouble(window, left);
    return TRUE;
}

/* Settled batches leave at the front. */
static void
retire_batches(Window *window)
{
    while (window->used > 0) {
        Batch *batch = batch_at(window, 0);
        if (batch->underway || batch->open->len > 0) {
            return;
        }
        window->lines_in = batch->slots[batch->used - 1].line;
        batch->used = 0;
        batch->bytes = 0;
        window->first = (window->first + 1) % (window->options.batches + 1);
        window->used--;
    }
}

/* Waits for the oldest reply. FALSE: the gateway will never take this. */
static gboolean
receive_reply(Window *window, GError **error)
{
    g_auto(Refusals) refusals = {0};
    GError *left = NULL;
    Batch *batch = g_queue_pop_head(&window->underway);

    batch->underway = FALSE;
    g_ptr_array_set_size(window->results, 0);
    if (!comb_firehose_client_recv_publish(
            window->peer->service, &window->results, &refusals.invalid,
            &refusals.overloaded, &refusals.deadline, &refusals.unavailable,
            &refusals.denied, &left)) {
        return take_refusal(window, &refusals, left, error);
    }
    if (window->results->len != batch->open->len) {
        g_set_error(error, COMB_ERROR, COMB_ERROR_UNREACHABLE,
                    "the gateway answered for %u of %u events",
                    window->results->len, batch->open->len);
        return FALSE;
    }
    settle_batch(window, batch);
    retire_batches(window);
    return TRUE;
}

/* Sleeps before the next try. FALSE: no more tries. */
static gboolean
pause_sending(Window *window, GError **error)
{
    gint64 waited_us = g_get_monotonic_time() - window->progress_us;

    if (waited_us > (gint64)window->options.retry_s * G_USEC_PER_SEC) {
        g_propagate_error(error, g_steal_pointer(&window->trouble));
        g_prefix_error(error, "gave up after %u s: ", window->options.retry_s);
        return FALSE;
    }
    if (interrupt_wait(window->options.interrupt, window->pause_ms)) {
        g_propagate_error(error, g_steal_pointer(&window->trouble));
        g_prefix_error(error, "interrupted while trying again: ");
        return FALSE;
    }
    window->pause_ms = MIN(window->pause_ms * 2, PAUSE_MAX_MS);
    return TRUE;
}

/* Sends again what is not in, until a round goes through without trouble. */
static gboolean
recover(Window *window, GError **error)
{
    while (window->trouble != NULL) {
        while (!g_queue_is_empty(&window->underway)) {
            if (!receive_reply(window, error)) {
                return FALSE;
            }
        }
        if (!pause_sending(window, error)) {
            return FALSE;
        }
        g_clear_error(&window->trouble);
        if (window->peer == NULL) {
            window->peer =
                peer_open_gateway(window->options.ctl, &window->trouble);
        }
        for (guint i = 0; i < window->used && window->peer != NULL; i++) {
            if (batch_at(window, i)->open->len > 0) {
                send_batch(window, batch_at(window, i));
            }
        }
    }
    return TRUE;
}

/* The batch that is being filled is full enough: send it. */
static gboolean
close_batch(Window *window, GError **error)
{
    Batch *batch = batch_at(window, window->used);

    if (batch->used == 0) {
        return TRUE;
    }
    g_array_set_size(batch->open, 0);
    for (guint i = 0; i < batch->used; i++) {
        g_array_append_val(batch->open, i);
    }
    window->used++;
    send_batch(window, batch);
    while (window->trouble != NULL || window->used == window->options.batches) {
        if (window->trouble != NULL ? !recover(window, error)
                                    : !receive_reply(window, error)) {
            return FALSE;
        }
    }
    return TRUE;
}

CombEvent *
window_next(Window *window)
{
    Batch *batch = batch_at(window, window->used);
    Slot *slot = &batch->slots[batch->used];

    if (slot->event == NULL) {
        slot->event = g_object_new(COMB_TYPE_EVENT, NULL);
    }
    return slot->event;
}

gboolean
window_keep(Window *window, guint64 line, gsize bytes, GError **error)
{
    Batch *batch = batch_at(window, window->used);

    ensure(batch->used < window->options.batch);
    batch->slots[batch->used++].line = line;
    batch->bytes += bytes;
    if (batch->used < window->options.batch && batch->bytes < BATCH_BYTES_MAX) {
        return TRUE;
    }
    return close_batch(window, error);
}

gboolean
window_drain(Window *window, GError **error)
{
    if (!close_batch(window, error)) {
        return FALSE;
    }
    while (window->used > 0) {
        if (window->trouble != NULL ? !recover(window, error)
                                    : !receive_reply(window, error)) {
            return FALSE;
        }
    }
    return TRUE;
}

guint64
window_acknowledged(const Window *window)
{
    return window->acknowledged;
}

guint64
window_lines_in(const Window *window)
{
    return window->lines_in;
}

void
window_close(Window *window)
{
    for (guint i = 0; i <= window->options.batches; i++) {
        for (guint k = 0; k < window->options.batch; k++) {
            g_clear_object(&window->ring[i].slots[k].event);
        }
        g_free(window->ring[i].slots);
        g_array_unref(window->ring[i].open);
    }
    g_free(window->ring);
    g_queue_clear(&window->underway);
    g_ptr_array_unref(window->sending);
    g_ptr_array_unref(window->results);
    g_clear_pointer(&window->peer, peer_close);
    g_clear_error(&window->trouble);
    g_free(window);
}
