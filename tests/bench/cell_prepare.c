/*
 * The log of the posts is made once and opened once more, so that what its
 * RocksDB still holds in its write-ahead log becomes table files and no
 * later figure pays for that. Then an empty cell eats the graph and the fill:
 * this is also the rebuild from nothing but the log (B7).
 */
#include "tests/bench/bench.h"

#include "firehose/partition.h"
#include "tests/bench/usage.h"

#include <stdio.h>
#include <stdlib.h>

#define APPEND_MAX 1000

static void
append_some(Log *posts, Stream *stream, const World *world, guint n)
{
    g_autofree LogEntry *entries = g_new0(LogEntry, n);
    guint8 keys[APPEND_MAX][PARTITION_KEY_BYTES];
    g_autoptr(GPtrArray) events =
        g_ptr_array_new_with_free_func((GDestroyNotify)g_byte_array_unref);
    for (guint i = 0; i < n; i++) {
        GByteArray *event = g_byte_array_sized_new(1024);
        StreamPost post = stream_next(stream);
        stream_event(stream, &post, event);
        partition_key(world_user_id(world, post.author), keys[i]);
        g_ptr_array_add(events, event);
        entries[i] = (LogEntry){
            0, {keys[i], PARTITION_KEY_BYTES}, {event->data, event->len}};
    }
    rig_append(posts, entries, n);
}

static void
make_log(const Bench *bench)
{
    GError *error = NULL;
    guint64 first;
    guint64 have;
    guint64 want = bench->plan.fill_posts + bench->plan.posts;
    LogCluster *cluster = log_cluster_local(bench->log, &error);
    rig_check(error);
    Log *posts = rig_posts_open(cluster);
    (void)log_bounds(posts, 0, &first, &have, &error);
    rig_check(error);
    if (have != 0 && have != want) {
        fprintf(stderr, "comb-bench-cell: %s is another world's log\n",
                bench->log);
        exit(EXIT_FAILURE);
    }
    g_autoptr(Stream) stream = stream_new(bench->world);
    while (have < want) {
        guint n = (guint)MIN(want - have, APPEND_MAX);
        append_some(posts, stream, bench->world, n);
        have += n;
    }
    log_close(posts);
    log_cluster_close(cluster);
    cluster = log_cluster_local(bench->log, &error);
    rig_check(error);
    log_cluster_close(cluster);
}

int
bench_prepare(const Bench *bench)
{
    const WorldHeader *header = bench->world->header;
    const StreamPlan *plan = &bench->plan;
    usage_pin(USAGE_LOAD_CORE);
    make_log(bench);
    double begin = usage_now_us();
    Rig *rig = bench_rig(bench, bench_end_of_fill(bench));
    rig_start(rig);
    rig_wait(rig, header->edges);
    double graph = usage_now_us();
    rig_wait(rig, bench_end_of_fill(bench));
    rig_checkpoint(rig);
    double end = usage_now_us();
    rig_close(rig);
    printf("{\"users\":%u,\"edges\":%" G_GUINT64_FORMAT
           ",\"seed\":%" G_GUINT64_FORMAT ",\"graph\":\"%016" G_GINT64_MODIFIER
           "x\",\"fan_out\":%.1f,\"fill_posts\":%" G_GUINT64_FORMAT
           ",\"fill_deliveries\":%" G_GUINT64_FORMAT
           ",\"posts\":%" G_GUINT64_FORMAT ",\"deliveries\":%" G_GUINT64_FORMAT
           ",\"graph_s\":%.3f,\"rebuild_s\":%.3f}\n",
           header->users, header->edges, header->seed, header->digest,
           world_fan_out(bench->world), plan->fill_posts, plan->fill_deliveries,
           plan->posts, plan->deliveries, (graph - begin) / 1e6,
           (end - begin) / 1e6);
    return 0;
}
