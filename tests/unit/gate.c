/*
 * gate.c - a gateway on the bench
 *
 * Everything the test's thread and the gateway's share is under the hand's
 * mutex.
 */
#include "tests/unit/gate.h"

#include "tests/unit/peer.h"

#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

/* ---- a log that does as it is told ---- */

/* An append without its acks. */
typedef struct HandCall {
    LogAckFunc acked;
    gpointer user_data;
    gsize n; /* entries */
} HandCall;

static void
make_acks(LogAppendOutcome outcome, gsize n, LogAckFunc acked,
          gpointer user_data)
{
    g_autofree LogAck *acks = g_new0(LogAck, n);

    for (gsize i = 0; i < n; i++) {
        acks[i] = (LogAck){outcome, 0, "as the test says"};
    }
    acked(acks, n, user_data);
}

static void
hand_append(Log *log, const LogEntry *entries, gsize n, LogAckFunc acked,
            gpointer user_data)
{
    HandLog *hand = (HandLog *)log;
    HandMode mode;

    pthread_mutex_lock(&hand->mutex);
    mode = hand->mode;
    if (mode == HAND_HOLD) {
        HandCall *call = g_new(HandCall, 1);

        *call = (HandCall){acked, user_data, n};
        g_queue_push_tail(&hand->held, call);
    }
    pthread_mutex_unlock(&hand->mutex);
    if (mode == HAND_PASS) {
        log_append(hand->inner, entries, n, acked, user_data);
    } else if (mode == HAND_SAY) {
        make_acks(hand->outcome, n, acked, user_data);
    }
}

gboolean
hand_release(HandLog *hand)
{
    g_autofree HandCall *call = NULL;

    pthread_mutex_lock(&hand->mutex);
    call = g_queue_pop_head(&hand->held);
    pthread_mutex_unlock(&hand->mutex);
    if (call != NULL) {
        make_acks(LOG_APPENDED, call->n, call->acked, call->user_data);
    }
    return call != NULL;
}

void
hand_set(HandLog *hand, HandMode mode, LogAppendOutcome outcome)
{
    pthread_mutex_lock(&hand->mutex);
    hand->mode = mode;
    hand->outcome = outcome;
    pthread_mutex_unlock(&hand->mutex);
}

guint
hand_holds(HandLog *hand)
{
    guint holds;

    pthread_mutex_lock(&hand->mutex);
    holds = g_queue_get_length(&hand->held);
    pthread_mutex_unlock(&hand->mutex);
    return holds;
}

/* Reading goes to the memory log in every mode. */
static gboolean
hand_bounds(Log *log, guint partition, guint64 *ret_first, guint64 *ret_end,
            GError **error)
{
    return log_bounds(((HandLog *)log)->inner, partition, ret_first, ret_end,
                      error);
}

static gboolean
hand_find_time(Log *log, guint partition, gint64 time_ms, guint64 *ret_offset,
               GError **error)
{
    return log_find_time(((HandLog *)log)->inner, partition, time_ms,
                         ret_offset, error);
}

static gboolean
hand_place_load(Log *log, const char *client, guint64 *ret_next, GError **error)
{
    return log_place_load(((HandLog *)log)->inner, client, ret_next, error);
}

static gboolean
hand_place_store(Log *log, const char *client, const guint64 *next,
                 GError **error)
{
    return log_place_store(((HandLog *)log)->inner, client, next, error);
}

static LogReader *
hand_reader_open(Log *log, const guint64 *next, const char *group,
                 GError **error)
{
    return log_reader_open(((HandLog *)log)->inner, next, group, error);
}

static const LogDriver hand_driver = {.append = hand_append,
                                      .bounds = hand_bounds,
                                      .find_time = hand_find_time,
                                      .place_load = hand_place_load,
                                      .place_store = hand_place_store,
                                      .reader_open = hand_reader_open};

/* ---- the gate ---- */

static Log *
open_topic(LogCluster *cluster, const char *name, guint partitions,
           gboolean compacted)
{
    const LogTopic topic = {.name = name,
                            .partitions = partitions,
                            .compacted = compacted,
                            .retention_ms = -1,
                            .replication = 1};
    g_autoptr(GError) error = NULL;
    Log *log = log_open(cluster, &topic, TRUE, &error);

    g_assert_no_error(error);
    return log;
}

static Log *
open_control(gpointer user_data, GError **error)
{
    (void)error;
    return open_topic(user_data, LOG_CONTROL_TOPIC, 1, TRUE);
}

void
gate_start(Gate *gate)
{
    GatewayOptions options = {.host = "127.0.0.1",
                              .threads = 1,
                              .node = 3,
                              .pending_bytes_max = GATE_PENDING_BYTES_MAX};
    g_autoptr(GError) error = NULL;

    memset(gate, 0, sizeof(*gate));
    gate->dir = g_dir_make_tmp("comb-gateway-XXXXXX", NULL);
    gate->cluster = log_cluster_memory();
    gate->hand.inner =
        open_topic(gate->cluster, LOG_FIREHOSE_TOPIC, GATE_PARTITIONS, FALSE);
    gate->hand.log = *gate->hand.inner;
    gate->hand.log.driver = &hand_driver;
    pthread_mutex_init(&gate->hand.mutex, NULL);
    gate->control = open_control(gate->cluster, NULL);
    gate->metrics = metrics_new();
    gate->feed = mapfeed_start(open_control, NULL, NULL, gate->cluster);
    options.data_dir = gate->dir;
    gate->gateway = gateway_start(&options, &gate->hand.log, gate->control,
                                  gate->feed, gate->metrics, &error);
    g_assert_no_error(error);
    gate->fd = peer_connect(gateway_port(gate->gateway));
    while (!mapfeed_caught_up(gate->feed)) {
        g_usleep(1000);
    }
}

void
gate_end(Gate *gate)
{
    static const char *const files[] = {"idclock", "idclock.lock"};

    close(gate->fd);
    gateway_stop(gate->gateway);
    mapfeed_stop(gate->feed);
    metrics_free(gate->metrics);
    log_close(gate->control);
    log_close(gate->hand.inner);
    log_cluster_close(gate->cluster);
    g_assert_cmpuint(hand_holds(&gate->hand), ==, 0);
    pthread_mutex_destroy(&gate->hand.mutex);
    for (gsize i = 0; i < G_N_ELEMENTS(files); i++) {
        g_autofree char *path = g_build_filename(gate->dir, files[i], NULL);

        g_unlink(path);
    }
    g_assert_cmpint(g_rmdir(gate->dir), ==, 0);
    g_free(gate->dir);
}

/* ---- calls and answers ---- */

GByteArray *
call_begin(const char *method)
{
    GByteArray *call = g_byte_array_new();

    frame_begin(call, FRAME_CALL,
                (WireBytes){(const guint8 *)method, strlen(method)}, 1);
    return call;
}

void
call_send(const Gate *gate, GByteArray *call, gint32 deadline_ms,
          gint64 last_id)
{
    wire_write_field(call, WIRE_STRUCT, 15);
    wire_field_string(call, 1, "test");
    wire_field_i32(call, 2, deadline_ms);
    wire_field_i64(call, 4, last_id);
    wire_write_stop(call);
    wire_write_stop(call);
    peer_send(gate->fd, peer_frame(call));
}

void
answer_clear(Answer *answer)
{
    g_byte_array_unref(answer->message);
}

Answer
answer_receive(const Gate *gate)
{
    Answer answer = {.message = peer_receive(gate->fd)};

    g_assert_nonnull(answer.message);
    g_assert_cmpint(
        frame_scan(answer.message->data, answer.message->len, &answer.frame),
        ==, FRAME_OK);
    g_assert_cmpint(answer.frame.kind, ==, FRAME_REPLY);
    return answer;
}

Answer
call_finish(const Gate *gate, GByteArray *call)
{
    call_send(gate, call, 10000, 0);
    return answer_receive(gate);
}

gint
answer_field(const Answer *answer)
{
    gint found = -1;

    for (gint id = 0; id <= REPLY_NOT_FOUND; id++) {
        if (answer->frame.field[id].type != WIRE_STOP) {
            g_assert_cmpint(found, ==, -1);
            found = id;
        }
    }
    return found;
}

static void
read_refusal(WireReader *reader, Result *result)
{
    WireField field;

    result->limit = -1;
    while (wire_read_field(reader, &field)) {
        if (field.id == 1) {
            result->field = wire_read_bytes(reader);
        } else if (field.id == 3) {
            result->limit = wire_read_i64(reader);
        } else {
            wire_skip(reader, field.type);
        }
    }
}

Result
result_read(const Gate *gate, WireReader *reader)
{
    guint32 check = position_check(log_identity(gate->hand.inner));
    Result result = {0};
    WireField field;

    while (wire_read_field(reader, &field)) {
        if (field.id == 1) {
            result.id = wire_read_i64(reader);
        } else if (field.id == 2) {
            result.taken = TRUE;
            g_assert_cmpint(position_decode(wire_read_bytes(reader), check,
                                            &result.position),
                            ==, POSITION_OK);
        } else if (field.id == 3) {
            read_refusal(reader, &result);
        } else {
            result.failed = TRUE;
            wire_skip(reader, field.type);
        }
    }
    g_assert_false(reader->failed);
    return result;
}

void
field_assert(WireBytes field, const char *expected)
{
    g_autofree char *text = g_strndup((const char *)field.data, field.len);

    g_assert_cmpstr(text, ==, expected);
}

void
answer_assert_invalid(const Answer *answer, const char *field, gint64 limit)
{
    Result refusal = {0};
    WireReader reader;

    g_assert_cmpint(answer_field(answer), ==, REPLY_INVALID);
    g_assert_true(frame_struct(&answer->frame, REPLY_INVALID, &reader));
    read_refusal(&reader, &refusal);
    field_assert(refusal.field, field);
    g_assert_cmpint(refusal.limit, ==, limit);
}

void
gate_put_follow(GByteArray *call, gint64 id, gint64 user, gint64 target)
{
    if (id != 0) {
        wire_field_i64(call, EVENT_FIELD_ID, id);
    }
    wire_field_i32(call, EVENT_FIELD_KIND, EVENT_FOLLOW);
    wire_field_i64(call, EVENT_FIELD_USER, user);
    wire_field_i64(call, EVENT_FIELD_TARGET_USER, target);
    wire_write_stop(call);
}

void
gate_put_post(GByteArray *call, gint16 id, const char *body)
{
    wire_write_field(call, WIRE_STRUCT, id);
    wire_field_string(call, 4, body);
    wire_write_stop(call);
}

Event
gate_logged_event(Gate *gate, Position position, GByteArray *copy)
{
    guint64 next[GATE_PARTITIONS] = {0};
    g_autoptr(GError) error = NULL;
    const LogRecord *records;
    LogReader *reader;
    EventFault fault;
    Event event;
    gsize n;

    next[position.partition] = position.offset;
    reader = log_reader_open(gate->hand.inner, next, NULL, &error);
    g_assert_no_error(error);
    do {
        g_assert_cmpint(log_reader_next(reader, 5000, 1, &records, &n, &error),
                        ==, LOG_READ_RECORDS);
    } while (records[0].partition != position.partition);
    g_assert_cmpuint(records[0].offset, ==, position.offset);
    g_byte_array_set_size(copy, 0);
    g_byte_array_append(copy, records[0].value.data,
                        (guint)records[0].value.len);
    g_assert_true(event_decode(copy->data, copy->len, &event, &fault));
    log_reader_close(reader);
    return event;
}

Answer
gate_publish_follow(const Gate *gate, gint32 deadline_ms)
{
    GByteArray *call = call_begin("publish");

    wire_write_field(call, WIRE_LIST, 2);
    wire_write_list(call, WIRE_STRUCT, 1);
    gate_put_follow(call, 0, 5, 6);
    call_send(gate, call, deadline_ms, 0);
    return answer_receive(gate);
}

Answer
gate_form_follow(const Gate *gate)
{
    GByteArray *call = call_begin("follow");

    wire_field_i64(call, 1, 5);
    wire_field_i64(call, 3, 6);
    return call_finish(gate, call);
}
