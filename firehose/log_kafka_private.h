/*
 * log_kafka_private.h - what the files that see librdkafka share
 *
 *   log_kafka.c        topics, appends, reading
 *   log_kafka_group.c  consumer groups: their places and members
 */
#pragma once

#include "firehose/log_kafka.h"

#include <librdkafka/rdkafka.h>

struct KafkaClient {
    char *name;              /* the topic's */
    LogKafkaOptions options; /* its texts are borrowed */
    rd_kafka_t *producer;    /* appends and looks up */
    rd_kafka_topic_t *topic; /* of the producer; kafka_client_bind() */
    KafkaDeliveryFunc delivered;
    gpointer user_data; /* of delivered */
};

/** kafka_request_ms() - how long a request waits for the brokers. */
gint kafka_request_ms(const KafkaClient *client);

/** kafka_request_until_us() - until when it is tried again. */
gint64 kafka_request_until_us(const KafkaClient *client);

/** kafka_fail() - FALSE, with what failed and why. */
gboolean kafka_fail(const KafkaClient *client, const char *what,
                    rd_kafka_resp_err_t err, GError **error);

/**
 * kafka_await_admin() - the answer to an admin request, or NULL
 *
 * Owns: takes @answers; gives.
 */
rd_kafka_event_t *kafka_await_admin(const KafkaClient *client,
                                    rd_kafka_queue_t *answers);

typedef void (*KafkaRebalanceFunc)(rd_kafka_t *consumer,
                                   rd_kafka_resp_err_t err,
                                   rd_kafka_topic_partition_list_t *parts,
                                   void *opaque);

/** kafka_make_consumer() - of @group; @rebalance: NULL: it will not join. */
rd_kafka_t *kafka_make_consumer(const KafkaClient *client, const char *group,
                                KafkaRebalanceFunc rebalance, gpointer opaque,
                                GError **error);

/** kafka_make_places() - those of @next that are places. The caller frees. */
rd_kafka_topic_partition_list_t *
kafka_make_places(const char *topic, const guint64 *next, guint partitions);
