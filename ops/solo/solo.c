/*
 * The same modules as in the daemons, over one local log and one map feed:
 *
 *     DIR/solo       what the directory was made for (layout.h)
 *     DIR/log        the firehose and the control topic
 *     DIR/gateway    the gateway's id clock
 *     DIR/cell-0...  the cells
 *
 * Started from the bottom up. A cell listens first and waits for the map by
 * itself, because the map needs the cells' ports. The router comes last but
 * for the admin port: when it listens there is a map, and until a cell has
 * caught up its calls are answered Unavailable.
 *
 * Failure: whatever cannot be started ends the start, and what was started
 * is stopped from the top down. A cell that stops applying later makes
 * /healthz say so, and serves on.
 */
#include "ops/solo/solo.h"

#include "cell/cell.h"
#include "firehose/gateway.h"
#include "ops/kit/admin.h"
#include "ops/kit/paths.h"
#include "ops/solo/homes.h"
#include "ops/solo/layout.h"
#include "router/router.h"

#define CELL_HOST "127.0.0.1"
#define CELL_IN_FLIGHT_MAX 1024
#define GATEWAY_NODE 0
#define GATEWAY_PENDING_BYTES_MAX (64 * 1024 * 1024)

struct Solo {
    const SoloOptions *options; /* borrowed */
    char *dir;                  /* from here on owned, in order of start */
    Tls *tls;                   /* of all servers; NULL: plain text */
    Tls *cell_tls;              /* likewise, of the router as a client */
    LogCluster *cluster;
    Log *firehose;
    Log *control;
    MapFeed *feed;
    Metrics *metrics;
    guint n_cells;
    Cell *cells[SOLO_CELLS_MAX]; /* by number */
    Gateway *gateway;
    Router *router;
    Admin *admin;
};

/* ---- probes ---- */

static char *
probe_cells(Solo *solo, char *(*probe)(const Cell *cell))
{
    for (guint i = 0; i < solo->n_cells; i++) {
        g_autofree char *why = probe(solo->cells[i]);
        if (why != NULL) {
            return g_strdup_printf("cell %u: %s", i, why);
        }
    }
    return NULL;
}

char *
solo_ready(Solo *solo)
{
    return probe_cells(solo, cell_ready);
}

char *
solo_healthy(Solo *solo)
{
    char *why = gateway_healthy(solo->gateway);
    return why != NULL ? why : probe_cells(solo, cell_healthy);
}

static char *
on_ready(gpointer solo)
{
    return solo_ready(solo);
}

static char *
on_healthy(gpointer solo)
{
    return solo_healthy(solo);
}

/* ---- starts, in order ---- */

static gboolean
start_layout(Solo *solo, GError **error)
{
    const SoloOptions *options = solo->options;
    solo->dir = paths_state_dir(options->data_dir, "solo", error);
    return solo->dir != NULL && layout_check(solo->dir, (guint)options->cells,
                                             (guint)options->partitions, error);
}

static gboolean
start_tls(Solo *solo, GError **error)
{
    const SoloOptions *options = solo->options;
    if (!tls_open(TLS_SERVER, &options->tls_files, &solo->tls, error) ||
        !tls_open(TLS_CLIENT, &options->cell_tls_files, &solo->cell_tls,
                  error)) {
        return FALSE;
    }
    tls_announce(solo->tls);
    tls_announce(solo->cell_tls);
    return TRUE;
}

static gboolean
start_logs(Solo *solo, GError **error)
{
    g_autofree char *dir = g_build_filename(solo->dir, "log", NULL);
    LogTopic firehose = {
        .name = LOG_FIREHOSE_TOPIC,
        .partitions = (guint)solo->options->partitions,
        .retention_ms = solo->options->retention_hours * 3600 * 1000,
    };
    LogTopic control = {
        .name = LOG_CONTROL_TOPIC,
        .partitions = 1,
        .compacted = TRUE,
        .retention_ms = -1,
    };
    solo->cluster = log_cluster_local(dir, error);
    if (solo->cluster == NULL) {
        return FALSE;
    }
    solo->firehose = log_open(solo->cluster, &firehose, TRUE, error);
    if (solo->firehose == NULL) {
        return FALSE;
    }
    solo->control = log_open(solo->cluster, &control, TRUE, error);
    return solo->control != NULL;
}

static gboolean
start_feed(Solo *solo, GError **error)
{
    (void)error;
    solo->metrics = metrics_new();
    solo->feed = mapfeed_start(mapfeed_open_control, NULL, NULL, solo->cluster);
    return TRUE;
}

static gboolean
start_cell(Solo *solo, GError **error)
{
    g_autofree char *name = g_strdup_printf("cell-%u", solo->n_cells);
    g_autofree char *dir = g_build_filename(solo->dir, name, NULL);
    CellOptions options = {
        .cell = solo->n_cells,
        .data_dir = dir,
        .host = CELL_HOST,
        .port = 0,
        .threads = (guint)solo->options->threads,
        .connections_max = (guint)solo->options->connections_max,
        .queue_ms = (guint)solo->options->queue_ms,
        .checkpoint_s = (guint)solo->options->checkpoint_s,
        .memory_bytes = (gsize)solo->options->memory_mb << 20,
        .memory_share = (guint)solo->options->cells,
        .cache_bytes = (gsize)solo->options->cache_mb << 20,
        .fanout_slice = (guint)solo->options->fanout_slice,
        .kill = solo->options->kill,
        .tls = solo->tls,
        .status = solo->options->status,
    };
    Cell *cell =
        cell_start(&options, solo->firehose, solo->feed, solo->metrics, error);
    if (cell == NULL) {
        return FALSE;
    }
    solo->cells[solo->n_cells++] = cell;
    return TRUE;
}

static gboolean
start_cells(Solo *solo, GError **error)
{
    char host[] = CELL_HOST;
    CellMapEntry entries[SOLO_CELLS_MAX];
    while (solo->n_cells < (guint)solo->options->cells) {
        guint i = solo->n_cells;
        if (!start_cell(solo, error)) {
            return FALSE;
        }
        entries[i] = (CellMapEntry){
            .cell = i, .host = host, .port = cell_port(solo->cells[i])};
    }
    return homes_publish(solo->control, solo->feed, entries, solo->n_cells,
                         error);
}

static gboolean
start_gateway(Solo *solo, GError **error)
{
    g_autofree char *dir = g_build_filename(solo->dir, "gateway", NULL);
    GatewayOptions options = {
        .host = solo->options->host,
        .port = (guint16)solo->options->gateway_port,
        .http_port = (guint16)solo->options->http_port,
        .threads = (guint)solo->options->threads,
        .node = GATEWAY_NODE,
        .data_dir = dir,
        .pending_bytes_max = GATEWAY_PENDING_BYTES_MAX,
        .tls = solo->tls,
        .retention_ms = solo->options->retention_hours * 3600 * 1000,
        .status = solo->options->status,
    };
    if (!paths_make_dir(dir, error)) {
        return FALSE;
    }
    solo->gateway = gateway_start(&options, solo->firehose, solo->control,
                                  solo->feed, solo->metrics, error);
    return solo->gateway != NULL;
}

static gboolean
start_router(Solo *solo, GError **error)
{
    RouterOptions options = {
        .host = solo->options->host,
        .port = (guint16)solo->options->router_port,
        .threads = (guint)solo->options->threads,
        .connections_max = (guint)solo->options->connections_max,
        .queue_ms = (guint)solo->options->queue_ms,
        .cell_timeout_ms = (guint)solo->options->cell_timeout_ms,
        .cell_in_flight_max = CELL_IN_FLIGHT_MAX,
        .tls = solo->tls,
        .cell_tls = solo->cell_tls,
        .status = solo->options->status,
    };
    solo->router = router_start(&options, solo->feed, solo->metrics, error);
    return solo->router != NULL;
}

static gboolean
start_admin(Solo *solo, GError **error)
{
    AdminOptions options = {
        .host = solo->options->host,
        .port = (guint16)solo->options->admin_port,
        .metrics = solo->metrics,
        .status = solo->options->status,
        .healthy = on_healthy,
        .ready = on_ready,
        .user_data = solo,
    };
    solo->admin = admin_start(&options, error);
    return solo->admin != NULL;
}

Solo *
solo_start(const SoloOptions *options, GError **error)
{
    Solo *solo = g_new0(Solo, 1);
    solo->options = options;
    if (start_layout(solo, error) && start_tls(solo, error) &&
        start_logs(solo, error) && start_feed(solo, error) &&
        start_cells(solo, error) && start_gateway(solo, error) &&
        start_router(solo, error) && start_admin(solo, error)) {
        return solo;
    }
    solo_stop(solo);
    return NULL;
}

void
solo_stop(Solo *solo)
{
    g_clear_pointer(&solo->admin, admin_stop);
    g_clear_pointer(&solo->router, router_stop);
    g_clear_pointer(&solo->gateway, gateway_stop);
    while (solo->n_cells > 0) {
        cell_stop(solo->cells[--solo->n_cells]);
    }
    g_clear_pointer(&solo->feed, mapfeed_stop);
    g_clear_pointer(&solo->metrics, metrics_free);
    g_clear_pointer(&solo->control, log_close);
    g_clear_pointer(&solo->firehose, log_close);
    g_clear_pointer(&solo->cluster, log_cluster_close);
    tls_close(solo->cell_tls);
    tls_close(solo->tls);
    g_free(solo->dir);
    g_free(solo);
}

gboolean
solo_has_tls(const Solo *solo)
{
    return solo->tls != NULL;
}

void
solo_reload(Solo *solo)
{
    tls_reload(solo->tls);
    tls_reload(solo->cell_tls);
}

char *
solo_addresses(const Solo *solo)
{
    const char *host = solo->options->host;
    g_autoptr(GString) text = g_string_new(NULL);
    g_autofree char *http = gateway_http(solo->gateway, host);
    g_string_append_printf(text, "router=%s:%u gateway=%s:%u http=%s", host,
                           router_port(solo->router), host,
                           gateway_port(solo->gateway), http);
    for (guint i = 0; i < solo->n_cells; i++) {
        g_string_append_printf(text, " cell%u=%s:%u", i, CELL_HOST,
                               cell_port(solo->cells[i]));
    }
    g_string_append_printf(text, " admin=%s:%u", host, admin_port(solo->admin));
    return g_string_free(g_steal_pointer(&text), FALSE);
}
