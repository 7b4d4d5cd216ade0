/*
 * test_log_kafka_rules.c - which topic settings are refused
 *
 * What a broker says of them is tried by tests/kit/log_check.c; here is what
 * one broker cannot show, such as three replicas.
 */
#include "firehose/log_kafka_rules.h"
#include "ops/kit/error.h"

#include <string.h>

#define WEEK_MS LOG_RETENTION_MS_DEFAULT

static const LogTopic plain = {
    .name = "t", .partitions = 4, .retention_ms = WEEK_MS, .replication = 3};
static const LogTopic compacted = {
    .name = "t", .partitions = 1, .compacted = TRUE, .replication = 3};

static void
note_setting(const char *name, const char *value, gpointer settings)
{
    g_hash_table_insert(settings, g_strdup(name), g_strdup(value));
}

static GHashTable *
make_settings(const LogTopic *topic)
{
    GHashTable *settings =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);

    log_kafka_rules_each(topic, note_setting, settings);
    return settings;
}

/* What we make is what we accept, with any number of replicas. */
static void
accept_own(void)
{
    for (guint replication = 1; replication <= 5; replication++) {
        LogTopic topics[] = {plain, compacted};

        for (gsize i = 0; i < G_N_ELEMENTS(topics); i++) {
            g_autoptr(GHashTable) settings = NULL;
            GError *error = NULL;

            topics[i].replication = replication;
            settings = make_settings(&topics[i]);
            log_kafka_rules_check(&topics[i], replication, settings, &error);
            g_assert_no_error(error);
        }
    }
}

/* A topic is made with the settings of the design. */
static void
make_safe(void)
{
    static const char *const expected[][2] = {
        {"cleanup.policy", "delete"},
        {"retention.ms", "604800000"},
        {"retention.bytes", "-1"},
        {"message.timestamp.type", "LogAppendTime"},
        {"unclean.leader.election.enable", "false"},
        {"min.insync.replicas", "2"},
        {"max.message.bytes", "2097152"},
    };
    g_autoptr(GHashTable) settings = make_settings(&plain);

    for (gsize i = 0; i < G_N_ELEMENTS(expected); i++) {
        g_assert_cmpstr(g_hash_table_lookup(settings, expected[i][0]), ==,
                        expected[i][1]);
    }
    g_assert_cmpuint(g_hash_table_size(settings), ==, G_N_ELEMENTS(expected));
}

static const struct {
    const LogTopic *topic;
    guint replication;
    const char *name;
    const char *value; /* NULL: the broker does not tell */
    gboolean accepted;
} cases[] = {
    {&plain, 3, "min.insync.replicas", "1", FALSE},
    {&plain, 3, "min.insync.replicas", "3", TRUE},
    {&plain, 3, "min.insync.replicas", "4", FALSE},
    {&plain, 2, "min.insync.replicas", "1", TRUE},
    {&plain, 1, "min.insync.replicas", "2", FALSE},
    {&plain, 3, "retention.ms", "604799999", FALSE},
    {&plain, 3, "retention.ms", "604800001", TRUE},
    {&plain, 3, "retention.ms", "-1", TRUE},
    {&plain, 3, "retention.ms", NULL, TRUE},
    {&plain, 3, "retention.bytes", "0", FALSE},
    {&plain, 3, "cleanup.policy", "delete,compact", FALSE},
    {&plain, 3, "max.message.bytes", "2097151", FALSE},
    {&compacted, 3, "cleanup.policy", "delete", FALSE},
    {&compacted, 3, "cleanup.policy", "compact", TRUE},
    {&compacted, 3, "cleanup.policy", "delete, compact", FALSE},
    {&compacted, 3, "cleanup.policy", "compacted", FALSE},
    {&compacted, 3, "retention.ms", "1", TRUE},
    {&compacted, 3, "min.insync.replicas", "1", FALSE},
};

/* One setting off, all others right. */
static void
judge_each(void)
{
    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GHashTable) settings = make_settings(cases[i].topic);
        g_autoptr(GError) error = NULL;
        gboolean accepted;

        /* With fewer replicas than the topic was made for, the one below. */
        note_setting("min.insync.replicas",
                     cases[i].replication > 2 ? "2" : "1", settings);
        if (cases[i].value == NULL) {
            g_hash_table_remove(settings, cases[i].name);
        } else {
            note_setting(cases[i].name, cases[i].value, settings);
        }
        accepted = log_kafka_rules_check(cases[i].topic, cases[i].replication,
                                         settings, &error);
        g_test_message("%s=%s: %s", cases[i].name, cases[i].value,
                       error == NULL ? "accepted" : error->message);
        g_assert_cmpint(accepted, ==, cases[i].accepted);
        if (!accepted) {
            g_assert_error(error, COMB_ERROR, COMB_ERROR_UNSAFE);
            g_assert_nonnull(strstr(error->message, cases[i].name));
            g_assert_nonnull(strstr(error->message, cases[i].value));
        }
    }
}

/* Retention for ever is met only by retention for ever. */
static void
keep_for_ever(void)
{
    LogTopic topic = plain;
    g_autoptr(GHashTable) settings = NULL;
    GError *error = NULL;

    topic.retention_ms = -1;
    settings = make_settings(&topic);
    g_assert_true(log_kafka_rules_check(&topic, 3, settings, &error));
    note_setting("retention.ms", "999999999999", settings);
    g_assert_false(log_kafka_rules_check(&topic, 3, settings, &error));
    g_assert_error(error, COMB_ERROR, COMB_ERROR_UNSAFE);
    g_error_free(error);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/log-kafka-rules/accept-own", accept_own);
    g_test_add_func("/log-kafka-rules/make-safe", make_safe);
    g_test_add_func("/log-kafka-rules/judge-each", judge_each);
    g_test_add_func("/log-kafka-rules/keep-for-ever", keep_for_ever);
    return g_test_run();
}
