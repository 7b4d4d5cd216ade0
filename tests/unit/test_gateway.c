/*
 * The gateway over the memory log and a real socket: what is published, what
 * is refused and how, ids, the cell map, and a log that does not answer.
 */
#include "firehose/idclock.h"
#include "firehose/partition.h"
#include "ops/kit/daemon.h"
#include "tests/unit/gate.h"
#include "tests/unit/peer.h"

#include <string.h>
#include <unistd.h>

/* ---- publish ---- */

static void
open_list(const Answer *answer, WireReader *ret_reader, guint n)
{
    const FrameField *field = &answer->frame.field[REPLY_SUCCESS];
    WireType type;

    g_assert_cmpint(answer_field(answer), ==, REPLY_SUCCESS);
    wire_reader_init(ret_reader, field->value.data, field->value.len);
    g_assert_cmpuint(wire_read_list(ret_reader, &type), ==, n);
}

/* Wrong events are refused by themselves; the others are in the log, where
   the answer says. */
static void
test_publish_mixed(void)
{
    g_autoptr(GByteArray) copy = g_byte_array_new();
    GByteArray *call = call_begin("publish");
    g_auto(Answer) answer = {0};
    WireReader reader;
    Result results[4];
    Event event;
    Gate gate;

    gate_start(&gate);
    wire_write_field(call, WIRE_LIST, 2);
    wire_write_list(call, WIRE_STRUCT, 4);
    wire_field_i32(call, EVENT_FIELD_KIND, EVENT_POST);
    wire_field_i64(call, EVENT_FIELD_USER, 5);
    gate_put_post(call, EVENT_FIELD_POST, "hello");
    wire_write_stop(call);
    gate_put_follow(call, 0, -5, 6);
    gate_put_follow(call, 4711, 5, 6);
    wire_field_i64(call, EVENT_FIELD_ID, 4712);
    wire_write_stop(call);
    answer = call_finish(&gate, call);
    open_list(&answer, &reader, 4);
    for (guint i = 0; i < 4; i++) {
        results[i] = result_read(&gate, &reader);
    }
    g_assert_true(results[0].taken && results[2].taken);
    g_assert_false(results[1].taken || results[3].taken);
    g_assert_cmpint(results[0].id, >, 0);
    g_assert_cmpint(results[1].id, ==, results[0].id + IDCLOCK_STEP);
    g_assert_cmpint(results[2].id, ==, 4711);
    g_assert_cmpint(results[3].id, ==, 4712);
    field_assert(results[1].field, "event.user");
    field_assert(results[3].field, "event.kind");
    event = gate_logged_event(&gate, results[0].position, copy);
    g_assert_cmpint(event.id.v, ==, results[0].id);
    g_assert_cmpint(event.post.author.v, ==, 5);
    g_assert_cmpuint(event.post.body.len, ==, 5);
    event = gate_logged_event(&gate, results[2].position, copy);
    g_assert_cmpint(event.id.v, ==, 4711);
    g_assert_cmpint(event.target_user.v, ==, 6);
    gate_end(&gate);
}

/* No events are no work; too many, or no list, are refused whole. */
static void
test_publish_bounds(void)
{
    static const struct {
        guint n;
        gboolean list;
        gboolean taken;
    } cases[] = {
        {0, TRUE, TRUE},
        {BATCH_EVENTS_MAX, TRUE, TRUE},
        {BATCH_EVENTS_MAX + 1, TRUE, FALSE},
        {0, FALSE, FALSE},
    };
    Gate gate;

    gate_start(&gate);
    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        GByteArray *call = call_begin("publish");
        g_auto(Answer) answer = {0};
        WireReader reader;

        if (cases[i].list) {
            wire_write_field(call, WIRE_LIST, 2);
            wire_write_list(call, WIRE_STRUCT, cases[i].n);
        }
        for (guint j = 0; j < cases[i].n; j++) {
            gate_put_follow(call, 0, j + 1, 6);
        }
        answer = call_finish(&gate, call);
        if (!cases[i].taken) {
            answer_assert_invalid(&answer, "events",
                                  cases[i].list ? BATCH_EVENTS_MAX : -1);
            continue;
        }
        open_list(&answer, &reader, cases[i].n);
        for (guint j = 0; j < cases[i].n; j++) {
            g_assert_true(result_read(&gate, &reader).taken);
        }
    }
    gate_end(&gate);
}

/* What the log says is told, in the words of each form. */
static void
test_log_outcomes(void)
{
    static const struct {
        LogAppendOutcome outcome;
        ReplyField form;
    } cases[] = {
        {LOG_APPEND_FULL, REPLY_UNAVAILABLE},
        {LOG_APPEND_FAILED, REPLY_UNAVAILABLE},
        {LOG_APPEND_UNCERTAIN, REPLY_DEADLINE},
    };
    g_autofree char *text = NULL;
    Gate gate;

    gate_start(&gate);
    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_auto(Answer) list = {0};
        g_auto(Answer) form = {0};
        WireReader reader;
        Result result;

        hand_set(&gate.hand, HAND_SAY, cases[i].outcome);
        list = gate_publish_follow(&gate, 10000);
        open_list(&list, &reader, 1);
        result = result_read(&gate, &reader);
        g_assert_true(result.failed && !result.taken);
        g_assert_cmpint(result.id, >, 0);
        form = gate_form_follow(&gate);
        g_assert_cmpint(answer_field(&form), ==, cases[i].form);
    }
    text = metrics_text(gate.metrics);
    g_assert_nonnull(strstr(text, "comb_gateway_failed_total 6\n"));
    gate_end(&gate);
}

/* Publishes a follow; the seal of its record. */
static Seal
publish_sealed(Gate *gate)
{
    g_auto(Answer) answer = gate_publish_follow(gate, 10000);
    g_autoptr(GByteArray) copy = g_byte_array_new();
    WireReader reader;
    Result result;

    open_list(&answer, &reader, 1);
    result = result_read(gate, &reader);
    g_assert_true(result.taken);
    return gate_logged_event(gate, result.position, copy).seal;
}

/* A gateway's records have one producer and a dense sequence, until one was
   not taken for certain: then another producer, from 0. */
static void
test_seals(void)
{
    static const LogAppendOutcome outcomes[] = {
        LOG_APPEND_FULL, LOG_APPEND_FAILED, LOG_APPEND_UNCERTAIN};
    Gate gate;
    Seal before;

    gate_start(&gate);
    before = publish_sealed(&gate);
    g_assert_cmpint(before.producer, >, 0);
    g_assert_cmpint(before.sequence, ==, 0);
    for (gsize i = 0; i < G_N_ELEMENTS(outcomes); i++) {
        g_auto(Answer) refused = {0};
        Seal after = publish_sealed(&gate);

        g_assert_cmpint(after.producer, ==, before.producer);
        g_assert_cmpint(after.sequence, ==, before.sequence + 1);
        hand_set(&gate.hand, HAND_SAY, outcomes[i]);
        refused = gate_publish_follow(&gate, 10000);
        hand_set(&gate.hand, HAND_PASS, LOG_APPENDED);
        after = publish_sealed(&gate);
        g_assert_cmpint(after.producer, !=, before.producer);
        g_assert_cmpint(after.sequence, ==, 0);
        before = after;
    }
    gate_end(&gate);
}

/* ---- the log that does not answer ---- */

/* The deadline answers in time, and the ack that comes later does no harm. */
static void
test_deadline(void)
{
    Gate gate;
    gint64 start;

    gate_start(&gate);
    hand_set(&gate.hand, HAND_HOLD, LOG_APPENDED);
    start = g_get_monotonic_time();
    {
        g_auto(Answer) answer = gate_publish_follow(&gate, 100);

        g_assert_cmpint(answer_field(&answer), ==, REPLY_DEADLINE);
    }
    g_assert_cmpint(g_get_monotonic_time() - start, >=, 100000);
    g_assert_cmpint(g_get_monotonic_time() - start, <, 5000000);
    g_assert_true(hand_release(&gate.hand));
    hand_set(&gate.hand, HAND_PASS, LOG_APPENDED);
    {
        g_auto(Answer) answer = gate_publish_follow(&gate, 10000);

        g_assert_cmpint(answer_field(&answer), ==, REPLY_SUCCESS);
    }
    gate_end(&gate);
}

static void *
release_soon(void *data)
{
    HandLog *hand = data;

    g_usleep(100000);
    while (!hand_release(hand)) {
        g_usleep(100);
    }
    return NULL;
}

typedef struct Releaser {
    HandLog *hand;
    _Atomic gboolean stop;
} Releaser;

static void *
release_often(void *data)
{
    Releaser *releaser = data;

    while (!releaser->stop) {
        g_usleep((gulong)g_random_int_range(500, 4000));
        hand_release(releaser->hand);
    }
    return NULL;
}

/* Ack and deadline at about the same moment: one answer each time. */
static void
test_race(void)
{
    Releaser releaser = {0};
    guint in_time = 0;
    pthread_t thread;
    Gate gate;

    gate_start(&gate);
    releaser.hand = &gate.hand;
    hand_set(&gate.hand, HAND_HOLD, LOG_APPENDED);
    pthread_create(&thread, NULL, release_often, &releaser);
    for (guint i = 0; i < 300; i++) {
        g_auto(Answer) answer = gate_publish_follow(&gate, 3);
        gint field = answer_field(&answer);

        g_assert_true(field == REPLY_SUCCESS || field == REPLY_DEADLINE);
        in_time += field == REPLY_SUCCESS;
        hand_release(&gate.hand);
    }
    releaser.stop = TRUE;
    pthread_join(thread, NULL);
    g_test_message("%u of 300 in time", in_time);
    g_assert_true(peer_silent(gate.fd, 50));
    gate_end(&gate);
}

/* Beyond the bound on what waits for the log, calls are refused at once. */
static void
test_overload(void)
{
    g_autofree char *body = g_strnfill(GATE_PENDING_BYTES_MAX, 'x');
    GByteArray *call = call_begin("createPost");
    int other;
    Gate gate;

    gate_start(&gate);
    other = peer_connect(gateway_port(gate.gateway));
    hand_set(&gate.hand, HAND_HOLD, LOG_APPENDED);
    wire_field_i64(call, 1, 5);
    gate_put_post(call, 2, body);
    call_send(&gate, call, 10000, 0);
    while (!hand_holds(&gate.hand)) {
        g_usleep(1000);
    }
    hand_set(&gate.hand, HAND_PASS, LOG_APPENDED);
    {
        Gate second = gate;

        second.fd = other;
        g_auto(Answer) answer = gate_form_follow(&second);
        g_assert_cmpint(answer_field(&answer), ==, REPLY_OVERLOADED);
    }
    g_assert_true(hand_release(&gate.hand));
    {
        g_auto(Answer) first = answer_receive(&gate);
        g_auto(Answer) next = gate_form_follow(&gate);

        g_assert_cmpint(answer_field(&first), ==, REPLY_SUCCESS);
        g_assert_cmpint(answer_field(&next), ==, REPLY_SUCCESS);
    }
    close(other);
    gate_end(&gate);
}

static guint
home_of(gint64 user)
{
    guint8 key[PARTITION_KEY_BYTES];

    partition_key((UserId){user}, key);
    return partition_of(key, sizeof(key), GATE_PARTITIONS);
}

/* About 600 bytes of posts, each with 90 of its own, one of each user's. */
static GByteArray *
posts_call(const gint64 *users, guint n)
{
    g_autofree char *body = g_strnfill(600 / n - 100, 'x');
    GByteArray *call = call_begin("publish");

    wire_write_field(call, WIRE_LIST, 2);
    wire_write_list(call, WIRE_STRUCT, n);
    for (guint i = 0; i < n; i++) {
        wire_field_i32(call, EVENT_FIELD_KIND, EVENT_POST);
        wire_field_i64(call, EVENT_FIELD_USER, users[i]);
        gate_put_post(call, EVENT_FIELD_POST, body);
        wire_write_stop(call);
    }
    return call;
}

static gint
publish_posts(const Gate *gate, const gint64 *users, guint n)
{
    g_auto(Answer) answer = call_finish(gate, posts_call(users, n));

    return answer_field(&answer);
}

/* Of three there is room for as much again, of a fourth not. */
#define FLOOD_HELD 3

static void
assert_refused(const Answer *answer, const char *whose)
{
    WireReader reader;
    WireField field;
    WireBytes reason;

    g_assert_cmpint(answer_field(answer), ==, REPLY_OVERLOADED);
    frame_struct(&answer->frame, REPLY_OVERLOADED, &reader);
    g_assert_true(wire_read_field(&reader, &field));
    wire_skip(&reader, field.type);
    g_assert_true(wire_read_field(&reader, &field));
    reason = wire_read_bytes(&reader);
    g_autofree char *text = g_strndup((const char *)reason.data, reason.len);
    g_assert_nonnull(strstr(text, whose));
    g_assert_nonnull(strstr(text, "4096"));
}

/* Publishes more than may wait, of users[0] or of both, to a log that holds
   what it is given; @second is told of the refusal. */
static void
flood(Gate *gate, const Gate *second, const gint64 *users, guint n)
{
    g_autofree char *whose =
        n == 1 ? g_strdup_printf("partition %u", home_of(users[0]))
               : g_strdup("several partitions");

    hand_set(&gate->hand, HAND_HOLD, LOG_APPENDED);
    for (guint i = 0; i < FLOOD_HELD; i++) {
        call_send(gate, posts_call(users, n), 10000, 0);
    }
    while (hand_holds(&gate->hand) < FLOOD_HELD) {
        g_usleep(1000);
    }
    g_auto(Answer) answer = call_finish(second, posts_call(users, n));
    assert_refused(&answer, whose);
    hand_set(&gate->hand, HAND_PASS, LOG_APPENDED);
}

/* Whoever floods a log that does not answer, one partition or several at once,
   is refused by name; what is of another partition goes on; and afterwards
   everybody does. */
static void
test_stalled_lane(void)
{
    const gint64 one = 5;
    gint64 other = 6;

    while (home_of(other) == home_of(one)) {
        other++;
    }
    const gint64 both[] = {one, other};

    for (guint n = 1; n <= 2; n++) {
        Gate gate;
        Gate second;

        gate_start(&gate);
        second = gate;
        second.fd = peer_connect(gateway_port(gate.gateway));
        flood(&gate, &second, both, n);
        g_assert_cmpint(publish_posts(&second, &other, 1), ==, REPLY_SUCCESS);
        g_assert_cmpint(publish_posts(&second, both, 2), ==,
                        n == 1 ? REPLY_SUCCESS : REPLY_OVERLOADED);
        while (hand_release(&gate.hand)) {
            g_auto(Answer) answer = answer_receive(&gate);

            g_assert_cmpint(answer_field(&answer), ==, REPLY_SUCCESS);
        }
        g_assert_cmpint(publish_posts(&second, both, 1), ==, REPLY_SUCCESS);
        g_assert_cmpint(publish_posts(&second, both, 2), ==, REPLY_SUCCESS);
        close(second.fd);
        gate_end(&gate);
    }
}

/* Stopping waits for the log's last call back, answered or not. */
static void
test_stop_while_held(void)
{
    pthread_t thread;
    Gate gate;

    gate_start(&gate);
    hand_set(&gate.hand, HAND_HOLD, LOG_APPENDED);
    {
        g_auto(Answer) answer = gate_publish_follow(&gate, 20);

        g_assert_cmpint(answer_field(&answer), ==, REPLY_DEADLINE);
    }
    pthread_create(&thread, NULL, release_soon, &gate.hand);
    gate_end(&gate);
    pthread_join(thread, NULL);
}

/* ---- the friendly forms ---- */

/* Each form becomes the event it says, with the id the caller gives. */
static void
test_forms(void)
{
    static const struct {
        const char *method;
        EventKind kind;
    } cases[] = {
        {"createPost", EVENT_POST},        {"editPost", EVENT_EDIT},
        {"deletePost", EVENT_DELETE},      {"follow", EVENT_FOLLOW},
        {"unfollow", EVENT_UNFOLLOW},      {"like", EVENT_LIKE},
        {"unlike", EVENT_UNLIKE},          {"block", EVENT_BLOCK},
        {"unblock", EVENT_UNBLOCK},        {"mute", EVENT_MUTE},
        {"unmute", EVENT_UNMUTE},          {"markRead", EVENT_READ_MARK},
        {"deleteUser", EVENT_DELETE_USER},
    };
    g_autoptr(GByteArray) copy = g_byte_array_new();
    Gate gate;

    gate_start(&gate);
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        GByteArray *call = call_begin(cases[i].method);
        g_auto(Answer) answer = {0};
        WireReader reader;
        Result result;
        Event event;

        wire_field_i64(call, 1, 5);
        gate_put_post(call, 2, "hello");
        wire_field_i64(call, 3, 77);
        wire_field_i64(call, 4, 1000 + i);
        answer = call_finish(&gate, call);
        g_assert_cmpint(answer_field(&answer), ==, REPLY_SUCCESS);
        frame_struct(&answer.frame, REPLY_SUCCESS, &reader);
        result = result_read(&gate, &reader);
        g_assert_cmpint(result.id, ==, 1000 + i);
        event = gate_logged_event(&gate, result.position, copy);
        g_assert_cmpint(event.kind, ==, cases[i].kind);
        g_assert_cmpint(event.id.v, ==, 1000 + i);
        g_assert_true(event.target_user.v == 77 || event.target_post.v == 77 ||
                      i == 0 || i == 12);
        g_assert_cmpuint(event.post.body.len, ==, i < 2 ? 5 : 0);
    }
    gate_end(&gate);
}

/* A form's refusals name its own arguments. */
static void
test_form_refusals(void)
{
    Gate gate;

    gate_start(&gate);
    {
        GByteArray *call = call_begin("follow");
        wire_field_i64(call, 1, 5);
        g_auto(Answer) answer = call_finish(&gate, call);
        answer_assert_invalid(&answer, "target", -1);
    }
    {
        GByteArray *call = call_begin("like");
        wire_field_i64(call, 1, 5);
        wire_field_i32(call, 3, 7);
        g_auto(Answer) answer = call_finish(&gate, call);
        answer_assert_invalid(&answer, "post_id", -1);
    }
    {
        g_autofree char *body = g_strnfill(BODY_BYTES_MAX + 1, 'b');
        GByteArray *call = call_begin("createPost");
        wire_field_i64(call, 1, 5);
        gate_put_post(call, 2, body);
        g_auto(Answer) answer = call_finish(&gate, call);
        answer_assert_invalid(&answer, "post.body", BODY_BYTES_MAX);
    }
    {
        GByteArray *call = call_begin("deleteUser");
        wire_field_i64(call, 1, 5);
        wire_field_i64(call, 4, -1);
        g_auto(Answer) answer = call_finish(&gate, call);
        answer_assert_invalid(&answer, "event_id", 1);
    }
    gate_end(&gate);
}

/* ---- ids ---- */

static Answer
next_ids(const Gate *gate, gint32 count, gint64 last_id)
{
    GByteArray *call = call_begin("nextIds");

    wire_field_i32(call, 2, count);
    call_send(gate, call, 10000, last_id);
    return answer_receive(gate);
}

/* Ids go up within and between calls and over the caller's last one. */
static void
test_ids(void)
{
    gint64 now_ms = g_get_real_time() / 1000;
    gint64 last = id_make(now_ms + 30000, 0, 0);
    Gate gate;

    gate_start(&gate);
    for (guint round = 0; round < 3; round++) {
        g_auto(Answer) answer = next_ids(&gate, IDS_MAX, last);
        WireReader reader;

        open_list(&answer, &reader, IDS_MAX);
        for (guint i = 0; i < IDS_MAX; i++) {
            gint64 id = wire_read_i64(&reader);

            g_assert_cmpint(id, >, last);
            g_assert_cmpint(id & ID_NODE_MAX, ==, 3);
            last = id;
        }
    }
    {
        g_auto(Answer) none = next_ids(&gate, 0, 0);
        g_auto(Answer) many = next_ids(&gate, IDS_MAX + 1, 0);
        g_auto(Answer) ahead =
            next_ids(&gate, 1, id_make(now_ms + 600000, 0, 0));

        answer_assert_invalid(&none, "count", IDS_MAX);
        answer_assert_invalid(&many, "count", IDS_MAX);
        answer_assert_invalid(&ahead, "ctx.last_id", IDCLOCK_AFTER_MS_MAX);
    }
    gate_end(&gate);
}

/* ---- the cell map ---- */

static CellMap *
make_map(gint64 epoch)
{
    char host[] = "127.0.0.1";
    const CellMapEntry cells[] = {{0, host, 9200}, {1, host, 9201}};

    return cellmap_even(epoch, cells, G_N_ELEMENTS(cells));
}

static Answer
set_map(const Gate *gate, gint64 epoch)
{
    g_autoptr(CellMap) map = make_map(epoch);
    GByteArray *call = call_begin("setCellMap");

    wire_write_field(call, WIRE_STRUCT, 2);
    cellmap_encode(map, call);
    return call_finish(gate, call);
}

static void
expect_map(const Gate *gate, gint64 epoch)
{
    g_auto(Answer) answer = call_finish(gate, call_begin("getCellMap"));
    g_autoptr(CellMap) map = NULL;

    if (epoch == 0) {
        g_assert_cmpint(answer_field(&answer), ==, REPLY_NOT_FOUND);
        return;
    }
    g_assert_cmpint(answer_field(&answer), ==, REPLY_SUCCESS);
    map = cellmap_decode(answer.frame.field[REPLY_SUCCESS].value, NULL);
    g_assert_cmpint(cellmap_epoch(map), ==, epoch);
}

/* A map is set epoch by epoch and read back at once. */
static void
test_map(void)
{
    g_autoptr(GError) error = NULL;
    Gate gate;

    gate_start(&gate);
    expect_map(&gate, 0);
    {
        g_auto(Answer) wrong = set_map(&gate, 2);
        answer_assert_invalid(&wrong, "cell_map.epoch", 1);
    }
    {
        g_auto(Answer) right = set_map(&gate, 1);
        g_assert_cmpint(answer_field(&right), ==, REPLY_SUCCESS);
        g_assert_cmpint(frame_i64(&right.frame, REPLY_SUCCESS, 0), ==, 1);
    }
    expect_map(&gate, 1);
    {
        g_auto(Answer) again = set_map(&gate, 1);
        answer_assert_invalid(&again, "cell_map.epoch", 2);
    }
    {
        GByteArray *call = call_begin("setCellMap");
        wire_write_field(call, WIRE_STRUCT, 2);
        wire_field_i64(call, 1, 2);
        wire_write_stop(call);
        g_auto(Answer) bad = call_finish(&gate, call);
        answer_assert_invalid(&bad, "cell_map", -1);
    }
    {
        g_autoptr(CellMap) map = make_map(2);
        g_autoptr(CellMap) seen = NULL;
        g_assert_true(gateway_publish_map(gate.control, map, 5000, &error));
        g_assert_no_error(error);
        seen = mapfeed_wait(gate.feed, 2, 5000);
        g_assert_nonnull(seen);
    }
    expect_map(&gate, 2);
    gate_end(&gate);
}

/* A log that is silent or refuses is told by gateway_publish_map() too. */
static void
test_publish_map_fails(void)
{
    g_autoptr(CellMap) map = make_map(1);
    g_autoptr(GError) error = NULL;
    Gate gate;

    gate_start(&gate);
    hand_set(&gate.hand, HAND_HOLD, LOG_APPENDED);
    g_assert_false(gateway_publish_map(&gate.hand.log, map, 50, &error));
    g_assert_nonnull(error);
    g_clear_error(&error);
    g_assert_true(hand_release(&gate.hand));
    hand_set(&gate.hand, HAND_SAY, LOG_APPEND_FULL);
    g_assert_false(gateway_publish_map(&gate.hand.log, map, 5000, &error));
    g_assert_nonnull(strstr(error->message, "as the test says"));
    gate_end(&gate);
}

/* What was done is told by kind. */
static void
test_metrics(void)
{
    g_autofree char *text = NULL;
    Gate gate;

    gate_start(&gate);
    {
        g_auto(Answer) form = gate_form_follow(&gate);
        g_auto(Answer) list = gate_publish_follow(&gate, 10000);
    }
    text = metrics_text(gate.metrics);
    g_assert_nonnull(
        strstr(text, "comb_gateway_published_total{kind=\"follow\"} 2\n"));
    g_assert_nonnull(strstr(text, "comb_gateway_calls_total 2\n"));
    g_assert_nonnull(strstr(text, "comb_gateway_pending_bytes 0\n"));
    gate_end(&gate);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    daemon_begin();
    g_test_add_func("/gateway/publish-mixed", test_publish_mixed);
    g_test_add_func("/gateway/publish-bounds", test_publish_bounds);
    g_test_add_func("/gateway/log-outcomes", test_log_outcomes);
    g_test_add_func("/gateway/seals", test_seals);
    g_test_add_func("/gateway/deadline", test_deadline);
    g_test_add_func("/gateway/race", test_race);
    g_test_add_func("/gateway/overload", test_overload);
    g_test_add_func("/gateway/stalled-lane", test_stalled_lane);
    g_test_add_func("/gateway/stop-while-held", test_stop_while_held);
    g_test_add_func("/gateway/forms", test_forms);
    g_test_add_func("/gateway/form-refusals", test_form_refusals);
    g_test_add_func("/gateway/ids", test_ids);
    g_test_add_func("/gateway/map", test_map);
    g_test_add_func("/gateway/publish-map-fails", test_publish_map_fails);
    g_test_add_func("/gateway/metrics", test_metrics);
    return g_test_run();
}
