/*
 * Consumers' places by calls: committed, begun from, moved, how far behind,
 * and what is refused. Over the memory log; each partition has EACH records.
 */
#include "firehose/bookmark.h"
#include "ops/kit/daemon.h"
#include "tests/unit/gate.h"
#include "thrift/limits.h"

#include <string.h>

#define PARTITIONS 4
#define EACH 5
#define NONE (-1)

/* The i64 fields of a list's structs, by partition; NONE: absent. */
typedef struct Parts {
    gint64 field[PARTITIONS][6];
} Parts;

static void
ignore_acks(const LogAck *acks, gsize n, gpointer user_data)
{
    (void)acks;
    (void)n;
    (void)user_data;
}

static void
start_with_records(Gate *gate)
{
    gate_start(gate);
    for (guint i = 0; i < PARTITIONS * EACH; i++) {
        log_append(
            gate->hand.inner,
            &(LogEntry){i % PARTITIONS, {NULL, 0}, {(const guint8 *)"no", 2}},
            1, ignore_acks, NULL);
    }
}

static void
read_part(WireReader *reader, Parts *parts)
{
    gint64 value[6] = {NONE, NONE, NONE, NONE, NONE, NONE};
    gint32 partition = -1;
    WireField field;

    while (wire_read_field(reader, &field)) {
        if (field.id == 1) {
            partition = wire_read_i32(reader);
        } else {
            value[field.id] = wire_read_i64(reader);
        }
    }
    g_assert_cmpint(partition, >=, 0);
    g_assert_cmpint(partition, <, PARTITIONS);
    memcpy(parts->field[partition], value, sizeof value);
}

/* Owns: takes @call. */
static Parts
finish_parts(const Gate *gate, GByteArray *call)
{
    g_auto(Answer) answer = call_finish(gate, call);
    WireReader reader;
    WireType type;
    Parts parts;
    guint32 n;

    g_assert_cmpint(answer_field(&answer), ==, REPLY_SUCCESS);
    wire_reader_init(&reader, answer.frame.field[REPLY_SUCCESS].value.data,
                     answer.frame.field[REPLY_SUCCESS].value.len);
    n = wire_read_list(&reader, &type);
    g_assert_cmpuint(n, ==, PARTITIONS);
    for (guint32 i = 0; i < n; i++) {
        read_part(&reader, &parts);
    }
    g_assert_false(reader.failed);
    return parts;
}

static GByteArray *
commit_begin(const Gate *gate, const char *client, const guint64 *next)
{
    guint32 check = position_check(log_identity(gate->hand.inner));
    g_autoptr(GString) position = g_string_new(NULL);
    GByteArray *call = call_begin("commit");

    bookmark_write(position, next, PARTITIONS, check);
    wire_field_string(call, 2, client);
    wire_field_bytes(call, 3, position->str, position->len);
    return call;
}

static void
commit(const Gate *gate, const char *client, const guint64 *next)
{
    g_auto(Answer) answer = call_finish(gate, commit_begin(gate, client, next));

    for (guint i = 1; i <= REPLY_DENIED; i++) {
        g_assert_cmpint(answer.frame.field[i].type, ==, WIRE_STOP);
    }
}

static Parts
lag_of(const Gate *gate, const char *client)
{
    GByteArray *call = call_begin("getLag");

    wire_field_string(call, 2, client);
    return finish_parts(gate, call);
}

static GByteArray *
request_begin(const char *method, gint16 id, const char *client)
{
    GByteArray *call = call_begin(method);

    wire_write_field(call, WIRE_STRUCT, 2);
    wire_field_string(call, id, client);
    return call;
}

static Parts
rewind_to(const Gate *gate, const char *client, const char *to, gboolean dry)
{
    GByteArray *call = request_begin("rewind", 1, client);

    wire_field_string(call, 2, to);
    wire_field_bool(call, 5, dry);
    wire_write_stop(call);
    return finish_parts(gate, call);
}

static void
assert_committed(const Gate *gate, const char *client, gint64 a, gint64 b,
                 gint64 c, gint64 d)
{
    Parts parts = lag_of(gate, client);

    g_assert_cmpint(parts.field[0][3], ==, a);
    g_assert_cmpint(parts.field[1][3], ==, b);
    g_assert_cmpint(parts.field[2][3], ==, c);
    g_assert_cmpint(parts.field[3][3], ==, d);
}

/* The records of a fetch by @client, which begins at @since for want of a
   place; events are none, so each is told as undecodable. */
static guint
fetch_count(const Gate *gate, const char *client, const char *since)
{
    GByteArray *call = request_begin("fetch", 8, client);
    g_auto(Answer) answer = {0};
    WireReader reader;
    WireField field;
    WireType type;

    wire_field_string(call, 1, since);
    wire_write_stop(call);
    answer = call_finish(gate, call);
    g_assert_cmpint(answer_field(&answer), ==, REPLY_SUCCESS);
    g_assert_true(frame_struct(&answer.frame, REPLY_SUCCESS, &reader));
    g_assert_true(wire_read_field(&reader, &field));
    g_assert_cmpint(field.id, ==, 1);
    return wire_read_list(&reader, &type);
}

/* A client begins where it has committed, and else where it says. */
static void
test_begin(void)
{
    const guint64 next[PARTITIONS] = {5, 4, 0, 2};
    Gate gate;

    start_with_records(&gate);
    g_assert_cmpuint(fetch_count(&gate, "me", "earliest"), ==,
                     PARTITIONS * EACH);
    g_assert_cmpuint(fetch_count(&gate, "me", "latest"), ==, 0);
    commit(&gate, "me", next);
    g_assert_cmpuint(fetch_count(&gate, "me", "earliest"), ==, 9);
    g_assert_cmpuint(fetch_count(&gate, "me", "now"), ==, 9);
    g_assert_cmpuint(fetch_count(&gate, "you", "now"), ==, 0);
    gate_end(&gate);
}

/* Events and time, of each partition. */
static void
test_lag(void)
{
    const guint64 next[PARTITIONS] = {5, 4, 0, 2};
    gint64 before_ms = g_get_real_time() / 1000;
    Parts lag;
    Gate gate;

    start_with_records(&gate);
    lag = lag_of(&gate, "me");
    g_assert_cmpint(lag.field[0][2], ==, EACH);
    g_assert_cmpint(lag.field[0][3], ==, NONE);
    g_assert_cmpint(lag.field[0][4], ==, NONE);
    commit(&gate, "me", next);
    lag = lag_of(&gate, "me");
    for (guint i = 0; i < PARTITIONS; i++) {
        g_assert_cmpint(lag.field[i][3], ==, (gint64)next[i]);
        g_assert_cmpint(lag.field[i][4], ==, EACH - (gint64)next[i]);
        g_assert_cmpint(lag.field[i][5], <=,
                        g_get_real_time() / 1000 - before_ms);
    }
    g_assert_cmpint(lag.field[0][5], ==, 0);
    gate_end(&gate);
}

/* In words, dry, and by so many events. */
static void
test_rewind(void)
{
    const guint64 next[PARTITIONS] = {5, 4, 0, 2};
    GByteArray *call;
    Parts parts;
    Gate gate;

    start_with_records(&gate);
    parts = rewind_to(&gate, "me", "PT1H", FALSE);
    g_assert_cmpint(parts.field[0][2], ==, NONE);
    assert_committed(&gate, "me", 0, 0, 0, 0);
    commit(&gate, "me", next);
    parts = rewind_to(&gate, "me", "earliest", TRUE);
    g_assert_cmpint(parts.field[1][2], ==, 4);
    g_assert_cmpint(parts.field[1][3], ==, 0);
    assert_committed(&gate, "me", 5, 4, 0, 2);
    call = request_begin("rewind", 1, "me");
    wire_field_i64(call, 4, -2);
    wire_write_stop(call);
    (void)finish_parts(&gate, call);
    assert_committed(&gate, "me", 3, 2, 0, 0);
    (void)rewind_to(&gate, "me", "latest", FALSE);
    assert_committed(&gate, "me", 5, 5, 5, 5);
    gate_end(&gate);
}

/* Owns: takes @call. */
static void
assert_refused(const Gate *gate, GByteArray *call, const char *field,
               gint64 limit)
{
    g_auto(Answer) answer = call_finish(gate, call);

    answer_assert_invalid(&answer, field, limit);
}

/* Each mistake names its field. */
static void
test_refused(void)
{
    const guint64 past[PARTITIONS] = {0, 0, 6, 0};
    const char *names[] = {"", "a b", "comb.cell.0"};
    GByteArray *call;
    Gate gate;

    start_with_records(&gate);
    for (gsize i = 0; i < G_N_ELEMENTS(names); i++) {
        assert_refused(&gate, commit_begin(&gate, names[i], past), "client_id",
                       CLIENT_ID_BYTES_MAX);
        call = request_begin("fetch", 8, names[i]);
        wire_write_stop(call);
        assert_refused(&gate, call, "request.client_id", CLIENT_ID_BYTES_MAX);
    }
    assert_refused(&gate, call_begin("getLag"), "client_id",
                   CLIENT_ID_BYTES_MAX);
    assert_refused(&gate, commit_begin(&gate, "me", past), "position", -1);
    assert_committed(&gate, "me", NONE, NONE, NONE, NONE);
    call = request_begin("rewind", 1, "me");
    wire_write_stop(call);
    assert_refused(&gate, call, "request", 1);
    call = request_begin("rewind", 1, "me");
    wire_field_i64(call, 4, 1);
    wire_write_stop(call);
    assert_refused(&gate, call, "request.shift_by", 0);
    call = request_begin("rewind", 1, "me");
    wire_field_string(call, 2, "soon");
    wire_write_stop(call);
    assert_refused(&gate, call, "request.to", -1);
    gate_end(&gate);
}

/* A position of one event, or of another log, is no place. */
static void
test_foreign(void)
{
    static const guint64 next[PARTITIONS] = {1, 1, 1, 1};
    guint8 event[POSITION_BYTES];
    g_autoptr(GString) foreign = g_string_new(NULL);
    GByteArray *call = call_begin("commit");
    Gate gate;

    start_with_records(&gate);
    position_encode((Position){1, 1},
                    position_check(log_identity(gate.hand.inner)), event);
    wire_field_string(call, 2, "me");
    wire_field_bytes(call, 3, event, sizeof event);
    assert_refused(&gate, call, "position", -1);
    bookmark_write(foreign, next, PARTITIONS, position_check("another"));
    call = call_begin("commit");
    wire_field_string(call, 2, "me");
    wire_field_bytes(call, 3, foreign->str, foreign->len);
    assert_refused(&gate, call, "position", -1);
    assert_committed(&gate, "me", NONE, NONE, NONE, NONE);
    gate_end(&gate);
}

int
main(int argc, char **argv)
{
    daemon_begin();
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/placecalls/begin", test_begin);
    g_test_add_func("/placecalls/lag", test_lag);
    g_test_add_func("/placecalls/rewind", test_rewind);
    g_test_add_func("/placecalls/refused", test_refused);
    g_test_add_func("/placecalls/foreign", test_foreign);
    return g_test_run();
}
