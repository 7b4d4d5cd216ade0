/*
 * The router is a server (server.h) whose methods all do the same: hand the
 * call to the lane of the thread that it came in on (lane.h). There a call is
 * looked up in the map, sent, waited for and answered.
 *
 * Stopping: no more calls are taken, those in progress get the time that a
 * cell has, what is left is answered Unavailable; then the lanes leave their
 * threads' event bases, and the threads end.
 *
 * Failure: starting fails where the address cannot be listened on. After
 * that nothing that a client, a cell or the control plane does ends a router.
 */
#include "router/router.h"

#include "router/lane.h"
#include "thrift/serverstatus.h"

#include <string.h>

/* The largest call is getPosts of 100 ids, 1 KB; answers may have
   FRAME_BYTES_MAX. */
#define CALL_BYTES_MAX (64 * 1024)
#define CONNECTIONS_MAX 10000
/* Each may bring a page of 8 MiB: what a peer that does not read can make us
   keep. */
#define IN_FLIGHT_MAX 16
#define DRAIN_EXTRA_MS 500
/* For the answers that the lanes gave at their end. */
#define DRAIN_LAST_MS 100

struct Router {
    _Atomic(Server *) server; /* NULL: it is about to start */
    MapFeed *feed;            /* borrowed */
    guint drain_ms;
    guint threads;
    Lane **lanes; /* by server thread; owned */
    Metric metrics[ROUTER_METRICS];
};

#define CALLS_OF(method)                                                       \
    {                                                                          \
        "comb_router_calls_total", "method=\"" method "\"", METRIC_COUNTER,    \
            "Calls taken, by method.", 0                                       \
    }
#define REFUSED_AS(reason)                                                     \
    {                                                                          \
        "comb_router_refused_total", "reason=\"" reason "\"", METRIC_COUNTER,  \
            "Calls that the router itself refused, by reason.", 0              \
    }
#define COUNTED(name, help)                                                    \
    {                                                                          \
        name, NULL, METRIC_COUNTER, help, 0                                    \
    }

static const Metric metrics_at_start[ROUTER_METRICS] = {
    [ROUTER_DASHBOARDS] = CALLS_OF("getDashboard"),
    [ROUTER_TIMELINES] = CALLS_OF("getTimeline"),
    [ROUTER_POSTS] = CALLS_OF("getPosts"),
    [ROUTER_INVALID] = REFUSED_AS("invalid"),
    [ROUTER_OVERLOADED] = REFUSED_AS("overloaded"),
    [ROUTER_DEADLINE] = REFUSED_AS("deadline"),
    [ROUTER_UNAVAILABLE] = REFUSED_AS("unavailable"),
    [ROUTER_NOT_HOMED] = COUNTED("comb_router_not_homed_total",
                                 "Calls that a cell refused as not homed."),
    [ROUTER_MOVED_ON] = COUNTED("comb_router_moved_on_total",
                                "Calls for any cell sent to a second one."),
    [ROUTER_RETRIES] =
        COUNTED("comb_router_retries_total",
                "Second tries granted, after NotHomed or at another cell."),
    [ROUTER_RETRIES_REFUSED] =
        COUNTED("comb_router_retries_refused_total",
                "Second tries that were over the budget of the first cell."),
    [ROUTER_SLOW] =
        COUNTED("comb_router_cell_slow_total",
                "Calls not sent to a cell that owes too many late answers."),
    [ROUTER_CONNECTS] = COUNTED("comb_router_cell_connects_total",
                                "Connections to cells begun."),
    [ROUTER_LOST] = COUNTED("comb_router_cell_connections_lost_total",
                            "Connections to cells not made, or broken in use."),
    [ROUTER_BAD_REPLIES] = COUNTED("comb_router_cell_bad_replies_total",
                                   "Replies of cells that make no sense."),
    [ROUTER_LATE_REPLIES] = COUNTED("comb_router_cell_late_replies_total",
                                    "Replies that nobody waited for."),
    [ROUTER_MAP_EPOCH] = {"comb_router_map_epoch", NULL, METRIC_GAUGE,
                          "Epoch of the cell map in use; 0: none.", 0},
    [ROUTER_CONNECTIONS] = {"comb_router_connections", NULL, METRIC_GAUGE,
                            "Clients connected.", 0},
    [ROUTER_TLS_FAULTS] = COUNTED("comb_router_tls_faults_total",
                                  "Clients closed for TLS or certificate."),
    [ROUTER_DENIED] = COUNTED("comb_router_denied_total",
                              "Calls not permitted to who made them."),
    [ROUTER_SHED] =
        COUNTED("comb_router_shed_total",
                "Calls refused because they would have waited too long here."),
};

/* ---- methods ---- */

static void
take(Request *request, Router *router, RouterMetric metric,
     const LaneRoute *route)
{
    metric_add(&router->metrics[metric], 1);
    lane_take(router->lanes[request_thread(request)], request, route);
}

static void
get_dashboard(Request *request, gpointer router)
{
    static const LaneRoute route = {.user = "user", .home = TRUE};
    take(request, router, ROUTER_DASHBOARDS, &route);
}

static void
get_timeline(Request *request, gpointer router)
{
    static const LaneRoute route = {.user = "author", .home = FALSE};
    take(request, router, ROUTER_TIMELINES, &route);
}

static void
get_posts(Request *request, gpointer router)
{
    static const LaneRoute route = {.user = NULL, .home = FALSE};
    take(request, router, ROUTER_POSTS, &route);
}

static const ServerMethod methods[] = {
    {"getDashboard", get_dashboard},
    {"getTimeline", get_timeline},
    {"getPosts", get_posts},
    {NULL, NULL},
};

/* ---- start and stop ---- */

static void
refresh(gpointer user_data)
{
    Router *router = user_data;
    g_autoptr(CellMap) map = mapfeed_get(router->feed);
    ServerStats stats;
    server_stats(router->server, &stats);
    metric_set(&router->metrics[ROUTER_MAP_EPOCH],
               map != NULL ? cellmap_epoch(map) : 0);
    metric_set(&router->metrics[ROUTER_CONNECTIONS], stats.connections);
    metric_set(&router->metrics[ROUTER_TLS_FAULTS], (gint64)stats.tls_faults);
    metric_set(&router->metrics[ROUTER_DENIED], (gint64)stats.denied);
    metric_set(&router->metrics[ROUTER_SHED], (gint64)stats.overloaded);
}

static void
tell_cells(Section *section, const CellMap *map)
{
    guint n;
    const CellMapEntry *entries = cellmap_entries(map, &n);
    g_autoptr(GString) text = g_string_new(NULL);
    for (guint i = 0; i < n; i++) {
        g_string_append_printf(text, "%s%u=%s:%u", i > 0 ? " " : "",
                               entries[i].cell, entries[i].host,
                               entries[i].port);
    }
    section_fact(section, "Epoch of the cell map", "%" G_GINT64_FORMAT,
                 cellmap_epoch(map));
    section_fact(section, "Cells", "%s", text->str);
}

static void
tell(Section *section, gpointer user_data)
{
    static const struct {
        RouterMetric metric;
        const char *name;
    } told[] = {
        {ROUTER_NOT_HOMED, "Refused by a cell as not homed"},
        {ROUTER_MOVED_ON, "Sent to a second cell"},
        {ROUTER_LOST, "Connections to cells lost"},
    };
    Router *router = user_data;
    g_autoptr(CellMap) map = mapfeed_get(router->feed);
    if (map != NULL) {
        tell_cells(section, map);
    } else {
        section_fact(section, "Epoch of the cell map", "no map yet");
    }
    for (guint i = 0; i < G_N_ELEMENTS(told); i++) {
        section_fact(section, told[i].name, "%" G_GINT64_FORMAT,
                     metric_get(&router->metrics[told[i].metric]));
    }
    serverstatus_tell(router->server, section);
}

static void
router_free(Router *router)
{
    for (guint i = 0; i < router->threads; i++) {
        lane_free(router->lanes[i]);
    }
    g_free(router->lanes);
    g_free(router);
}

static guint
callers(gpointer user_data)
{
    Router *router = user_data;
    ServerStats stats = {0};
    if (router->server != NULL) {
        server_stats(router->server, &stats);
    }
    return stats.connections / router->threads;
}

static Router *
router_new(const RouterOptions *options, MapFeed *feed)
{
    Router *router = g_new0(Router, 1);
    memcpy(router->metrics, metrics_at_start, sizeof metrics_at_start);
    router->feed = feed;
    router->drain_ms = options->cell_timeout_ms + DRAIN_EXTRA_MS;
    router->threads = options->threads;
    router->lanes = g_new0(Lane *, options->threads);
    LaneOptions lane = {
        .feed = feed,
        .metrics = router->metrics,
        .cell_timeout_ms = options->cell_timeout_ms,
        .cell_in_flight_max = options->cell_in_flight_max,
        .cell_tls = options->cell_tls,
        .callers = callers,
        .user_data = router,
    };
    for (guint i = 0; i < options->threads; i++) {
        router->lanes[i] = lane_new(&lane);
    }
    return router;
}

Router *
router_start(const RouterOptions *options, MapFeed *feed, Metrics *metrics,
             GError **error)
{
    Router *router = router_new(options, feed);
    ServerOptions server = {
        .host = options->host,
        .port = options->port,
        .threads = options->threads,
        .connections_max = options->connections_max != 0
                               ? options->connections_max
                               : CONNECTIONS_MAX,
        .frame_bytes_max = CALL_BYTES_MAX,
        .in_flight_max = IN_FLIGHT_MAX,
        .queue_ms = options->queue_ms,
        .tls = options->tls,
        .methods = methods,
        .user_data = router,
    };
    router->server = server_start(&server, error);
    if (router->server == NULL) {
        router_free(router);
        return NULL;
    }
    metrics_register(metrics, router->metrics, ROUTER_METRICS);
    metrics_refresh(metrics, refresh, router);
    if (options->status != NULL) {
        const StatusPart part = {
            .name = "router",
            .labels = "server=\"router\"",
            .calls = server_calls(router->server),
            .tell = tell,
            .user_data = router,
        };
        status_add(options->status, &part);
    }
    return router;
}

guint16
router_port(const Router *router)
{
    return server_port(router->server);
}

void
router_stop(Router *router)
{
    server_drain(router->server, router->drain_ms);
    for (guint i = 0; i < router->threads; i++) {
        lane_end(router->lanes[i]);
    }
    server_drain(router->server, DRAIN_LAST_MS);
    server_stop(router->server);
    router_free(router);
}
