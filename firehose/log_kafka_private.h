/*
 * log_kafka_private.h - what the files that see librdkafka share
 *
 *   log_kafka.c        topics, appends, reading
 *   log_kafka_group.c  consumer groups: their places
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
