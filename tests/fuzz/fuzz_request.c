/*
 * fuzz_request.c - any bytes as a message to cell, router and gateway
 *
 * A small Comb without sockets: in the place of thrift/server.c stands a
 * server that keeps the method tables, so that the handlers of the daemons
 * themselves read what comes. Whoever has the method called is asked, and
 * must answer once, with a well-formed message of the call's method and seqid
 * that has one result; a page has no more entries than may be asked for.
 *
 * The world is fixed: what is published is checked, stamped, acknowledged and
 * dropped (drop_append()), so that one input cannot change the answer of the
 * next. Calls that may wait by their own wish, or write to the disk each
 * time, are left out (is_slow()).
 */
#include "cell/cell.h"
#include "firehose/event.h"
#include "firehose/gateway.h"
#include "firehose/log_driver.h"
#include "ops/kit/ensure.h"
#include "router/router.h"
#include "tests/kit/page_seen.h"
#include "tests/kit/tmpdir.h"
#include "thrift/limits.h"
#include "thrift/reply.h"
#include "thrift/server.h"

#include <event2/thread.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>

#define SERVERS_MAX 3
#define ANSWER_S_MAX 20
#define AUTHOR 2
#define POSTS 30
#define FIRST_ID (G_GINT64_CONSTANT(1732269600123) << 21)
#define DEAD_PORT 1

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const guint8 *data, size_t len);

/* ---- a server without sockets ---- */

struct Server {
    const ServerMethod *methods;
    gpointer user_data;
};

struct Request {
    WireBytes bytes;   /* the message */
    Frame frame;       /* of it */
    GByteArray *reply; /* under the fleet's lock; NULL: not yet */
    gint64 received_us;
};

/* What the process has: all servers, and what their handlers wait on. */
typedef struct Fleet {
    Server servers[SERVERS_MAX];
    guint n;                 /* servers so far */
    struct event_base *base; /* the fuzzer's thread's */
    pthread_mutex_t lock;    /* guards replies */
    pthread_cond_t answered;
} Fleet;

static Fleet *
the_fleet(void)
{
    static Fleet fleet = {.lock = PTHREAD_MUTEX_INITIALIZER,
                          .answered = PTHREAD_COND_INITIALIZER};

    return &fleet;
}

Server *
server_start(const ServerOptions *options, GError **error)
{
    Fleet *fleet = the_fleet();
    Server *server = &fleet->servers[fleet->n++];

    (void)error;
    ensure(fleet->n <= SERVERS_MAX);
    *server = (Server){options->methods, options->user_data};
    return server;
}

guint16
server_port(const Server *server)
{
    (void)server;
    return DEAD_PORT;
}

gboolean
server_drain(Server *server, guint timeout_ms)
{
    (void)server;
    (void)timeout_ms;
    return TRUE;
}

void
server_stop(Server *server)
{
    (void)server;
}

void
server_stats(Server *server, ServerStats *ret_stats)
{
    (void)server;
    *ret_stats = (ServerStats){0};
}

Calls *
server_calls(Server *server)
{
    (void)server;
    return NULL;
}

guint
server_connections_max(const Server *server)
{
    (void)server;
    return 0;
}

const Frame *
request_frame(const Request *request)
{
    return &request->frame;
}

WireBytes
request_bytes(const Request *request)
{
    return request->bytes;
}

gint64
request_received_us(const Request *request)
{
    return request->received_us;
}

struct event_base *
request_base(const Request *request)
{
    (void)request;
    return the_fleet()->base;
}

guint
request_thread(const Request *request)
{
    (void)request;
    return 0;
}

void
request_reply(Request *request, GByteArray *message)
{
    Fleet *fleet = the_fleet();

    ensure(message != NULL);
    pthread_mutex_lock(&fleet->lock);
    ensure(request->reply == NULL);
    request->reply = message;
    pthread_cond_signal(&fleet->answered);
    pthread_mutex_unlock(&fleet->lock);
}

/* ---- a small world ---- */

typedef struct World {
    char *dir; /* of the cell, and the gateway's id clock */
    LogCluster *cluster;
    Log *firehose; /* what the cell reads */
    Log *control;
    Log dropped[2]; /* the same as the gateway sees them */
    Metrics *metrics;
    MapFeed *feed;
    Cell *cell;
    Router *router;
    Gateway *gateway;
} World;

static World *
the_world(void)
{
    static World world;

    return &world;
}

static Log *
open_topic(LogCluster *cluster, const char *name, gboolean compacted)
{
    const LogTopic topic = {.name = name,
                            .partitions = 1,
                            .compacted = compacted,
                            .retention_ms = -1,
                            .replication = 1};
    Log *log = log_open(cluster, &topic, TRUE, NULL);

    ensure(log != NULL);
    return log;
}

static Log *
open_control(gpointer user_data, GError **error)
{
    (void)error;
    return open_topic(user_data, LOG_CONTROL_TOPIC, TRUE);
}

static void
drop_append(Log *log, const LogEntry *entries, gsize n, LogAckFunc acked,
            gpointer user_data)
{
    g_autofree LogAck *acks = g_new0(LogAck, n);
    /* Whoever sets a map waits for it to be read back: none is taken. */
    gboolean taken = log == &the_world()->dropped[0];

    (void)entries;
    for (gsize i = 0; i < n; i++) {
        acks[i] = (LogAck){taken ? LOG_APPENDED : LOG_APPEND_FULL, i, "full"};
    }
    acked(acks, n, user_data);
}

/* Reading goes to the log that @log is a copy of. */
static Log *
behind(Log *log)
{
    World *world = the_world();

    return log == &world->dropped[0] ? world->firehose : world->control;
}

static gboolean
drop_bounds(Log *log, guint partition, guint64 *ret_first, guint64 *ret_end,
            GError **error)
{
    return log_bounds(behind(log), partition, ret_first, ret_end, error);
}

static gboolean
drop_find_time(Log *log, guint partition, gint64 time_ms, guint64 *ret_offset,
               GError **error)
{
    return log_find_time(behind(log), partition, time_ms, ret_offset, error);
}

static gboolean
drop_place_load(Log *log, const char *client, guint64 *ret_next, GError **error)
{
    return log_place_load(behind(log), client, ret_next, error);
}

static gboolean
drop_place_store(Log *log, const char *client, const guint64 *next,
                 GError **error)
{
    return log_place_store(behind(log), client, next, error);
}

static LogReader *
drop_reader_open(Log *log, const guint64 *next, const char *group,
                 GError **error)
{
    return log_reader_open(behind(log), next, group, error);
}

static const LogDriver dropping = {.append = drop_append,
                                   .bounds = drop_bounds,
                                   .find_time = drop_find_time,
                                   .place_load = drop_place_load,
                                   .place_store = drop_place_store,
                                   .reader_open = drop_reader_open};

static void
on_acked(const LogAck *acks, gsize n, gpointer user_data)
{
    (void)user_data;
    ensure(n == 1 && acks[0].outcome == LOG_APPENDED);
}

/* Owns: takes @value. */
static void
append(Log *log, GByteArray *value)
{
    LogEntry entry = {0,
                      {(const guint8 *)CELLMAP_KEY, strlen(CELLMAP_KEY)},
                      {value->data, value->len}};

    log_append(log, &entry, 1, on_acked, NULL);
    g_byte_array_unref(value);
}

static void
append_event(Log *log, gint64 id, EventKind kind, gint64 user, gint64 target)
{
    GByteArray *out = g_byte_array_new();

    wire_field_i64(out, EVENT_FIELD_ID, id);
    wire_field_i32(out, EVENT_FIELD_KIND, (gint32)kind);
    wire_field_i64(out, EVENT_FIELD_USER, user);
    if (kind == EVENT_FOLLOW) {
        wire_field_i64(out, EVENT_FIELD_TARGET_USER, target);
    } else {
        wire_write_field(out, WIRE_STRUCT, EVENT_FIELD_POST);
        wire_field_i64(out, 1, id);
        wire_field_i64(out, 2, user);
        wire_field_i32(out, 3, 1);
        wire_field_string(out, 4, "honey");
        if (target != 0) {
            wire_field_i64(out, 6, target);
        }
        wire_write_stop(out);
    }
    wire_write_stop(out);
    append(log, out);
}

/* Users 1 and 3 follow the author; every third post is a reply. */
static void
fill_log(Log *log)
{
    append_event(log, FIRST_ID - 2, EVENT_FOLLOW, 1, AUTHOR);
    append_event(log, FIRST_ID - 1, EVENT_FOLLOW, 3, AUTHOR);
    for (gint64 i = 0; i < POSTS; i++) {
        append_event(log, FIRST_ID + i, EVENT_POST, AUTHOR,
                     i % 3 == 2 ? FIRST_ID + i - 1 : 0);
    }
}

static void
publish_map(Log *control)
{
    static char host[] = "127.0.0.1";
    const CellMapEntry entry = {0, host, DEAD_PORT};
    g_autoptr(CellMap) map = cellmap_even(1, &entry, 1);
    GByteArray *bytes = g_byte_array_new();

    cellmap_encode(map, bytes);
    append(control, bytes);
}

static void
start_cell(World *world)
{
    const CellOptions options = {.data_dir = world->dir,
                                 .host = "127.0.0.1",
                                 .threads = 1,
                                 .checkpoint_s = 86400,
                                 .memory_share = 1,
                                 .cache_bytes = 1 << 20,
                                 .fanout_slice = 1 << 20};

    world->cell = cell_start(&options, world->firehose, world->feed,
                             world->metrics, NULL);
    ensure(world->cell != NULL);
    for (char *why; (why = cell_ready(world->cell)) != NULL; g_free(why)) {
        g_usleep(1000);
    }
}

static void
start_router(World *world)
{
    const RouterOptions options = {.host = "127.0.0.1",
                                   .threads = 1,
                                   .cell_timeout_ms = 100,
                                   .cell_in_flight_max = 16};

    world->router = router_start(&options, world->feed, world->metrics, NULL);
    ensure(world->router != NULL);
}

static void
start_gateway(World *world)
{
    const GatewayOptions options = {.host = "127.0.0.1",
                                    .threads = 1,
                                    .data_dir = world->dir,
                                    .pending_bytes_max = 64 << 20,
                                    .retention_ms = 1000};
    Log *logs[] = {world->firehose, world->control};

    for (guint i = 0; i < G_N_ELEMENTS(logs); i++) {
        world->dropped[i] = *logs[i];
        world->dropped[i].driver = &dropping;
    }
    world->gateway =
        gateway_start(&options, &world->dropped[0], &world->dropped[1],
                      world->feed, world->metrics, NULL);
    ensure(world->gateway != NULL);
}

/* The end of the process: leaves no file, and no thread under RocksDB's
   destructors. */
static void
world_end(void)
{
    World *world = the_world();

    gateway_stop(world->gateway);
    cell_stop(world->cell);
    mapfeed_stop(world->feed);
    log_close(world->control);
    log_close(world->firehose);
    log_cluster_close(world->cluster);
    tmpdir_free(world->dir);
}

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
    World *world = the_world();

    (void)argc;
    (void)argv;
    signal(SIGPIPE, SIG_IGN);
    ensure(evthread_use_pthreads() == 0);
    the_fleet()->base = event_base_new();
    world->dir = tmpdir_new();
    world->cluster = log_cluster_memory();
    world->firehose = open_topic(world->cluster, LOG_FIREHOSE_TOPIC, FALSE);
    world->control = open_control(world->cluster, NULL);
    world->metrics = metrics_new();
    fill_log(world->firehose);
    publish_map(world->control);
    world->feed = mapfeed_start(open_control, NULL, NULL, world->cluster);
    start_cell(world);
    start_router(world);
    start_gateway(world);
    atexit(world_end);
    return 0;
}

/* ---- a call ---- */

static const ServerMethod *
find_method(const Server *server, WireBytes name)
{
    const ServerMethod *method = server->methods;

    for (; method->name != NULL; method++) {
        if (strlen(method->name) == name.len &&
            memcmp(method->name, name.data, name.len) == 0) {
            return method;
        }
    }
    return NULL;
}

static gboolean
is_named(const Frame *frame, const char *name)
{
    return frame->method.len == strlen(name) &&
           memcmp(frame->method.data, name, frame->method.len) == 0;
}

/* A checkpoint syncs files; a fetch waits as long as it says, field 7. */
static gboolean
is_slow(const Frame *frame)
{
    WireReader reader;
    WireField field;

    if (is_named(frame, "checkpoint")) {
        return TRUE;
    }
    if (!is_named(frame, "fetch") || !frame_struct(frame, 2, &reader)) {
        return FALSE;
    }
    while (wire_read_field(&reader, &field)) {
        if (field.id == 7) {
            return TRUE;
        }
        wire_skip(&reader, field.type);
    }
    return FALSE;
}

/* Runs what the call set going until it is answered. */
static void
await_reply(Request *request)
{
    const gint64 until = g_get_monotonic_time() + ANSWER_S_MAX * G_USEC_PER_SEC;
    Fleet *fleet = the_fleet();

    pthread_mutex_lock(&fleet->lock);
    while (request->reply == NULL) {
        gint64 ns = g_get_real_time() * 1000 + 500000;
        struct timespec soon = {ns / 1000000000, ns % 1000000000};

        ensure(g_get_monotonic_time() < until);
        pthread_cond_timedwait(&fleet->answered, &fleet->lock, &soon);
        pthread_mutex_unlock(&fleet->lock);
        event_base_loop(fleet->base, EVLOOP_NONBLOCK);
        pthread_mutex_lock(&fleet->lock);
    }
    pthread_mutex_unlock(&fleet->lock);
}

static void
check_page(const FrameField *page)
{
    GByteArray *bytes = g_byte_array_new();
    g_auto(PageSeen) seen = {0};

    g_byte_array_append(bytes, page->value.data, (guint)page->value.len);
    ensure(page_seen_read(bytes, &seen));
    ensure(seen.entries->len <= PAGE_LIMIT_MAX && !seen.stale);
}

static void
check_reply(const Request *request)
{
    const Frame *call = &request->frame;
    guint results = 0;
    Frame frame;

    ensure(frame_scan(request->reply->data, request->reply->len, &frame) ==
           FRAME_OK);
    ensure(frame.kind == FRAME_REPLY && frame.seqid == call->seqid);
    ensure(frame.method.len == call->method.len);
    ensure(memcmp(frame.method.data, call->method.data, call->method.len) == 0);
    for (guint id = 0; id <= FRAME_FIELD_MAX; id++) {
        results += frame.field[id].type != WIRE_STOP;
        ensure(frame.field[id].type == WIRE_STOP || id <= REPLY_DENIED);
    }
    ensure(results == 1);
    if (frame.field[REPLY_SUCCESS].type != WIRE_STOP &&
        (is_named(call, "getDashboard") || is_named(call, "getTimeline"))) {
        check_page(&frame.field[REPLY_SUCCESS]);
    }
}

static void
ask(const Server *server, const guint8 *data, gsize len, const Frame *frame)
{
    const ServerMethod *method = find_method(server, frame->method);
    Request request = {.bytes = {data, len},
                       .frame = *frame,
                       .received_us = g_get_monotonic_time()};

    if (method == NULL) {
        return;
    }
    method->handler(&request, server->user_data);
    await_reply(&request);
    check_reply(&request);
    g_byte_array_unref(request.reply);
}

int
LLVMFuzzerTestOneInput(const guint8 *data, size_t len)
{
    const Fleet *fleet = the_fleet();
    Frame frame;

    if (frame_scan(data, len, &frame) != FRAME_OK || frame.kind != FRAME_CALL ||
        is_slow(&frame)) {
        return 0;
    }
    for (guint i = 0; i < fleet->n; i++) {
        ask(&fleet->servers[i], data, len, &frame);
    }
    return 0;
}
