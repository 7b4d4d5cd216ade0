/*
 * partition.c - murmur2 as Kafka's Java producer computes it
 *
 * A user's events must meet in one partition, because order is kept only
 * there. Producers that are not ours choose the partition by themselves, so
 * the choice has to be theirs too, bit for bit: the hash below is the one
 * variant that Kafka uses, with its seed, and the sign bit is masked where
 * Java would call Math.abs(). It differs from murmur2_random only for empty
 * keys, which our records never have.
 */
#include "firehose/partition.h"

#include "ops/kit/ensure.h"

#define MURMUR2_SEED 0x9747b28cU
#define MURMUR2_M 0x5bd1e995U
#define MURMUR2_R 24

void
partition_key(UserId user, guint8 ret_key[PARTITION_KEY_BYTES])
{
    guint64 id = (guint64)user.v;

    for (gint i = PARTITION_KEY_BYTES - 1; i >= 0; i--) {
        ret_key[i] = (guint8)id;
        id >>= 8;
    }
}

static guint32
little_endian(const guint8 *bytes, gsize n)
{
    guint32 value = 0;

    while (n-- > 0) {
        value = value << 8 | bytes[n];
    }
    return value;
}

static guint32
murmur2(const guint8 *data, gsize len)
{
    guint32 h = MURMUR2_SEED ^ (guint32)len;
    gsize i = 0;

    for (; i + 4 <= len; i += 4) {
        guint32 k = little_endian(data + i, 4) * MURMUR2_M;

        k ^= k >> MURMUR2_R;
        h = h * MURMUR2_M ^ k * MURMUR2_M;
    }
    if (i < len) {
        h = (h ^ little_endian(data + i, len - i)) * MURMUR2_M;
    }
    h = (h ^ h >> 13) * MURMUR2_M;
    return h ^ h >> 15;
}

guint
partition_of(const void *key, gsize len, guint partitions)
{
    ensure(partitions > 0);

    return (murmur2(key, len) & 0x7fffffff) % partitions;
}
