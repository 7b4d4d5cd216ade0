/*
 * test_partition.c - our partitions are Kafka's
 */
#include "firehose/partition.h"

#include <librdkafka/rdkafka.h>
#include <string.h>

/* The vectors of Kafka's own UtilsTest.testMurmur2, as Java's signed ints. */
static const struct {
    const char *key;
    gint32 hash;
} vectors[] = {
    {"21", -973932308},
    {"foobar", -790332482},
    {"a-little-bit-long-string", -985981536},
    {"a-little-bit-longer-string", -1486304829},
    {"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971},
    {"abc", 479470107},
};

/* A prime near 2^31 leaves nearly all bits of the hash to compare. */
#define MANY_PARTITIONS 2147483647U

/* The hash is Java's, for keys of every remainder modulo four. */
static void
agree_with_java(void)
{
    for (gsize i = 0; i < G_N_ELEMENTS(vectors); i++) {
        guint32 positive = (guint32)vectors[i].hash & 0x7fffffff;

        g_assert_cmpuint(partition_of(vectors[i].key, strlen(vectors[i].key),
                                      MANY_PARTITIONS),
                         ==, positive);
        g_assert_cmpuint(
            partition_of(vectors[i].key, strlen(vectors[i].key), 12), ==,
            positive % 12);
    }
}

/* librdkafka's producers with partitioner=murmur2_random agree. */
static void
agree_with_librdkafka(void)
{
    for (gint64 i = 1; i < 5000; i++) {
        guint8 key[PARTITION_KEY_BYTES];
        guint partitions = (guint)(i % 64) + 1;
        gsize len = (gsize)(i % PARTITION_KEY_BYTES) + 1;

        partition_key((UserId){i * G_GINT64_CONSTANT(922337203685477)}, key);
        g_assert_cmpint((gint32)partition_of(key, len, partitions), ==,
                        rd_kafka_msg_partitioner_murmur2(
                            NULL, key, len, (gint32)partitions, NULL, NULL));
    }
}

/* The key is the user's id as Java's LongSerializer writes it. */
static void
key_is_big_endian(void)
{
    static const guint8 expected[] = {0x01, 0x02, 0x03, 0x04,
                                      0x05, 0x06, 0x07, 0x08};
    guint8 key[PARTITION_KEY_BYTES];

    partition_key((UserId){0x0102030405060708}, key);
    g_assert_cmpint(memcmp(key, expected, sizeof key), ==, 0);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/partition/java", agree_with_java);
    g_test_add_func("/partition/librdkafka", agree_with_librdkafka);
    g_test_add_func("/partition/key", key_is_big_endian);
    return g_test_run();
}
