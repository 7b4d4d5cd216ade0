/*
 * log_kafka_rules.h - the settings a Kafka topic must have, as a table
 *
 * The same rows make a topic and check one that is there: a topic we make is
 * one we accept.
 */
#pragma once

#include "firehose/log.h"

/* Called for each setting a new topic gets. */
typedef void (*LogKafkaRuleFunc)(const char *name, const char *value,
                                 gpointer user_data);

/** log_kafka_rules_each() - the settings to make @topic with. */
void log_kafka_rules_each(const LogTopic *topic, LogKafkaRuleFunc func,
                          gpointer user_data);

/**
 * log_kafka_rules_check() - would this topic lose data?
 *
 * @replication: replicas of its partitions, as they are.
 * @settings:    name -> value, as the broker has them.
 * Fails:        COMB_ERROR_UNSAFE: names the setting, what it is, what it must
 *               be, and why.
 */
gboolean log_kafka_rules_check(const LogTopic *topic, guint replication,
                               GHashTable *settings, GError **error);
