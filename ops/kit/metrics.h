/*
 * metrics.h - counters and gauges declared as a table, told in Prometheus' text
 *
 * A module declares an array of Metric with static names and a sentence each,
 * counts with metric_add() from any thread, and registers the array once.
 * Text format: https://prometheus.io/docs/instrumenting/exposition_formats/
 */
#pragma once

#include <glib.h>
#include <stdatomic.h>

typedef enum MetricKind {
    METRIC_COUNTER, /* the name ends in _total */
    METRIC_GAUGE,
    METRIC_GAUGE_MS, /* in milliseconds, told in seconds: _seconds */
} MetricKind;

typedef struct Metric {
    const char *name;     /* comb_... */
    const char *labels;   /* "kind=\"post\"", or NULL; a name's labels differ */
    MetricKind kind;      /* the same for all of one name */
    const char *help;     /* a sentence, the same for all of one name */
    _Atomic gint64 value; /* any thread, relaxed */
} Metric;

typedef struct Metrics Metrics;

/** metrics_new() - show nothing yet. Owns: metrics_free(), tables remain. */
Metrics *metrics_new(void);
void metrics_free(Metrics *metrics);

/**
 * metrics_register() - show @table
 *
 * Owns:   borrows @table until the last metrics_text().
 * Thread: any, but not a refresher.
 */
void metrics_register(Metrics *metrics, Metric *table, gsize n);

/**
 * metrics_refresh() - call @refresh before each exposition
 *
 * Effect: for gauges that are computed when asked for. It may set metrics,
 *         and must neither register nor wait for whoever does.
 * Owns:   borrows @user_data until the last metrics_text().
 */
void metrics_refresh(Metrics *metrics, void (*refresh)(gpointer user_data),
                     gpointer user_data);

/** metrics_text() - the exposition. Owns: the caller frees. Thread: any. */
char *metrics_text(Metrics *metrics);

/** metric_add() - count @n more. Thread: any; relaxed, no order is promised. */
static inline void
metric_add(Metric *metric, gint64 n)
{
    atomic_fetch_add_explicit(&metric->value, n, memory_order_relaxed);
}

/** metric_set() - make it @value. Thread: any. */
static inline void
metric_set(Metric *metric, gint64 value)
{
    atomic_store_explicit(&metric->value, value, memory_order_relaxed);
}

/** metric_get() - its value now. Thread: any. */
static inline gint64
metric_get(const Metric *metric)
{
    return atomic_load_explicit(&metric->value, memory_order_relaxed);
}
