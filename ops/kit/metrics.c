/*
 * Metrics: borrowed tables, told in Prometheus' text format.
 *
 * Modules own their tables and count in them with relaxed atomics; nothing
 * here is on the data path. A scrape calls the refreshers, gathers every
 * metric of every table and sorts by name, because the format wants all
 * samples of one name together and comb-solo registers a table a cell. The
 * sort is stable, so that samples keep the order of their tables.
 *
 * The mutex guards the lists of tables and refreshers. It is held for the
 * whole scrape: a refresher may set metrics and must not register any.
 */
#include "ops/kit/metrics.h"

#include "ops/kit/ensure.h"

#include <pthread.h>
#include <string.h>

typedef struct Refresher {
    void (*refresh)(gpointer user_data);
    gpointer user_data; /* borrowed */
} Refresher;

struct Metrics {
    pthread_mutex_t lock; /* guards both arrays */
    GPtrArray *shown;     /* Metric, borrowed from the modules' tables */
    GArray *refreshers;   /* Refresher */
};

Metrics *
metrics_new(void)
{
    Metrics *metrics = g_new0(Metrics, 1);

    ensure(pthread_mutex_init(&metrics->lock, NULL) == 0);
    metrics->shown = g_ptr_array_new();
    metrics->refreshers = g_array_new(FALSE, FALSE, sizeof(Refresher));
    return metrics;
}

void
metrics_free(Metrics *metrics)
{
    if (!metrics) {
        return;
    }
    g_ptr_array_unref(metrics->shown);
    g_array_unref(metrics->refreshers);
    pthread_mutex_destroy(&metrics->lock);
    g_free(metrics);
}

static gint
compare_names(gconstpointer a, gconstpointer b)
{
    const Metric *const *left = a;
    const Metric *const *right = b;

    return strcmp((*left)->name, (*right)->name);
}

void
metrics_register(Metrics *metrics, Metric *table, gsize n)
{
    pthread_mutex_lock(&metrics->lock);
    for (gsize i = 0; i < n; i++) {
        g_ptr_array_add(metrics->shown, &table[i]);
    }
    pthread_mutex_unlock(&metrics->lock);
}

void
metrics_refresh(Metrics *metrics, void (*refresh)(gpointer user_data),
                gpointer user_data)
{
    Refresher refresher = {refresh, user_data};

    pthread_mutex_lock(&metrics->lock);
    g_array_append_val(metrics->refreshers, refresher);
    pthread_mutex_unlock(&metrics->lock);
}

static void
append_head(GString *text, const Metric *metric)
{
    g_string_append_printf(
        text, "# HELP %s %s\n# TYPE %s %s\n", metric->name, metric->help,
        metric->name, metric->kind == METRIC_COUNTER ? "counter" : "gauge");
}

static void
append_value(GString *text, MetricKind kind, gint64 value)
{
    if (kind == METRIC_GAUGE_MS) {
        g_string_append_printf(text, " %.3f\n", (double)value / 1000);
    } else {
        g_string_append_printf(text, " %" G_GINT64_FORMAT "\n", value);
    }
}

static void
append_sample(GString *text, const Metric *metric)
{
    g_string_append(text, metric->name);
    if (metric->labels) {
        g_string_append_printf(text, "{%s}", metric->labels);
    }
    append_value(text, metric->kind, metric_get(metric));
}

static void
call_refreshers(const Metrics *metrics)
{
    for (guint i = 0; i < metrics->refreshers->len; i++) {
        Refresher *it = &g_array_index(metrics->refreshers, Refresher, i);

        it->refresh(it->user_data);
    }
}

char *
metrics_text(Metrics *metrics)
{
    GString *text = g_string_new(NULL);
    const char *told = NULL;

    pthread_mutex_lock(&metrics->lock);
    call_refreshers(metrics);
    g_ptr_array_sort(metrics->shown, compare_names);
    for (guint i = 0; i < metrics->shown->len; i++) {
        const Metric *metric = g_ptr_array_index(metrics->shown, i);

        if (!told || strcmp(told, metric->name) != 0) {
            append_head(text, metric);
            told = metric->name;
        }
        append_sample(text, metric);
    }
    pthread_mutex_unlock(&metrics->lock);
    return g_string_free(text, FALSE);
}
