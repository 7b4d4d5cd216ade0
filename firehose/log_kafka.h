/*
 * log_kafka.h - the Kafka driver's client: librdkafka in our words
 *
 * The one place where the log meets librdkafka. A client is bound to one
 * topic; a consumer reads its partitions. Requests wait for the brokers, at
 * most the connect timeout. Thread: any, but one for each consumer.
 */
#pragma once

#include "firehose/log_driver.h"

typedef struct KafkaClient KafkaClient;
typedef struct KafkaConsumer KafkaConsumer;
typedef struct KafkaMessage KafkaMessage;
typedef struct KafkaMember KafkaMember;

/* What became of a record given to kafka_client_produce() with @slot. */
typedef void (*KafkaDeliveryFunc)(gpointer slot, LogAck ack,
                                  gpointer user_data);

/* What the cluster says of the topic. */
typedef struct KafkaTopicFacts {
    guint partitions;  /* 0: there is no such topic */
    guint replication; /* of the partition that has fewest */
    gboolean led;      /* every partition has a leader */
} KafkaTopicFacts;

/* What a consumer's poll gave. */
typedef enum KafkaEvent {
    KAFKA_NOTHING,   /* nothing within the time */
    KAFKA_RECORD,    /* *ret_record and *ret_message */
    KAFKA_WAITS,     /* a trouble that passes; it has been logged */
    KAFKA_NO_OFFSET, /* ret_record->partition: the offset is not there */
    KAFKA_BROKEN,    /* *error: this never gets better */
} KafkaEvent;

/**
 * kafka_client_open() - a client for topic @name; contacts nobody yet
 *
 * @delivered: called on the thread of kafka_client_poll().
 * Fails: COMB_ERROR_SETTING.
 */
KafkaClient *kafka_client_open(const LogKafkaOptions *options, const char *name,
                               KafkaDeliveryFunc delivered, gpointer user_data,
                               GError **error);

/** kafka_client_close() - after all deliveries, and its consumers. */
void kafka_client_close(KafkaClient *client);

/** kafka_client_look() - look the topic up. Fails: COMB_ERROR_UNREACHABLE, _IO.
 */
gboolean kafka_client_look(KafkaClient *client, KafkaTopicFacts *ret_facts,
                           GError **error);

/**
 * kafka_client_make() - make the topic; it is fine where it is there already
 *
 * Fails: COMB_ERROR_UNREACHABLE, _IO, _SETTING.
 */
gboolean kafka_client_make(KafkaClient *client, const LogTopic *topic,
                           GError **error);

/** kafka_client_settings() - the topic's settings by name, or NULL. */
GHashTable *kafka_client_settings(KafkaClient *client, GError **error);

/** kafka_client_identity() - cluster id and topic; caller frees; or NULL. */
char *kafka_client_identity(KafkaClient *client, GError **error);

/**
 * kafka_client_bind() - the topic is there: records may be produced
 *
 * Effect: not before, since naming a topic lets some brokers make it.
 */
void kafka_client_bind(KafkaClient *client);

/**
 * kafka_client_produce() - queue a record, copied
 *
 * Effect: TRUE, and the delivery of @slot follows; FALSE and *ret_ack.
 */
gboolean kafka_client_produce(KafkaClient *client, const LogEntry *entry,
                              gpointer slot, LogAck *ret_ack);

/** kafka_client_poll() - call back deliveries, up to @timeout_ms. */
void kafka_client_poll(KafkaClient *client, gint timeout_ms);

/** kafka_client_bounds() - what log_bounds() says. */
gboolean kafka_client_bounds(KafkaClient *client, guint partition,
                             guint64 *ret_first, guint64 *ret_end,
                             GError **error);

/** kafka_client_find_time() - what log_find_time() says; *ret_offset < 0: none.
 */
gboolean kafka_client_find_time(KafkaClient *client, guint partition,
                                gint64 time_ms, gint64 *ret_offset,
                                GError **error);

/** kafka_client_load_place() - what log_place_load() says of @group. */
gboolean kafka_client_load_place(KafkaClient *client, const char *group,
                                 guint partitions, guint64 *ret_next,
                                 GError **error);

/** kafka_client_store_place() - what log_place_store() says of @group. */
gboolean kafka_client_store_place(KafkaClient *client, const char *group,
                                  guint partitions, const guint64 *next,
                                  GError **error);

/** kafka_member_open() - join @group. Fails: as log_member_join(). */
KafkaMember *kafka_member_open(KafkaClient *client, const char *group,
                               guint partitions, GError **error);

/** kafka_member_poll() - what LogDriver.seat_poll does. Thread: one. */
LogSeatOutcome kafka_member_poll(KafkaMember *member, gint timeout_ms,
                                 gboolean *ret_mine, GError **error);

/** kafka_member_commit() - what LogDriver.seat_commit does. Thread: any. */
gboolean kafka_member_commit(KafkaMember *member, const guint64 *next,
                             GError **error);

/** kafka_member_close() - leave the group. */
void kafka_member_close(KafkaMember *member);

/** kafka_consumer_open() - read partitions 0 to @partitions-1 from @next. */
KafkaConsumer *kafka_consumer_open(KafkaClient *client, const guint64 *next,
                                   guint partitions, const char *group,
                                   GError **error);
void kafka_consumer_close(KafkaConsumer *consumer);

/**
 * kafka_consumer_poll() - wait for the next record
 *
 * Owns:  *ret_message, which *ret_record points into; kafka_message_free().
 * Fails: KAFKA_BROKEN: COMB_ERROR_CORRUPT, _GAP (the topic is gone), _IO.
 */
KafkaEvent kafka_consumer_poll(KafkaConsumer *consumer, gint timeout_ms,
                               LogRecord *ret_record,
                               KafkaMessage **ret_message, GError **error);
void kafka_message_free(KafkaMessage *message);

/** kafka_consumer_commit() - note @next under the group; does not wait. */
void kafka_consumer_commit(KafkaConsumer *consumer, const guint64 *next);
