/*
 * ahead.h over a log whose reader is a script: batches of random length, each
 * in memory of its own that is freed at the next look, so that a sanitizer
 * sees who keeps it; looks that bring nothing; at the end a stop. With the
 * thread and without, all must come, in order, decoded as they are, and the
 * stop last.
 */
#include "cell/ahead.h"
#include "firehose/log_driver.h"
#include "firehose/partition.h"
#include "ops/kit/error.h"

#include <string.h>

#define RECORDS 5000
#define BATCH_MAX 64
#define PARTITIONS 3
#define BODY_MAX 5000

typedef struct Script {
    LogReader base; /* must be first */
    Log log;
    GRand *rand;
    guint64 next;       /* record to give next */
    LogRecord *records; /* given last; each with memory of its own */
    gsize n;
} Script;

/* Every seventh record is no event. */
static gboolean
is_event(guint64 offset)
{
    return offset % 7 != 3;
}

static gint64
user_of(guint64 offset)
{
    return 1 + (gint64)(offset % 100);
}

static guint
partition_of_user(gint64 user)
{
    guint8 key[PARTITION_KEY_BYTES];
    partition_key((UserId){user}, key);
    return partition_of(key, sizeof key, PARTITIONS);
}

static LogRecord
script_record(Script *script, guint64 offset)
{
    GByteArray *value = g_byte_array_new();
    gint len = g_rand_int_range(script->rand, 0, BODY_MAX);
    g_autofree char *text = g_strnfill((gsize)len, 'x');
    if (is_event(offset)) {
        wire_field_i64(value, EVENT_FIELD_ID, (gint64)offset + 1);
        wire_field_i32(value, EVENT_FIELD_KIND, EVENT_FOLLOW);
        wire_field_i64(value, EVENT_FIELD_USER, user_of(offset));
        wire_field_i64(value, EVENT_FIELD_TARGET_USER, 1000);
        wire_field_string(value, 100, text); /* unknown, and kept */
        wire_write_stop(value);
    } else {
        g_byte_array_append(value, (const guint8 *)"rubbish", 7);
    }
    LogRecord record = {
        .partition = partition_of_user(user_of(offset)),
        .offset = offset,
        .timestamp_ms = (gint64)offset,
        .key = {g_memdup2("key", 3), 3},
    };
    record.value.len = value->len;
    record.value.data = g_byte_array_free(value, FALSE);
    return record;
}

static void
script_forget(Script *script)
{
    for (gsize i = 0; i < script->n; i++) {
        g_free((gpointer)(guintptr)script->records[i].key.data);
        g_free((gpointer)(guintptr)script->records[i].value.data);
    }
    g_clear_pointer(&script->records, g_free);
    script->n = 0;
}

static LogReadOutcome
script_next(LogReader *base, gint timeout_ms, gsize max,
            const LogRecord **ret_records, gsize *ret_n, GError **error)
{
    Script *script = (Script *)base;
    (void)timeout_ms;
    script_forget(script);
    if (script->next == RECORDS) {
        g_set_error(error, COMB_ERROR, COMB_ERROR_GAP, "the script has ended");
        return LOG_READ_STOP;
    }
    if (g_rand_int_range(script->rand, 0, 5) == 0) {
        return LOG_READ_IDLE;
    }
    gsize n = MIN(RECORDS - script->next,
                  (gsize)g_rand_int_range(script->rand, 1, (gint)max + 1));
    script->records = g_new0(LogRecord, n);
    for (; script->n < n; script->n++) {
        script->records[script->n] = script_record(script, script->next++);
    }
    *ret_records = script->records;
    *ret_n = n;
    return LOG_READ_RECORDS;
}

static const LogDriver script_driver = {.reader_next = script_next};

static void
script_init(Script *script)
{
    *script =
        (Script){.log = {.driver = &script_driver, .partitions = PARTITIONS},
                 .rand = g_rand_new_with_seed(3)};
    script->base.log = &script->log;
}

static void
script_clear(Script *script)
{
    script_forget(script);
    g_rand_free(script->rand);
}

static void
assert_record(const AheadRecord *ahead, guint64 offset)
{
    g_assert_cmpuint(ahead->record.offset, ==, offset);
    g_assert_cmpint(ahead->record.timestamp_ms, ==, (gint64)offset);
    g_assert_cmpuint(ahead->record.key.len, ==, 3);
    g_assert_cmpint(memcmp(ahead->record.key.data, "key", 3), ==, 0);
    g_assert_cmpint(ahead->decoded, ==, is_event(offset));
    if (!ahead->decoded) {
        g_assert_cmpuint(ahead->record.value.len, ==, 7);
        g_assert_nonnull(ahead->fault.reason);
        return;
    }
    g_assert_cmpint(ahead->event.id.v, ==, (gint64)offset + 1);
    g_assert_cmpint(ahead->event.user.v, ==, user_of(offset));
    /* All of it can be read, to the stop byte. */
    g_assert_true(ahead->event.bytes.data == ahead->record.value.data);
    Event again;
    EventFault fault;
    g_assert_true(event_decode(ahead->event.bytes.data, ahead->event.bytes.len,
                               &again, &fault));
}

static void
assert_stopped(Ahead *ahead)
{
    const AheadRecord *records;
    gsize n;
    for (guint i = 0; i < 2; i++) {
        g_autoptr(GError) error = NULL;
        g_assert_cmpint(ahead_next(ahead, 0, &records, &n, &error), ==,
                        LOG_READ_STOP);
        g_assert_error(error, COMB_ERROR, COMB_ERROR_GAP);
    }
}

static void
test_all_in_order_and_the_stop_last(gconstpointer threaded)
{
    Script script;
    script_init(&script);
    Ahead *ahead = ahead_new(&script.base, PARTITIONS, BATCH_MAX);
    guint64 offset = 0;
    if (threaded != NULL) {
        ahead_start(ahead);
    }
    while (offset < RECORDS) {
        const AheadRecord *records;
        gsize n;
        LogReadOutcome outcome = ahead_next(ahead, 1, &records, &n, NULL);
        g_assert_cmpint(outcome, !=, LOG_READ_STOP);
        if (outcome == LOG_READ_IDLE) {
            continue;
        }
        g_assert_cmpuint(n, <=, BATCH_MAX);
        if (offset % 3 == 0) {
            g_usleep(100); /* let the thread come up to its bound */
        }
        for (gsize i = 0; i < n; i++) {
            assert_record(&records[i], offset++);
        }
    }
    assert_stopped(ahead);
    ahead_free(ahead);
    script_clear(&script);
}

/* Freed at any moment: with batches that nobody took, and one that is lent. */
static void
test_freed_in_between(void)
{
    for (guint taken = 0; taken < 10; taken++) {
        Script script;
        script_init(&script);
        Ahead *ahead = ahead_new(&script.base, PARTITIONS, BATCH_MAX);
        ahead_start(ahead);
        for (guint i = 0; i < taken; i++) {
            const AheadRecord *records;
            gsize n;
            g_assert_cmpint(ahead_next(ahead, 10, &records, &n, NULL), !=,
                            LOG_READ_STOP);
        }
        ahead_free(ahead);
        /* The two ahead and the one that was lent, no more. */
        g_assert_cmpuint(script.next, <=, (taken + 2) * BATCH_MAX);
        script_clear(&script);
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func("/ahead/inline/all-in-order-and-the-stop-last", NULL,
                         test_all_in_order_and_the_stop_last);
    g_test_add_data_func("/ahead/thread/all-in-order-and-the-stop-last", "",
                         test_all_in_order_and_the_stop_last);
    g_test_add_func("/ahead/freed-in-between", test_freed_in_between);
    return g_test_run();
}
