/*
 * comb-router: one process, one router.
 *
 * It starts with the map from its cache and serves, whether or not the
 * control topic can be read; without a cache it answers Unavailable until
 * the first map comes. Several routers need not know of each other.
 *
 * Exit code: 0 after SIGTERM or SIGINT, 1 where it cannot do its job (a crit
 * line says why), 2 where a setting is wrong.
 */
#include "firehose/log.h"
#include "ops/kit/admin.h"
#include "ops/kit/daemon.h"
#include "ops/kit/paths.h"
#include "router/router.h"

typedef struct Options {
    char *brokers;
    char *host;
    gint64 port;
    gint64 admin_port;
    gint64 threads;
    gint64 connections_max;
    gint64 queue_ms;
    char *data_dir;
    gint64 cell_timeout_ms;
    gint64 cell_in_flight_max;
    gint64 connect_timeout_ms;
    TlsFiles tls_files;
    TlsFiles cell_tls_files;
} Options;

static const char summary[] =
    "Passes calls through to the cell that is the user's home.";

#define PLACE(field) G_STRUCT_OFFSET(Options, field)

static const Setting settings[] = {
    {"brokers", SETTING_REQUIRED, PLACE(brokers), NULL, 0, 0, "host:port,...",
     "Kafka brokers of the control topic. Required."},
    {"host", SETTING_STRING, PLACE(host), "127.0.0.1", 0, 0, "",
     "Numeric address to listen on, for calls and for operators."},
    {"port", SETTING_INT, PLACE(port), "9100", 0, 65535, "",
     "Port for calls; 0: any free one."},
    {"admin-port", SETTING_INT, PLACE(admin_port), "9181", 0, 65535, "",
     "Port for /status, /metrics, /healthz and /readyz; 0: any free one."},
    {"threads", SETTING_INT, PLACE(threads), "1", 1, 256, "",
     "Threads that serve calls."},
    {"connections-max", SETTING_INT, PLACE(connections_max), "10000", 1,
     1 << 20, "",
     "Connections at once; more are closed. The limit of open files binds, "
     "too."},
    {"queue-ms", SETTING_INT, PLACE(queue_ms), "3", 1, 60000, "ms",
     "A call that would wait longer for its thread is refused as overloaded, "
     "where calls have been waiting for a while."},
    {"data-dir", SETTING_STRING, PLACE(data_dir), NULL, 0, 0, "",
     "Directory of the cached cell map; by default comb/router in the XDG "
     "state directory."},
    {"cell-timeout-ms", SETTING_INT, PLACE(cell_timeout_ms), "2000", 1, 600000,
     "ms", "A cell's answer is waited for so long."},
    {"cell-in-flight-max", SETTING_INT, PLACE(cell_in_flight_max), "1024", 1,
     65536, "calls",
     "Calls waiting at one cell, per thread; more are refused."},
    {"connect-timeout-ms", SETTING_INT, PLACE(connect_timeout_ms), "2000", 1,
     600000, "ms",
     "A broker is waited for so long, and then tried again: a stop may take "
     "as long."},
    TLS_SERVER_SETTINGS(Options, tls_files),
    TLS_CELL_SETTINGS(Options, cell_tls_files),
    {0},
};

static gboolean
check(gpointer user_data, GError **error)
{
    const Options *options = user_data;
    return tls_files_check(&options->tls_files, TLS_SERVER, "tls", error) &&
           tls_files_check(&options->cell_tls_files, TLS_CLIENT, "cell-tls",
                           error);
}

/* What main() starts, in this order. */
typedef struct Daemon {
    const Options *options; /* borrowed */
    Tls *tls;               /* of callers; NULL: plain text */
    Tls *cell_tls;          /* likewise, of cells */
    char *data_dir;
    LogCluster *cluster;
    MapFeed *feed;
    Metrics *metrics;
    Status *status;
    Router *router;
    Admin *admin;
} Daemon;

static char *
ready(gpointer user_data)
{
    Daemon *daemon = user_data;
    g_autoptr(CellMap) map = mapfeed_get(daemon->feed);
    return map == NULL ? g_strdup("there is no cell map yet") : NULL;
}

static gboolean
start_tls(Daemon *daemon, GError **error)
{
    const Options *options = daemon->options;
    if (!tls_open(TLS_SERVER, &options->tls_files, &daemon->tls, error) ||
        !tls_open(TLS_CLIENT, &options->cell_tls_files, &daemon->cell_tls,
                  error)) {
        return FALSE;
    }
    tls_announce(daemon->tls);
    tls_announce(daemon->cell_tls);
    return TRUE;
}

static void
reload(gpointer user_data)
{
    Daemon *daemon = user_data;
    tls_reload(daemon->tls);
    tls_reload(daemon->cell_tls);
}

static gboolean
start_feed(Daemon *daemon, GError **error)
{
    LogKafkaOptions kafka = {
        .brokers = daemon->options->brokers,
        .client_id = "comb-router",
        .connect_timeout_ms = (guint)daemon->options->connect_timeout_ms,
        .delivery_timeout_ms = (guint)daemon->options->connect_timeout_ms,
    };
    daemon->data_dir =
        paths_state_dir(daemon->options->data_dir, "router", error);
    if (daemon->data_dir == NULL) {
        return FALSE;
    }
    daemon->cluster = log_cluster_kafka(&kafka, error);
    if (daemon->cluster == NULL) {
        return FALSE;
    }
    g_autofree char *cache =
        g_build_filename(daemon->data_dir, "cellmap", NULL);
    daemon->feed =
        mapfeed_start(mapfeed_open_control, cache, NULL, daemon->cluster);
    return TRUE;
}

static gboolean
start_router(Daemon *daemon, GError **error)
{
    const Options *options = daemon->options;
    RouterOptions router = {
        .host = options->host,
        .port = (guint16)options->port,
        .threads = (guint)options->threads,
        .connections_max = (guint)options->connections_max,
        .queue_ms = (guint)options->queue_ms,
        .cell_timeout_ms = (guint)options->cell_timeout_ms,
        .cell_in_flight_max = (guint)options->cell_in_flight_max,
        .tls = daemon->tls,
        .cell_tls = daemon->cell_tls,
    };
    daemon->metrics = metrics_new();
    router.status = daemon->status =
        status_new("router", summary, settings, options);
    daemon->router =
        router_start(&router, daemon->feed, daemon->metrics, error);
    return daemon->router != NULL;
}

static gboolean
start_admin(Daemon *daemon, GError **error)
{
    AdminOptions admin = {
        .host = daemon->options->host,
        .port = (guint16)daemon->options->admin_port,
        .metrics = daemon->metrics,
        .status = daemon->status,
        .ready = ready,
        .user_data = daemon,
    };
    daemon->admin = admin_start(&admin, error);
    return daemon->admin != NULL;
}

static void
stop(Daemon *daemon)
{
    g_clear_pointer(&daemon->admin, admin_stop);
    g_clear_pointer(&daemon->router, router_stop);
    g_clear_pointer(&daemon->status, status_free);
    g_clear_pointer(&daemon->metrics, metrics_free);
    g_clear_pointer(&daemon->feed, mapfeed_stop);
    g_clear_pointer(&daemon->cluster, log_cluster_close);
    g_clear_pointer(&daemon->data_dir, g_free);
    g_clear_pointer(&daemon->cell_tls, tls_close);
    g_clear_pointer(&daemon->tls, tls_close);
}

static gboolean
run(gpointer user_data, GError **error)
{
    Daemon own = {.options = user_data};
    Daemon *daemon = &own;
    gboolean clean = start_tls(daemon, error) && start_feed(daemon, error) &&
                     start_router(daemon, error) && start_admin(daemon, error);
    if (clean) {
        gboolean reloads = daemon->tls != NULL || daemon->cell_tls != NULL;
        daemon_ready("router=%s:%u admin=%s:%u", daemon->options->host,
                     router_port(daemon->router), daemon->options->host,
                     admin_port(daemon->admin));
        daemon_wait_reloading(reloads ? reload : NULL, daemon);
    }
    stop(daemon);
    return clean;
}

int
main(int argc, char **argv)
{
    Options options = {0};
    const DaemonProgram program = {
        .name = "router",
        .summary = summary,
        .settings = settings,
        .options = &options,
        .check = check,
        .run = run,
    };

    (void)argc;
    return daemon_main(&program, argv);
}
