/*
 * comb-bench-firehose: how fast one client gets the events of a local log
 *
 *     comb-bench-firehose DIR [EVENTS]
 *
 * Fills a local log in DIR with small events (half likes, four in ten follows,
 * the rest short posts) once, then streams all of it with GET /v1/stream from
 * the earliest to the end, over loopback. The client counts lines and bytes
 * and looks at nothing else. Prints one JSON object. DIR is for the caller to
 * remove; a second run finds the log and fills nothing.
 */
#include "firehose/event.h"
#include "firehose/partition.h"
#include "firehose/position.h"
#include "firehose/streams.h"
#include "ops/kit/daemon.h"
#include "ops/kit/ensure.h"
#include "tests/bench/usage.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define EVENTS_DEFAULT 2000000
#define PARTITIONS 4
#define BATCH 1000
#define SERVER_CORE USAGE_SERVER_CORE
#define CLIENT_CORE USAGE_LOAD_CORE

/* An append that is waited for. */
typedef struct Waiting {
    pthread_mutex_t mutex;
    pthread_cond_t done;
    gboolean acked;
} Waiting;

static void
on_acked(const LogAck *acks, gsize n, gpointer user_data)
{
    Waiting *waiting = user_data;

    for (gsize i = 0; i < n; i++) {
        ensure(acks[i].outcome == LOG_APPENDED);
    }
    pthread_mutex_lock(&waiting->mutex);
    waiting->acked = TRUE;
    pthread_cond_signal(&waiting->done);
    pthread_mutex_unlock(&waiting->mutex);
}

static void
append_wait(Log *log, const LogEntry *entries, gsize n)
{
    Waiting waiting = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER,
                       FALSE};

    log_append(log, entries, n, on_acked, &waiting);
    pthread_mutex_lock(&waiting.mutex);
    while (!waiting.acked) {
        pthread_cond_wait(&waiting.done, &waiting.mutex);
    }
    pthread_mutex_unlock(&waiting.mutex);
}

/* Its partition. */
static guint
put_event(GByteArray *out, guint64 i)
{
    guint dice = (guint)(i * 7 % 10);
    EventKind kind = dice < 5   ? EVENT_LIKE
                     : dice < 9 ? EVENT_FOLLOW
                                : EVENT_POST;
    gint64 id = (G_GINT64_CONSTANT(1764000000000) << 21) + (gint64)(i << 8);
    g_autoptr(GByteArray) in = g_byte_array_new();
    guint8 key[PARTITION_KEY_BYTES];
    EventFault fault;
    Event event;

    wire_field_i32(in, EVENT_FIELD_KIND, (gint32)kind);
    wire_field_i64(in, EVENT_FIELD_USER, (gint64)(i * 7919 % 1000000 + 1));
    wire_field_i64(in, EVENT_FIELD_TARGET_USER, (gint64)(i % 999983 + 1));
    wire_field_i64(in, EVENT_FIELD_TARGET_POST, id - 4096);
    if (kind == EVENT_POST) {
        wire_write_field(in, WIRE_STRUCT, EVENT_FIELD_POST);
        wire_field_string(in, 4, "a short post, as people write them at lunch");
        wire_write_stop(in);
    }
    wire_write_stop(in);
    ensure(event_stamp((WireBytes){in->data, in->len}, (EventId){id}, out,
                       &event, &fault));
    partition_key(event.user, key);
    return partition_of(key, sizeof key, PARTITIONS);
}

static void
fill_batch(Log *log, guint64 from)
{
    g_autoptr(GByteArray) arena = g_byte_array_sized_new(BATCH * 256);
    LogEntry entries[BATCH];
    guint ends[BATCH], partitions[BATCH];

    for (guint i = 0; i < BATCH; i++) {
        partitions[i] = put_event(arena, from + i);
        ends[i] = arena->len;
    }
    for (guint i = 0; i < BATCH; i++) {
        guint begin = i == 0 ? 0 : ends[i - 1];

        entries[i] = (LogEntry){
            partitions[i], {NULL, 0}, {arena->data + begin, ends[i] - begin}};
    }
    append_wait(log, entries, BATCH);
}

static void
fill(Log *log, guint64 events)
{
    guint64 there = 0;

    for (guint i = 0; i < PARTITIONS; i++) {
        guint64 first;
        guint64 end;

        ensure(log_bounds(log, i, &first, &end, NULL));
        there += end;
    }
    for (guint64 i = there; i < events; i += BATCH) {
        fill_batch(log, i);
    }
}

/* What the client has counted. */
typedef struct Count {
    guint16 port;
    guint64 lines;
    guint64 bytes;
} Count;

static void *
run_client(void *data)
{
    static const char request[] =
        "GET /v1/stream?since=earliest&follow=0 HTTP/1.0\r\n\r\n";
    static char buffer[1 << 20];
    struct sockaddr_in addr = {.sin_family = AF_INET};
    Count *count = data;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    ssize_t n;

    usage_pin(CLIENT_CORE);
    addr.sin_port = htons(count->port);
    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ensure(connect(fd, (struct sockaddr *)&addr, sizeof addr) == 0);
    ensure(write(fd, request, strlen(request)) == (ssize_t)strlen(request));
    while ((n = read(fd, buffer, sizeof buffer)) > 0) {
        const char *at = buffer;
        const char *end = buffer + n;

        count->bytes += (guint64)n;
        while ((at = memchr(at, '\n', (gsize)(end - at))) != NULL) {
            count->lines++;
            at++;
        }
    }
    ensure(n == 0);
    close(fd);
    return NULL;
}

static void
measure(Log *log, guint64 events)
{
    Metrics *metrics = metrics_new();
    StreamsOptions options = {
        .host = "127.0.0.1",
        .log = {log, position_check(log_identity(log)), -1},
        .metrics = metrics,
    };
    g_autoptr(GError) error = NULL;
    Count count = {0};
    Streams *streams;
    pthread_t client;
    gint64 begin_us;
    double took_s;

    usage_pin(SERVER_CORE);
    streams = streams_start(&options, &error);
    ensure(streams != NULL);
    count.port = streams_port(streams);
    begin_us = g_get_monotonic_time();
    ensure(pthread_create(&client, NULL, run_client, &count) == 0);
    ensure(pthread_join(client, NULL) == 0);
    took_s = (double)(g_get_monotonic_time() - begin_us) / 1e6;
    streams_stop(streams);
    metrics_free(metrics);
    /* The lines of the response's head, five of them, are no events. */
    ensure(count.lines - 5 == events);
    printf("{\"events\": %" G_GUINT64_FORMAT ", \"seconds\": %.3f, "
           "\"events_per_s\": %.0f, \"bytes_per_event\": %.1f}\n",
           events, took_s, (double)events / took_s,
           (double)count.bytes / (double)events);
}

int
main(int argc, char **argv)
{
    static const LogTopic topic = {.name = LOG_FIREHOSE_TOPIC,
                                   .partitions = PARTITIONS,
                                   .retention_ms = -1};
    guint64 events =
        argc > 2 ? g_ascii_strtoull(argv[2], NULL, 10) : EVENTS_DEFAULT;
    g_autoptr(GError) error = NULL;
    LogCluster *cluster;
    Log *log;

    if (argc < 2 || events == 0) {
        fputs("usage: comb-bench-firehose DIR [EVENTS]\n", stderr);
        return 2;
    }
    events = (events + BATCH - 1) / BATCH * BATCH;
    daemon_begin();
    cluster = log_cluster_local(argv[1], &error);
    log = cluster != NULL ? log_open(cluster, &topic, TRUE, &error) : NULL;
    if (log == NULL) {
        fprintf(stderr, "comb-bench-firehose: %s\n", error->message);
        return 1;
    }
    fill(log, events);
    measure(log, events);
    log_close(log);
    log_cluster_close(cluster);
    return 0;
}
