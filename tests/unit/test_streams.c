/*
 * test_streams.c - streams over a real socket, with clients that behave badly
 *
 * What a stream has in it is the scenarios' business (test_stream.py); here
 * are bounds and ends.
 */
#include "firehose/streams.h"

#include "firehose/event.h"
#include "firehose/partition.h"
#include "firehose/position.h"
#include "ops/kit/daemon.h"
#include "tests/kit/log_behaviours.h"
#include "tests/kit/tmpdir.h"
#include "tests/unit/peer.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PARTITIONS 2
/* Who posts all of it. */
#define USER 5
#define STREAMS 2
#define STALL_MS 300
#define BIG_BODY 60000
#define BIG_EVENTS 600
#define BIG_BATCH 100
#define EXPIRE_MS 4000
#define SOON_US (10 * G_USEC_PER_SEC)

typedef struct Town {
    char *dir; /* of a local log; NULL: the memory log */
    LogCluster *cluster;
    Log *log;
    Metrics *metrics;
    Streams *streams;
} Town;

static void
town_begin(Town *town, LogCluster *cluster, gint64 retention_ms, guint stall_ms)
{
    const LogTopic topic = {
        .name = "t", .partitions = PARTITIONS, .retention_ms = retention_ms};
    StreamsOptions options = {
        .host = "127.0.0.1", .streams_max = STREAMS, .stall_ms = stall_ms};
    g_autoptr(GError) error = NULL;

    town->dir = NULL;
    town->cluster = cluster;
    town->log = log_must_open(cluster, &topic);
    town->metrics = metrics_new();
    options.metrics = town->metrics;
    options.log =
        (PlaceLog){town->log, position_check(log_identity(town->log)), -1};
    town->streams = streams_start(&options, &error);
    g_assert_no_error(error);
}

static void
town_start(Town *town)
{
    town_begin(town, log_cluster_memory(), -1, STALL_MS);
}

static void
town_end(Town *town)
{
    streams_stop(town->streams);
    metrics_free(town->metrics);
    log_close(town->log);
    log_cluster_close(town->cluster);
    if (town->dir != NULL) {
        tmpdir_free(town->dir);
    }
}

static guint
partition_of_user(void)
{
    guint8 key[PARTITION_KEY_BYTES];

    partition_key((UserId){USER}, key);
    return partition_of(key, sizeof key, PARTITIONS);
}

/* @n posts with a body of @body_len bytes, in one append. */
static void
put_posts(Town *town, gsize body_len, guint n)
{
    g_autofree char *body = g_strnfill(body_len, 'b');
    g_autofree LogEntry *entries = g_new0(LogEntry, n);
    g_autoptr(GByteArray) in = g_byte_array_new();
    g_autoptr(GByteArray) out = g_byte_array_new();
    LogAnswer answer = {0};
    EventFault fault;
    Event event;

    wire_field_i32(in, EVENT_FIELD_KIND, EVENT_POST);
    wire_field_i64(in, EVENT_FIELD_USER, USER);
    wire_write_field(in, WIRE_STRUCT, EVENT_FIELD_POST);
    wire_field_string(in, 4, body);
    wire_write_stop(in);
    wire_write_stop(in);
    g_assert_true(event_stamp((WireBytes){in->data, in->len}, (EventId){9}, out,
                              &event, &fault));
    for (guint i = 0; i < n; i++) {
        entries[i].partition = partition_of_user();
        entries[i].value = (WireBytes){out->data, out->len};
    }
    log_append_wait(town->log, entries, n, &answer);
    log_answer_clear(&answer);
}

/* More than sockets hold. */
static void
put_big_posts(Town *town)
{
    for (guint i = 0; i < BIG_EVENTS; i += BIG_BATCH) {
        put_posts(town, BIG_BODY, BIG_BATCH);
    }
}

static int
ask(const Town *town, const char *query)
{
    g_autofree char *text = g_strdup_printf(
        "GET /v1/stream%s HTTP/1.1\r\nHost: comb\r\n\r\n", query);
    int fd = peer_connect(streams_port(town->streams));

    peer_send_raw(fd, text, strlen(text));
    return fd;
}

/* Reads until @wanted has come, or NULL: the other side closes. */
static void
read_until(int fd, GString *text, const char *wanted)
{
    gint64 until_us = g_get_monotonic_time() + SOON_US;
    char bytes[4096];
    ssize_t n;

    while (wanted == NULL || strstr(text->str, wanted) == NULL) {
        g_assert_cmpint(g_get_monotonic_time(), <, until_us);
        n = recv(fd, bytes, sizeof bytes, 0);
        g_assert_cmpint(n, >=, 0);
        if (n == 0) {
            g_assert_null(wanted);
            return;
        }
        g_string_append_len(text, bytes, n);
    }
}

static void
wait_metric(const Town *town, const char *line)
{
    gint64 until_us = g_get_monotonic_time() + SOON_US;

    for (;;) {
        g_autofree char *text = metrics_text(town->metrics);

        if (strstr(text, line) != NULL) {
            return;
        }
        g_assert_cmpint(g_get_monotonic_time(), <, until_us);
        g_usleep(5000);
    }
}

/* An event comes as soon as the log has it, whole and in a chunk. */
static void
test_live(void)
{
    g_autoptr(GString) text = g_string_new(NULL);
    Town town;
    int fd;

    town_start(&town);
    fd = ask(&town, "?limit=2");
    read_until(fd, text, "\r\n\r\n");
    g_assert_true(g_str_has_prefix(text->str, "HTTP/1.1 200 OK\r\n"));
    g_assert_nonnull(strstr(text->str, "application/x-ndjson"));
    put_posts(&town, 3, 1);
    read_until(fd, text, "\"body\":\"bbb\"}\n\r\n");
    put_posts(&town, 4, 1);
    read_until(fd, text, NULL);
    g_assert_true(g_str_has_suffix(text->str, "\"bbbb\"}\n\r\n0\r\n\r\n"));
    close(fd);
    town_end(&town);
}

/* A client of HTTP/1.0 knows no chunks. */
static void
test_old_http(void)
{
    static const char request[] =
        "GET /v1/stream?since=earliest&follow=0 HTTP/1.0\r\n\r\n";
    g_autoptr(GString) text = g_string_new(NULL);
    Town town;
    int fd;

    town_start(&town);
    put_posts(&town, 3, 1);
    fd = peer_connect(streams_port(town.streams));
    peer_send_raw(fd, request, strlen(request));
    read_until(fd, text, NULL);
    g_assert_null(strstr(text->str, "chunked"));
    g_assert_nonnull(strstr(text->str, "\r\n\r\n{\"position\""));
    g_assert_true(g_str_has_suffix(text->str, "\"bbb\"}\n"));
    close(fd);
    town_end(&town);
}

/* One stream more than there may be is refused, and taken once another one's
   client has gone. */
static void
test_bound(void)
{
    g_autoptr(GString) text = g_string_new(NULL);
    Town town;
    int first;
    int second;
    int third;

    town_start(&town);
    first = ask(&town, "");
    second = ask(&town, "?kinds=post");
    wait_metric(&town, "comb_stream_started_total 2\n");
    third = ask(&town, "");
    read_until(third, text, "\"limit\":2}");
    g_assert_true(g_str_has_prefix(text->str, "HTTP/1.1 503 "));
    g_assert_nonnull(strstr(text->str, "Retry-After"));
    close(third);
    close(first);
    wait_metric(&town, "comb_stream_open 1\n");
    third = ask(&town, "");
    wait_metric(&town, "comb_stream_started_total 3\n");
    close(second);
    close(third);
    town_end(&town);
}

/* A client that takes nothing is cut off; another one is not held up. */
static void
test_stall(void)
{
    g_autoptr(GString) slow = g_string_new(NULL);
    g_autoptr(GString) fast = g_string_new(NULL);
    Town town;
    int slow_fd;
    int fast_fd;

    town_start(&town);
    put_big_posts(&town);
    slow_fd = ask(&town, "?since=earliest");
    fast_fd = ask(&town, "?since=earliest&follow=0");
    read_until(fast_fd, fast, NULL);
    g_assert_cmpuint(fast->len, >, (gsize)BIG_BODY * BIG_EVENTS);
    g_assert_true(g_str_has_suffix(fast->str, "\n0\r\n\r\n"));
    wait_metric(&town, "comb_stream_cut_off_total 1\n");
    wait_metric(&town, "comb_stream_open 0\n");
    read_until(slow_fd, slow, NULL);
    g_assert_cmpuint(slow->len, <, fast->len);
    g_assert_false(g_str_has_suffix(slow->str, "\n0\r\n\r\n"));
    close(slow_fd);
    close(fast_fd);
    town_end(&town);
}

/* A client that takes a little now and then is slow, and never cut off. */
static void
test_slow(void)
{
    g_autoptr(GString) text = g_string_new(NULL);
    gint64 until_us = g_get_monotonic_time() + 4 * STALL_MS * 1000;
    char bytes[65536];
    Town town;
    int fd;

    town_start(&town);
    put_big_posts(&town);
    fd = ask(&town, "?since=earliest&follow=0");
    while (g_get_monotonic_time() < until_us) {
        ssize_t n = recv(fd, bytes, sizeof bytes, MSG_WAITALL);

        g_assert_cmpint(n, >, 0);
        g_string_append_len(text, bytes, n);
        g_usleep(5000);
    }
    read_until(fd, text, NULL);
    g_assert_true(g_str_has_suffix(text->str, "\n0\r\n\r\n"));
    close(fd);
    town_end(&town);
}

/* What has expired before a slow client came to it is told, never passed
   over. */
static void
test_expired(void)
{
    g_autoptr(GString) text = g_string_new(NULL);
    char *dir = tmpdir_new();
    guint64 first = 0;
    guint64 end;
    Town town;
    int fd;

    town_begin(&town, log_cluster_local(dir, NULL), EXPIRE_MS, 20000);
    town.dir = dir;
    put_big_posts(&town);
    fd = ask(&town, "?since=earliest&or_earliest=1");
    while (first < BIG_EVENTS) {
        g_usleep(20000);
        g_assert_true(
            log_bounds(town.log, partition_of_user(), &first, &end, NULL));
    }
    read_until(fd, text, NULL);
    g_assert_nonnull(strstr(text->str, "\"kind\":\"stopped\",\"reason\":"));
    g_assert_nonnull(strstr(text->str, "expired"));
    g_assert_true(g_str_has_suffix(text->str, "\"}\n\r\n0\r\n\r\n"));
    wait_metric(&town, "comb_stream_stopped_total 1\n");
    close(fd);
    town_end(&town);
}

/* A stop ends streams with a line that says so, also those that are idle. */
static void
test_stop(void)
{
    g_autoptr(GString) text = g_string_new(NULL);
    gint64 begin_us;
    Town town;
    int fd;

    town_start(&town);
    fd = ask(&town, "");
    read_until(fd, text, "\r\n\r\n");
    begin_us = g_get_monotonic_time();
    streams_stop(town.streams);
    g_assert_cmpint(g_get_monotonic_time() - begin_us, <, 5 * G_USEC_PER_SEC);
    town.streams = NULL;
    read_until(fd, text, NULL);
    g_assert_nonnull(strstr(
        text->str, "\"kind\":\"stopped\",\"reason\":\"the gateway stops\"}\n"));
    g_assert_true(g_str_has_suffix(text->str, "\n\r\n0\r\n\r\n"));
    close(fd);
    town_end(&town);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    daemon_begin();
    g_test_add_func("/streams/live", test_live);
    g_test_add_func("/streams/old-http", test_old_http);
    g_test_add_func("/streams/bound", test_bound);
    g_test_add_func("/streams/stall", test_stall);
    g_test_add_func("/streams/slow", test_slow);
    g_test_add_func("/streams/expired", test_expired);
    g_test_add_func("/streams/stop", test_stop);
    return g_test_run();
}
