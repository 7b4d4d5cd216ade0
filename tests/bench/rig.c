#include "tests/bench/rig.h"

#include "tests/bench/usage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RIG_POLL_US 500

void
rig_check(GError *error)
{
    if (error != NULL) {
        fprintf(stderr, "comb-bench-cell: %s\n", error->message);
        exit(EXIT_FAILURE);
    }
}

/* ---- logs ---- */

Log *
rig_posts_open(LogCluster *cluster)
{
    LogTopic topic = {
        .name = LOG_FIREHOSE_TOPIC, .partitions = 1, .retention_ms = -1};
    GError *error = NULL;
    Log *log = log_open(cluster, &topic, TRUE, &error);
    rig_check(error);
    return log;
}

/* Counts; what is refused can be no benchmark. */
static void
on_acked(const LogAck *acks, gsize n, gpointer user_data)
{
    _Atomic gsize *count = user_data;
    for (gsize i = 0; i < n; i++) {
        if (acks[i].outcome != LOG_APPENDED) {
            fprintf(stderr, "comb-bench-cell: append: %s\n", acks[i].reason);
            exit(EXIT_FAILURE);
        }
    }
    atomic_fetch_add(count, n);
}

void
rig_append(Log *posts, const LogEntry *entries, gsize n)
{
    _Atomic gsize acked = 0;
    log_append(posts, entries, n, on_acked, &acked);
    while (atomic_load(&acked) < n) {
        g_usleep(20);
    }
}

static Log *
open_control(gpointer user_data, GError **error)
{
    LogTopic topic = {.name = LOG_CONTROL_TOPIC,
                      .partitions = 1,
                      .compacted = TRUE,
                      .retention_ms = -1};
    return log_open(user_data, &topic, TRUE, error);
}

/* One cell is home to all. */
static void
publish_map(LogCluster *memory)
{
    static char host[] = "127.0.0.1";
    CellMapEntry entry = {0, host, 1};
    g_autoptr(CellMap) map = cellmap_even(1, &entry, 1);
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    GError *error = NULL;
    cellmap_encode(map, bytes);
    Log *control = open_control(memory, &error);
    rig_check(error);
    LogEntry record = {0,
                       {(const guint8 *)CELLMAP_KEY, strlen(CELLMAP_KEY)},
                       {bytes->data, bytes->len}};
    rig_append(control, &record, 1);
    log_close(control);
}

/* ---- the cell ---- */

static void
rig_open_logs(Rig *rig, const RigOptions *options)
{
    GError *error = NULL;
    rig->cluster = log_cluster_local(options->log_dir, &error);
    rig_check(error);
    rig->posts = rig_posts_open(rig->cluster);
    atomic_store(&rig->end, options->end);
    rig->end_now = options->end_here != NULL ? options->end_here : &rig->end;
    rig->log = worldlog_open(options->world, rig->posts, rig->end_now);
    rig->memory = log_cluster_memory();
    publish_map(rig->memory);
    rig->feed = mapfeed_start(open_control, NULL, NULL, rig->memory);
}

Rig *
rig_open(const RigOptions *options)
{
    Rig *rig = g_new0(Rig, 1);
    GError *error = NULL;
    rig->world = options->world;
    rig->cell_dir = options->cell_dir;
    rig->checkpoint_s = options->checkpoint_s;
    usage_pin(USAGE_LOAD_CORE);
    rig_open_logs(rig, options);
    /* Opening is not per core; what comes after it is. */
    usage_unpin();
    StateOptions state = {
        .dir = rig->cell_dir,
        .identity = {0, log_identity(rig->log), 1},
        .feed = rig->feed,
        .cache_bytes = (gsize)64 << 20, /* as comb-cell */
    };
    rig->state = state_open(&state, &rig->next, &error);
    rig_check(error);
    usage_pin(USAGE_SERVER_CORE);
    usage_pin_named("rocksdb", USAGE_SERVER_CORE);
    return rig;
}

void
rig_start(Rig *rig)
{
    usage_pin(USAGE_SERVER_CORE);
    ApplyOptions options = {rig->checkpoint_s};
    rig->apply = apply_start(&options, rig->state, rig->log, NULL, &rig->next);
    usage_pin(USAGE_LOAD_CORE);
}

gint64
rig_metric(const Rig *rig, const char *name)
{
    for (guint i = 0; i < METRIC_N; i++) {
        const Metric *metric = &rig->state->metrics[i];
        if (g_strcmp0(metric->name, name) == 0) {
            return metric_get(metric);
        }
    }
    return 0;
}

/* METRIC_FANOUT_PENDING, by its name: an engine that delivers within the
   commit has no such gauge, and then nothing is ever pending. */
gint64
rig_pending(const Rig *rig)
{
    return rig_metric(rig, "comb_cell_fanout_pending");
}

void
rig_wait(Rig *rig, guint64 offset)
{
    while (atomic_load(&rig->state->next[0]) < offset || rig_pending(rig) > 0) {
        const char *stopped = state_stopped(rig->state);
        if (stopped != NULL) {
            fprintf(stderr, "comb-bench-cell: applying stopped: %s\n", stopped);
            exit(EXIT_FAILURE);
        }
        g_usleep(RIG_POLL_US);
    }
}

void
rig_checkpoint(Rig *rig)
{
    GError *error = NULL;
    (void)apply_checkpoint(rig->apply, &error);
    rig_check(error);
}

void
rig_stop(Rig *rig)
{
    g_clear_pointer(&rig->apply, apply_stop);
}

void
rig_close(Rig *rig)
{
    rig_stop(rig);
    state_close(rig->state);
    mapfeed_stop(rig->feed);
    log_close(rig->log);
    log_close(rig->posts);
    log_cluster_close(rig->memory);
    log_cluster_close(rig->cluster);
    g_free(rig);
}
