/*
 * log_check.c - the Kafka driver against a real broker
 *
 *     log-check --brokers HOST:PORT                 the table of behaviours
 *     log-check --brokers HOST:PORT --steady SECONDS
 *
 * The second form appends and reads without pause while somebody else stops
 * and starts the broker, and demands in the end that every acknowledged
 * record was read at the offset it was acknowledged at. It prints one line of
 * JSON.
 */
#include "firehose/log_kafka_rules.h"
#include "firehose/log_wait.h"
#include "ops/kit/ensure.h"
#include "ops/kit/error.h"
#include "tests/kit/log_behaviours.h"

#include <librdkafka/rdkafka.h>
#include <stdlib.h>
#include <string.h>

#define CONNECT_MS 20000
#define DELIVERY_MS 5000
#define ANSWER_MS 20000
#define PARTITIONS 3
#define STEADY_PAUSE_US 500
#define DRAIN_S 60

static LogCluster *
open_kafka(gpointer brokers)
{
    const LogKafkaOptions options = {brokers, "log-check", CONNECT_MS,
                                     DELIVERY_MS};
    GError *error = NULL;
    LogCluster *cluster = log_cluster_kafka(&options, &error);

    g_assert_no_error(error);
    return cluster;
}

/* ---- behind the driver's back: an admin client ---- */

static rd_kafka_t *
open_admin(const char *brokers)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_t *admin;

    g_assert_cmpint(
        rd_kafka_conf_set(conf, "bootstrap.servers", brokers, NULL, 0), ==,
        RD_KAFKA_CONF_OK);
    admin = rd_kafka_new(RD_KAFKA_PRODUCER, conf, NULL, 0);
    g_assert_nonnull(admin);
    return admin;
}

static void
await_answer(rd_kafka_queue_t *answers)
{
    rd_kafka_event_t *answer = rd_kafka_queue_poll(answers, ANSWER_MS);

    g_assert_nonnull(answer);
    g_assert_cmpint(rd_kafka_event_error(answer), ==,
                    RD_KAFKA_RESP_ERR_NO_ERROR);
    rd_kafka_event_destroy(answer);
    rd_kafka_queue_destroy(answers);
}

static void
set_config(const char *name, const char *value, gpointer topic)
{
    rd_kafka_NewTopic_set_config(topic, name, value);
}

/* Makes @topic as we would, but for one setting. */
static void
make_bent(rd_kafka_t *admin, const LogTopic *topic, const char *name,
          const char *value)
{
    rd_kafka_queue_t *answers = rd_kafka_queue_new(admin);
    rd_kafka_NewTopic_t *made =
        rd_kafka_NewTopic_new(topic->name, (gint)topic->partitions, 1, NULL, 0);

    log_kafka_rules_each(topic, set_config, made);
    rd_kafka_NewTopic_set_config(made, name, value);
    rd_kafka_CreateTopics(admin, &made, 1, NULL, answers);
    rd_kafka_NewTopic_destroy(made);
    await_answer(answers);
}

static void
delete_topic(rd_kafka_t *admin, const char *name)
{
    rd_kafka_queue_t *answers = rd_kafka_queue_new(admin);
    rd_kafka_DeleteTopic_t *gone = rd_kafka_DeleteTopic_new(name);

    rd_kafka_DeleteTopics(admin, &gone, 1, NULL, answers);
    rd_kafka_DeleteTopic_destroy(gone);
    await_answer(answers);
}

/* Deletes the records of partition 0 before @offset, as retention does. */
static void
delete_records(rd_kafka_t *admin, const char *name, gint64 offset)
{
    rd_kafka_queue_t *answers = rd_kafka_queue_new(admin);
    rd_kafka_topic_partition_list_t *list =
        rd_kafka_topic_partition_list_new(1);
    rd_kafka_DeleteRecords_t *request;

    rd_kafka_topic_partition_list_add(list, name, 0)->offset = offset;
    request = rd_kafka_DeleteRecords_new(list);
    rd_kafka_DeleteRecords(admin, &request, 1, NULL, answers);
    rd_kafka_DeleteRecords_destroy(request);
    rd_kafka_topic_partition_list_destroy(list);
    await_answer(answers);
}

/* ---- what only Kafka can do ---- */

static const struct {
    gboolean compacted;
    const char *name;
    const char *value;
} unsafe[] = {
    {FALSE, "cleanup.policy", "compact"},
    {FALSE, "cleanup.policy", "compact,delete"},
    {TRUE, "cleanup.policy", "compact,delete"},
    {FALSE, "retention.ms", "59999"},
    {FALSE, "retention.bytes", "1000000"},
    {FALSE, "message.timestamp.type", "CreateTime"},
    {FALSE, "unclean.leader.election.enable", "true"},
    {FALSE, "min.insync.replicas", "2"},
    {FALSE, "max.message.bytes", "1000000"},
    {TRUE, "cleanup.policy", "delete"},
    {TRUE, "unclean.leader.election.enable", "true"},
};

/* A topic with any one setting that loses data is refused, by its name. */
static void
refuse_unsafe(gconstpointer brokers)
{
    LogCluster *cluster = open_kafka((char *)(gsize)brokers);
    rd_kafka_t *admin = open_admin(brokers);

    for (gsize i = 0; i < G_N_ELEMENTS(unsafe); i++) {
        g_autofree char *name = g_strdup_printf("unsafe-%zu", i);
        g_autofree char *words =
            g_strdup_printf("%s is %s", unsafe[i].name, unsafe[i].value);
        LogTopic topic = {.name = name,
                          .partitions = 1,
                          .compacted = unsafe[i].compacted,
                          .retention_ms = 60000,
                          .replication = 1};
        GError *error = NULL;

        make_bent(admin, &topic, unsafe[i].name, unsafe[i].value);
        g_assert_null(log_open(cluster, &topic, TRUE, &error));
        g_assert_error(error, COMB_ERROR, COMB_ERROR_UNSAFE);
        g_test_message("%s", error->message);
        g_assert_nonnull(strstr(error->message, name));
        g_assert_nonnull(strstr(error->message, words));
        g_error_free(error);
    }
    rd_kafka_destroy(admin);
    log_cluster_close(cluster);
}

/* Longer retention than asked for is fine, as is retention for ever. */
static void
accept_safe(gconstpointer brokers)
{
    static const char *const retentions[] = {"-1", "60000", "120000"};
    LogCluster *cluster = open_kafka((char *)(gsize)brokers);
    rd_kafka_t *admin = open_admin(brokers);

    for (gsize i = 0; i < G_N_ELEMENTS(retentions); i++) {
        g_autofree char *name = g_strdup_printf("safe-%zu", i);
        LogTopic topic = {.name = name,
                          .partitions = 1,
                          .retention_ms = 60000,
                          .replication = 1};

        make_bent(admin, &topic, "retention.ms", retentions[i]);
        log_close(log_must_open(cluster, &topic));
    }
    rd_kafka_destroy(admin);
    log_cluster_close(cluster);
}

static const LogTopic simple = {
    .partitions = 1, .retention_ms = -1, .replication = 1};

/* A start that retention has passed is a gap; the first offset kept is not. */
static void
meet_expiry(gconstpointer brokers)
{
    LogCluster *cluster = open_kafka((char *)(gsize)brokers);
    rd_kafka_t *admin = open_admin(brokers);
    LogTopic topic = simple;
    guint64 next = 0;
    GError *error = NULL;
    LogReader *reader;
    Log *log;

    topic.name = "expired";
    log = log_must_open(cluster, &topic);
    for (guint i = 0; i < 5; i++) {
        log_put(log, 0, "k", "v");
    }
    delete_records(admin, topic.name, 3);
    g_assert_null(log_reader_open(log, &next, NULL, &error));
    g_assert_error(error, COMB_ERROR, COMB_ERROR_GAP);
    g_assert_nonnull(strstr(error->message, "begins at 3"));
    g_clear_error(&error);
    next = 3;
    reader = log_must_read(log, &next);
    log_reader_close(reader);
    log_close(log);
    rd_kafka_destroy(admin);
    log_cluster_close(cluster);
}

/* A reader that waits at the end notices that the topic was made anew. */
static void
notice_new_topic(gconstpointer brokers)
{
    LogCluster *cluster = open_kafka((char *)(gsize)brokers);
    rd_kafka_t *admin = open_admin(brokers);
    LogTopic topic = simple;
    guint64 next = 2;
    LogReader *reader;
    Log *log;

    topic.name = "anew";
    log = log_must_open(cluster, &topic);
    log_put(log, 0, "k", "v");
    log_put(log, 0, "k", "v");
    reader = log_must_read(log, &next);
    delete_topic(admin, topic.name);
    g_usleep(1000 * 1000);
    make_bent(admin, &topic, "retention.ms", "-1");
    log_read_stop(reader, COMB_ERROR_GAP);
    log_reader_close(reader);
    log_close(log);
    rd_kafka_destroy(admin);
    log_cluster_close(cluster);
}

/* What is committed under a group is there for Kafka's own tools. */
static void
commit_place(gconstpointer brokers)
{
    LogCluster *cluster = open_kafka((char *)(gsize)brokers);
    rd_kafka_topic_partition_list_t *list =
        rd_kafka_topic_partition_list_new(1);
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    LogTopic topic = simple;
    guint64 next = 0;
    gint64 committed = -1;
    rd_kafka_t *other;
    LogReader *reader;
    Log *log;

    topic.name = "committed";
    log = log_must_open(cluster, &topic);
    log_put(log, 0, "k", "v");
    reader = log_reader_open(log, &next, "comb.test", NULL);
    g_assert_nonnull(reader);

    rd_kafka_conf_set(conf, "bootstrap.servers", brokers, NULL, 0);
    rd_kafka_conf_set(conf, "group.id", "comb.test", NULL, 0);
    other = rd_kafka_new(RD_KAFKA_CONSUMER, conf, NULL, 0);
    rd_kafka_topic_partition_list_add(list, topic.name, 0);
    next = 1;
    for (guint i = 0; i < 200 && committed != 1; i++) {
        log_reader_commit(reader, &next);
        g_usleep(50 * 1000);
        rd_kafka_committed(other, list, ANSWER_MS);
        committed = list->elems[0].offset;
    }
    g_assert_cmpint(committed, ==, 1);
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_destroy(other);
    log_reader_close(reader);
    log_close(log);
    log_cluster_close(cluster);
}

/* Where no broker is, opening says so in time, and names whom it asked. */
static void
miss_brokers(gconstpointer unused)
{
    const LogKafkaOptions options = {"127.0.0.1:1", "log-check", 500, 1000};
    LogCluster *cluster = log_cluster_kafka(&options, NULL);
    gint64 began = g_get_monotonic_time();
    LogTopic topic = simple;
    GError *error = NULL;

    (void)unused;
    topic.name = "nowhere";
    g_assert_null(log_open(cluster, &topic, TRUE, &error));
    g_assert_error(error, COMB_ERROR, COMB_ERROR_UNREACHABLE);
    g_assert_cmpstr(error->message, ==,
                    "no broker of '127.0.0.1:1' answered within 500 ms");
    g_assert_cmpint(g_get_monotonic_time() - began, <, 5000 * 1000);
    g_error_free(error);
    log_cluster_close(cluster);
}

/* ---- steady work through outages ---- */

typedef struct Steady {
    Log *log;
    gint64 until_us; /* monotonic */
    LogWait wait;    /* guards what follows */
    guint64 waiting; /* appends without an answer */
    guint64 refused;
    guint64 uncertain;
    gint64 acked_at_us;        /* the last acknowledgement */
    gint64 longest_us;         /* between two of them */
    GArray *acked[PARTITIONS]; /* SteadyRecord */
    GArray *read[PARTITIONS];  /* number by offset; the reader's own */
} Steady;

typedef struct SteadyRecord {
    guint64 number;
    guint64 offset;
} SteadyRecord;

typedef struct SteadyAppend {
    Steady *steady;
    guint64 number;
} SteadyAppend;

static void
note_steady(const LogAck *acks, gsize n, gpointer user_data)
{
    SteadyAppend *append = user_data;
    Steady *steady = append->steady;
    gint64 now_us = g_get_monotonic_time();
    SteadyRecord record = {append->number, acks[0].offset};

    ensure(n == 1);
    log_wait_lock(&steady->wait);
    steady->waiting--;
    if (acks[0].outcome == LOG_APPENDED) {
        steady->longest_us =
            MAX(steady->longest_us, now_us - steady->acked_at_us);
        steady->acked_at_us = now_us;
        g_array_append_val(steady->acked[record.number % PARTITIONS], record);
    } else if (acks[0].outcome == LOG_APPEND_UNCERTAIN) {
        steady->uncertain++;
    } else {
        steady->refused++;
    }
    log_wait_wake(&steady->wait);
    log_wait_unlock(&steady->wait);
    g_free(append);
}

static void *
append_steadily(void *data)
{
    Steady *steady = data;
    guint64 number;

    for (number = 0; g_get_monotonic_time() < steady->until_us; number++) {
        SteadyAppend *append = g_new(SteadyAppend, 1);
        LogEntry entry = {(guint)(number % PARTITIONS),
                          {(const guint8 *)"k", 1},
                          {(const guint8 *)&number, sizeof number}};

        *append = (SteadyAppend){steady, number};
        log_wait_lock(&steady->wait);
        steady->waiting++;
        log_wait_unlock(&steady->wait);
        log_append(steady->log, &entry, 1, note_steady, append);
        g_usleep(STEADY_PAUSE_US);
    }
    log_wait_lock(&steady->wait);
    while (steady->waiting > 0) {
        log_wait_until(&steady->wait, NULL);
    }
    log_wait_unlock(&steady->wait);
    return NULL;
}

static gboolean
has_read_all(const Steady *steady)
{
    for (guint i = 0; i < PARTITIONS; i++) {
        guint64 first;
        guint64 end;

        if (!log_bounds(steady->log, i, &first, &end, NULL) ||
            steady->read[i]->len < end) {
            return FALSE;
        }
    }
    return TRUE;
}

/* Reads until the appends have ended and all of the log was read. */
static void
read_steadily(Steady *steady, LogReader *reader)
{
    for (;;) {
        const LogRecord *records;
        GError *error = NULL;
        gsize n = 0;
        LogReadOutcome outcome =
            log_reader_next(reader, 100, 1000, &records, &n, &error);
        gint64 now_us = g_get_monotonic_time();

        if (outcome == LOG_READ_STOP) {
            g_error("the reader stopped: %s", error->message);
        }
        for (gsize i = 0; outcome == LOG_READ_RECORDS && i < n; i++) {
            GArray *read = steady->read[records[i].partition];
            guint64 number;

            ensure(records[i].offset == read->len);
            ensure(records[i].value.len == sizeof number);
            memcpy(&number, records[i].value.data, sizeof number);
            g_array_append_val(read, number);
        }
        if (outcome == LOG_READ_IDLE && now_us > steady->until_us &&
            has_read_all(steady)) {
            return;
        }
        ensure(now_us < steady->until_us + DRAIN_S * G_USEC_PER_SEC);
    }
}

/* How many acknowledged records are not where they should be. */
static guint64
count_lost(const Steady *steady, guint64 *ret_acked)
{
    guint64 lost = 0;

    *ret_acked = 0;
    for (guint i = 0; i < PARTITIONS; i++) {
        const GArray *acked = steady->acked[i];

        for (guint j = 0; j < acked->len; j++) {
            SteadyRecord record = g_array_index(acked, SteadyRecord, j);
            gboolean found =
                record.offset < steady->read[i]->len &&
                g_array_index(steady->read[i], guint64, (guint)record.offset) ==
                    record.number;

            lost += found ? 0 : 1;
        }
        *ret_acked += acked->len;
    }
    return lost;
}

static int
run_steady(char *brokers, gint seconds)
{
    LogCluster *cluster = open_kafka(brokers);
    LogTopic topic = simple;
    gint64 now_us = g_get_monotonic_time();
    Steady steady = {.until_us = now_us + seconds * G_USEC_PER_SEC,
                     .acked_at_us = now_us};
    g_autofree char *name = g_strdup_printf("steady-%08x", g_random_int());
    LogReader *reader;
    pthread_t thread;
    guint64 acked;
    guint64 lost;

    topic.name = name;
    topic.partitions = PARTITIONS;
    steady.log = log_must_open(cluster, &topic);
    log_wait_init(&steady.wait);
    for (guint i = 0; i < PARTITIONS; i++) {
        steady.acked[i] = g_array_new(FALSE, FALSE, sizeof(SteadyRecord));
        steady.read[i] = g_array_new(FALSE, FALSE, sizeof(guint64));
    }
    reader = log_must_read(steady.log, NULL);
    ensure(pthread_create(&thread, NULL, append_steadily, &steady) == 0);
    g_print("ready\n");
    fflush(stdout);
    read_steadily(&steady, reader);
    ensure(pthread_join(thread, NULL) == 0);
    read_steadily(&steady, reader);
    log_reader_close(reader);
    log_close(steady.log);
    log_cluster_close(cluster);

    lost = count_lost(&steady, &acked);
    g_print("{\"acked\": %" G_GUINT64_FORMAT ", \"lost\": %" G_GUINT64_FORMAT
            ", \"uncertain\": %" G_GUINT64_FORMAT
            ", \"refused\": %" G_GUINT64_FORMAT
            ", \"longest_wait_ms\": %" G_GINT64_FORMAT "}\n",
            acked, lost, steady.uncertain, steady.refused,
            steady.longest_us / 1000);
    for (guint i = 0; i < PARTITIONS; i++) {
        g_array_unref(steady.acked[i]);
        g_array_unref(steady.read[i]);
    }
    log_wait_clear(&steady.wait);
    return lost == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

static void
add_kafka_tests(const char *brokers)
{
    static const struct {
        const char *path;
        GTestDataFunc run;
    } tests[] = {
        {"/log/kafka/refuse-unsafe", refuse_unsafe},
        {"/log/kafka/accept-safe", accept_safe},
        {"/log/kafka/meet-expiry", meet_expiry},
        {"/log/kafka/notice-new-topic", notice_new_topic},
        {"/log/kafka/commit-place", commit_place},
        {"/log/kafka/miss-brokers", miss_brokers},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(tests); i++) {
        g_test_add_data_func(tests[i].path, brokers, tests[i].run);
    }
}

int
main(int argc, char **argv)
{
    g_autofree char *brokers = NULL;
    gint steady_s = 0;
    const GOptionEntry flags[] = {
        {"brokers", 0, 0, G_OPTION_ARG_STRING, &brokers, "whom to ask",
         "HOST:PORT"},
        {"steady", 0, 0, G_OPTION_ARG_INT, &steady_s,
         "append and read for so long", "SECONDS"},
        G_OPTION_ENTRY_NULL,
    };
    LogUnderTest kafka = {.driver = "kafka",
                          .open = open_kafka,
                          .durable = TRUE,
                          .reads_to_all = 41};
    g_autoptr(GOptionContext) context = g_option_context_new(NULL);
    g_autoptr(GError) error = NULL;

    g_option_context_set_ignore_unknown_options(context, TRUE);
    g_option_context_add_main_entries(context, flags, NULL);
    if (!g_option_context_parse(context, &argc, &argv, &error) ||
        brokers == NULL) {
        g_printerr("log-check --brokers HOST:PORT [--steady SECONDS]\n");
        return 2;
    }
    if (steady_s > 0) {
        return run_steady(brokers, steady_s);
    }
    g_test_init(&argc, &argv, NULL);
    kafka.data = brokers;
    log_behaviours_add(&kafka);
    add_kafka_tests(brokers);
    return g_test_run();
}
