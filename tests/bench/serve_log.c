/*
 * Follows first, user after user, then posts: one partition, so that a cell
 * applies them in this order and no follow has to bring posts.
 */
#include "tests/bench/serve.h"

#include "firehose/partition.h"
#include "tests/bench/worldlog.h"

#include <stdatomic.h>
#include <stdio.h>

#define APPEND_MAX 1000

typedef struct Writer {
    Log *log;
    GPtrArray *events; /* GByteArray */
    LogEntry entries[APPEND_MAX];
    guint8 keys[APPEND_MAX][PARTITION_KEY_BYTES];
} Writer;

static void
on_acked(const LogAck *acks, gsize n, gpointer user_data)
{
    _Atomic gsize *count = user_data;
    for (gsize i = 0; i < n; i++) {
        if (acks[i].outcome != LOG_APPENDED) {
            serve_fail("append", acks[i].reason);
        }
    }
    atomic_fetch_add(count, n);
}

static void
writer_flush(Writer *writer)
{
    _Atomic gsize acked = 0;
    guint n = writer->events->len;
    if (n > 0) {
        log_append(writer->log, writer->entries, n, on_acked, &acked);
    }
    while (atomic_load(&acked) < n) {
        g_usleep(20);
    }
    g_ptr_array_set_size(writer->events, 0);
}

/* Takes @event. */
static void
writer_add(Writer *writer, UserId user, GByteArray *event)
{
    guint i = writer->events->len;
    partition_key(user, writer->keys[i]);
    writer->entries[i] = (LogEntry){
        0, {writer->keys[i], PARTITION_KEY_BYTES}, {event->data, event->len}};
    g_ptr_array_add(writer->events, event);
    if (i + 1 == APPEND_MAX) {
        writer_flush(writer);
    }
}

static void
write_follows(Writer *writer, const World *world)
{
    guint64 edge = 0;
    for (guint32 user = 0; user < world->header->users; user++) {
        gsize n;
        (void)world_follows(world, user, &n);
        for (; n > 0; n--, edge++) {
            GByteArray *event = g_byte_array_sized_new(WORLDLOG_FOLLOW_BYTES);
            g_byte_array_set_size(event, WORLDLOG_FOLLOW_BYTES);
            worldlog_follow(world, edge, user, event->data);
            writer_add(writer, world_user_id(world, user), event);
        }
    }
}

static void
write_posts(Writer *writer, const World *world, guint64 posts)
{
    g_autoptr(Stream) stream = stream_new(world);
    for (; posts > 0; posts--) {
        GByteArray *event = g_byte_array_sized_new(1024);
        StreamPost post = stream_next(stream);
        stream_event(stream, &post, event);
        writer_add(writer, world_user_id(world, post.author), event);
    }
}

int
serve_log(const Serve *serve)
{
    const LogTopic topic = {
        .name = LOG_FIREHOSE_TOPIC, .partitions = 1, .retention_ms = -1};
    const WorldHeader *header = serve->world->header;
    StreamPlan plan =
        stream_plan(serve->world, (guint64)serve->fill * header->users, 0);
    GError *error = NULL;
    g_autofree Writer *writer = g_new0(Writer, 1);
    LogCluster *cluster = log_cluster_local(serve->log, &error);
    serve_check("log", error);
    writer->log = log_open(cluster, &topic, TRUE, &error);
    serve_check("log", error);
    writer->events =
        g_ptr_array_new_with_free_func((GDestroyNotify)g_byte_array_unref);
    write_follows(writer, serve->world);
    write_posts(writer, serve->world, plan.fill_posts);
    writer_flush(writer);
    g_ptr_array_unref(writer->events);
    log_close(writer->log);
    log_cluster_close(cluster);
    printf("{\"users\":%u,\"edges\":%" G_GUINT64_FORMAT
           ",\"seed\":%" G_GUINT64_FORMAT ",\"graph\":\"%016" G_GINT64_MODIFIER
           "x\",\"posts\":%" G_GUINT64_FORMAT
           ",\"deliveries\":%" G_GUINT64_FORMAT "}\n",
           header->users, header->edges, header->seed, header->digest,
           plan.fill_posts, plan.fill_deliveries);
    return 0;
}
