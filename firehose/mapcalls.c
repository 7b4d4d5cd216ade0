/*
 * The cell map's way in and out. A new map is appended to the control topic
 * and answered when it is both in the log and in our own feed, so that who
 * sets a map and then asks for it never sees the old one.
 *
 * The ack comes on the log's thread and only leaves its outcome; a timer of
 * the server's thread looks every few milliseconds, and it alone answers. Maps
 * change by the hand of an operator: nobody misses the milliseconds.
 *
 * A gateway lets one setCellMap through at a time. Two gateways may still
 * take one each with the same epoch: there is one operator, and the feed
 * keeps one of the two for all (mapfeed.h).
 */
#include "firehose/gateway_private.h"

#include "firehose/log_wait.h"
#include "ops/kit/error.h"
#include "thrift/reply.h"

#include <string.h>

#define POLL_MS 5

/* The outcomes of log.h, and none yet. */
#define OUTCOME_NONE (-1)

typedef struct MapSet {
    Gateway *gateway;
    Request *request;
    CellMap *map; /* what is being set; owned */
    gint64 deadline_us;
    struct event *timer;
    char *reason;         /* of an outcome that is no success */
    _Atomic gint outcome; /* LogAppendOutcome or OUTCOME_NONE */
    _Atomic guint refs;   /* the timer's and the log's */
} MapSet;

static void
append_map(Log *control, CellMap *map, LogAckFunc acked, gpointer user_data)
{
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    LogEntry entry;

    cellmap_encode(map, bytes);
    entry = (LogEntry){
        .partition = 0,
        .key = {(const guint8 *)CELLMAP_KEY, strlen(CELLMAP_KEY)},
        .value = {bytes->data, bytes->len},
    };
    log_append(control, &entry, 1, acked, user_data);
}

/* ---- getCellMap ---- */

void
mapcalls_get(Request *request, gpointer user_data)
{
    Gateway *gateway = user_data;
    gboolean caught_up = mapfeed_caught_up(gateway->feed);
    g_autoptr(CellMap) map = mapfeed_get(gateway->feed);
    GByteArray *message;
    Context context;

    if (!context_read(request, &context)) {
        return;
    }
    if (map != NULL) {
        message = reply_begin(request);
        wire_write_field(message, WIRE_STRUCT, REPLY_SUCCESS);
        cellmap_encode(map, message);
        reply_send(request, message);
    } else if (caught_up) {
        reply_not_found(request, "a cell map: none has been set");
    } else {
        reply_unavailable(request, "the control topic is not read yet",
                          GATEWAY_RETRY_MS);
    }
}

/* ---- setCellMap ---- */

static gboolean
map_claim(Gateway *gateway)
{
    gboolean claimed;

    pthread_mutex_lock(&gateway->mutex);
    claimed = !gateway->map_pending;
    gateway->map_pending = TRUE;
    pthread_mutex_unlock(&gateway->mutex);
    return claimed;
}

static void
map_release(Gateway *gateway)
{
    pthread_mutex_lock(&gateway->mutex);
    gateway->map_pending = FALSE;
    pthread_mutex_unlock(&gateway->mutex);
}

static void
map_set_unref(MapSet *set)
{
    Gateway *gateway = set->gateway;

    if (atomic_fetch_sub(&set->refs, 1) == 1) {
        g_free(set->reason);
        cellmap_unref(set->map);
        g_free(set);
        map_release(gateway);
        gateway_call_end(gateway);
    }
}

static void
map_set_acked(const LogAck *acks, gsize n, gpointer user_data)
{
    MapSet *set = user_data;

    (void)n;
    set->reason = g_strdup(acks[0].reason);
    atomic_store(&set->outcome, (gint)acks[0].outcome);
    map_set_unref(set);
}

static gint64
feed_epoch(Gateway *gateway)
{
    g_autoptr(CellMap) map = mapfeed_get(gateway->feed);

    return map != NULL ? cellmap_epoch(map) : 0;
}

static void
reply_epoch(Request *request, gint64 epoch)
{
    GByteArray *message = reply_begin(request);

    wire_field_i64(message, REPLY_SUCCESS, epoch);
    reply_send(request, message);
}

static gboolean
map_set_is_seen(const MapSet *set)
{
    return feed_epoch(set->gateway) >= cellmap_epoch(set->map);
}

/* Another gateway may have been first with the same epoch. */
static void
map_set_reply_seen(const MapSet *set)
{
    g_autoptr(CellMap) newest = mapfeed_get(set->gateway->feed);
    gint64 epoch = cellmap_epoch(set->map);

    if (cellmap_epoch(newest) == epoch && !cellmap_equal(newest, set->map)) {
        reply_invalid(set->request, "cell_map.epoch",
                      "was taken by another map", epoch + 1);
        return;
    }
    reply_epoch(set->request, epoch);
}

/* TRUE once the call was answered. */
static gboolean
map_set_answer(MapSet *set)
{
    gint outcome = atomic_load(&set->outcome);

    if (outcome == LOG_APPEND_UNCERTAIN) {
        reply_deadline(set->request, set->reason);
    } else if (outcome != LOG_APPENDED && outcome != OUTCOME_NONE) {
        reply_unavailable(set->request, set->reason, GATEWAY_RETRY_MS);
    } else if (outcome == LOG_APPENDED && map_set_is_seen(set)) {
        map_set_reply_seen(set);
    } else if (g_get_monotonic_time() >= set->deadline_us ||
               atomic_load(&set->gateway->stopping)) {
        reply_deadline(set->request,
                       outcome == LOG_APPENDED
                           ? "the map is in the log but not yet seen there"
                           : "the log has not answered; it may still take "
                             "the map");
    } else {
        return FALSE;
    }
    return TRUE;
}

static void
map_set_look(evutil_socket_t fd, short what, void *user_data)
{
    MapSet *set = user_data;

    (void)fd;
    (void)what;
    if (map_set_answer(set)) {
        event_free(set->timer);
        map_set_unref(set);
    }
}

static void
map_set_start(Gateway *gateway, Request *request, const Context *context,
              CellMap *map)
{
    static const struct timeval poll = {0, POLL_MS * 1000};
    MapSet *set = g_new0(MapSet, 1);

    gateway_call_begin(gateway);
    set->gateway = gateway;
    set->request = request;
    set->map = cellmap_ref(map);
    set->deadline_us = context->deadline_us;
    set->outcome = OUTCOME_NONE;
    set->refs = 2;
    set->timer =
        event_new(request_base(request), -1, EV_PERSIST, map_set_look, set);
    event_add(set->timer, &poll);
    append_map(gateway->control, map, map_set_acked, set);
}

void
mapcalls_set(Request *request, gpointer user_data)
{
    Gateway *gateway = user_data;
    const FrameField *field = &request_frame(request)->field[2];
    g_autoptr(CellMap) map = NULL;
    g_autoptr(GError) error = NULL;
    Context context;
    gint64 expected;

    if (!context_read(request, &context)) {
        return;
    }
    if (field->type != WIRE_STRUCT) {
        reply_invalid(request, "cell_map", "is missing", -1);
        return;
    }
    map = cellmap_decode(field->value, &error);
    if (map == NULL) {
        reply_invalid(request, "cell_map", error->message, -1);
        return;
    }
    if (!mapfeed_caught_up(gateway->feed)) {
        reply_unavailable(request, "the control topic is not read yet",
                          GATEWAY_RETRY_MS);
        return;
    }
    if (!map_claim(gateway)) {
        reply_unavailable(request, "another map is being set",
                          GATEWAY_RETRY_MS);
        return;
    }
    expected = feed_epoch(gateway) + 1;
    if (cellmap_epoch(map) != expected) {
        map_release(gateway);
        reply_invalid(request, "cell_map.epoch",
                      "must be one more than the newest map's", expected);
        return;
    }
    map_set_start(gateway, request, &context, map);
}

/* ---- gateway_publish_map() ---- */

/* The caller may give up before the ack comes: whoever is last frees. */
typedef struct MapWait {
    LogWait wait; /* guards the rest */
    gboolean done;
    gboolean left; /* the caller has given up */
    LogAppendOutcome outcome;
    char *reason;
} MapWait;

static void
map_wait_free(MapWait *wait)
{
    log_wait_clear(&wait->wait);
    g_free(wait->reason);
    g_free(wait);
}

static void
map_wait_acked(const LogAck *acks, gsize n, gpointer user_data)
{
    MapWait *wait = user_data;
    gboolean left;

    (void)n;
    log_wait_lock(&wait->wait);
    wait->done = TRUE;
    wait->outcome = acks[0].outcome;
    wait->reason = g_strdup(acks[0].reason);
    left = wait->left;
    log_wait_wake(&wait->wait);
    log_wait_unlock(&wait->wait);
    if (left) {
        map_wait_free(wait);
    }
}

gboolean
gateway_publish_map(Log *control, CellMap *map, guint timeout_ms,
                    GError **error)
{
    struct timespec deadline = log_wait_deadline(timeout_ms);
    MapWait *wait = g_new0(MapWait, 1);
    gboolean taken;
    gboolean done;

    log_wait_init(&wait->wait);
    append_map(control, map, map_wait_acked, wait);
    log_wait_lock(&wait->wait);
    while (!wait->done && log_wait_until(&wait->wait, &deadline)) {
    }
    done = wait->done;
    wait->left = !done;
    log_wait_unlock(&wait->wait);
    if (!done) {
        g_set_error(error, COMB_ERROR, COMB_ERROR_UNREACHABLE,
                    "cell map: the log has not answered in %u ms; it may "
                    "still take it",
                    timeout_ms);
        return FALSE;
    }
    taken = wait->outcome == LOG_APPENDED;
    if (!taken) {
        g_set_error(error, COMB_ERROR, COMB_ERROR_IO, "cell map: %s",
                    wait->reason);
    }
    map_wait_free(wait);
    return taken;
}
