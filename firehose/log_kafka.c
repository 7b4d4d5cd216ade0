/*
 * log_kafka.c - librdkafka, and what it takes to trust it
 *
 * The producer is idempotent and asks all in-sync replicas, so a retry
 * neither repeats nor reorders. A record that no broker took in time is
 * uncertain: it may have been written and only the answer lost.
 *
 * The consumer assigns itself partitions at its caller's offsets. It joins no
 * group: the group's name only labels commits, which serve Kafka's own tools.
 * An offset that is not there is an error and never a jump to the end, and
 * checksums are checked: neither is librdkafka's default.
 *
 * Topics are looked up among all topics, because asking for one by name lets
 * some brokers make it with their defaults.
 *
 * librdkafka 2.0 cannot tell the id of a topic, nor see a log that was cut
 * and has grown again: the identity is the cluster's id with the topic's
 * name, and a topic made anew is met as an offset past its end.
 */
#include "firehose/log_kafka.h"

#include "firehose/log_kafka_private.h"
#include "firehose/log_kafka_rules.h"
#include "ops/kit/ensure.h"
#include "ops/kit/error.h"
#include "ops/kit/logger.h"

#include <string.h>

#define AREA "firehose.kafka"
#define RETRY_US (50 * 1000)
#define LOG_LEVEL_WARNING 4 /* syslog's, which librdkafka uses */

/* Of what was fetched and not yet asked for, all partitions together; set as
   queued.max.messages.kbytes. */
#define QUEUE_BYTES_MAX (16 * 1024 * 1024)
#define QUEUE_KBYTES_MAX "16384"
#define WAKE_MS 20

struct KafkaConsumer {
    const KafkaClient *client;
    rd_kafka_t *consumer;
    guint partitions;
    gboolean commits;                      /* has a group of its own */
    rd_kafka_topic_partition_list_t *read; /* partitions; owned */
    gsize taken; /* bytes of its queue, since it was last woken */
};

typedef struct ClientSetting {
    const char *name;
    const char *value;
} ClientSetting;

static const ClientSetting common_settings[] = {
    {"socket.keepalive.enable", "true"},
    {"reconnect.backoff.ms", "50"},
    {"reconnect.backoff.max.ms", "1000"},
    {"log.connection.close", "false"},
};

static const ClientSetting producer_settings[] = {
    {"enable.idempotence", "true"},
    {"acks", "all"},
    {"compression.type", "zstd"},
    {"compression.level", "1"}, /* 1.05 x the bytes of 3, in half the time */
    {"linger.ms", "3"},
    /* Not bounds of ours: a queue is one for all partitions, so one that
       stalls would fill it for all. Who appends bounds what is pending. */
    {"queue.buffering.max.kbytes", "8388608"},
    {"queue.buffering.max.messages", "10000000"},
    {"message.max.bytes", "1100000"}, /* a largest record and its frame */
    {"request.timeout.ms", "10000"},
};

static const ClientSetting consumer_settings[] = {
    {"enable.auto.commit", "false"},
    {"enable.auto.offset.store", "false"},
    {"auto.offset.reset", "error"},
    {"check.crcs", "true"},
    {"enable.partition.eof", "false"},
    {"queued.max.messages.kbytes", QUEUE_KBYTES_MAX},
    {"allow.auto.create.topics", "false"},
    {"fetch.message.max.bytes", "2097152"},
    {"fetch.max.bytes", "8388608"},
    {"receive.message.max.bytes", "16777216"},
    {"fetch.wait.max.ms", "100"},
    {"fetch.error.backoff.ms", "100"},
    {"session.timeout.ms", "10000"}, /* of members of a group */
    {"heartbeat.interval.ms", "1000"},
    {"partition.assignment.strategy", "range"},
};

static gboolean
is_between_leaders(rd_kafka_resp_err_t err)
{
    return err == RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION ||
           err == RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE ||
           err == RD_KAFKA_RESP_ERR_OFFSET_NOT_AVAILABLE;
}

static gboolean
is_unreachable(rd_kafka_resp_err_t err)
{
    return err == RD_KAFKA_RESP_ERR__TIMED_OUT ||
           err == RD_KAFKA_RESP_ERR__TRANSPORT ||
           err == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN ||
           err == RD_KAFKA_RESP_ERR__WAIT_COORD ||
           err == RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT ||
           is_between_leaders(err);
}

gint
kafka_request_ms(const KafkaClient *client)
{
    return (gint)client->options.connect_timeout_ms;
}

gint64
kafka_request_until_us(const KafkaClient *client)
{
    return g_get_monotonic_time() + (gint64)kafka_request_ms(client) * 1000;
}

/* Brokers learn of a new topic, or leader, one after the other: a request may
   do better a moment later, for which this sleeps. FALSE: it is no use. */
static gboolean
wait_to_retry(rd_kafka_resp_err_t err, gint64 until_us)
{
    gboolean passes = is_between_leaders(err) ||
                      err == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART ||
                      err == RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION;

    if (!passes || g_get_monotonic_time() > until_us) {
        return FALSE;
    }
    g_usleep(RETRY_US);
    return TRUE;
}

gboolean
kafka_fail(const KafkaClient *client, const char *what, rd_kafka_resp_err_t err,
           GError **error)
{
    g_set_error(error, COMB_ERROR,
                is_unreachable(err) ? COMB_ERROR_UNREACHABLE : COMB_ERROR_IO,
                "topic '%s' on '%s': %s: %s", client->name,
                client->options.brokers, what, rd_kafka_err2str(err));
    return FALSE;
}

static void
write_log(const rd_kafka_t *client, int level, const char *facility,
          const char *text)
{
    g_autofree char *quoted = logger_quote(text);

    (void)client;
    if (level <= LOG_LEVEL_WARNING) {
        logger_warn(AREA, "client", "facility=%s text=%s", facility, quoted);
    }
}

static void
set_client(rd_kafka_conf_t *conf, const char *name, const char *value,
           GError **error)
{
    char words[256];

    if (*error == NULL && rd_kafka_conf_set(conf, name, value, words,
                                            sizeof words) != RD_KAFKA_CONF_OK) {
        g_set_error(error, COMB_ERROR, COMB_ERROR_SETTING, "Kafka client: %s",
                    words);
    }
}

static void
set_client_all(rd_kafka_conf_t *conf, const ClientSetting *settings, gsize n,
               GError **error)
{
    for (gsize i = 0; i < n; i++) {
        set_client(conf, settings[i].name, settings[i].value, error);
    }
}

static rd_kafka_conf_t *
make_conf(const KafkaClient *client, GError **error)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();

    set_client(conf, "bootstrap.servers", client->options.brokers, error);
    set_client(conf, "client.id", client->options.client_id, error);
    set_client_all(conf, common_settings, G_N_ELEMENTS(common_settings), error);
    rd_kafka_conf_set_log_cb(conf, write_log);
    return conf;
}

/* Makes a client of @conf, which it takes; NULL where *error is set or will. */
static rd_kafka_t *
make_client(rd_kafka_type_t type, rd_kafka_conf_t *conf, GError **error)
{
    char words[256];
    rd_kafka_t *client;

    if (*error != NULL) {
        rd_kafka_conf_destroy(conf);
        return NULL;
    }
    client = rd_kafka_new(type, conf, words, sizeof words);
    if (client == NULL) {
        rd_kafka_conf_destroy(conf);
        g_set_error(error, COMB_ERROR, COMB_ERROR_SETTING, "Kafka client: %s",
                    words);
    }
    return client;
}

/* librdkafka's report of one record, on the polling thread. */
static void
hear_delivery(rd_kafka_t *producer, const rd_kafka_message_t *message,
              void *opaque)
{
    const KafkaClient *client = opaque;
    LogAck ack = {LOG_APPENDED, (guint64)message->offset, NULL};

    (void)producer;
    if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        gboolean uncertain = message->err == RD_KAFKA_RESP_ERR__MSG_TIMED_OUT ||
                             rd_kafka_message_status(message) !=
                                 RD_KAFKA_MSG_STATUS_NOT_PERSISTED;

        ack.outcome = uncertain ? LOG_APPEND_UNCERTAIN : LOG_APPEND_FAILED;
        ack.reason = rd_kafka_err2str(message->err);
        logger_warn(AREA, "append not acknowledged",
                    "partition=%d reason=\"%s\"", message->partition,
                    ack.reason);
    }
    client->delivered(message->_private, ack, client->user_data);
}

static rd_kafka_t *
make_producer(KafkaClient *client, GError **error)
{
    g_autofree char *delivery_ms =
        g_strdup_printf("%u", client->options.delivery_timeout_ms);
    g_autoptr(GError) problem = NULL;
    rd_kafka_conf_t *conf = make_conf(client, &problem);
    rd_kafka_t *producer;

    set_client_all(conf, producer_settings, G_N_ELEMENTS(producer_settings),
                   &problem);
    set_client(conf, "message.timeout.ms", delivery_ms, &problem);
    rd_kafka_conf_set_dr_msg_cb(conf, hear_delivery);
    rd_kafka_conf_set_opaque(conf, client);
    producer = make_client(RD_KAFKA_PRODUCER, conf, &problem);
    if (producer == NULL) {
        g_propagate_error(error, g_steal_pointer(&problem));
    }
    return producer;
}

KafkaClient *
kafka_client_open(const LogKafkaOptions *options, const char *name,
                  KafkaDeliveryFunc delivered, gpointer user_data,
                  GError **error)
{
    KafkaClient *client = g_new0(KafkaClient, 1);

    client->name = g_strdup(name);
    client->options = *options;
    client->delivered = delivered;
    client->user_data = user_data;
    client->producer = make_producer(client, error);
    if (client->producer == NULL) {
        kafka_client_close(client);
        return NULL;
    }
    return client;
}

void
kafka_client_close(KafkaClient *client)
{
    if (client->topic != NULL) {
        rd_kafka_topic_destroy(client->topic);
    }
    if (client->producer != NULL) {
        rd_kafka_destroy(client->producer);
    }
    g_free(client->name);
    g_free(client);
}

void
kafka_client_bind(KafkaClient *client)
{
    client->topic = rd_kafka_topic_new(client->producer, client->name, NULL);
    ensure(client->topic != NULL);
}

gboolean
kafka_client_produce(KafkaClient *client, const LogEntry *entry, gpointer slot,
                     LogAck *ret_ack)
{
    rd_kafka_resp_err_t err;

    if (rd_kafka_produce(client->topic, (gint32)entry->partition,
                         RD_KAFKA_MSG_F_COPY, (void *)(gsize)entry->value.data,
                         entry->value.len, entry->key.data, entry->key.len,
                         slot) == 0) {
        return TRUE;
    }
    err = rd_kafka_last_error();
    ret_ack->outcome = err == RD_KAFKA_RESP_ERR__QUEUE_FULL ? LOG_APPEND_FULL
                                                            : LOG_APPEND_FAILED;
    ret_ack->reason = rd_kafka_err2str(err);
    return FALSE;
}

void
kafka_client_poll(KafkaClient *client, gint timeout_ms)
{
    rd_kafka_poll(client->producer, timeout_ms);
}

/* ---- looking up ---- */

static void
note_facts(const rd_kafka_metadata_topic_t *topic, KafkaTopicFacts *ret_facts)
{
    ret_facts->partitions = (guint)topic->partition_cnt;
    ret_facts->replication = G_MAXUINT;
    ret_facts->led = TRUE;
    for (gint i = 0; i < topic->partition_cnt; i++) {
        ret_facts->replication = MIN(ret_facts->replication,
                                     (guint)topic->partitions[i].replica_cnt);
        ret_facts->led = ret_facts->led && topic->partitions[i].leader >= 0;
    }
}

gboolean
kafka_client_look(KafkaClient *client, KafkaTopicFacts *ret_facts,
                  GError **error)
{
    guint connect_ms = client->options.connect_timeout_ms;
    const rd_kafka_metadata_t *all;
    rd_kafka_resp_err_t err =
        rd_kafka_metadata(client->producer, 1, NULL, &all, (gint)connect_ms);

    if (is_unreachable(err)) {
        g_set_error(error, COMB_ERROR, COMB_ERROR_UNREACHABLE,
                    "no broker of '%s' answered within %u ms",
                    client->options.brokers, connect_ms);
        return FALSE;
    }
    if (err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return kafka_fail(client, "looking up topics", err, error);
    }
    memset(ret_facts, 0, sizeof *ret_facts);
    for (gint i = 0; i < all->topic_cnt; i++) {
        if (strcmp(all->topics[i].topic, client->name) == 0) {
            note_facts(&all->topics[i], ret_facts);
        }
    }
    rd_kafka_metadata_destroy(all);
    return TRUE;
}

static void
set_new_topic(const char *name, const char *value, gpointer topic)
{
    rd_kafka_NewTopic_set_config(topic, name, value);
}

rd_kafka_event_t *
kafka_await_admin(const KafkaClient *client, rd_kafka_queue_t *answers)
{
    rd_kafka_event_t *answer =
        rd_kafka_queue_poll(answers, kafka_request_ms(client));

    rd_kafka_queue_destroy(answers);
    return answer;
}

static gboolean
check_created(const KafkaClient *client, rd_kafka_event_t *answer,
              GError **error)
{
    rd_kafka_resp_err_t err = RD_KAFKA_RESP_ERR__TIMED_OUT;
    const rd_kafka_topic_result_t **results;
    const char *words = NULL;
    gsize n;

    if (answer != NULL) {
        err = rd_kafka_event_error(answer);
        words = rd_kafka_event_error_string(answer);
    }
    if (err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        results = rd_kafka_CreateTopics_result_topics(
            rd_kafka_event_CreateTopics_result(answer), &n);
        ensure(n == 1);
        err = rd_kafka_topic_result_error(results[0]);
        words = rd_kafka_topic_result_error_string(results[0]);
    }
    if (err == RD_KAFKA_RESP_ERR_NO_ERROR ||
        err == RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS) {
        return TRUE;
    }
    return kafka_fail(client, words == NULL ? "making it" : words, err, error);
}

gboolean
kafka_client_make(KafkaClient *client, const LogTopic *wanted, GError **error)
{
    rd_kafka_queue_t *answers = rd_kafka_queue_new(client->producer);
    rd_kafka_event_t *answer;
    rd_kafka_NewTopic_t *topic;
    char words[256];
    gboolean made;

    topic =
        rd_kafka_NewTopic_new(wanted->name, (gint)wanted->partitions,
                              (gint)wanted->replication, words, sizeof words);
    if (topic == NULL) {
        rd_kafka_queue_destroy(answers);
        g_set_error(error, COMB_ERROR, COMB_ERROR_SETTING, "topic '%s': %s",
                    wanted->name, words);
        return FALSE;
    }
    log_kafka_rules_each(wanted, set_new_topic, topic);
    rd_kafka_CreateTopics(client->producer, &topic, 1, NULL, answers);
    rd_kafka_NewTopic_destroy(topic);
    answer = kafka_await_admin(client, answers);
    made = check_created(client, answer, error);
    if (answer != NULL) {
        rd_kafka_event_destroy(answer);
    }
    return made;
}

/* The settings in the answer to DescribeConfigs, by name. */
static rd_kafka_resp_err_t
read_settings(rd_kafka_event_t *answer, GHashTable **ret_settings)
{
    const rd_kafka_ConfigResource_t **resources;
    const rd_kafka_ConfigEntry_t **entries;
    rd_kafka_resp_err_t err = rd_kafka_event_error(answer);
    gsize n;

    if (err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return err;
    }
    resources = rd_kafka_DescribeConfigs_result_resources(
        rd_kafka_event_DescribeConfigs_result(answer), &n);
    ensure(n == 1);
    err = rd_kafka_ConfigResource_error(resources[0]);
    if (err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return err;
    }
    *ret_settings =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    entries = rd_kafka_ConfigResource_configs(resources[0], &n);
    for (gsize i = 0; i < n; i++) {
        g_hash_table_insert(*ret_settings,
                            g_strdup(rd_kafka_ConfigEntry_name(entries[i])),
                            g_strdup(rd_kafka_ConfigEntry_value(entries[i])));
    }
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}

/* Asks once. */
static rd_kafka_resp_err_t
ask_settings(KafkaClient *client, GHashTable **ret_settings)
{
    rd_kafka_queue_t *answers = rd_kafka_queue_new(client->producer);
    rd_kafka_ConfigResource_t *resource =
        rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, client->name);
    rd_kafka_resp_err_t err = RD_KAFKA_RESP_ERR__TIMED_OUT;
    rd_kafka_event_t *answer;

    rd_kafka_DescribeConfigs(client->producer, &resource, 1, NULL, answers);
    rd_kafka_ConfigResource_destroy(resource);
    answer = kafka_await_admin(client, answers);
    if (answer != NULL) {
        err = read_settings(answer, ret_settings);
        rd_kafka_event_destroy(answer);
    }
    return err;
}

GHashTable *
kafka_client_settings(KafkaClient *client, GError **error)
{
    gint64 until_us = kafka_request_until_us(client);
    GHashTable *settings = NULL;
    rd_kafka_resp_err_t err;

    do {
        err = ask_settings(client, &settings);
    } while (wait_to_retry(err, until_us));
    if (err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        kafka_fail(client, "reading its settings", err, error);
    }
    return settings;
}

char *
kafka_client_identity(KafkaClient *client, GError **error)
{
    char *cluster_id =
        rd_kafka_clusterid(client->producer, kafka_request_ms(client));
    char *identity;

    if (cluster_id == NULL) {
        kafka_fail(client, "reading the cluster's id",
                   RD_KAFKA_RESP_ERR__TIMED_OUT, error);
        return NULL;
    }
    identity = g_strdup_printf("%s/%s", cluster_id, client->name);
    rd_kafka_mem_free(client->producer, cluster_id);
    return identity;
}

gboolean
kafka_client_bounds(KafkaClient *client, guint partition, guint64 *ret_first,
                    guint64 *ret_end, GError **error)
{
    gint64 until_us = kafka_request_until_us(client);
    rd_kafka_resp_err_t err;
    gint64 first;
    gint64 end;

    do {
        err = rd_kafka_query_watermark_offsets(client->producer, client->name,
                                               (gint32)partition, &first, &end,
                                               kafka_request_ms(client));
    } while (wait_to_retry(err, until_us));
    if (err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return kafka_fail(client, "reading its bounds", err, error);
    }
    *ret_first = (guint64)first;
    *ret_end = (guint64)end;
    return TRUE;
}

/* Asks once. *ret_offset is negative where there is no such record. */
static rd_kafka_resp_err_t
ask_time(KafkaClient *client, guint partition, gint64 time_ms,
         gint64 *ret_offset)
{
    rd_kafka_topic_partition_list_t *list =
        rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_t *place = rd_kafka_topic_partition_list_add(
        list, client->name, (gint32)partition);
    rd_kafka_resp_err_t err;

    place->offset = time_ms;
    err = rd_kafka_offsets_for_times(client->producer, list,
                                     kafka_request_ms(client));
    err = err == RD_KAFKA_RESP_ERR_NO_ERROR ? place->err : err;
    *ret_offset = place->offset;
    rd_kafka_topic_partition_list_destroy(list);
    return err;
}

gboolean
kafka_client_find_time(KafkaClient *client, guint partition, gint64 time_ms,
                       gint64 *ret_offset, GError **error)
{
    gint64 until_us = kafka_request_until_us(client);
    rd_kafka_resp_err_t err;

    do {
        err = ask_time(client, partition, time_ms, ret_offset);
    } while (wait_to_retry(err, until_us));
    if (err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return kafka_fail(client, "looking up a time", err, error);
    }
    return TRUE;
}

/* ---- reading ---- */

rd_kafka_topic_partition_list_t *
kafka_make_places(const char *topic, const guint64 *next, guint partitions)
{
    rd_kafka_topic_partition_list_t *list =
        rd_kafka_topic_partition_list_new((gint)partitions);

    for (guint i = 0; i < partitions; i++) {
        if (next[i] != LOG_NO_PLACE) {
            rd_kafka_topic_partition_list_add(list, topic, (gint32)i)->offset =
                (gint64)next[i];
        }
    }
    return list;
}

rd_kafka_t *
kafka_make_consumer(const KafkaClient *client, const char *group,
                    KafkaRebalanceFunc rebalance, gpointer opaque,
                    GError **error)
{
    g_autoptr(GError) problem = NULL;
    rd_kafka_conf_t *conf = make_conf(client, &problem);
    rd_kafka_t *consumer;

    set_client_all(conf, consumer_settings, G_N_ELEMENTS(consumer_settings),
                   &problem);
    set_client(conf, "group.id", group, &problem);
    if (rebalance != NULL) {
        rd_kafka_conf_set_rebalance_cb(conf, rebalance);
        rd_kafka_conf_set_opaque(conf, opaque);
    }
    consumer = make_client(RD_KAFKA_CONSUMER, conf, &problem);
    if (consumer == NULL) {
        g_propagate_error(error, g_steal_pointer(&problem));
        return NULL;
    }
    rd_kafka_poll_set_consumer(consumer);
    return consumer;
}

KafkaConsumer *
kafka_consumer_open(KafkaClient *client, const guint64 *next, guint partitions,
                    const char *group, GError **error)
{
    /* librdkafka wants a group even where nothing is committed. */
    rd_kafka_t *inner = kafka_make_consumer(
        client, group == NULL ? "comb.none" : group, NULL, NULL, error);
    rd_kafka_topic_partition_list_t *places;
    rd_kafka_resp_err_t err;
    KafkaConsumer *consumer;

    if (inner == NULL) {
        return NULL;
    }
    places = kafka_make_places(client->name, next, partitions);
    err = rd_kafka_assign(inner, places);
    if (err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        rd_kafka_topic_partition_list_destroy(places);
        kafka_fail(client, "assigning its partitions", err, error);
        rd_kafka_destroy(inner);
        return NULL;
    }
    consumer = g_new0(KafkaConsumer, 1);
    consumer->client = client;
    consumer->consumer = inner;
    consumer->partitions = partitions;
    consumer->commits = group != NULL;
    consumer->read = places;
    return consumer;
}

void
kafka_consumer_close(KafkaConsumer *consumer)
{
    rd_kafka_consumer_close(consumer->consumer);
    rd_kafka_destroy(consumer->consumer);
    rd_kafka_topic_partition_list_destroy(consumer->read);
    g_free(consumer);
}

void
kafka_consumer_commit(KafkaConsumer *consumer, const guint64 *next)
{
    rd_kafka_topic_partition_list_t *places;

    if (!consumer->commits) {
        return;
    }
    places =
        kafka_make_places(consumer->client->name, next, consumer->partitions);
    rd_kafka_commit(consumer->consumer, places, 1);
    rd_kafka_topic_partition_list_destroy(places);
}

void
kafka_message_free(KafkaMessage *message)
{
    rd_kafka_message_destroy((rd_kafka_message_t *)message);
}

typedef struct Trouble {
    rd_kafka_resp_err_t err;
    KafkaEvent event;
    CombError code; /* of KAFKA_BROKEN */
} Trouble;

/* What is not here passes by itself: brokers that are away, elections. */
static const Trouble troubles[] = {
    {RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET, KAFKA_NO_OFFSET, 0},
    {RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE, KAFKA_NO_OFFSET, 0},
    {RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, KAFKA_BROKEN, COMB_ERROR_GAP},
    {RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC, KAFKA_BROKEN, COMB_ERROR_GAP},
    {RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION, KAFKA_BROKEN, COMB_ERROR_GAP},
    {RD_KAFKA_RESP_ERR__BAD_MSG, KAFKA_BROKEN, COMB_ERROR_CORRUPT},
    {RD_KAFKA_RESP_ERR__BAD_COMPRESSION, KAFKA_BROKEN, COMB_ERROR_CORRUPT},
    {RD_KAFKA_RESP_ERR_INVALID_MSG, KAFKA_BROKEN, COMB_ERROR_CORRUPT},
    {RD_KAFKA_RESP_ERR__FATAL, KAFKA_BROKEN, COMB_ERROR_IO},
};

/* What came instead of a record. */
static KafkaEvent
judge_trouble(const KafkaConsumer *consumer, const rd_kafka_message_t *message,
              GError **error)
{
    const char *words = rd_kafka_err2str(message->err);

    for (gsize i = 0; i < G_N_ELEMENTS(troubles); i++) {
        if (troubles[i].err != message->err) {
            continue;
        }
        if (troubles[i].event == KAFKA_BROKEN) {
            g_set_error(error, COMB_ERROR, (gint)troubles[i].code,
                        "topic '%s' partition %d: %s: %s",
                        consumer->client->name, message->partition, words,
                        rd_kafka_message_errstr(message));
        }
        return troubles[i].event;
    }
    logger_warn(AREA, "reading waits", "partition=%d reason=\"%s\"",
                message->partition, words);
    return KAFKA_WAITS;
}

/*
 * Where its queue is full librdkafka 2.0 stops to fetch and looks again a
 * second later, whatever was taken meanwhile; but any request wakes it. So
 * each time that half a queue was taken, leaders are asked for their ends.
 */
static void
consumer_note_taken(KafkaConsumer *consumer, gsize bytes)
{
    consumer->taken += bytes;
    if (consumer->taken < QUEUE_BYTES_MAX / 2) {
        return;
    }
    consumer->taken = 0;
    for (gint i = 0; i < consumer->read->cnt; i++) {
        consumer->read->elems[i].offset = RD_KAFKA_OFFSET_END;
    }
    rd_kafka_offsets_for_times(consumer->consumer, consumer->read, WAKE_MS);
}

KafkaEvent
kafka_consumer_poll(KafkaConsumer *consumer, gint timeout_ms,
                    LogRecord *ret_record, KafkaMessage **ret_message,
                    GError **error)
{
    rd_kafka_message_t *message =
        rd_kafka_consumer_poll(consumer->consumer, timeout_ms);
    KafkaEvent event;

    if (message == NULL) {
        return KAFKA_NOTHING;
    }
    ret_record->partition = (guint)message->partition;
    if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        event = judge_trouble(consumer, message, error);
        rd_kafka_message_destroy(message);
        return event;
    }
    ensure(ret_record->partition < consumer->partitions);
    ret_record->offset = (guint64)message->offset;
    ret_record->timestamp_ms = rd_kafka_message_timestamp(message, NULL);
    ret_record->key = (WireBytes){message->key, message->key_len};
    ret_record->value = (WireBytes){message->payload, message->len};
    *ret_message = (KafkaMessage *)message;
    consumer_note_taken(consumer, message->key_len + message->len);
    return KAFKA_RECORD;
}
