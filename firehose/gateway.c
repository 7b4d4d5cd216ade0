/*
 * The gateway is a Thrift server, an id clock and two logs to append to. It
 * keeps nothing else: any number of gateways may run side by side, each with
 * a node number of its own.
 *
 * Handlers run on the server's threads and never wait: a publish is appended
 * and its handler returns; the log's thread answers when the log has it, or
 * the server thread's timer does at the deadline, whichever is first
 * (publish.c). The only wait is the id clock's, a few milliseconds every few
 * seconds (idclock.c).
 *
 * Stopping: the server is drained, so that whoever waits is answered; then
 * the log's last calls back are awaited, since they touch the gateway even
 * where the answer went out at the deadline. The log gives up by itself after
 * its delivery timeout, so this ends.
 */
#include "firehose/gateway.h"

#include "firehose/gateway_private.h"
#include "firehose/position.h"
#include "ops/kit/ensure.h"
#include "ops/kit/logger.h"
#include "thrift/reply.h"
#include "thrift/serverstatus.h"

#include <string.h>

#define CONNECTIONS_MAX 4096
#define IN_FLIGHT_MAX 128
/* Writers would rather wait than try again, which costs more. */
#define QUEUE_MS 1000
#define DRAIN_MS 10000
#define SHELF_KEEP_MS 10000

#define PUBLISHED(kind_label)                                                  \
    {                                                                          \
        .name = "comb_gateway_published_total",                                \
        .labels = "kind=\"" kind_label "\"", .kind = METRIC_COUNTER,           \
        .help = "Events that the log took, by kind."                           \
    }

/* Each gateway counts in a copy. */
static const Metric metrics_template[GATEWAY_METRICS] = {
    PUBLISHED("post"),
    PUBLISHED("edit"),
    PUBLISHED("delete"),
    PUBLISHED("follow"),
    PUBLISHED("unfollow"),
    PUBLISHED("like"),
    PUBLISHED("unlike"),
    PUBLISHED("block"),
    PUBLISHED("unblock"),
    PUBLISHED("mute"),
    PUBLISHED("unmute"),
    PUBLISHED("read_mark"),
    PUBLISHED("delete_user"),
    [GATEWAY_REFUSED] = {"comb_gateway_refused_total", NULL, METRIC_COUNTER,
                         "Events that were wrong.", 0},
    [GATEWAY_FAILED] = {"comb_gateway_failed_total", NULL, METRIC_COUNTER,
                        "Good events that the log did not acknowledge.", 0},
    [GATEWAY_BYTES] = {"comb_gateway_published_bytes_total", NULL,
                       METRIC_COUNTER, "Bytes of events that the log took.", 0},
    [GATEWAY_LATE] = {"comb_gateway_late_total", NULL, METRIC_COUNTER,
                      "Calls whose deadline passed before the log answered.",
                      0},
    [GATEWAY_OVERLOADED] = {"comb_gateway_overloaded_total", NULL,
                            METRIC_COUNTER,
                            "Calls refused because too much is pending.", 0},
    [GATEWAY_CALLS] = {"comb_gateway_calls_total", NULL, METRIC_COUNTER,
                       "Calls received.", 0},
    [GATEWAY_BAD_FRAMES] = {"comb_gateway_bad_frames_total", NULL,
                            METRIC_COUNTER,
                            "Connections closed for what they sent.", 0},
    [GATEWAY_CONNECTIONS] = {"comb_gateway_connections", NULL, METRIC_GAUGE,
                             "Open connections.", 0},
    [GATEWAY_PENDING_BYTES] = {"comb_gateway_pending_bytes", NULL, METRIC_GAUGE,
                               "Bytes appended and not yet acknowledged.", 0},
    [GATEWAY_IDS_AHEAD] = {"comb_gateway_ids_ahead_seconds", NULL,
                           METRIC_GAUGE_MS,
                           "How far the id clock is ahead of the wall clock.",
                           0},
    [GATEWAY_TLS_FAULTS] = {"comb_gateway_tls_faults_total", NULL,
                            METRIC_COUNTER,
                            "Clients closed for TLS or certificate.", 0},
    [GATEWAY_DENIED] = {"comb_gateway_denied_total", NULL, METRIC_COUNTER,
                        "Calls not permitted to who made them.", 0},
    [GATEWAY_SHED] = {"comb_gateway_shed_total", NULL, METRIC_COUNTER,
                      "Calls refused because they would have waited too long.",
                      0},
    [GATEWAY_FETCHED] = {"comb_gateway_fetched_total", NULL, METRIC_COUNTER,
                         "Events given out by fetch.", 0},
    [GATEWAY_FETCHES] = {"comb_gateway_consuming", NULL, METRIC_GAUGE,
                         "Calls that read the log now.", 0},
};

void
gateway_call_begin(Gateway *gateway)
{
    pthread_mutex_lock(&gateway->mutex);
    gateway->pending_calls++;
    pthread_mutex_unlock(&gateway->mutex);
}

void
gateway_call_end(Gateway *gateway)
{
    pthread_mutex_lock(&gateway->mutex);
    ensure(gateway->pending_calls > 0);
    gateway->pending_calls--;
    if (gateway->pending_calls == 0) {
        pthread_cond_signal(&gateway->idle);
    }
    pthread_mutex_unlock(&gateway->mutex);
}

gboolean
gateway_ids(Gateway *gateway, Request *request, const Context *context,
            guint count, gint64 *ret_first)
{
    switch (idclock_next(gateway->clock, count, context->last_id, ret_first)) {
    case IDCLOCK_GIVEN:
        return TRUE;
    case IDCLOCK_AFTER_AHEAD:
        reply_invalid(request, "ctx.last_id",
                      "is ahead of the clock by more milliseconds",
                      IDCLOCK_AFTER_MS_MAX);
        return FALSE;
    case IDCLOCK_OVERLOADED:
        metric_add(&gateway->metrics[GATEWAY_OVERLOADED], 1);
        reply_overloaded(request, GATEWAY_RETRY_MS);
        return FALSE;
    case IDCLOCK_FAILED:
    default:
        reply_unavailable(request, "the gateway cannot write its id clock",
                          1000);
        return FALSE;
    }
}

static void
ids_call(Request *request, gpointer user_data)
{
    Gateway *gateway = user_data;
    gint32 count = frame_i32(request_frame(request), 2, 0);
    GByteArray *message;
    Context context;
    gint64 first;

    if (!context_read(request, &context)) {
        return;
    }
    if (count < 1 || count > IDS_MAX) {
        reply_invalid(request, "count", "must be from 1 to the limit", IDS_MAX);
        return;
    }
    if (!gateway_ids(gateway, request, &context, (guint)count, &first)) {
        return;
    }
    message = reply_begin(request);
    wire_write_field(message, WIRE_LIST, REPLY_SUCCESS);
    wire_write_list(message, WIRE_I64, (guint32)count);
    for (gint64 i = 0; i < count; i++) {
        wire_write_i64(message, first + i * IDCLOCK_STEP);
    }
    reply_send(request, message);
}

static const ServerMethod methods[] = {
    {"publish", publish_call},
    {"createPost", form_call},
    {"editPost", form_call},
    {"deletePost", form_call},
    {"follow", form_call},
    {"unfollow", form_call},
    {"like", form_call},
    {"unlike", form_call},
    {"block", form_call},
    {"unblock", form_call},
    {"mute", form_call},
    {"unmute", form_call},
    {"markRead", form_call},
    {"deleteUser", form_call},
    {"nextIds", ids_call},
    {"getCellMap", mapcalls_get},
    {"setCellMap", mapcalls_set},
    {"fetch", fetch_call},
    {"getPartitions", partitions_call},
    {"commit", commit_call},
    {"rewind", rewind_call},
    {"getLag", lag_call},
    {NULL, NULL},
};

static void
refresh_metrics(gpointer user_data)
{
    Gateway *gateway = user_data;
    ServerStats stats;

    server_stats(gateway->server, &stats);
    metric_set(&gateway->metrics[GATEWAY_CALLS], (gint64)stats.calls);
    metric_set(&gateway->metrics[GATEWAY_BAD_FRAMES], (gint64)stats.bad_frames);
    metric_set(&gateway->metrics[GATEWAY_CONNECTIONS], stats.connections);
    metric_set(&gateway->metrics[GATEWAY_TLS_FAULTS], (gint64)stats.tls_faults);
    metric_set(&gateway->metrics[GATEWAY_DENIED], (gint64)stats.denied);
    metric_set(&gateway->metrics[GATEWAY_SHED], (gint64)stats.overloaded);
    metric_set(&gateway->metrics[GATEWAY_PENDING_BYTES],
               (gint64)gateway->pending_bytes);
    metric_set(&gateway->metrics[GATEWAY_FETCHES], gateway->consuming);
    metric_set(&gateway->metrics[GATEWAY_IDS_AHEAD],
               idclock_ahead_ms(gateway->clock));
}

static void
tell(Section *section, gpointer user_data)
{
    Gateway *gateway = user_data;
    g_autoptr(CellMap) map = mapfeed_get(gateway->feed);

    section_fact(section, "Epoch of the cell map", "%" G_GINT64_FORMAT,
                 map != NULL ? cellmap_epoch(map) : 0);
    section_bytes(section, "Waiting for the log",
                  (gint64)gateway->pending_bytes);
    section_fact(section, "Calls that read the log", "%u", gateway->consuming);
    section_fact(section, "Id clock ahead", "%" G_GINT64_FORMAT " ms",
                 idclock_ahead_ms(gateway->clock));
    serverstatus_tell(gateway->server, section);
    log_ends_tell(gateway->ends, NULL, section);
}

static void
add_status(Gateway *gateway, Status *status)
{
    const StatusPart part = {
        .name = "gateway",
        .labels = "server=\"gateway\"",
        .calls = server_calls(gateway->server),
        .tell = tell,
        .user_data = gateway,
    };

    if (status != NULL) {
        gateway->ends = log_ends_start(gateway->firehose);
        status_add(status, &part);
    }
}

static void
gateway_free(Gateway *gateway)
{
    g_clear_pointer(&gateway->ends, log_ends_stop);
    g_clear_pointer(&gateway->streams, streams_stop);
    members_free(gateway->members);
    shelf_free(gateway->shelf);
    sealer_free(gateway->sealer);
    g_free(gateway->lane_bytes);
    idclock_close(gateway->clock);
    pthread_cond_destroy(&gateway->idle);
    pthread_mutex_destroy(&gateway->mutex);
    g_free(gateway);
}

/* Streams are plain text and ask nobody's name: who has asked for TLS does not
   want every event to be had that way. */
static gboolean
start_streams(Gateway *gateway, const GatewayOptions *options, Metrics *metrics,
              GError **error)
{
    const StreamsOptions streams = {
        .host = options->host,
        .port = options->http_port,
        .log = {gateway->firehose, gateway->check, options->retention_ms},
        .metrics = metrics,
        .members = gateway->members,
    };

    if (options->tls != NULL) {
        return TRUE;
    }
    gateway->streams = streams_start(&streams, error);
    return gateway->streams != NULL;
}

Gateway *
gateway_start(const GatewayOptions *options, Log *firehose, Log *control,
              MapFeed *feed, Metrics *metrics, GError **error)
{
    Gateway *gateway = g_new0(Gateway, 1);
    ServerOptions server = {
        .host = options->host,
        .port = options->port,
        .threads = options->threads,
        .connections_max = CONNECTIONS_MAX,
        .frame_bytes_max = FRAME_BYTES_MAX,
        .in_flight_max = IN_FLIGHT_MAX,
        .queue_ms = QUEUE_MS,
        .tls = options->tls,
        .methods = methods,
        .user_data = gateway,
        .patient = "fetch",
    };

    gateway->firehose = firehose;
    gateway->control = control;
    gateway->feed = feed;
    gateway->check = position_check(log_identity(firehose));
    gateway->pending_bytes_max = options->pending_bytes_max;
    gateway->lane_bytes = g_new0(_Atomic gsize, log_partitions(firehose) + 1);
    gateway->retention_ms = options->retention_ms;
    gateway->members = members_new();
    gateway->sealer = sealer_new(firehose);
    gateway->shelf = shelf_new(log_partitions(firehose), SHELF_KEEP_MS);
    pthread_mutex_init(&gateway->mutex, NULL);
    pthread_cond_init(&gateway->idle, NULL);
    memcpy(gateway->metrics, metrics_template, sizeof(metrics_template));
    gateway->clock =
        idclock_open(options->data_dir, options->node, NULL, NULL, error);
    if (gateway->clock == NULL ||
        !start_streams(gateway, options, metrics, error)) {
        gateway_free(gateway);
        return NULL;
    }
    gateway->server = server_start(&server, error);
    if (gateway->server == NULL) {
        gateway_free(gateway);
        return NULL;
    }
    metrics_register(metrics, gateway->metrics, GATEWAY_METRICS);
    metrics_refresh(metrics, refresh_metrics, gateway);
    add_status(gateway, options->status);
    return gateway;
}

guint16
gateway_port(const Gateway *gateway)
{
    return server_port(gateway->server);
}

char *
gateway_http(const Gateway *gateway, const char *host)
{
    return gateway->streams == NULL
               ? g_strdup("off")
               : g_strdup_printf("%s:%u", host, streams_port(gateway->streams));
}

char *
gateway_healthy(const Gateway *gateway)
{
    return atomic_load(&gateway->log_failed)
               ? g_strdup("the log takes no more appends; restart")
               : NULL;
}

void
gateway_stop(Gateway *gateway)
{
    atomic_store(&gateway->stopping, TRUE);
    g_clear_pointer(&gateway->streams, streams_stop);
    if (!server_drain(gateway->server, DRAIN_MS)) {
        logger_warn("firehose.gateway", "calls left at stop", "waited_ms=%d",
                    DRAIN_MS);
    }
    pthread_mutex_lock(&gateway->mutex);
    while (gateway->pending_calls > 0) {
        pthread_cond_wait(&gateway->idle, &gateway->mutex);
    }
    pthread_mutex_unlock(&gateway->mutex);
    server_stop(gateway->server);
    gateway_free(gateway);
}
