/*
 * firehose/log_ends: where a log ends, told without waiting for it.
 */
#include "firehose/log_ends.h"

static const LogTopic topic = {
    .name = LOG_FIREHOSE_TOPIC,
    .partitions = 2,
    .retention_ms = LOG_RETENTION_MS_DEFAULT,
    .replication = 1,
};

static void
ignore_acks(const LogAck *acks, gsize n, gpointer user_data)
{
    (void)acks;
    (void)n;
    (void)user_data;
}

static void
append(Log *log, guint partition)
{
    LogEntry entry = {.partition = partition,
                      .key = {(const guint8 *)"k", 1},
                      .value = {(const guint8 *)"v", 1}};

    log_append(log, &entry, 1, ignore_acks, NULL);
}

static SectionPartition
told(const Section *section, guint i)
{
    g_assert_cmpuint(section->partitions->len, ==, 2);
    return g_array_index(section->partitions, SectionPartition, i);
}

/* Each look tells the ends as they are then, and where the caller is. */
static void
test_ends(void)
{
    LogCluster *cluster = log_cluster_memory();
    Log *log = log_open(cluster, &topic, TRUE, NULL);
    LogEnds *ends = log_ends_start(log);
    _Atomic guint64 next[2] = {0, 1};

    append(log, 1);
    for (gint64 i = 1; i <= 3; i++) {
        Section *section = section_new("test");

        append(log, 1);
        log_ends_tell(ends, next, section);
        g_assert_cmpint(told(section, 0).end, ==, 0);
        g_assert_cmpint(told(section, 0).next, ==, 0);
        g_assert_cmpint(told(section, 1).first, ==, 0);
        g_assert_cmpint(told(section, 1).next, ==, 1);
        g_assert_cmpint(told(section, 1).end, ==, i + 1);
        g_assert_cmpint(section->log_age_ms, >=, 0);
        section_free(section);
    }
    log_ends_stop(ends);
    log_close(log);
    log_cluster_close(cluster);
}

/* Who applies nothing has no place in the log; stopping unasked is fine. */
static void
test_nobody_applies(void)
{
    LogCluster *cluster = log_cluster_memory();
    Log *log = log_open(cluster, &topic, TRUE, NULL);
    LogEnds *ends = log_ends_start(log);
    Section *section = section_new("test");

    log_ends_tell(ends, NULL, section);
    g_assert_cmpint(told(section, 0).next, ==, -1);
    g_assert_cmpint(told(section, 0).end, ==, 0);
    section_free(section);
    log_ends_stop(ends);
    log_ends_stop(log_ends_start(log));
    log_close(log);
    log_cluster_close(cluster);
}

/* Who asks and does not wait is told what held then or later. */
static void
test_ask(void)
{
    LogCluster *cluster = log_cluster_memory();
    Log *log = log_open(cluster, &topic, TRUE, NULL);
    LogEnds *ends = log_ends_start(log);
    guint64 end[2] = {0};

    for (guint64 i = 1; i <= 3; i++) {
        append(log, 1);
        guint64 ask = log_ends_ask(ends);

        g_assert_cmpint(log_ends_take(ends, ask + 1, end), ==, LOG_ENDS_WAIT);
        while (log_ends_take(ends, ask, end) == LOG_ENDS_WAIT) {
            g_usleep(100);
        }
        g_assert_cmpint(log_ends_take(ends, ask, end), ==, LOG_ENDS_TOLD);
        g_assert_cmpuint(end[0], ==, 0);
        g_assert_cmpuint(end[1], ==, i);
    }
    append(log, 0);
    g_assert_true(log_ends_get(ends, end));
    g_assert_cmpuint(end[0], ==, 1);
    g_assert_cmpuint(end[1], ==, 3);
    log_ends_stop(ends);
    log_close(log);
    log_cluster_close(cluster);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/log_ends/ends", test_ends);
    g_test_add_func("/log_ends/nobody-applies", test_nobody_applies);
    g_test_add_func("/log_ends/ask", test_ask);
    return g_test_run();
}
