/*
 * Fetching over a real socket: what is given out, what is waited for, what is
 * refused; and the partitions. Over the memory log.
 */
#include "ops/kit/daemon.h"
#include "tests/unit/gate.h"
#include "tests/unit/peer.h"

#include <string.h>
#include <unistd.h>

#define EVENTS 25

/* One answer. */
typedef struct Fetched {
    Answer answer;
    GArray *users;      /* gint64, of the events in it */
    WireBytes position; /* to go on from */
    gboolean at_end;
    guint undecodable;
} Fetched;

static GByteArray *
fetch_begin(void)
{
    GByteArray *call = call_begin("fetch");

    wire_write_field(call, WIRE_STRUCT, 2);
    return call;
}

static void
read_logged(WireReader *reader, Fetched *fetched)
{
    EventFault fault;
    WireField field;
    Event event;

    while (wire_read_field(reader, &field)) {
        WireBytes value = wire_read_value(reader, field.type);

        if (field.id == 5) {
            g_assert_true(event_decode(value.data, value.len, &event, &fault));
            g_array_append_val(fetched->users, event.user.v);
        } else if (field.id == 6) {
            fetched->undecodable++;
        }
    }
}

static void
read_result(Fetched *fetched)
{
    WireReader reader;
    WireField field;
    WireType type;

    g_assert_cmpint(answer_field(&fetched->answer), ==, REPLY_SUCCESS);
    frame_struct(&fetched->answer.frame, REPLY_SUCCESS, &reader);
    while (wire_read_field(&reader, &field)) {
        if (field.id == 1) {
            guint32 n = wire_read_list(&reader, &type);

            for (guint32 i = 0; i < n; i++) {
                read_logged(&reader, fetched);
            }
        } else if (field.id == 2) {
            fetched->position = wire_read_bytes(&reader);
        } else {
            fetched->at_end = wire_read_bool(&reader);
        }
    }
    g_assert_false(reader.failed);
}

static Fetched
fetch_receive(const Gate *gate)
{
    Fetched fetched = {.answer = answer_receive(gate),
                       .users = g_array_new(FALSE, FALSE, sizeof(gint64))};

    read_result(&fetched);
    return fetched;
}

/* Owns: takes @call, a fetch whose request is not closed yet. */
static Fetched
fetch_finish(const Gate *gate, GByteArray *call)
{
    wire_write_stop(call);
    call_send(gate, call, 10000, 0);
    return fetch_receive(gate);
}

static void
fetched_clear(Fetched *fetched)
{
    g_array_unref(fetched->users);
    answer_clear(&fetched->answer);
}

static void
publish_follows(const Gate *gate, gint64 from_user, guint n)
{
    GByteArray *call = call_begin("publish");
    g_auto(Answer) answer = {0};

    wire_write_field(call, WIRE_LIST, 2);
    wire_write_list(call, WIRE_STRUCT, n);
    for (guint i = 0; i < n; i++) {
        gate_put_follow(call, 0, from_user + i, 99);
    }
    answer = call_finish(gate, call);
    g_assert_cmpint(answer_field(&answer), ==, REPLY_SUCCESS);
}

/* Page by page to the end: each event once; then only what is new. */
static void
test_pages(void)
{
    g_autoptr(GByteArray) position = g_byte_array_new();
    guint seen[EVENTS + 2] = {0};
    gboolean at_end = FALSE;
    guint pages = 0;
    Gate gate;

    gate_start(&gate);
    publish_follows(&gate, 1, EVENTS);
    while (!at_end) {
        GByteArray *call = fetch_begin();
        Fetched fetched;

        if (pages == 0) {
            wire_field_string(call, 1, "earliest");
        } else {
            wire_field_bytes(call, 2, position->data, position->len);
        }
        wire_field_i32(call, 6, 10);
        fetched = fetch_finish(&gate, call);
        g_assert_cmpuint(fetched.users->len, <=, 10);
        for (guint i = 0; i < fetched.users->len; i++) {
            seen[g_array_index(fetched.users, gint64, i)]++;
        }
        g_byte_array_set_size(position, 0);
        g_byte_array_append(position, fetched.position.data,
                            (guint)fetched.position.len);
        at_end = fetched.at_end;
        pages++;
        fetched_clear(&fetched);
        if (at_end && seen[EVENTS + 1] == 0) {
            publish_follows(&gate, EVENTS + 1, 1);
            at_end = FALSE;
        }
    }
    g_assert_cmpuint(pages, ==, 4);
    for (guint i = 1; i <= EVENTS + 1; i++) {
        g_assert_cmpuint(seen[i], ==, 1);
    }
    gate_end(&gate);
}

/* Kinds and users are let through as asked; the end is reached all the same. */
static void
test_filter(void)
{
    GByteArray *call = fetch_begin();
    Fetched fetched;
    Gate gate;

    gate_start(&gate);
    publish_follows(&gate, 1, EVENTS);
    wire_field_string(call, 1, "earliest");
    wire_write_field(call, WIRE_LIST, 4);
    wire_write_list(call, WIRE_I32, 2);
    wire_write_i32(call, EVENT_POST);
    wire_write_i32(call, EVENT_FOLLOW);
    wire_write_field(call, WIRE_LIST, 5);
    wire_write_list(call, WIRE_I64, 2);
    wire_write_i64(call, 17);
    wire_write_i64(call, 3);
    fetched = fetch_finish(&gate, call);
    g_assert_cmpuint(fetched.users->len, ==, 2);
    g_assert_cmpint(g_array_index(fetched.users, gint64, 0) +
                        g_array_index(fetched.users, gint64, 1),
                    ==, 20);
    g_assert_true(fetched.at_end);
    fetched_clear(&fetched);
    gate_end(&gate);
}

static void
ignore_acks(const LogAck *acks, gsize n, gpointer user_data)
{
    (void)acks;
    (void)n;
    (void)user_data;
}

/* What is no event is told, whatever the filter. */
static void
test_undecodable(void)
{
    GByteArray *call = fetch_begin();
    Fetched fetched;
    Gate gate;

    gate_start(&gate);
    log_append(gate.hand.inner,
               &(LogEntry){1, {NULL, 0}, {(const guint8 *)"no", 2}}, 1,
               ignore_acks, NULL);
    wire_field_string(call, 1, "earliest");
    wire_write_field(call, WIRE_LIST, 5);
    wire_write_list(call, WIRE_I64, 1);
    wire_write_i64(call, 17);
    fetched = fetch_finish(&gate, call);
    g_assert_cmpuint(fetched.undecodable, ==, 1);
    fetched_clear(&fetched);
    gate_end(&gate);
}

static void
send_waiting(const Gate *gate, gint32 wait_ms, gint32 deadline_ms)
{
    GByteArray *call = fetch_begin();

    wire_field_i32(call, 7, wait_ms);
    wire_write_stop(call);
    call_send(gate, call, deadline_ms, 0);
}

/* At the end an event is waited for, and comes at once. */
static void
test_wait(void)
{
    gint64 begin_us;
    Fetched fetched;
    Gate second;
    Gate gate;

    gate_start(&gate);
    second = gate;
    second.fd = peer_connect(gateway_port(gate.gateway));
    begin_us = g_get_monotonic_time();
    send_waiting(&gate, 20000, 30000);
    g_assert_true(peer_silent(gate.fd, 300));
    publish_follows(&second, 5, 1);
    fetched = fetch_receive(&gate);
    g_assert_cmpint(g_get_monotonic_time() - begin_us, <, 10000000);
    g_assert_cmpuint(fetched.users->len, ==, 1);
    fetched_clear(&fetched);
    close(second.fd);
    gate_end(&gate);
}

/* Waiting ends with wait_ms, or before the deadline where that is sooner. */
static void
test_wait_ends(void)
{
    static const struct {
        gint32 wait_ms;
        gint32 deadline_ms;
    } cases[] = {{150, 20000}, {20000, 200}};
    Gate gate;

    gate_start(&gate);
    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        gint64 begin_us = g_get_monotonic_time();
        Fetched fetched;

        send_waiting(&gate, cases[i].wait_ms, cases[i].deadline_ms);
        fetched = fetch_receive(&gate);
        g_assert_cmpint(g_get_monotonic_time() - begin_us, >=, 140000);
        g_assert_cmpint(g_get_monotonic_time() - begin_us, <, 5000000);
        g_assert_cmpuint(fetched.users->len, ==, 0);
        g_assert_true(fetched.at_end);
        fetched_clear(&fetched);
    }
    gate_end(&gate);
}

/* Thread and deadline at about the same moment: one answer each time. */
static void
test_race(void)
{
    guint in_time = 0;
    Gate gate;

    gate_start(&gate);
    publish_follows(&gate, 1, 500);
    for (gint32 i = 0; i < 300; i++) {
        GByteArray *call = fetch_begin();
        g_auto(Answer) answer = {0};
        gint field;

        wire_field_string(call, 1, "earliest");
        wire_field_i32(call, 6, 1 + i * 3);
        wire_write_stop(call);
        call_send(&gate, call, 1 + i % 4, 0);
        answer = answer_receive(&gate);
        field = answer_field(&answer);
        g_assert_true(field == REPLY_SUCCESS || field == REPLY_DEADLINE);
        in_time += field == REPLY_SUCCESS ? 1 : 0;
    }
    g_test_message("%u of 300 in time", in_time);
    g_assert_true(peer_silent(gate.fd, 50));
    gate_end(&gate);
}

/* A stop of the gateway answers those who wait. */
static void
test_stop(void)
{
    gint64 begin_us = g_get_monotonic_time();
    Gate gate;
    int fd;

    gate_start(&gate);
    fd = gate.fd;
    send_waiting(&gate, 20000, 30000);
    g_assert_true(peer_silent(fd, 100));
    gate.fd = dup(fd);
    gate_end(&gate);
    g_assert_cmpint(g_get_monotonic_time() - begin_us, <, 8000000);
    g_assert_false(peer_silent(fd, 1000));
    close(fd);
}

static void
put_list(GByteArray *call, gint16 id, WireType type, guint32 n)
{
    wire_write_field(call, WIRE_LIST, id);
    wire_write_list(call, type, n);
    for (guint32 i = 0; i < n; i++) {
        if (type == WIRE_I32) {
            wire_write_i32(call, EVENT_KIND_MAX + 1);
        } else {
            wire_write_i64(call, 1);
        }
    }
}

/* Owns: takes @call. */
static void
assert_refused(const Gate *gate, GByteArray *call, const char *field,
               gint64 limit)
{
    g_auto(Answer) answer = {0};

    wire_write_stop(call);
    answer = call_finish(gate, call);
    answer_assert_invalid(&answer, field, limit);
}

/* Each mistake names its field. */
static void
test_refused(void)
{
    static const struct {
        gint16 id;
        gint32 value;
        const char *field;
        gint64 limit;
    } numbers[] = {
        {6, 0, "request.max_events", FETCH_EVENTS_MAX},
        {6, FETCH_EVENTS_MAX + 1, "request.max_events", FETCH_EVENTS_MAX},
        {7, -1, "request.wait_ms", 0},
        {1, 5, "request", 1},
    };
    GByteArray *call;
    Gate gate;

    gate_start(&gate);
    for (gsize i = 0; i < G_N_ELEMENTS(numbers); i++) {
        call = fetch_begin();
        wire_field_i32(call, numbers[i].id, numbers[i].value);
        assert_refused(&gate, call, numbers[i].field, numbers[i].limit);
    }
    call = fetch_begin();
    wire_field_string(call, 1, "soon");
    assert_refused(&gate, call, "request.since", -1);
    call = fetch_begin();
    wire_field_string(call, 2, "nonsense");
    assert_refused(&gate, call, "request.position", -1);
    call = fetch_begin();
    wire_field_string(call, 1, "now");
    wire_field_string(call, 2, "nonsense");
    assert_refused(&gate, call, "request.since", -1);
    call = fetch_begin();
    put_list(call, 4, WIRE_I32, 1);
    assert_refused(&gate, call, "request.kinds", EVENT_KIND_MAX);
    call = fetch_begin();
    put_list(call, 4, WIRE_I64, 1);
    assert_refused(&gate, call, "request.kinds", -1);
    call = fetch_begin();
    put_list(call, 5, WIRE_I64, FETCH_AUTHORS_MAX + 1);
    assert_refused(&gate, call, "request.authors", FETCH_AUTHORS_MAX);
    gate_end(&gate);
}

/* Bounds and times of each partition; no times where there is nothing. */
static void
test_partitions(void)
{
    gint64 before_ms = g_get_real_time() / 1000;
    g_auto(Answer) answer = {0};
    gint64 records = 0;
    WireReader reader;
    WireType type;
    Gate gate;

    gate_start(&gate);
    publish_follows(&gate, 1, 2);
    answer = call_finish(&gate, call_begin("getPartitions"));
    g_assert_cmpint(answer_field(&answer), ==, REPLY_SUCCESS);
    wire_reader_init(&reader, answer.frame.field[REPLY_SUCCESS].value.data,
                     answer.frame.field[REPLY_SUCCESS].value.len);
    guint32 n = wire_read_list(&reader, &type);
    g_assert_cmpuint(n, ==, 4);
    for (guint32 i = 0; i < n; i++) {
        gint64 value[6] = {0};
        WireField field;

        g_assert_true(wire_read_field(&reader, &field));
        g_assert_cmpint(wire_read_i32(&reader), ==, i);
        while (wire_read_field(&reader, &field)) {
            value[field.id] = wire_read_i64(&reader);
        }
        g_assert_cmpint(value[2], ==, 0);
        records += value[3];
        g_assert_true(value[3] == 0 ||
                      (value[4] >= before_ms && value[5] >= value[4]));
        g_assert_true(value[3] != 0 || (value[4] == 0 && value[5] == 0));
    }
    g_assert_cmpint(records, ==, 2);
    gate_end(&gate);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    daemon_begin();
    g_test_add_func("/fetch/pages", test_pages);
    g_test_add_func("/fetch/filter", test_filter);
    g_test_add_func("/fetch/undecodable", test_undecodable);
    g_test_add_func("/fetch/wait", test_wait);
    g_test_add_func("/fetch/wait-ends", test_wait_ends);
    g_test_add_func("/fetch/race", test_race);
    g_test_add_func("/fetch/stop", test_stop);
    g_test_add_func("/fetch/refused", test_refused);
    g_test_add_func("/fetch/partitions", test_partitions);
    return g_test_run();
}
