/*
 * bench_latency.h - how long calls took: a log-linear histogram
 *
 * The buckets of HdrHistogram at three significant digits: values up to 2,047
 * ns each have one of their own, and from there on every doubling has 1,024 of
 * equal width. So whatever was recorded is known to 0.1 %, adding costs one
 * increment, and no sample is kept (http://hdrhistogram.org). What takes
 * longer than LATENCY_MAX_NS counts as that; the greatest is exact.
 */
#pragma once

#include <glib.h>

/* Over an hour. */
#define LATENCY_MAX_NS ((G_GUINT64_CONSTANT(1) << 42) - 1)

typedef struct Latency Latency;

/** latency_new() - nothing recorded. Owns: latency_free(). */
Latency *latency_new(void);
void latency_free(Latency *latency);

/** latency_add() - one more value. */
void latency_add(Latency *latency, guint64 ns);

/** latency_merge() - all that @other has, too. */
void latency_merge(Latency *latency, const Latency *other);

/** latency_count() - how many there are. */
guint64 latency_count(const Latency *latency);

/** latency_max() - the greatest, exactly; 0 where there are none. */
guint64 latency_max(const Latency *latency);

/** latency_mean() - of the values as they are told; 0 where there are none. */
double latency_mean(const Latency *latency);

/**
 * latency_percentile() - the nearest rank, the greatest value of its bucket
 *
 * @percent: above 0, up to 100.
 * Effect:   never above latency_max(); 0 where there are none.
 */
guint64 latency_percentile(const Latency *latency, double percent);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Latency, latency_free)
