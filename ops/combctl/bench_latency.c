/*
 * A value's bucket: below 2 x HALF the value itself; above, the number of
 * doublings, times HALF, plus the value's leading 11 bits less their first.
 *
 *     0 ... 2047 | 2048, 2050, ... 4094 | 4096, 4100, ... 8188 | ...
 */
#include "ops/combctl/bench_latency.h"

#include <math.h>

#define HALF_BITS 10
#define HALF (G_GUINT64_CONSTANT(1) << HALF_BITS)
#define VALUE_BITS 42
#define BUCKETS ((VALUE_BITS - HALF_BITS + 1) * HALF)

struct Latency {
    guint64 count;
    guint64 max; /* as it was given */
    guint64 n[BUCKETS];
};

Latency *
latency_new(void)
{
    return g_new0(Latency, 1);
}

void
latency_free(Latency *latency)
{
    g_free(latency);
}

/* How often @ns must be halved until it fits the first buckets. */
static guint
bucket_shift(guint64 ns)
{
    guint bits = 64 - (guint)__builtin_clzll(ns | 1);
    return bits <= HALF_BITS + 1 ? 0 : bits - (HALF_BITS + 1);
}

static gsize
bucket_of(guint64 ns)
{
    guint shift = bucket_shift(ns);
    return (gsize)(shift * HALF + (ns >> shift));
}

/* The greatest value that falls into bucket @i. */
static guint64
bucket_top(gsize i)
{
    if (i < 2 * HALF) {
        return i;
    }
    guint shift = (guint)(i / HALF) - 1;
    guint64 lead = i - shift * HALF;
    return ((lead + 1) << shift) - 1;
}

void
latency_add(Latency *latency, guint64 ns)
{
    latency->n[bucket_of(MIN(ns, LATENCY_MAX_NS))]++;
    latency->count++;
    latency->max = MAX(latency->max, ns);
}

void
latency_merge(Latency *latency, const Latency *other)
{
    for (gsize i = 0; i < BUCKETS; i++) {
        latency->n[i] += other->n[i];
    }
    latency->count += other->count;
    latency->max = MAX(latency->max, other->max);
}

guint64
latency_count(const Latency *latency)
{
    return latency->count;
}

guint64
latency_max(const Latency *latency)
{
    return latency->max;
}

double
latency_mean(const Latency *latency)
{
    double sum = 0;
    for (gsize i = 0; i < BUCKETS; i++) {
        sum += (double)latency->n[i] * (double)MIN(bucket_top(i), latency->max);
    }
    return latency->count == 0 ? 0 : sum / (double)latency->count;
}

guint64
latency_percentile(const Latency *latency, double percent)
{
    guint64 rank = (guint64)ceil((double)latency->count * percent / 100);
    guint64 seen = 0;
    for (gsize i = 0; i < BUCKETS && latency->count > 0; i++) {
        seen += latency->n[i];
        if (seen >= MAX(rank, 1)) {
            return MIN(bucket_top(i), latency->max);
        }
    }
    return latency->max;
}
