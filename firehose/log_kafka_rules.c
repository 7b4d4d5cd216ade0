/*
 * log_kafka_rules.c - which topic settings lose data, and how
 *
 * A topic is often made by somebody else's tool, with defaults that suit
 * metrics: deletion by size, time stamps of the producer, leaders elected
 * from replicas that lag. Each of these loses acknowledged events, months
 * later, without a word. So every start checks the topic against the table
 * below and refuses, naming the setting; nothing is altered behind the
 * operator's back.
 *
 * A setting that the broker does not tell is taken as the one that was meant:
 * old brokers lack some.
 */
#include "firehose/log_kafka_rules.h"

#include "ops/kit/error.h"

#include <string.h>

/* Record batches have headers, and producers other than ours their limits. */
#define MESSAGE_BYTES_MAX_TEXT "2097152"

typedef enum Scope {
    ALL_TOPICS,
    PLAIN_ONLY,
    COMPACTED_ONLY,
} Scope;

typedef enum Match {
    IS,       /* the same text */
    AT_LEAST, /* a number, or -1 for no limit */
    IN_SYNC,  /* enough replicas to survive one's loss, but not too many */
} Match;

typedef struct Rule {
    const char *name;
    Scope scope;
    Match match;
    const char *wanted; /* NULL: computed from the topic */
    const char *why;    /* what happens otherwise */
} Rule;

static const Rule rules[] = {
    {"cleanup.policy", PLAIN_ONLY, IS, "delete",
     "compaction drops events that cells have not read"},
    {"cleanup.policy", COMPACTED_ONLY, IS, "compact",
     "the newest record of a key would expire"},
    {"retention.ms", PLAIN_ONLY, AT_LEAST, NULL,
     "events expire before a stopped cell comes back"},
    {"retention.bytes", PLAIN_ONLY, IS, "-1",
     "events are dropped by size, whatever their age"},
    {"message.timestamp.type", PLAIN_ONLY, IS, "LogAppendTime",
     "rewinding by time would miss events"},
    {"unclean.leader.election.enable", ALL_TOPICS, IS, "false",
     "a replica that lags may become leader and drop what was acknowledged"},
    {"min.insync.replicas", ALL_TOPICS, IN_SYNC, NULL,
     "one broker's loss must neither lose events nor stop the log"},
    {"max.message.bytes", ALL_TOPICS, AT_LEAST, MESSAGE_BYTES_MAX_TEXT,
     "large records would be refused"},
};

static gboolean
rule_applies(const Rule *rule, const LogTopic *topic)
{
    switch (rule->scope) {
    case ALL_TOPICS:
        return TRUE;
    case PLAIN_ONLY:
        return !topic->compacted;
    case COMPACTED_ONLY:
        return topic->compacted;
    }
    return FALSE;
}

/* What the setting should be. The caller frees. */
static char *
rule_wanted(const Rule *rule, const LogTopic *topic, guint replication)
{
    if (rule->wanted != NULL) {
        return g_strdup(rule->wanted);
    }
    if (rule->match == IN_SYNC) {
        return g_strdup_printf("%u", replication > 2 ? replication - 1 : 1);
    }
    return g_strdup_printf("%" G_GINT64_FORMAT, topic->retention_ms);
}

static gboolean
number_at_least(const char *is, const char *wanted)
{
    gint64 is_number = g_ascii_strtoll(is, NULL, 10);
    gint64 wanted_number = g_ascii_strtoll(wanted, NULL, 10);

    return is_number < 0 || (wanted_number >= 0 && is_number >= wanted_number);
}

static gboolean
enough_in_sync(const char *is, guint replication)
{
    guint64 number = g_ascii_strtoull(is, NULL, 10);

    return number <= replication && (replication < 3 || number >= 2);
}

static gboolean
rule_accepts(const Rule *rule, const char *is, const char *wanted,
             guint replication)
{
    switch (rule->match) {
    case IS:
        return strcmp(is, wanted) == 0;
    case AT_LEAST:
        return number_at_least(is, wanted);
    case IN_SYNC:
        return enough_in_sync(is, replication);
    }
    return FALSE;
}

void
log_kafka_rules_each(const LogTopic *topic, LogKafkaRuleFunc func,
                     gpointer user_data)
{
    for (gsize i = 0; i < G_N_ELEMENTS(rules); i++) {
        if (rule_applies(&rules[i], topic)) {
            g_autofree char *wanted =
                rule_wanted(&rules[i], topic, topic->replication);

            func(rules[i].name, wanted, user_data);
        }
    }
}

static gboolean
rule_check(const Rule *rule, const LogTopic *topic, guint replication,
           GHashTable *settings, GError **error)
{
    static const char *const must[] = {
        [IS] = "must be",
        [AT_LEAST] = "must be at least",
        [IN_SYNC] = "with this many replicas should be",
    };
    g_autofree char *wanted = rule_wanted(rule, topic, replication);
    const char *is = g_hash_table_lookup(settings, rule->name);

    if (is == NULL || rule_accepts(rule, is, wanted, replication)) {
        return TRUE;
    }
    g_set_error(error, COMB_ERROR, COMB_ERROR_UNSAFE,
                "topic '%s': %s is %s and %s %s: %s", topic->name, rule->name,
                is, must[rule->match], wanted, rule->why);
    return FALSE;
}

gboolean
log_kafka_rules_check(const LogTopic *topic, guint replication,
                      GHashTable *settings, GError **error)
{
    for (gsize i = 0; i < G_N_ELEMENTS(rules); i++) {
        if (rule_applies(&rules[i], topic) &&
            !rule_check(&rules[i], topic, replication, settings, error)) {
            return FALSE;
        }
    }
    return TRUE;
}
