#include "tests/unit/waiting.h"

#include "firehose/partition.h"
#include "tests/kit/tmpdir.h"
#include "tests/unit/peer.h"
#include "thrift/context.h"

#include <string.h>

static Log *
open_topic(LogCluster *cluster, const char *name, guint partitions)
{
    LogTopic topic = {.name = name,
                      .partitions = partitions,
                      .compacted = partitions == 1,
                      .retention_ms = -1};
    g_autoptr(GError) error = NULL;
    Log *log = log_open(cluster, &topic, TRUE, &error);
    g_assert_no_error(error);
    return log;
}

static Log *
open_control(gpointer user_data, GError **error)
{
    (void)error;
    return open_topic(user_data, LOG_CONTROL_TOPIC, 1);
}

/* The memory log calls it before log_append() returns. */
static void
on_acked(const LogAck *acks, gsize n, gpointer user_data)
{
    guint64 *offset = user_data;
    g_assert_cmpuint(n, ==, 1);
    g_assert_cmpint(acks[0].outcome, ==, LOG_APPENDED);
    *offset = acks[0].offset;
}

static guint64
append(Log *log, guint partition, const GByteArray *value)
{
    guint64 offset = G_MAXUINT64;
    LogEntry entry = {partition,
                      {(const guint8 *)CELLMAP_KEY, strlen(CELLMAP_KEY)},
                      {value->data, value->len}};
    log_append(log, &entry, 1, on_acked, &offset);
    g_assert_cmpuint(offset, !=, G_MAXUINT64);
    return offset;
}

static guint
partition_of_user(gint64 user)
{
    guint8 key[PARTITION_KEY_BYTES];
    partition_key((UserId){user}, key);
    return partition_of(key, sizeof key, WAITING_PARTITIONS);
}

/* ---- events ---- */

/* Close @draft, an Event up to its content, and append it. Takes it. */
static guint64
append_event(Waiting *waiting, GByteArray *draft, gint64 id, gint64 user)
{
    g_autoptr(GByteArray) event = g_byte_array_new();
    Event decoded;
    EventFault fault;
    wire_write_stop(draft);
    WireBytes bytes = {draft->data, draft->len};
    g_assert_true(event_stamp(bytes, (EventId){id}, event, &decoded, &fault));
    g_byte_array_unref(draft);
    return append(waiting->log, partition_of_user(user), event);
}

static GByteArray *
draft_new(EventKind kind, gint64 user)
{
    GByteArray *draft = g_byte_array_new();
    wire_field_i32(draft, 3, (gint32)kind);
    wire_field_i64(draft, 4, user);
    return draft;
}

static void
append_follow(Waiting *waiting, gint64 author)
{
    GByteArray *draft = draft_new(EVENT_FOLLOW, WAITING_READER);
    wire_field_i64(draft, 5, author);
    append_event(waiting, draft, atomic_fetch_add(&waiting->last_id, 1) + 1,
                 WAITING_READER);
}

gint64
waiting_post(Waiting *waiting, guint partition, Position *ret_position)
{
    gint64 author = waiting->authors[partition];
    gint64 id = atomic_fetch_add(&waiting->last_id, 1) + 1;
    GByteArray *draft = draft_new(EVENT_POST, author);
    wire_write_field(draft, WIRE_STRUCT, 7);
    wire_field_string(draft, 4, "text");
    wire_write_stop(draft);
    ret_position->partition = partition;
    ret_position->offset = append_event(waiting, draft, id, author);
    return id;
}

void
waiting_apply(Waiting *waiting)
{
    g_autoptr(GError) error = NULL;
    IngestOutcome outcome;
    do {
        outcome = ingest_step(waiting->ingest, 0, &error);
        g_assert_no_error(error);
    } while (outcome == INGEST_APPLIED);
}

/* ---- life ---- */

static CellMap *
make_map(Waiting *waiting)
{
    static char host[] = "127.0.0.1";
    CellMapEntry entry = {0, host, 1};
    CellMap *map = cellmap_even(1, &entry, 1);
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    cellmap_encode(map, bytes);
    Log *control = open_topic(waiting->cluster, LOG_CONTROL_TOPIC, 1);
    append(control, 0, bytes);
    log_close(control);
    return map;
}

static void
wait_for_map(Waiting *waiting)
{
    CellMap *map;
    while ((map = mapfeed_get(waiting->feed)) == NULL) {
        g_usleep(200);
    }
    cellmap_unref(map);
}

static void
start_applying(Waiting *waiting, CellMap *map, const guint64 *next)
{
    g_autoptr(GError) error = NULL;
    static const ApplyOptions options = {.checkpoint_s = 3600};
    if (map == NULL) {
        waiting->apply = apply_start(&options, waiting->state, waiting->log,
                                     waiting->ends, next);
        while (!atomic_load(&waiting->state->ready)) {
            g_usleep(200);
        }
        return;
    }
    waiting->ingest = ingest_new(waiting->state, waiting->log, NULL, next);
    ingest_found(waiting->ingest, map, &error);
    g_assert_no_error(error);
    ingest_open(waiting->ingest, &error);
    g_assert_no_error(error);
    waiting_apply(waiting);
}

void
waiting_set_up(Waiting *waiting, gboolean threaded)
{
    g_autoptr(GError) error = NULL;
    guint64 next[WAITING_PARTITIONS];
    *waiting = (Waiting){.dir = tmpdir_new(), .last_id = 1};
    waiting->cluster = log_cluster_memory();
    waiting->log =
        open_topic(waiting->cluster, LOG_FIREHOSE_TOPIC, WAITING_PARTITIONS);
    for (gint64 user = 2000; user < 2100; user++) {
        waiting->authors[partition_of_user(user)] = user;
    }
    g_autoptr(CellMap) map = make_map(waiting);
    waiting->feed = mapfeed_start(open_control, NULL, NULL, waiting->cluster);
    wait_for_map(waiting);
    for (guint i = 0; i < WAITING_PARTITIONS; i++) {
        append_follow(waiting, waiting->authors[i]);
    }
    StateOptions options = {
        .dir = waiting->dir,
        .identity = {0, log_identity(waiting->log), WAITING_PARTITIONS},
        .feed = waiting->feed,
        .cache_bytes = 1 << 20,
    };
    waiting->state = state_open(&options, next, &error);
    g_assert_no_error(error);
    ServeOptions serve = {
        .host = "127.0.0.1", .threads = threaded ? 2 : 1, .queue_ms = 60000};
    waiting->ends = log_ends_start(waiting->log);
    waiting->serve = serve_start(&serve, waiting->state, waiting->ends, &error);
    g_assert_no_error(error);
    start_applying(waiting, threaded ? NULL : map, next);
}

void
waiting_tear_down(Waiting *waiting)
{
    g_clear_pointer(&waiting->serve, serve_stop);
    g_clear_pointer(&waiting->apply, apply_stop);
    g_clear_pointer(&waiting->ingest, ingest_free);
    log_ends_stop(waiting->ends);
    state_close(waiting->state);
    mapfeed_stop(waiting->feed);
    log_close(waiting->log);
    log_cluster_close(waiting->cluster);
    tmpdir_free(waiting->dir);
}

/* ---- calls ---- */

void
waiting_add_bytes(WaitingCall *call, const void *data, gsize len)
{
    if (call->at_least == NULL) {
        call->at_least = g_byte_array_new();
    }
    wire_write_bytes(call->at_least, data, len);
    call->n++;
}

void
waiting_add(const Waiting *waiting, WaitingCall *call, Position position)
{
    guint8 bytes[POSITION_BYTES];
    position_encode(position, position_check(log_identity(waiting->log)),
                    bytes);
    waiting_add_bytes(call, bytes, sizeof bytes);
}

static void
write_context(GByteArray *out, const WaitingCall *call)
{
    wire_write_field(out, WIRE_STRUCT, CONTEXT_FIELD);
    wire_field_i32(out, 2, call->deadline_ms != 0 ? call->deadline_ms : 20000);
    if (call->n > 0) {
        wire_write_field(out, WIRE_LIST, 5);
        wire_write_list(out, WIRE_BINARY, call->n);
        g_byte_array_append(out, call->at_least->data, call->at_least->len);
    }
    wire_write_stop(out);
}

void
waiting_send(int fd, WaitingCall *call)
{
    const char *method = call->method != NULL ? call->method : "getDashboard";
    WireBytes name = {(const guint8 *)method, strlen(method)};
    GByteArray *out = g_byte_array_new();
    frame_begin(out, FRAME_CALL, name, call->seqid);
    if (call->post == 0) {
        wire_field_i64(out, 1, call->user != 0 ? call->user : WAITING_READER);
        wire_write_field(out, WIRE_STRUCT, 2);
        wire_field_i32(out, 2, 100);
        wire_write_stop(out);
    } else {
        wire_write_field(out, WIRE_LIST, 2);
        wire_write_list(out, WIRE_I64, 1);
        wire_write_i64(out, call->post);
    }
    write_context(out, call);
    wire_write_stop(out);
    g_clear_pointer(&call->at_least, g_byte_array_unref);
    call->n = 0;
    peer_send(fd, peer_frame(out));
}

/* Field @id of an encoded struct, a string; NULL: it has none. */
static char *
find_text(WireBytes bytes, gint16 id)
{
    WireReader reader;
    WireField field;
    wire_reader_init(&reader, bytes.data, bytes.len);
    while (wire_read_field(&reader, &field)) {
        if (field.id == id && field.type == WIRE_BINARY) {
            WireBytes text = wire_read_bytes(&reader);
            return g_strndup((const char *)text.data, text.len);
        }
        wire_skip(&reader, field.type);
    }
    return NULL;
}

WaitingAnswer
waiting_receive(int fd)
{
    WaitingAnswer answer = {.message = peer_receive(fd)};
    g_assert_nonnull(answer.message);
    g_assert_cmpint(
        frame_scan(answer.message->data, answer.message->len, &answer.frame),
        ==, FRAME_OK);
    WireBytes value = answer.frame.field[REPLY_SUCCESS].value;
    gboolean posts = answer.frame.method.len == strlen("getPosts");
    if (value.len > 0 && !posts) {
        GByteArray *bytes = g_byte_array_new();
        g_byte_array_append(bytes, value.data, (guint)value.len);
        g_assert_true(page_seen_read(bytes, &answer.page));
    }
    if (value.len > 0) {
        answer.stale = find_text(value, posts ? 3 : 8);
    }
    return answer;
}

void
waiting_answer_clear(WaitingAnswer *answer)
{
    if (answer->page.bytes != NULL) {
        page_seen_clear(&answer->page);
    }
    g_clear_pointer(&answer->message, g_byte_array_unref);
    g_clear_pointer(&answer->stale, g_free);
}

gboolean
waiting_shows(const WaitingAnswer *answer, gint64 post)
{
    g_assert_nonnull(answer->page.entries);
    for (guint i = 0; i < answer->page.entries->len; i++) {
        if (g_array_index(answer->page.entries, SeenEntry, i).id == post) {
            return TRUE;
        }
    }
    return FALSE;
}
