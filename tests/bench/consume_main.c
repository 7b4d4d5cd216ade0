/*
 * comb-bench-consume: how fast librdkafka alone reads a topic
 *
 *     comb-bench-consume BROKERS TOPIC RECORDS
 *
 * The peer of a replay: the same settings as the log's reader has (checked
 * sums, by hand assigned partitions), the records counted and dropped. From
 * before the client is made until the last record. Prints one JSON object.
 */
#include "ops/kit/ensure.h"

#include <librdkafka/rdkafka.h>
#include <stdio.h>

#define BATCH 512
#define POLL_MS 1000
#define BROKER_MS 10000
#define SILENT_POLLS_MAX 30

static rd_kafka_t *
consumer_new(const char *brokers)
{
    const char *settings[][2] = {
        {"bootstrap.servers", brokers},
        {"group.id", "comb.bench"},
        {"enable.auto.commit", "false"},
        {"auto.offset.reset", "error"},
        {"check.crcs", "true"},
        {"queued.max.messages.kbytes", "16384"},
        {"fetch.message.max.bytes", "2097152"},
        {"fetch.max.bytes", "8388608"},
    };
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    char reason[256];

    for (gsize i = 0; i < G_N_ELEMENTS(settings); i++) {
        ensure(rd_kafka_conf_set(conf, settings[i][0], settings[i][1], reason,
                                 sizeof reason) == RD_KAFKA_CONF_OK);
    }
    rd_kafka_t *consumer =
        rd_kafka_new(RD_KAFKA_CONSUMER, conf, reason, sizeof reason);
    ensure(consumer != NULL);
    return consumer;
}

/* All partitions, from the first record. */
static void
assign(rd_kafka_t *consumer, const char *name)
{
    rd_kafka_topic_t *topic = rd_kafka_topic_new(consumer, name, NULL);
    const struct rd_kafka_metadata *metadata;
    rd_kafka_topic_partition_list_t *list;

    ensure(rd_kafka_metadata(consumer, 0, topic, &metadata, BROKER_MS) == 0);
    ensure(metadata->topics[0].partition_cnt > 0);
    list = rd_kafka_topic_partition_list_new(metadata->topics[0].partition_cnt);
    for (gint32 i = 0; i < metadata->topics[0].partition_cnt; i++) {
        rd_kafka_topic_partition_list_add(list, name, i)->offset =
            RD_KAFKA_OFFSET_BEGINNING;
    }
    ensure(rd_kafka_assign(consumer, list) == 0);
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_metadata_destroy(metadata);
    rd_kafka_topic_destroy(topic);
}

/* Bytes of so many records' values. */
static guint64
consume(rd_kafka_t *consumer, guint64 records)
{
    rd_kafka_queue_t *queue = rd_kafka_queue_get_consumer(consumer);
    rd_kafka_message_t *messages[BATCH];
    guint64 seen = 0;
    guint64 bytes = 0;
    guint silent = 0;

    while (seen < records) {
        gssize n =
            rd_kafka_consume_batch_queue(queue, POLL_MS, messages, BATCH);
        silent = n > 0 ? 0 : silent + 1;
        ensure(n >= 0 && silent < SILENT_POLLS_MAX);
        for (gssize i = 0; i < n; i++) {
            if (messages[i]->err == 0) {
                bytes += messages[i]->len;
                seen++;
            }
            rd_kafka_message_destroy(messages[i]);
        }
    }
    rd_kafka_queue_destroy(queue);
    return bytes;
}

int
main(int argc, char **argv)
{
    if (argc != 4) {
        fputs("usage: comb-bench-consume BROKERS TOPIC RECORDS\n", stderr);
        return 2;
    }
    guint64 records = g_ascii_strtoull(argv[3], NULL, 10);
    gint64 begin_us = g_get_monotonic_time();
    rd_kafka_t *consumer = consumer_new(argv[1]);

    assign(consumer, argv[2]);
    guint64 bytes = consume(consumer, records);
    double took_s = (double)(g_get_monotonic_time() - begin_us) / 1e6;
    printf("{\"records\": %" G_GUINT64_FORMAT ", \"seconds\": %.3f, "
           "\"events_per_s\": %.0f, \"mb_per_s\": %.1f}\n",
           records, took_s, (double)records / took_s,
           (double)bytes / took_s / 1e6);
    (void)rd_kafka_consumer_close(consumer);
    rd_kafka_destroy(consumer);
    return 0;
}
