/*
 * Starting: open state (store, tails, followers), listen, then apply. Calls
 * are answered Unavailable until the log has been applied as it was at the
 * start. Stopping is the mirror: drain readers, let the apply thread leave a
 * checkpoint, close the store.
 */
#include "cell/cell.h"

#include "cell/apply.h"
#include "cell/serve.h"
#include "firehose/log_ends.h"
#include "ops/kit/error.h"
#include "ops/kit/machine.h"

struct Cell {
    CellOptions options; /* strings are copies */
    char *dir;           /* owned */
    State *state;        /* owned */
    Serve *serve;        /* owned */
    Apply *apply;        /* owned */
    LogEnds *ends;       /* owned; for the status page; NULL: there is none */
};

/* Gauges that are computed when they are asked for. */
static void
cell_refresh_metrics(gpointer user_data)
{
    Cell *cell = user_data;
    State *state = cell->state;
    ServerStats stats;
    serve_stats(cell->serve, &stats);
    metric_set(&state->metrics[METRIC_TLS_FAULTS], (gint64)stats.tls_faults);
    metric_set(&state->metrics[METRIC_DENIED], (gint64)stats.denied);
    metric_set(&state->metrics[METRIC_OVERLOADED], (gint64)stats.overloaded);
    metric_set(&state->metrics[METRIC_CONNECTIONS], stats.connections);
    metric_set(&state->metrics[METRIC_LAG_MS], state_lag_ms(state));
    metric_set(&state->metrics[METRIC_CACHE_BYTES],
               (gint64)factcache_bytes(state->cache));
    metric_set(&state->metrics[METRIC_STORE_BYTES],
               (gint64)store_bytes(state->store));
}

static void
cell_tell_sizes(State *state, Section *section)
{
    section_bytes(section, "Memory of inboxes",
                  metric_get(&state->metrics[METRIC_INBOX_BYTES]));
    section_bytes(section, "Memory of followers",
                  metric_get(&state->metrics[METRIC_FOLLOWER_BYTES]));
    section_bytes(section, "Budget of both", (gint64)state->memory_bytes);
    section_bytes(section, "Cache of facts",
                  (gint64)factcache_bytes(state->cache));
    section_bytes(section, "Store on disk", (gint64)store_bytes(state->store));
}

/* For the status page. */
static void
cell_tell(Section *section, gpointer user_data)
{
    Cell *cell = user_data;
    State *state = cell->state;
    g_autoptr(CellMap) map = mapfeed_get(state->feed);
    section_fact(section, "Epoch of the cell map", "%" G_GINT64_FORMAT,
                 map != NULL ? cellmap_epoch(map) : 0);
    section_fact(section, "Users", "%" G_GINT64_FORMAT,
                 metric_get(&state->metrics[METRIC_USERS]));
    section_fact(section, "Follows", "%" G_GINT64_FORMAT,
                 metric_get(&state->metrics[METRIC_EDGES]));
    section_fact(section, "Deliveries so far", "%" G_GINT64_FORMAT,
                 metric_get(&state->metrics[METRIC_DELIVERIES]));
    section_fact(section, "Posts on their way to many", "%" G_GINT64_FORMAT,
                 metric_get(&state->metrics[METRIC_FANOUT_PENDING]));
    cell_tell_sizes(state, section);
    serve_tell(cell->serve, section);
    section->lag_ms = state_lag_ms(state);
    log_ends_tell(cell->ends, state->next, section);
}

static void
cell_add_status(Cell *cell, Status *status)
{
    g_autofree char *name = g_strdup_printf("cell %u", cell->options.cell);
    g_autofree char *labels =
        g_strdup_printf("server=\"cell\",cell=\"%u\"", cell->options.cell);
    StatusPart part = {
        .name = name,
        .labels = labels,
        .calls = serve_calls(cell->serve),
        .tell = cell_tell,
        .user_data = cell,
    };
    status_add(status, &part);
}

/* What a cell may take where nobody says. */
static gsize
cell_default_memory(guint share)
{
    return machine_memory("") / 10 * 6 / share;
}

static gboolean
cell_open(Cell *cell, Log *firehose, MapFeed *feed, guint64 *ret_next,
          GError **error)
{
    InboxTuning tuning = *inbox_tuning_default();
    tuning.slice = cell->options.fanout_slice;
    gsize memory_bytes = cell->options.memory_bytes;
    StateOptions options = {
        .dir = cell->dir,
        .identity = {cell->options.cell, log_identity(firehose),
                     log_partitions(firehose)},
        .feed = feed,
        .tuning = &tuning,
        .memory_bytes = memory_bytes > 0
                            ? memory_bytes
                            : cell_default_memory(cell->options.memory_share),
        .cache_bytes = cell->options.cache_bytes,
        .kill = cell->options.kill,
    };
    cell->state = state_open(&options, ret_next, error);
    if (cell->state == NULL) {
        return FALSE;
    }
    ServeOptions serve_options = {
        cell->options.host,     cell->options.port,
        cell->options.threads,  cell->options.connections_max,
        cell->options.queue_ms, cell->options.tls};
    cell->ends = log_ends_start(firehose);
    cell->serve = serve_start(&serve_options, cell->state, cell->ends, error);
    return cell->serve != NULL;
}

Cell *
cell_start(const CellOptions *options, Log *firehose, MapFeed *feed,
           Metrics *metrics, GError **error)
{
    Cell *cell = g_new0(Cell, 1);
    cell->options = *options;
    cell->dir = g_strdup(options->data_dir);
    g_autofree guint64 *next = g_new0(guint64, log_partitions(firehose));
    if (!cell_open(cell, firehose, feed, next, error)) {
        cell_stop(cell);
        return NULL;
    }
    ApplyOptions apply_options = {options->checkpoint_s};
    cell->apply =
        apply_start(&apply_options, cell->state, firehose, cell->ends, next);
    serve_set_apply(cell->serve, cell->apply);
    metrics_register(metrics, cell->state->metrics, METRIC_N);
    metrics_refresh(metrics, cell_refresh_metrics, cell);
    if (options->status != NULL) {
        cell_add_status(cell, options->status);
    }
    return cell;
}

guint16
cell_port(const Cell *cell)
{
    return serve_port(cell->serve);
}

char *
cell_healthy(const Cell *cell)
{
    const char *reason = store_failure(cell->state->store);
    if (reason == NULL) {
        reason = state_stopped(cell->state);
    }
    return g_strdup(reason);
}

char *
cell_ready(const Cell *cell)
{
    char *reason = cell_healthy(cell);
    if (reason == NULL && atomic_load(&cell->state->home) == NULL) {
        return g_strdup_printf("no cell map with cell %u yet",
                               cell->options.cell);
    }
    if (reason == NULL && !atomic_load(&cell->state->ready)) {
        return g_strdup("applying the log");
    }
    return reason;
}

void
cell_stop(Cell *cell)
{
    if (cell->serve != NULL) {
        serve_stop(cell->serve);
    }
    if (cell->apply != NULL) {
        apply_stop(cell->apply);
    }
    if (cell->ends != NULL) {
        log_ends_stop(cell->ends);
    }
    if (cell->state != NULL) {
        state_close(cell->state);
    }
    g_free(cell->dir);
    g_free(cell);
}
