/*
 * log_behaviours.c - one contract, tried on each driver
 *
 * Every test makes a topic of its own, so that a broker which keeps topics
 * from an earlier run does not matter. Waits are long and end early: a slow
 * machine makes these tests slow, not wrong.
 */
#include "tests/kit/log_behaviours.h"

#include "firehose/log_wait.h"
#include "ops/kit/error.h"
#include "tests/kit/log_behaviours_private.h"

#include <string.h>

#define PATIENCE_MS 30000

/* ---- helpers ---- */

typedef struct Awaited {
    LogWait wait;
    gboolean done;
    LogAnswer *answer;
} Awaited;

static void
note_answer(const LogAck *acks, gsize n, gpointer user_data)
{
    Awaited *awaited = user_data;
    LogAnswer *answer = awaited->answer;

    log_wait_lock(&awaited->wait);
    g_assert_false(awaited->done);
    answer->n = n;
    answer->acks = g_memdup2(acks, n * sizeof *acks);
    for (gsize i = 0; i < n; i++) {
        answer->acks[i].reason = g_strdup(acks[i].reason);
    }
    awaited->done = TRUE;
    log_wait_wake(&awaited->wait);
    log_wait_unlock(&awaited->wait);
}

void
log_append_wait(Log *log, const LogEntry *entries, gsize n,
                LogAnswer *ret_answer)
{
    Awaited awaited = {.done = FALSE, .answer = ret_answer};

    log_wait_init(&awaited.wait);
    log_append(log, entries, n, note_answer, &awaited);
    log_wait_lock(&awaited.wait);
    while (!awaited.done) {
        log_wait_until(&awaited.wait, NULL);
    }
    log_wait_unlock(&awaited.wait);
    log_wait_clear(&awaited.wait);
}

void
log_answer_clear(LogAnswer *answer)
{
    for (gsize i = 0; i < answer->n; i++) {
        g_free((gpointer)(gsize)answer->acks[i].reason);
    }
    g_free(answer->acks);
    memset(answer, 0, sizeof *answer);
}

static WireBytes
text_bytes(const char *text)
{
    return (WireBytes){(const guint8 *)text, strlen(text)};
}

guint64
log_put(Log *log, guint partition, const char *key, const char *value)
{
    LogEntry entry = {partition, text_bytes(key), text_bytes(value)};
    LogAnswer answer = {0};
    guint64 offset;

    log_append_wait(log, &entry, 1, &answer);
    g_assert_cmpuint(answer.n, ==, 1);
    g_assert_cmpstr(answer.acks[0].reason, ==, NULL);
    g_assert_cmpint(answer.acks[0].outcome, ==, LOG_APPENDED);
    offset = answer.acks[0].offset;
    log_answer_clear(&answer);
    return offset;
}

Log *
log_must_open(LogCluster *cluster, const LogTopic *topic)
{
    GError *error = NULL;
    Log *log = log_open(cluster, topic, TRUE, &error);

    g_assert_no_error(error);
    g_assert_nonnull(log);
    return log;
}

LogReader *
log_must_read(Log *log, const guint64 *next)
{
    g_autofree guint64 *zeros = g_new0(guint64, log_partitions(log));
    GError *error = NULL;
    LogReader *reader =
        log_reader_open(log, next == NULL ? zeros : next, NULL, &error);

    g_assert_no_error(error);
    g_assert_nonnull(reader);
    return reader;
}

void
log_read_stop(LogReader *reader, gint code)
{
    gint64 until = g_get_monotonic_time() + PATIENCE_MS * (gint64)1000;
    LogReadOutcome outcome = LOG_READ_IDLE;
    GError *error = NULL;
    const LogRecord *records;
    gsize n;

    while (outcome != LOG_READ_STOP) {
        g_assert_cmpint(g_get_monotonic_time(), <, until);
        outcome = log_reader_next(reader, 200, 10, &records, &n, &error);
    }
    g_assert_error(error, COMB_ERROR, code);
    g_test_message("stopped: %s", error->message);
    g_error_free(error);
}

/* The next records, waited for. */
static gsize
read_some(LogReader *reader, gsize max, const LogRecord **ret_records)
{
    gint64 until = g_get_monotonic_time() + PATIENCE_MS * (gint64)1000;
    LogReadOutcome outcome = LOG_READ_IDLE;
    GError *error = NULL;
    gsize n = 0;

    while (outcome == LOG_READ_IDLE) {
        g_assert_cmpint(g_get_monotonic_time(), <, until);
        outcome = log_reader_next(reader, 200, max, ret_records, &n, &error);
        g_assert_no_error(error);
    }
    g_assert_cmpint(outcome, ==, LOG_READ_RECORDS);
    g_assert_cmpuint(n, >, 0);
    g_assert_cmpuint(n, <=, max);
    return n;
}

static void
assert_bytes(WireBytes bytes, const void *data, gsize len)
{
    g_assert_cmpuint(bytes.len, ==, len);
    g_assert_cmpint(memcmp(bytes.data, data, len), ==, 0);
}

static void
assert_text(WireBytes bytes, const char *text)
{
    assert_bytes(bytes, text, strlen(text));
}

/* Reads @n records "k<partition>" -> "<offset>" and checks each. */
static void
assert_numbered(LogReader *reader, guint64 *next, gsize n)
{
    while (n > 0) {
        const LogRecord *records;
        gsize got = read_some(reader, MIN(n, 7), &records);

        for (gsize i = 0; i < got; i++) {
            guint partition = records[i].partition;
            g_autofree char *key = g_strdup_printf("k%u", partition);
            g_autofree char *value =
                g_strdup_printf("%" G_GUINT64_FORMAT, next[partition]);

            g_assert_cmpuint(records[i].offset, ==, next[partition]);
            assert_text(records[i].key, key);
            assert_text(records[i].value, value);
            next[partition]++;
        }
        n -= got;
    }
}

/* Appends to each partition the records from..to-1 of assert_numbered(). */
static void
put_numbered(Log *log, guint from, guint to)
{
    for (guint i = from; i < to; i++) {
        g_autofree char *value = g_strdup_printf("%u", i);

        for (guint p = 0; p < log_partitions(log); p++) {
            g_autofree char *key = g_strdup_printf("k%u", p);

            g_assert_cmpuint(log_put(log, p, key, value), ==, i);
        }
    }
}

static void
assert_bounds(Log *log, guint partition, guint64 first, guint64 end)
{
    GError *error = NULL;
    guint64 is_first = 99;
    guint64 is_end = 99;

    log_bounds(log, partition, &is_first, &is_end, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(is_first, ==, first);
    g_assert_cmpuint(is_end, ==, end);
}

/* ---- behaviours ---- */

/* What is appended is read: all of it, in each partition's order. */
static void
keep_order(Fixture *fixture)
{
    Log *log = log_must_open(fixture->cluster, &fixture->topic);
    LogReader *reader = log_must_read(log, NULL);
    guint64 next[PARTITIONS] = {0};

    put_numbered(log, 0, 10);
    assert_numbered(reader, next, 10 * PARTITIONS);
    put_numbered(log, 10, 12);
    assert_numbered(reader, next, 2 * PARTITIONS);
    log_reader_close(reader);
    log_close(log);
}

/* One append over several partitions has an ack for each entry, in order. */
static void
ack_in_order(Fixture *fixture)
{
    static const guint partitions[] = {2, 0, 2, 1, 2};
    static const guint64 offsets[] = {0, 0, 1, 0, 2};
    Log *log = log_must_open(fixture->cluster, &fixture->topic);
    LogEntry entries[G_N_ELEMENTS(partitions)];
    LogAnswer answer = {0};

    for (gsize i = 0; i < G_N_ELEMENTS(partitions); i++) {
        entries[i] =
            (LogEntry){partitions[i], text_bytes("k"), text_bytes("v")};
    }
    log_append_wait(log, entries, G_N_ELEMENTS(entries), &answer);
    g_assert_cmpuint(answer.n, ==, G_N_ELEMENTS(entries));
    for (gsize i = 0; i < answer.n; i++) {
        g_assert_cmpint(answer.acks[i].outcome, ==, LOG_APPENDED);
        g_assert_cmpuint(answer.acks[i].offset, ==, offsets[i]);
    }
    log_answer_clear(&answer);
    log_close(log);
}

/* An append of nothing is acknowledged, with nothing. */
static void
ack_nothing(Fixture *fixture)
{
    Log *log = log_must_open(fixture->cluster, &fixture->topic);
    LogAnswer answer = {.n = 7};

    log_append_wait(log, NULL, 0, &answer);
    g_assert_cmpuint(answer.n, ==, 0);
    log_close(log);
}

/* A record over the limit is refused for good; the next one is taken. */
static void
refuse_large(Fixture *fixture)
{
    Log *log = log_must_open(fixture->cluster, &fixture->topic);
    g_autofree guint8 *large = g_malloc0(LOG_RECORD_BYTES_MAX);
    LogEntry entry = {0, text_bytes("k"), {large, LOG_RECORD_BYTES_MAX}};
    LogAnswer answer = {0};

    log_append_wait(log, &entry, 1, &answer);
    g_assert_cmpint(answer.acks[0].outcome, ==, LOG_APPEND_FAILED);
    g_assert_nonnull(answer.acks[0].reason);
    log_answer_clear(&answer);

    entry.value.len--;
    log_append_wait(log, &entry, 1, &answer);
    g_assert_cmpstr(answer.acks[0].reason, ==, NULL);
    g_assert_cmpint(answer.acks[0].outcome, ==, LOG_APPENDED);
    g_assert_cmpuint(answer.acks[0].offset, ==, 0);
    log_answer_clear(&answer);
    log_close(log);
}

/* Large records come in calls of bounded size, byte for byte. */
static void
read_large(Fixture *fixture)
{
    const gsize len = LOG_RECORD_BYTES_MAX - 1;
    Log *log = log_must_open(fixture->cluster, &fixture->topic);
    LogReader *reader = log_must_read(log, NULL);
    g_autofree guint8 *value = g_malloc(len);
    guint seen = 0;

    for (guint i = 0; i < 9; i++) {
        LogEntry entry = {i % 3, text_bytes("k"), {value, len}};
        LogAnswer answer = {0};

        memset(value, (gint)i, len);
        log_append_wait(log, &entry, 1, &answer);
        g_assert_cmpint(answer.acks[0].outcome, ==, LOG_APPENDED);
        log_answer_clear(&answer);
    }
    while (seen < 9) {
        const LogRecord *records;
        gsize n = read_some(reader, 100, &records);

        g_assert_cmpuint(n, <=, 5);
        for (gsize i = 0; i < n; i++) {
            guint number = (guint)records[i].offset * 3 + records[i].partition;

            memset(value, (gint)number, len);
            assert_bytes(records[i].value, value, len);
        }
        seen += (guint)n;
    }
    log_reader_close(reader);
    log_close(log);
}

/* Two Logs of one topic and two readers see the same records. */
static void
share_topic(Fixture *fixture)
{
    Log *one = log_must_open(fixture->cluster, &fixture->topic);
    Log *two = log_must_open(fixture->cluster, &fixture->topic);
    LogReader *first = log_must_read(two, NULL);
    LogReader *second = log_must_read(two, NULL);
    guint64 next[PARTITIONS] = {0};

    g_assert_cmpstr(log_identity(one), ==, log_identity(two));
    put_numbered(one, 0, 3);
    log_close(one);
    assert_numbered(first, next, 3 * PARTITIONS);
    memset(next, 0, sizeof next);
    assert_numbered(second, next, 3 * PARTITIONS);
    put_numbered(two, 3, 4);
    assert_numbered(second, next, PARTITIONS);
    log_reader_close(first);
    log_reader_close(second);
    log_close(two);
}

static void *
put_later(void *data)
{
    g_usleep(100 * 1000);
    put_numbered(data, 0, 1);
    return NULL;
}

/* A waiting reader is woken by an append, not by its time-out. */
static void
wake_reader(Fixture *fixture)
{
    Log *log = log_must_open(fixture->cluster, &fixture->topic);
    LogReader *reader = log_must_read(log, NULL);
    gint64 began = g_get_monotonic_time();
    const LogRecord *records;
    pthread_t thread;
    gsize n;

    g_assert_cmpint(pthread_create(&thread, NULL, put_later, log), ==, 0);
    g_assert_cmpint(
        log_reader_next(reader, PATIENCE_MS, 10, &records, &n, NULL), ==,
        LOG_READ_RECORDS);
    g_assert_cmpint(g_get_monotonic_time() - began, <,
                    (gint64)PATIENCE_MS * 500);
    pthread_join(thread, NULL);
    log_reader_close(reader);
    log_close(log);
}

/* An empty topic is idle, from its beginning. */
static void
stay_idle(Fixture *fixture)
{
    Log *log = log_must_open(fixture->cluster, &fixture->topic);
    LogReader *reader = log_must_read(log, NULL);
    GError *error = NULL;
    const LogRecord *records;
    gsize n;

    assert_bounds(log, 0, 0, 0);
    g_assert_cmpint(log_reader_next(reader, 50, 10, &records, &n, &error), ==,
                    LOG_READ_IDLE);
    g_assert_no_error(error);
    log_reader_close(reader);
    log_close(log);
}

/* Bounds follow the appends of their partition only. */
static void
move_bounds(Fixture *fixture)
{
    Log *log = log_must_open(fixture->cluster, &fixture->topic);

    log_put(log, 1, "k", "a");
    log_put(log, 1, "k", "b");
    assert_bounds(log, 0, 0, 0);
    assert_bounds(log, 1, 0, 2);
    log_close(log);
}

/* A reader begins where it is told, whatever the others do. */
static void
start_anywhere(Fixture *fixture)
{
    Log *log = log_must_open(fixture->cluster, &fixture->topic);
    guint64 next[PARTITIONS] = {5, 0, 3};
    LogReader *reader;

    put_numbered(log, 0, 5);
    reader = log_must_read(log, next);
    assert_numbered(reader, next, 0 + 5 + 2);
    put_numbered(log, 5, 6);
    assert_numbered(reader, next, PARTITIONS);
    log_reader_close(reader);
    log_close(log);
}

/* A start past the end is a gap: the log is not the one that was read. */
static void
refuse_past_end(Fixture *fixture)
{
    Log *log = log_must_open(fixture->cluster, &fixture->topic);
    guint64 next[PARTITIONS] = {0, 2, 0};
    GError *error = NULL;

    log_put(log, 1, "k", "v");
    g_assert_null(log_reader_open(log, next, NULL, &error));
    g_assert_error(error, COMB_ERROR, COMB_ERROR_GAP);
    g_assert_nonnull(strstr(error->message, "past the end"));
    g_error_free(error);
    log_close(log);
}

/* No partition starves the others, where few records are asked for. */
static void
take_turns(Fixture *fixture)
{
    Log *log = log_must_open(fixture->cluster, &fixture->topic);
    gboolean seen[PARTITIONS] = {FALSE};
    LogReader *reader;

    put_numbered(log, 0, 20);
    reader = log_must_read(log, NULL);
    for (guint i = 0; i < fixture->under_test->reads_to_all; i++) {
        const LogRecord *records;

        g_assert_cmpuint(read_some(reader, 1, &records), ==, 1);
        seen[records[0].partition] = TRUE;
    }
    for (guint i = 0; i < PARTITIONS; i++) {
        g_assert_true(seen[i]);
    }
    log_reader_close(reader);
    log_close(log);
}

static guint64
find_time(Log *log, gint64 time_ms)
{
    GError *error = NULL;
    guint64 offset = 99;

    log_find_time(log, 0, time_ms, &offset, &error);
    g_assert_no_error(error);
    return offset;
}

/* A time leads to the first record at or after it; past all, to the end. */
static void
look_up_time(Fixture *fixture)
{
    Log *log = log_must_open(fixture->cluster, &fixture->topic);
    gint64 times[6];
    LogReader *reader;

    g_assert_cmpuint(find_time(log, 0), ==, 0);
    for (guint i = 0; i < 6; i++) {
        log_put(log, 0, "k", "v");
        g_usleep(20 * 1000);
    }
    reader = log_must_read(log, NULL);
    for (guint i = 0; i < 6;) {
        const LogRecord *records;
        gsize n = read_some(reader, 6 - i, &records);

        for (gsize j = 0; j < n; j++) {
            times[i++] = records[j].timestamp_ms;
        }
    }
    g_assert_cmpint(ABS(times[5] - g_get_real_time() / 1000), <, 60000);
    for (guint i = 0; i < 6; i++) {
        g_assert_true(i == 0 || times[i] > times[i - 1]);
        g_assert_cmpuint(find_time(log, times[i]), ==, i);
        g_assert_cmpuint(find_time(log, times[i] + 1), ==, i + 1);
        g_assert_cmpuint(find_time(log, times[i] - 1), ==, i);
    }
    g_assert_cmpuint(find_time(log, -5), ==, 0);
    g_assert_cmpuint(find_time(log, times[5] + 1000), ==, 6);
    log_reader_close(reader);
    log_close(log);
}

static void
assert_refused(LogCluster *cluster, const LogTopic *topic, gboolean create,
               gint code)
{
    GError *error = NULL;

    g_assert_null(log_open(cluster, topic, create, &error));
    g_assert_error(error, COMB_ERROR, code);
    g_assert_nonnull(strstr(error->message, topic->name));
    g_error_free(error);
}

/* A topic that is not there, or has other partitions, is refused. */
static void
check_topic(Fixture *fixture)
{
    LogTopic other = fixture->topic;
    Log *log;

    assert_refused(fixture->cluster, &fixture->topic, FALSE, COMB_ERROR_INPUT);
    log_close(log_must_open(fixture->cluster, &fixture->topic));

    other.partitions = PARTITIONS + 1;
    assert_refused(fixture->cluster, &other, TRUE, COMB_ERROR_MISMATCH);
    assert_refused(fixture->cluster, &other, FALSE, COMB_ERROR_MISMATCH);

    other.partitions = 0;
    log = log_open(fixture->cluster, &other, FALSE, NULL);
    g_assert_nonnull(log);
    g_assert_cmpuint(log_partitions(log), ==, PARTITIONS);
    log_close(log);
}

/* A compacted topic is written and read like any other. */
static void
keep_compacted(Fixture *fixture)
{
    LogTopic topic = fixture->topic;
    guint64 next = 0;
    LogReader *reader;
    Log *log;

    topic.compacted = TRUE;
    topic.partitions = 1;
    log = log_must_open(fixture->cluster, &topic);
    put_numbered(log, 0, 4);
    reader = log_must_read(log, NULL);
    assert_numbered(reader, &next, 4);
    log_reader_commit(reader, &next);
    log_reader_close(reader);
    log_close(log);
}

#define APPENDERS 4
#define APPENDS 300

typedef struct Appender {
    Log *log;
    guint number;
    LogWait wait;
    guint acked;  /* guarded by wait */
    guint64 last; /* offset of the last ack; likewise */
} Appender;

static void
note_appended(const LogAck *acks, gsize n, gpointer user_data)
{
    Appender *appender = user_data;

    log_wait_lock(&appender->wait);
    g_assert_cmpuint(n, ==, 1);
    g_assert_cmpint(acks[0].outcome, ==, LOG_APPENDED);
    g_assert_true(appender->acked == 0 || acks[0].offset > appender->last);
    appender->last = acks[0].offset;
    appender->acked++;
    log_wait_wake(&appender->wait);
    log_wait_unlock(&appender->wait);
}

static void *
append_many(void *data)
{
    Appender *appender = data;

    for (guint i = 0; i < APPENDS; i++) {
        guint32 words[2] = {appender->number, i};
        LogEntry entry = {
            0, text_bytes("k"), {(const guint8 *)words, sizeof words}};

        log_append(appender->log, &entry, 1, note_appended, appender);
    }
    return NULL;
}

/* Threads that append at once: nothing is lost, each keeps its own order. */
static void
append_from_threads(Fixture *fixture)
{
    Log *log = log_must_open(fixture->cluster, &fixture->topic);
    LogReader *reader = log_must_read(log, NULL);
    Appender appenders[APPENDERS];
    pthread_t threads[APPENDERS];
    guint32 seen[APPENDERS] = {0};

    for (guint i = 0; i < APPENDERS; i++) {
        appenders[i] = (Appender){.log = log, .number = i};
        log_wait_init(&appenders[i].wait);
        pthread_create(&threads[i], NULL, append_many, &appenders[i]);
    }
    for (guint left = APPENDERS * APPENDS; left > 0;) {
        const LogRecord *records;
        gsize n = read_some(reader, 100, &records);

        for (gsize i = 0; i < n; i++) {
            guint32 words[2];

            g_assert_cmpuint(records[i].value.len, ==, sizeof words);
            memcpy(words, records[i].value.data, sizeof words);
            g_assert_cmpuint(words[1], ==, seen[words[0]]);
            seen[words[0]]++;
        }
        left -= (guint)n;
    }
    for (guint i = 0; i < APPENDERS; i++) {
        pthread_join(threads[i], NULL);
    }
    log_reader_close(reader);
    log_close(log); /* waits for the last acknowledgements */
    for (guint i = 0; i < APPENDERS; i++) {
        g_assert_cmpuint(appenders[i].acked, ==, APPENDS);
        log_wait_clear(&appenders[i].wait);
    }
}

/* After a restart all is there: records, bounds, identity, the next offset. */
static void
survive_reopening(Fixture *fixture)
{
    Log *log = log_must_open(fixture->cluster, &fixture->topic);
    g_autofree char *identity = g_strdup(log_identity(log));
    guint64 next[PARTITIONS] = {0};
    LogReader *reader;

    put_numbered(log, 0, 6);
    log_close(log);
    log_cluster_close(fixture->cluster);
    fixture->cluster = fixture->under_test->open(fixture->under_test->data);

    log = log_must_open(fixture->cluster, &fixture->topic);
    g_assert_cmpstr(log_identity(log), ==, identity);
    assert_bounds(log, 1, 0, 6);
    put_numbered(log, 6, 8);
    reader = log_must_read(log, NULL);
    assert_numbered(reader, next, 8 * PARTITIONS);
    log_reader_close(reader);
    log_close(log);
}

/* ---- the table ---- */

static const struct {
    const char *name;
    Behaviour run;
    gboolean durable_only;
} behaviours[] = {
    {"keep-order", keep_order, FALSE},
    {"ack-in-order", ack_in_order, FALSE},
    {"ack-nothing", ack_nothing, FALSE},
    {"refuse-large", refuse_large, FALSE},
    {"read-large", read_large, FALSE},
    {"share-topic", share_topic, FALSE},
    {"wake-reader", wake_reader, FALSE},
    {"stay-idle", stay_idle, FALSE},
    {"move-bounds", move_bounds, FALSE},
    {"start-anywhere", start_anywhere, FALSE},
    {"refuse-past-end", refuse_past_end, FALSE},
    {"take-turns", take_turns, FALSE},
    {"look-up-time", look_up_time, FALSE},
    {"check-topic", check_topic, FALSE},
    {"keep-compacted", keep_compacted, FALSE},
    {"append-from-threads", append_from_threads, FALSE},
    {"survive-reopening", survive_reopening, TRUE},
    {"keep-places", places_keep, FALSE},
    {"refuse-places", places_refuse, FALSE},
    {"places-survive", places_survive, TRUE},
    {"members-share", members_share, FALSE},
    {"members-begin", members_begin, FALSE},
};

typedef struct Case {
    const LogUnderTest *under_test;
    Behaviour run;
} Case;

static void
run_case(gconstpointer data)
{
    const Case *it = data;
    Fixture fixture = {.under_test = it->under_test};

    fixture.name =
        g_strdup_printf("t%s-%08x", g_test_get_path(), g_random_int());
    g_strdelimit(fixture.name, "/", '.');
    fixture.topic = (LogTopic){
        .name = fixture.name,
        .partitions = PARTITIONS,
        .retention_ms = -1,
        .replication = 1,
    };
    fixture.cluster = it->under_test->open(it->under_test->data);
    it->run(&fixture);
    log_cluster_close(fixture.cluster);
    g_free(fixture.name);
}

void
log_behaviours_add(const LogUnderTest *under_test)
{
    for (gsize i = 0; i < G_N_ELEMENTS(behaviours); i++) {
        g_autofree char *path = g_strdup_printf(
            "/log/%s/%s", under_test->driver, behaviours[i].name);
        Case *it;

        if (behaviours[i].durable_only && !under_test->durable) {
            continue;
        }
        it = g_new0(Case, 1);
        it->under_test = under_test;
        it->run = behaviours[i].run;
        g_test_add_data_func_full(path, it, run_case, g_free);
    }
}
