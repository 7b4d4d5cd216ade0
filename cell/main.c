/*
 * comb-cell: one cell over a Kafka cluster. A column of starts and its mirror
 * of stops; a failure on the way is logged once and ends the process with 1,
 * wrong settings with 2. The topics are the gateway's to make.
 */
#include "cell/cell.h"
#include "ops/kit/admin.h"
#include "ops/kit/daemon.h"
#include "ops/kit/paths.h"

typedef struct Options {
    gint64 cell;
    char *brokers;
    char *host;
    gint64 port;
    gint64 admin_port;
    char *data_dir; /* NULL: the default */
    gint64 threads;
    gint64 connections_max;
    gint64 queue_ms;
    gint64 checkpoint_s;
    gint64 memory_mb;
    gint64 cache_mb;
    gint64 fanout_slice;
    gint64 connect_timeout_ms;
    TlsFiles tls_files;
    Tls *tls;         /* no setting: of those files; NULL: plain text */
    KillPoints *kill; /* no setting: for tests */
    Status *status;   /* no setting: for the status page */
} Options;

static const char summary[] =
    "A cell: every post, and the inboxes of its users.";

#define PLACE(field) G_STRUCT_OFFSET(Options, field)

static const Setting settings[] = {
    {"cell", SETTING_INT, PLACE(cell), "0", 0, CELL_MAX, "",
     "Number of this cell in the cell map."},
    {"brokers", SETTING_REQUIRED, PLACE(brokers), NULL, 0, 0, "",
     "Kafka brokers to begin with, host:port,host:port. Required."},
    {"host", SETTING_STRING, PLACE(host), "127.0.0.1", 0, 0, "",
     "Numeric address to listen on."},
    {"port", SETTING_INT, PLACE(port), "9200", 0, 65535, "",
     "Port of the Dashboard and Cell services; 0 takes any."},
    {"admin-port", SETTING_INT, PLACE(admin_port), "9280", 0, 65535, "",
     "Port of /status, /metrics, /healthz and /readyz; 0 takes any."},
    {"data-dir", SETTING_STRING, PLACE(data_dir), NULL, 0, 0, "",
     "Directory of the cell's state; default comb/cell-N in the XDG state "
     "directory."},
    {"threads", SETTING_INT, PLACE(threads), "1", 1, 64, "",
     "Threads that serve calls."},
    {"connections-max", SETTING_INT, PLACE(connections_max), "10000", 1,
     1 << 20, "",
     "Connections at once; more are closed. The limit of open files binds, "
     "too."},
    {"queue-ms", SETTING_INT, PLACE(queue_ms), "3", 1, 60000, "ms",
     "A call that would wait longer for its thread is refused as overloaded, "
     "where calls have been waiting for a while."},
    {"checkpoint-s", SETTING_INT, PLACE(checkpoint_s), "30", 1, 3600, "s",
     "Time between tail checkpoints: what a restart replays, at most."},
    {"memory-mb", SETTING_INT, PLACE(memory_mb), "0", 0, 1 << 20, "MiB",
     "For inboxes and followers: near it tails are sealed early, at it "
     "applying stops; 0 is 60 % of the machine's, or of its control group's."},
    {"cache-mb", SETTING_INT, PLACE(cache_mb), "256", 0, 1 << 20, "MiB",
     "For posts and follows that pages ask for."},
    {"fanout-slice", SETTING_INT, PLACE(fanout_slice), "262144", 1, 1 << 30, "",
     "Followers from which on a post is delivered by slices, so many between "
     "two batches of the log."},
    {"connect-timeout-ms", SETTING_INT, PLACE(connect_timeout_ms), "10000", 100,
     600000, "ms", "How long to wait for a broker at start."},
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

static char *
healthy(gpointer user_data)
{
    return cell_healthy(user_data);
}

static char *
ready(gpointer user_data)
{
    return cell_ready(user_data);
}

static gboolean
run_admin(const Options *options, Cell *cell, Metrics *metrics, GError **error)
{
    AdminOptions admin_options = {
        .host = options->host,
        .port = (guint16)options->admin_port,
        .metrics = metrics,
        .status = options->status,
        .healthy = healthy,
        .ready = ready,
        .user_data = cell,
    };
    Admin *admin = admin_start(&admin_options, error);
    if (admin == NULL) {
        return FALSE;
    }
    daemon_ready("cell=%s:%u admin=%s:%u", options->host, cell_port(cell),
                 options->host, admin_port(admin));
    daemon_wait_reloading(options->tls != NULL ? reload : NULL, options->tls);
    admin_stop(admin);
    return TRUE;
}

static gboolean
run_cell(const Options *options, const char *dir, LogCluster *cluster,
         Log *firehose, GError **error)
{
    CellOptions cell_options = {
        .cell = (guint)options->cell,
        .data_dir = dir,
        .host = options->host,
        .port = (guint16)options->port,
        .threads = (guint)options->threads,
        .connections_max = (guint)options->connections_max,
        .queue_ms = (guint)options->queue_ms,
        .checkpoint_s = (guint)options->checkpoint_s,
        .memory_bytes = (gsize)options->memory_mb << 20,
        .memory_share = 1,
        .cache_bytes = (gsize)options->cache_mb << 20,
        .fanout_slice = (guint)options->fanout_slice,
        .kill = options->kill,
        .tls = options->tls,
        .status = options->status,
    };
    Metrics *metrics = metrics_new();
    MapFeed *feed = mapfeed_start(mapfeed_open_control, NULL, NULL, cluster);
    Cell *cell = cell_start(&cell_options, firehose, feed, metrics, error);
    gboolean clean = FALSE;
    if (cell != NULL) {
        clean = run_admin(options, cell, metrics, error);
        cell_stop(cell);
    }
    mapfeed_stop(feed);
    metrics_free(metrics);
    return clean;
}

static gboolean
run_log(const Options *options, const char *dir, LogCluster *cluster,
        GError **error)
{
    static const LogTopic topic = {
        .name = LOG_FIREHOSE_TOPIC,
        .partitions = 0, /* as many as there are */
        .retention_ms = 1,
    };
    Log *firehose = log_open(cluster, &topic, FALSE, error);
    if (firehose == NULL) {
        return FALSE;
    }
    gboolean clean = run_cell(options, dir, cluster, firehose, error);
    log_close(firehose);
    return clean;
}

static gboolean
run_in_dir(const Options *options, GError **error)
{
    g_autofree char *name =
        g_strdup_printf("cell-%" G_GINT64_FORMAT, options->cell);
    g_autofree char *dir = paths_state_dir(options->data_dir, name, error);
    LogKafkaOptions kafka = {
        .brokers = options->brokers,
        .client_id = "comb-cell",
        .connect_timeout_ms = (guint)options->connect_timeout_ms,
        .delivery_timeout_ms = 30000,
    };
    if (dir == NULL) {
        return FALSE;
    }
    LogCluster *cluster = log_cluster_kafka(&kafka, error);
    if (cluster == NULL) {
        return FALSE;
    }
    gboolean clean = run_log(options, dir, cluster, error);
    log_cluster_close(cluster);
    return clean;
}

static gboolean
run(gpointer user_data, GError **error)
{
    Options *options = user_data;
    options->kill = killpoints_from_environment(error);
    if (options->kill == NULL) {
        return FALSE;
    }
    gboolean clean = FALSE;
    options->status = status_new("cell", summary, settings, options);
    if (tls_open(TLS_SERVER, &options->tls_files, &options->tls, error)) {
        tls_announce(options->tls);
        clean = run_in_dir(options, error);
        tls_close(options->tls);
    }
    status_free(options->status);
    killpoints_free(options->kill);
    return clean;
}

int
main(int argc, char **argv)
{
    Options options = {0};
    const DaemonProgram program = {
        .name = "cell",
        .summary = summary,
        .settings = settings,
        .options = &options,
        .check = check,
        .run = run,
    };

    (void)argc;
    return daemon_main(&program, argv);
}
