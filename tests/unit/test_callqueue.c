/*
 * test_callqueue.c - whose call is next, and which is refused
 *
 * Time is the test's own: nothing here waits.
 */
#include "thrift/callqueue.h"

#include "thrift/connection.h"

#define MS G_GINT64_CONSTANT(1000000)
#define CALLS 2000

typedef struct Town {
    CallQueue *queue;
    Request *calls; /* CALLS */
    guint n;        /* of them used */
    gint64 now_ns;
} Town;

static void
set_up(Town *town, gconstpointer unused)
{
    (void)unused;
    town->queue = g_new0(CallQueue, 1);
    town->calls = g_new0(Request, CALLS);
    town->n = 0;
    town->now_ns = 1000 * MS;
    callqueue_init(town->queue, 3);
}

static void
tear_down(Town *town, gconstpointer unused)
{
    (void)unused;
    g_free(town->calls);
    g_free(town->queue);
}

static Request *
put(Town *town, CallLane *lane)
{
    Request *request = &town->calls[town->n++];

    callqueue_put(town->queue, lane, request, town->now_ns);
    return request;
}

/* Puts calls until one is refused, at most @max; how many were taken. */
static guint
put_all(Town *town, CallLane *lane, guint max)
{
    guint n = 0;

    while (n < max && callqueue_refuses(town->queue, lane, town->now_ns) == 0) {
        put(town, lane);
        n++;
    }
    return n;
}

/* One turn of one call, which takes @ns; its lane. */
static CallLane *
serve(Town *town, gint64 ns)
{
    CallLane *lane;

    callqueue_begin(town->queue, town->now_ns);
    g_assert_nonnull(callqueue_take(town->queue, &lane));
    town->now_ns += ns;
    callqueue_charge(town->queue, lane, ns);
    callqueue_end(town->queue, town->now_ns);
    return lane;
}

static CallLane *
lane_of(Town *town, guint i)
{
    return &town->queue->lanes[i];
}

/* The frame of a call by @caller, which *out backs. */
static CallLane *
lane_by_name(Town *town, const char *caller)
{
    static const char method[] = "getDashboard";
    g_autoptr(GByteArray) out = g_byte_array_new();
    Frame frame;

    frame_begin(out, FRAME_CALL,
                (WireBytes){(const guint8 *)method, sizeof(method) - 1}, 1);
    wire_write_field(out, WIRE_STRUCT, 15);
    wire_field_i32(out, 2, 100);
    if (caller != NULL) {
        wire_field_string(out, 1, caller);
    }
    wire_write_stop(out);
    wire_write_stop(out);
    g_assert_cmpint(frame_scan(out->data, out->len, &frame), ==, FRAME_OK);
    return callqueue_lane(town->queue, &frame);
}

static void
test_names(Town *town, gconstpointer unused)
{
    (void)unused;
    g_assert_true(lane_by_name(town, "web") == lane_by_name(town, "web"));
    g_assert_true(lane_by_name(town, "web") != lane_by_name(town, "batch"));
    g_assert_true(lane_by_name(town, NULL) == lane_by_name(town, ""));
}

/* A caller's calls are served in their order. */
static void
test_order(Town *town, gconstpointer unused)
{
    CallLane *lane;

    (void)unused;
    for (guint i = 0; i < 5; i++) {
        put(town, lane_of(town, 7));
    }
    for (guint i = 0; i < 5; i++) {
        g_assert_true(callqueue_take(town->queue, &lane) == &town->calls[i]);
        g_assert_true(lane == lane_of(town, 7));
    }
    g_assert_null(callqueue_take(town->queue, &lane));
}

/* Who has calls of ten times the cost gets a tenth of the calls. */
static void
test_shares(Town *town, gconstpointer unused)
{
    CallLane *dear = lane_of(town, 1), *cheap = lane_of(town, 2);
    guint served[2] = {0};

    (void)unused;
    for (guint i = 0; i < 600; i++) {
        put(town, dear);
        put(town, cheap);
    }
    for (guint i = 0; i < 550; i++) {
        CallLane *next;
        gint64 ns;

        callqueue_take(town->queue, &next);
        ns = next == dear ? MS : MS / 10;
        callqueue_charge(town->queue, next, ns);
        served[next == dear ? 0 : 1]++;
    }
    g_assert_cmpuint(served[0], >=, 49);
    g_assert_cmpuint(served[0], <=, 51);
}

/* Silence earns nothing; a debt stays. */
static void
test_no_credit(Town *town, gconstpointer unused)
{
    CallLane *busy = lane_of(town, 1), *late = lane_of(town, 2), *next;
    guint served = 0;

    (void)unused;
    for (guint i = 0; i < 300; i++) {
        put(town, busy);
    }
    for (guint i = 0; i < 100; i++) {
        g_assert_true(serve(town, MS) == busy);
    }
    for (guint i = 0; i < 100; i++) {
        put(town, late);
    }
    for (guint i = 0; i < 100; i++) {
        served += serve(town, MS) == late ? 1 : 0;
    }
    g_assert_cmpuint(served, >=, 49);
    g_assert_cmpuint(served, <=, 51);
    while (late->n > 0) {
        serve(town, MS);
    }
    /* One call of a second, and the lane pauses: others come first after. */
    put(town, late);
    do {
        callqueue_take(town->queue, &next);
        callqueue_charge(town->queue, next, next == late ? 1000 * MS : MS);
    } while (next != late);
    put(town, late);
    for (guint i = 0; i < 20 && busy->n > 0; i++) {
        g_assert_true(serve(town, MS) == busy);
    }
}

/* A burst is taken; overload that lasts is held to the limit, also where the
   callers' pauses empty the queue. */
static void
test_refuses(Town *town, gconstpointer unused)
{
    CallLane *lane = lane_of(town, 1);
    guint taken;

    (void)unused;
    put(town, lane);
    serve(town, MS / 10);
    taken = put_all(town, lane, CALLS / 2);
    /* 25 ms of calls of 0.1 ms. */
    g_assert_cmpuint(taken, >=, 200);
    g_assert_cmpuint(taken, <=, 300);
    for (guint i = 0; i < 3; i++) {
        while (lane->n > 0) {
            serve(town, MS / 10);
        }
        town->now_ns += 50 * MS;
        taken = put_all(town, lane, CALLS / 8);
        g_assert_cmpuint(taken, >=, 15);
        g_assert_cmpuint(taken, <=, 35);
        g_assert_cmpuint(callqueue_refuses(town->queue, lane, town->now_ns), >=,
                         3);
    }
    /* Nothing was refused for a while: wide again. */
    while (lane->n > 0) {
        serve(town, MS / 10);
    }
    town->now_ns += 100 * MS;
    g_assert_cmpuint(put_all(town, lane, CALLS / 4), >=, 150);
}

/* One caller's queue is not another's. */
static void
test_others_are_taken(Town *town, gconstpointer unused)
{
    CallLane *many = lane_of(town, 1), *one = lane_of(town, 2);

    (void)unused;
    put(town, many);
    serve(town, 10 * MS);
    put_all(town, many, CALLS / 2);
    g_assert_cmpuint(callqueue_refuses(town->queue, many, town->now_ns), >, 0);
    g_assert_cmpuint(callqueue_refuses(town->queue, one, town->now_ns), ==, 0);
    put(town, one);
    serve(town, MS);
    g_assert_true(serve(town, MS) == one || one->n == 0);
}

/* To have been preempted once does not make every call dear. */
static void
test_outlier(Town *town, gconstpointer unused)
{
    CallLane *lane = lane_of(town, 1);

    (void)unused;
    for (guint i = 0; i < 100; i++) {
        put(town, lane);
        serve(town, MS / 10);
    }
    put(town, lane);
    serve(town, 1000 * MS);
    g_assert_cmpuint(put_all(town, lane, CALLS / 2), >=, 100);
}

/* Who asks little beside who asks much is answered at once. */
static void
test_pressed(Town *town, gconstpointer unused)
{
    CallLane *much = lane_of(town, 1), *little = lane_of(town, 2), *next;

    (void)unused;
    for (guint i = 0; i < 3; i++) {
        put(town, much);
    }
    put(town, little);
    g_assert_false(callqueue_is_pressed(town->queue, lane_of(town, 3)));
    for (guint i = 0; i < 50; i++) {
        put(town, much);
    }
    g_assert_false(callqueue_is_pressed(town->queue, little));
    callqueue_remove(town->queue, TAILQ_FIRST(&little->calls));
    g_assert_true(callqueue_is_pressed(town->queue, little));
    g_assert_false(callqueue_is_pressed(town->queue, much));
    while (callqueue_take(town->queue, &next) != NULL) {
        g_assert_true(next == much);
    }
    g_assert_false(callqueue_is_pressed(town->queue, much));
}

/* A lone caller's turns are longer than those of several. */
static void
test_turns(Town *town, gconstpointer unused)
{
    CallLane *lane = lane_of(town, 1);
    gint64 lone, several;

    (void)unused;
    put(town, lane);
    serve(town, MS);
    town->now_ns += 2000 * MS;
    put(town, lane);
    lone = callqueue_begin(town->queue, town->now_ns) - town->now_ns;
    put(town, lane_of(town, 2));
    several = callqueue_begin(town->queue, town->now_ns) - town->now_ns;
    g_assert_cmpint(several, <, lone);
    g_assert_cmpint(lone, <=, MS);
}

/* Where the look at the sockets took long, as long is served then. */
static void
test_turns_make_up(Town *town, gconstpointer unused)
{
    CallLane *lane = lane_of(town, 1);

    (void)unused;
    put(town, lane);
    put(town, lane_of(town, 2));
    put(town, lane);
    serve(town, MS / 10);
    town->now_ns += MS / 2;
    g_assert_cmpint(callqueue_begin(town->queue, town->now_ns) - town->now_ns,
                    ==, MS / 2);
    callqueue_end(town->queue, town->now_ns);
    town->now_ns += 100 * MS;
    g_assert_cmpint(callqueue_begin(town->queue, town->now_ns) - town->now_ns,
                    <=, MS);
}

/* What is taken out in the middle is not served. */
static void
test_remove(Town *town, gconstpointer unused)
{
    CallLane *lane = lane_of(town, 1), *next;
    Request *first = put(town, lane), *second = put(town, lane);

    (void)unused;
    callqueue_remove(town->queue, first);
    g_assert_true(callqueue_take(town->queue, &next) == second);
    put(town, lane);
    callqueue_remove(town->queue, &town->calls[2]);
    g_assert_null(callqueue_take(town->queue, &next));
    g_assert_false(callqueue_end(town->queue, town->now_ns));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name)                                                              \
    g_test_add("/callqueue/" #name, Town, NULL, set_up, test_##name, tear_down)
    ADD(names);
    ADD(order);
    ADD(shares);
    ADD(no_credit);
    ADD(refuses);
    ADD(others_are_taken);
    ADD(outlier);
    ADD(pressed);
    ADD(turns);
    ADD(turns_make_up);
    ADD(remove);
    return g_test_run();
}
