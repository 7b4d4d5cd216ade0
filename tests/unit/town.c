/*
 * town.c - a router on the bench
 *
 * The fakes are servers of our own making (thrift/server.h), each on its
 * thread; what a test changes of them while they serve is atomic.
 */
#include "tests/unit/town.h"

#include "tests/unit/peer.h"
#include "thrift/context.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define IN_FLIGHT_MAX 64

/* ---- cells that do as they are told ---- */

static void
fake_answer(const Fake *fake, Request *request)
{
    GByteArray *message = reply_begin(request);
    gint64 user = frame_i64(request_frame(request), 1, 0);
    wire_field_i64(message, 0, ANSWER(fake->cell, user));
    reply_send(request, message);
}

static void
fake_call(Request *request, gpointer user_data)
{
    Fake *fake = user_data;
    fake->calls++;
    switch ((FakeMode)fake->mode) {
    case FAKE_ANSWER:
        fake_answer(fake, request);
        break;
    case FAKE_NOT_HOMED:
        reply_not_homed(request, fake->cell, fake->epoch);
        break;
    case FAKE_UNAVAILABLE:
        reply_unavailable(request, "recovering", 10);
        break;
    case FAKE_OVERLOADED:
        reply_overloaded(request, TOWN_RETRY_AFTER_MS);
        break;
    case FAKE_HOLD:
        fake->held[fake->n_held++] = request;
        break;
    }
}

void
fake_release(Fake *fake)
{
    int n = atomic_exchange(&fake->n_held, 0);
    fake->mode = FAKE_ANSWER;
    for (int i = 0; i < n; i++) {
        fake_answer(fake, fake->held[i]);
    }
}

static const ServerMethod fake_methods[] = {
    {"getDashboard", fake_call},
    {"getTimeline", fake_call},
    {"getPosts", fake_call},
    {NULL, NULL},
};

void
fake_start(Fake *fake, guint cell, guint16 port)
{
    ServerOptions options = {
        .host = "127.0.0.1",
        .port = port,
        .threads = 1,
        .connections_max = 16,
        .frame_bytes_max = FRAME_BYTES_MAX,
        .in_flight_max = 4096,
        .queue_ms = 60000, /* a loaded machine is not what this is about */
        .methods = fake_methods,
        .user_data = fake,
    };
    g_autoptr(GError) error = NULL;
    fake->cell = cell;
    fake->server = server_start(&options, &error);
    g_assert_no_error(error);
}

void
fake_stop(Fake *fake)
{
    fake_release(fake);
    server_drain(fake->server, TOWN_WAIT_MS);
    g_clear_pointer(&fake->server, server_stop);
}

/* ---- a router, its map, and three cells ---- */

static const LogTopic control_topic = {
    .name = LOG_CONTROL_TOPIC,
    .partitions = 1,
    .compacted = TRUE,
    .retention_ms = -1,
};

static Log *
open_control(gpointer user_data, GError **error)
{
    return log_open(user_data, &control_topic, TRUE, error);
}

static void
start_router(Town *town, guint in_flight_max, guint timeout_ms)
{
    RouterOptions options = {
        .host = "127.0.0.1",
        .threads = 2,
        .cell_timeout_ms = timeout_ms,
        .cell_in_flight_max = in_flight_max,
        .queue_ms = 60000,
    };
    g_autoptr(GError) error = NULL;
    town->metrics = metrics_new();
    town->router = router_start(&options, town->feed, town->metrics, &error);
    g_assert_no_error(error);
    town->client = peer_connect(router_port(town->router));
}

void
town_set_up(Town *town, gconstpointer in_flight_max)
{
    static char host[] = "127.0.0.1";
    guint max = GPOINTER_TO_UINT(in_flight_max);
    town->cluster = log_cluster_memory();
    town->control = open_control(town->cluster, NULL);
    town->feed = mapfeed_start(open_control, NULL, NULL, town->cluster);
    for (guint i = 0; i < TOWN_CELLS; i++) {
        fake_start(&town->fakes[i], i, 0);
        town->entries[i] =
            (CellMapEntry){.cell = i,
                           .host = host,
                           .port = server_port(town->fakes[i].server)};
    }
    start_router(town, max > 0 ? max : IN_FLIGHT_MAX, TOWN_TIMEOUT_MS);
}

void
town_stop_router(Town *town)
{
    if (town->router != NULL) {
        router_stop(town->router);
        town->router = NULL;
        metrics_free(town->metrics);
        close(town->client);
    }
}

void
town_restart_router(Town *town, guint timeout_ms)
{
    town_stop_router(town);
    start_router(town, IN_FLIGHT_MAX, timeout_ms);
}

void
town_tear_down(Town *town, gconstpointer unused)
{
    (void)unused;
    town_stop_router(town);
    for (guint i = 0; i < TOWN_CELLS; i++) {
        if (town->fakes[i].server != NULL) {
            fake_stop(&town->fakes[i]);
        }
    }
    mapfeed_stop(town->feed);
    log_close(town->control);
    log_cluster_close(town->cluster);
}

static void
acked(const LogAck *acks, gsize n, gpointer user_data)
{
    (void)user_data;
    g_assert_cmpuint(n, ==, 1);
    g_assert_cmpint(acks[0].outcome, ==, LOG_APPENDED);
}

static void
append_map(Town *town, CellMap *map)
{
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    cellmap_encode(map, bytes);
    LogEntry entry = {.key = {(const guint8 *)CELLMAP_KEY, strlen(CELLMAP_KEY)},
                      .value = {bytes->data, bytes->len}};
    log_append(town->control, &entry, 1, acked, NULL);
}

void
town_use_map(Town *town, gint64 epoch, guint first, guint n)
{
    g_autoptr(CellMap) map = cellmap_even(epoch, &town->entries[first], n);
    append_map(town, map);
    g_autoptr(CellMap) seen = mapfeed_wait(town->feed, epoch, TOWN_WAIT_MS);
    g_assert_nonnull(seen);
}

gint64
town_user_of(Town *town, guint cell)
{
    g_autoptr(CellMap) map = mapfeed_get(town->feed);
    gint64 user = 1;
    while (cellmap_home(map, (UserId){user}) != cell) {
        user++;
    }
    return user;
}

/* ---- asking ---- */

void
town_ask(Town *town, const char *method, gint32 seqid, gint64 user)
{
    peer_send(town->client, peer_call(method, seqid, user));
}

void
town_ask_with_deadline(Town *town, gint32 seqid, gint64 user, gint32 ms)
{
    GByteArray *message = g_byte_array_new();
    WireBytes name = {(const guint8 *)"getDashboard", strlen("getDashboard")};
    frame_begin(message, FRAME_CALL, name, seqid);
    wire_field_i64(message, 1, user);
    wire_write_field(message, WIRE_STRUCT, CONTEXT_FIELD);
    wire_field_i32(message, 2, ms);
    wire_write_stop(message);
    wire_write_stop(message);
    peer_send(town->client, peer_frame(message));
}

void
town_ask_at_least(Town *town, gint32 seqid, gint64 user)
{
    GByteArray *message = g_byte_array_new();
    WireBytes name = {(const guint8 *)"getDashboard", strlen("getDashboard")};
    frame_begin(message, FRAME_CALL, name, seqid);
    wire_field_i64(message, 1, user);
    wire_write_field(message, WIRE_STRUCT, CONTEXT_FIELD);
    wire_write_field(message, WIRE_LIST, 5);
    wire_write_list(message, WIRE_BINARY, 1);
    wire_write_bytes(message, "place", strlen("place"));
    wire_write_stop(message);
    wire_write_stop(message);
    peer_send(town->client, peer_frame(message));
}

/* Whether the next reply, which is exception @field, has @words in it. */
static gboolean
refusal_has(const Town *town, gint32 seqid, ReplyField field, const char *words)
{
    g_autoptr(GByteArray) message = peer_receive(town->client);
    Frame frame;
    g_assert_nonnull(message);
    g_assert_cmpint(frame_scan(message->data, message->len, &frame), ==,
                    FRAME_OK);
    g_assert_cmpint(frame.seqid, ==, seqid);
    g_assert_cmpint(frame.field[field].type, ==, WIRE_STRUCT);
    WireBytes text = frame.field[field].value;
    return memmem(text.data, text.len, words, strlen(words)) != NULL;
}

void
town_expect_refusal(Town *town, gint32 seqid, ReplyField field,
                    const char *words)
{
    if (!refusal_has(town, seqid, field, words)) {
        g_error("reply %d has no '%s' in it", seqid, words);
    }
}

gboolean
town_is_refused(Town *town, gint32 seqid, const char *words)
{
    return refusal_has(town, seqid, REPLY_UNAVAILABLE, words);
}

void
town_expect(Town *town, gint32 seqid, guint cell, gint64 user)
{
    peer_expect(town->client, seqid, ANSWER(cell, user));
}

void
town_ask_until_answered(Town *town, guint cell, gint64 user)
{
    for (gint32 try = 0; try < 1000; try++) {
        town_ask(town, "getDashboard", try, user);
        g_autoptr(GByteArray) message = peer_receive(town->client);
        Frame frame;
        g_assert_cmpint(frame_scan(message->data, message->len, &frame), ==,
                        FRAME_OK);
        if (frame_i64(&frame, 0, -1) == ANSWER(cell, user)) {
            return;
        }
        g_usleep(10000);
    }
    g_assert_not_reached();
}

void
fake_wait(const Fake *fake, int calls)
{
    for (guint i = 0; fake->calls < calls; i++) {
        g_assert_cmpuint(i, <, TOWN_WAIT_MS);
        g_usleep(1000);
    }
}

void
town_wait_for_metric(Town *town, const char *line)
{
    for (guint i = 0; i < TOWN_WAIT_MS; i++) {
        g_autofree char *text = metrics_text(town->metrics);
        if (strstr(text, line) != NULL) {
            return;
        }
        g_usleep(1000);
    }
    g_error("no metric '%s'", line);
}

int
town_replace_cell(Town *town, guint cell)
{
    int fd = peer_listen(&town->entries[cell].port);
    struct timeval wait = {20, 0};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    return fd;
}

int
town_accept(int listener)
{
    int fd = accept(listener, NULL, NULL);
    struct timeval wait = {20, 0};
    g_assert_cmpint(fd, >=, 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    return fd;
}
