/*
 * comb-firehose: the gateway over a Kafka cluster. A column of starts and its
 * mirror of stops; every failure on the way comes out of run() as one error,
 * is logged once and ends the process with 1. Wrong settings end it with 2
 * before anything is touched.
 *
 * The topics are made where they are missing and checked where not: a topic
 * whose settings would lose data stops the start (log.h). The feed opens the
 * control topic for itself, so that it may come back to it.
 */
#include "firehose/gateway.h"
#include "ops/kit/admin.h"
#include "ops/kit/daemon.h"
#include "ops/kit/paths.h"
#include "thrift/id.h"

typedef struct Options {
    char *brokers;
    char *host;
    gint64 port;
    gint64 http_port;
    gint64 admin_port;
    gint64 node;
    char *data_dir; /* NULL: the default */
    gint64 threads;
    gint64 partitions;
    gint64 replication;
    gint64 retention_hours;
    gint64 connect_timeout_ms;
    gint64 delivery_timeout_ms;
    gint64 pending_mb;
    TlsFiles tls_files;
    Tls *tls;       /* no setting: of those files; NULL: plain text */
    Status *status; /* no setting: for the status page */
} Options;

static const char summary[] =
    "The gateway: publishes events to Kafka and gives ids.";

#define READY_POLL_US 5000
#define PLACE(field) G_STRUCT_OFFSET(Options, field)

static const Setting settings[] = {
    {"brokers", SETTING_REQUIRED, PLACE(brokers), NULL, 0, 0, "",
     "Kafka brokers to begin with, host:port,host:port. Required."},
    {"host", SETTING_STRING, PLACE(host), "127.0.0.1", 0, 0, "",
     "Numeric address to listen on."},
    {"port", SETTING_INT, PLACE(port), "9110", 0, 65535, "",
     "Port of the Firehose service; 0 takes any."},
    {"http-port", SETTING_INT, PLACE(http_port), "9111", 0, 65535, "",
     "Port of GET /v1/stream; 0 takes any. Not opened with tls-cert: it is "
     "plain text."},
    {"admin-port", SETTING_INT, PLACE(admin_port), "9190", 0, 65535, "",
     "Port of /status, /metrics, /healthz and /readyz; 0 takes any."},
    {"node", SETTING_INT, PLACE(node), "0", 0, ID_NODE_MAX, "",
     "Number of this gateway in the ids it gives; no other's."},
    {"data-dir", SETTING_STRING, PLACE(data_dir), NULL, 0, 0, "",
     "Directory of the id clock; default comb/firehose in the XDG state "
     "directory."},
    {"threads", SETTING_INT, PLACE(threads), "1", 1, 64, "",
     "Threads that serve calls."},
    {"partitions", SETTING_INT, PLACE(partitions), "8", 1, 1024, "",
     "Partitions of the firehose topic; fixed once it is made."},
    {"replication", SETTING_INT, PLACE(replication), "1", 1, 7, "",
     "Brokers that hold each record, where topics are made."},
    {"retention-hours", SETTING_INT, PLACE(retention_hours), "168", 1,
     24 * 3650, "h", "How long the firehose keeps records, at least."},
    {"connect-timeout-ms", SETTING_INT, PLACE(connect_timeout_ms), "10000", 100,
     600000, "ms", "How long to wait for a broker at start."},
    {"delivery-timeout-ms", SETTING_INT, PLACE(delivery_timeout_ms), "30000",
     1000, 600000, "ms", "An append is given up after this."},
    {"pending-mb", SETTING_INT, PLACE(pending_mb), "64", 1, 4096, "MiB",
     "Bytes waiting for the log; beyond, and where one partition has as many "
     "as are left, calls are refused as overloaded."},
    TLS_SERVER_SETTINGS(Options, tls_files),
    {0},
};

static gboolean
check(gpointer user_data, GError **error)
{
    const Options *options = user_data;

    return tls_files_check(&options->tls_files, TLS_SERVER, "tls", error);
}

static void
reload(gpointer tls)
{
    tls_reload(tls);
}

static Log *
open_control(LogCluster *cluster, const Options *options, GError **error)
{
    const LogTopic topic = {
        .name = LOG_CONTROL_TOPIC,
        .partitions = 1,
        .compacted = TRUE,
        .retention_ms = -1,
        .replication = (guint)options->replication,
    };

    return log_open(cluster, &topic, TRUE, error);
}

static Log *
open_firehose(LogCluster *cluster, const Options *options, GError **error)
{
    const LogTopic topic = {
        .name = LOG_FIREHOSE_TOPIC,
        .partitions = (guint)options->partitions,
        .retention_ms = options->retention_hours * 3600 * 1000,
        .replication = (guint)options->replication,
    };

    return log_open(cluster, &topic, TRUE, error);
}

/* What the admin port asks. */
typedef struct Probed {
    Gateway *gateway;
    MapFeed *feed;
} Probed;

static char *
healthy(gpointer user_data)
{
    const Probed *probed = user_data;

    return gateway_healthy(probed->gateway);
}

/* Ready means able to answer for the cell map too, not only to publish. */
static char *
ready(gpointer user_data)
{
    const Probed *probed = user_data;

    return mapfeed_caught_up(probed->feed)
               ? NULL
               : g_strdup("reading the control topic");
}

static gboolean
run_admin(const Options *options, Gateway *gateway, MapFeed *feed,
          Metrics *metrics, GError **error)
{
    Probed probed = {gateway, feed};
    const AdminOptions admin_options = {
        .host = options->host,
        .port = (guint16)options->admin_port,
        .metrics = metrics,
        .status = options->status,
        .healthy = healthy,
        .ready = ready,
        .user_data = &probed,
    };
    Admin *admin = admin_start(&admin_options, error);

    if (admin == NULL) {
        return FALSE;
    }
    while (!mapfeed_caught_up(feed) && !daemon_stop_is_wanted()) {
        g_usleep(READY_POLL_US);
    }
    g_autofree char *http = gateway_http(gateway, options->host);
    daemon_ready("gateway=%s:%u http=%s admin=%s:%u", options->host,
                 gateway_port(gateway), http, options->host, admin_port(admin));
    daemon_wait_reloading(options->tls != NULL ? reload : NULL, options->tls);
    admin_stop(admin);
    return TRUE;
}

static gboolean
run_gateway(const Options *options, LogCluster *cluster, Log *firehose,
            Log *control, GError **error)
{
    g_autofree char *data_dir =
        paths_state_dir(options->data_dir, "firehose", error);
    GatewayOptions gateway_options = {
        .host = options->host,
        .port = (guint16)options->port,
        .http_port = (guint16)options->http_port,
        .threads = (guint)options->threads,
        .node = (guint)options->node,
        .data_dir = data_dir,
        .pending_bytes_max = (gsize)options->pending_mb << 20,
        .tls = options->tls,
        .retention_ms = options->retention_hours * 3600 * 1000,
        .status = options->status,
    };
    Metrics *metrics = metrics_new();
    MapFeed *feed = mapfeed_start(mapfeed_open_control, NULL, NULL, cluster);
    Gateway *gateway = NULL;
    gboolean clean = FALSE;

    if (data_dir != NULL) {
        gateway = gateway_start(&gateway_options, firehose, control, feed,
                                metrics, error);
    }
    if (gateway != NULL) {
        clean = run_admin(options, gateway, feed, metrics, error);
        gateway_stop(gateway);
    }
    mapfeed_stop(feed);
    metrics_free(metrics);
    return clean;
}

static gboolean
run_logs(const Options *options, LogCluster *cluster, GError **error)
{
    Log *firehose = open_firehose(cluster, options, error);
    Log *control;
    gboolean clean = FALSE;

    if (firehose == NULL) {
        return FALSE;
    }
    control = open_control(cluster, options, error);
    if (control != NULL) {
        clean = run_gateway(options, cluster, firehose, control, error);
        log_close(control);
    }
    log_close(firehose);
    return clean;
}

static gboolean
run_cluster(const Options *options, GError **error)
{
    const LogKafkaOptions kafka = {
        .brokers = options->brokers,
        .client_id = "comb-firehose",
        .connect_timeout_ms = (guint)options->connect_timeout_ms,
        .delivery_timeout_ms = (guint)options->delivery_timeout_ms,
    };
    LogCluster *cluster = log_cluster_kafka(&kafka, error);
    gboolean clean;

    if (cluster == NULL) {
        return FALSE;
    }
    clean = run_logs(options, cluster, error);
    log_cluster_close(cluster);
    return clean;
}

static gboolean
run(gpointer user_data, GError **error)
{
    Options *options = user_data;
    gboolean clean;

    if (!tls_open(TLS_SERVER, &options->tls_files, &options->tls, error)) {
        return FALSE;
    }
    tls_announce(options->tls);
    options->status = status_new("firehose", summary, settings, options);
    clean = run_cluster(options, error);
    status_free(options->status);
    tls_close(options->tls);
    return clean;
}

int
main(int argc, char **argv)
{
    Options options = {0};
    const DaemonProgram program = {
        .name = "firehose",
        .summary = summary,
        .settings = settings,
        .options = &options,
        .check = check,
        .run = run,
    };

    (void)argc;
    return daemon_main(&program, argv);
}
