/*
 * The seal of a record, who gives it, and who follows it.
 *
 * Values here are whole records of the log: an event as the gateway logs it,
 * with its seal; tests/vectors has them byte for byte.
 */
#include "firehose/log_driver.h"
#include "firehose/seal.h"
#include "firehose/sealer.h"
#include "firehose/sealtrack.h"
#include "tests/kit/log_behaviours.h"

#include <pthread.h>
#include <string.h>

#define PRODUCER (G_GINT64_CONSTANT(1) << 62)
#define SEQUENCE 41

/* A post as the gateway logs it, with an empty seal. */
static GByteArray *
make_value(gsize body_bytes)
{
    g_autoptr(GByteArray) in = g_byte_array_new();
    g_autofree char *body = g_strnfill(body_bytes, 'x');
    GByteArray *out = g_byte_array_new();
    EventFault fault;
    Event event;

    wire_field_i32(in, 3, EVENT_POST);
    wire_field_i64(in, 4, 5);
    wire_write_field(in, WIRE_STRUCT, 7);
    wire_field_string(in, 4, body);
    wire_write_stop(in);
    wire_write_stop(in);
    g_assert_true(event_stamp((WireBytes){in->data, in->len}, (EventId){1000},
                              out, &event, &fault));
    seal_room(out);
    return out;
}

static GByteArray *
make_sealed(void)
{
    GByteArray *value = make_value(20);

    seal_set(value->data, value->len, PRODUCER, SEQUENCE);
    return value;
}

/* ---- one seal ---- */

/* Whatever bit is flipped, the record is refused; but for the header of the
   seal's field, without which there is no seal: then it is the same event. */
static void
test_every_bit(void)
{
    g_autoptr(GByteArray) value = make_sealed();
    gsize header = value->len - SEAL_BYTES - 1;
    guint unsealed = 0;

    for (gsize i = 0; i < value->len; i++) {
        for (guint bit = 0; bit < 8; bit++) {
            Event event;
            EventFault fault;

            value->data[i] ^= (guint8)(1U << bit);
            if (event_decode(value->data, value->len, &event, &fault)) {
                g_assert_true(i >= header && i < header + 3);
                g_assert_cmpint(event.seal.producer, ==, 0);
                g_assert_cmpint(event.id.v, ==, 1000);
                g_assert_cmpuint(event.post.body.len, ==, 20);
                unsealed++;
            }
            value->data[i] ^= (guint8)(1U << bit);
        }
    }
    g_assert_cmpuint(unsealed, <=, 16);
}

/* The same seal at another length, or on another event, does not match. */
static void
test_moved(void)
{
    g_autoptr(GByteArray) value = make_sealed();
    g_autoptr(GByteArray) other = make_value(21);
    guint8 *tail = other->data + other->len - SEAL_BYTES - 1;
    EventFault fault;
    Event event;

    memcpy(tail, value->data + value->len - SEAL_BYTES - 1, SEAL_BYTES + 1);
    g_assert_false(event_decode(other->data, other->len, &event, &fault));
    g_assert_cmpstr(fault.field, ==, "event.seal");
    g_assert_cmpstr(fault.reason, ==, "does not match what it seals");
}

/* The largest event that a client may send has room for a seal. */
static void
test_largest(void)
{
    g_autoptr(GByteArray) in = g_byte_array_new();
    g_autoptr(GByteArray) out = g_byte_array_new();
    g_autofree char *text = g_strnfill(EVENT_BYTES_MAX, 'x');
    EventFault fault;
    Event event;

    wire_field_i32(in, 1, EVENT_VERSION);
    wire_field_i64(in, 2, 9);
    wire_field_i32(in, 3, EVENT_DELETE_USER);
    wire_field_i64(in, 4, 5);
    wire_field_bytes(in, 90, text, EVENT_BYTES_MAX - in->len - 8);
    wire_write_stop(in);
    g_assert_cmpuint(in->len, ==, EVENT_BYTES_MAX);
    g_assert_true(event_stamp((WireBytes){in->data, in->len}, (EventId){1}, out,
                              &event, &fault));
    seal_room(out);
    seal_set(out->data, out->len, PRODUCER, 0);
    g_assert_cmpuint(out->len, ==, EVENT_BYTES_MAX + SEAL_BYTES);
    g_assert_true(event_decode(out->data, out->len, &event, &fault));
}

/* ---- following ---- */

/* What each record is after those before it. */
static void
test_track(void)
{
    static const struct {
        guint partition;
        Seal seal;
        SealTrackOutcome outcome;
        gint64 from;
    } rows[] = {
        {0, {7, 3}, SEALTRACK_FIRST, 0}, {0, {7, 4}, SEALTRACK_NEXT, 0},
        {0, {0, 0}, SEALTRACK_NEXT, 0},  {1, {7, 0}, SEALTRACK_FIRST, 0},
        {0, {7, 4}, SEALTRACK_AGAIN, 0}, {0, {7, 3}, SEALTRACK_AGAIN, 0},
        {0, {7, 5}, SEALTRACK_NEXT, 0},  {0, {8, 0}, SEALTRACK_FIRST, 0},
        {0, {7, 9}, SEALTRACK_HOLE, 6},  {0, {8, 1}, SEALTRACK_NEXT, 0},
        {0, {7, 10}, SEALTRACK_NEXT, 0}, {1, {7, 1}, SEALTRACK_NEXT, 0},
    };
    SealTrack *track = sealtrack_new(2);

    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        gint64 from = 0;

        g_assert_cmpint(
            sealtrack_note(track, rows[i].partition, rows[i].seal, &from), ==,
            rows[i].outcome);
        g_assert_cmpint(from, ==, rows[i].from);
    }
    sealtrack_free(track);
}

/* Many producers: the latest are kept, the others are met as new. */
static void
test_track_many(void)
{
    SealTrack *track = sealtrack_new(1);
    gint64 from;

    for (gint64 i = 1; i <= 100; i++) {
        g_assert_cmpint(sealtrack_note(track, 0, (Seal){i, 0}, &from), ==,
                        SEALTRACK_FIRST);
        g_assert_cmpint(sealtrack_note(track, 0, (Seal){1, i}, &from), ==,
                        SEALTRACK_NEXT);
    }
    g_assert_cmpint(sealtrack_note(track, 0, (Seal){100, 2}, &from), ==,
                    SEALTRACK_HOLE);
    g_assert_cmpint(sealtrack_note(track, 0, (Seal){2, 9}, &from), ==,
                    SEALTRACK_FIRST);
    sealtrack_free(track);
}

/* ---- giving ---- */

#define THREADS 4
#define APPENDS 200
#define PARTITIONS 3

static const LogTopic topic = {
    .name = "t", .partitions = PARTITIONS, .retention_ms = -1};

static void
ignore_acks(const LogAck *acks, gsize n, gpointer user_data)
{
    (void)acks;
    (void)n;
    (void)user_data;
}

static void *
append_some(void *sealer)
{
    for (guint i = 0; i < APPENDS; i++) {
        g_autoptr(GByteArray) one = make_value(i);
        g_autoptr(GByteArray) two = make_value(i);
        const LogEntry entries[] = {
            {i % PARTITIONS, {NULL, 0}, {one->data, one->len}},
            {0, {NULL, 0}, {two->data, two->len}},
        };

        sealer_append(sealer, entries, 2, ignore_acks, NULL);
    }
    return NULL;
}

/* Of whatever thread, the log has each producer's sequence in order. */
static void
test_order(void)
{
    LogCluster *cluster = log_cluster_memory();
    Log *log = log_must_open(cluster, &topic);
    Sealer *sealer = sealer_new(log);
    LogReader *reader = log_must_read(log, NULL);
    gint64 next[PARTITIONS] = {0};
    pthread_t threads[THREADS];
    const LogRecord *records;
    guint left = THREADS * APPENDS * 2;
    gint64 producer = 0;
    gsize n;

    for (guint i = 0; i < THREADS; i++) {
        g_assert_cmpint(pthread_create(&threads[i], NULL, append_some, sealer),
                        ==, 0);
    }
    for (; left > 0; left -= (guint)n) {
        g_assert_cmpint(log_reader_next(reader, 30000, 100, &records, &n, NULL),
                        ==, LOG_READ_RECORDS);
        for (gsize i = 0; i < n; i++) {
            Event event;
            EventFault fault;

            g_assert_true(event_decode(records[i].value.data,
                                       records[i].value.len, &event, &fault));
            producer = producer == 0 ? event.seal.producer : producer;
            g_assert_cmpint(event.seal.producer, ==, producer);
            g_assert_cmpint(event.seal.sequence, ==,
                            next[records[i].partition]++);
        }
    }
    for (guint i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    g_assert_cmpint(producer, >, 0);
    log_reader_close(reader);
    sealer_free(sealer);
    log_close(log);
    log_cluster_close(cluster);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/seal/every-bit", test_every_bit);
    g_test_add_func("/seal/moved", test_moved);
    g_test_add_func("/seal/largest", test_largest);
    g_test_add_func("/seal/track", test_track);
    g_test_add_func("/seal/track-many", test_track_many);
    g_test_add_func("/seal/order", test_order);
    return g_test_run();
}
