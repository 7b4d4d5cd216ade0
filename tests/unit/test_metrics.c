/*
 * ops/kit/metrics: the text that Prometheus reads.
 */
#include "ops/kit/metrics.h"

#include <pthread.h>

static Metric counts[] = {
    {"comb_test_events_total", "kind=\"post\"", METRIC_COUNTER, "Events seen.",
     0},
    {"comb_test_events_total", "kind=\"follow\"", METRIC_COUNTER,
     "Events seen.", 0},
    {"comb_test_lag_ms", NULL, METRIC_GAUGE, "How far behind.", 0},
};

static void
zero_counts(void)
{
    for (gsize i = 0; i < G_N_ELEMENTS(counts); i++) {
        metric_set(&counts[i], 0);
    }
}

/* HELP and TYPE come once a name, then a sample for each set of labels. */
static void
test_text(void)
{
    Metrics *metrics = metrics_new();
    g_autofree char *text = NULL;

    zero_counts();
    metrics_register(metrics, counts, G_N_ELEMENTS(counts));
    metric_add(&counts[0], 3);
    metric_add(&counts[0], 4);
    metric_set(&counts[2], -5);
    text = metrics_text(metrics);
    g_assert_cmpstr(text, ==,
                    "# HELP comb_test_events_total Events seen.\n"
                    "# TYPE comb_test_events_total counter\n"
                    "comb_test_events_total{kind=\"post\"} 7\n"
                    "comb_test_events_total{kind=\"follow\"} 0\n"
                    "# HELP comb_test_lag_ms How far behind.\n"
                    "# TYPE comb_test_lag_ms gauge\n"
                    "comb_test_lag_ms -5\n");
    metrics_free(metrics);
}

/* What is kept in milliseconds is told in seconds, Prometheus' unit. */
static void
test_milliseconds(void)
{
    Metric table[] = {
        {"comb_x_seconds", NULL, METRIC_GAUGE_MS, "How far.", -1234}};
    Metrics *metrics = metrics_new();
    g_autofree char *text = NULL;

    metrics_register(metrics, table, G_N_ELEMENTS(table));
    text = metrics_text(metrics);
    g_assert_cmpstr(text, ==,
                    "# HELP comb_x_seconds How far.\n"
                    "# TYPE comb_x_seconds gauge\n"
                    "comb_x_seconds -1.234\n");
    metrics_free(metrics);
}

/* Two tables that share a name, as two cells in one process, make one group. */
static void
test_shared_name(void)
{
    Metric first[] = {{"comb_b", "cell=\"0\"", METRIC_GAUGE, "B.", 1},
                      {"comb_a", "cell=\"0\"", METRIC_GAUGE, "A.", 2}};
    Metric second[] = {{"comb_b", "cell=\"1\"", METRIC_GAUGE, "B.", 3}};
    Metrics *metrics = metrics_new();
    g_autofree char *text = NULL;

    metrics_register(metrics, first, G_N_ELEMENTS(first));
    metrics_register(metrics, second, G_N_ELEMENTS(second));
    text = metrics_text(metrics);
    g_assert_cmpstr(text, ==,
                    "# HELP comb_a A.\n# TYPE comb_a gauge\n"
                    "comb_a{cell=\"0\"} 2\n"
                    "# HELP comb_b B.\n# TYPE comb_b gauge\n"
                    "comb_b{cell=\"0\"} 1\ncomb_b{cell=\"1\"} 3\n");
    metrics_free(metrics);
}

static void
raise_gauge(gpointer user_data)
{
    metric_add(user_data, 1);
}

/* A refresher runs before each exposition, so that its gauge is fresh in it. */
static void
test_refresh(void)
{
    Metric table[] = {{"comb_a", NULL, METRIC_GAUGE, "A.", 0}};
    Metrics *metrics = metrics_new();
    g_autofree char *first = NULL;
    g_autofree char *second = NULL;

    metrics_register(metrics, table, 1);
    metrics_refresh(metrics, raise_gauge, &table[0]);
    first = metrics_text(metrics);
    second = metrics_text(metrics);
    g_assert_true(g_str_has_suffix(first, "comb_a 1\n"));
    g_assert_true(g_str_has_suffix(second, "comb_a 2\n"));
    metrics_free(metrics);
}

/* With no table there is nothing to tell, and NULL is freed as nothing. */
static void
test_empty(void)
{
    Metrics *metrics = metrics_new();
    g_autofree char *text = metrics_text(metrics);

    g_assert_cmpstr(text, ==, "");
    metrics_free(metrics);
    metrics_free(NULL);
}

static void *
count_often(void *user_data)
{
    for (guint i = 0; i < 10000; i++) {
        metric_add(user_data, 1);
    }
    return NULL;
}

/* Counts of several threads are neither lost nor torn while they are told. */
static void
test_threads(void)
{
    Metrics *metrics = metrics_new();
    pthread_t threads[4];

    zero_counts();
    metrics_register(metrics, counts, G_N_ELEMENTS(counts));
    for (gsize i = 0; i < G_N_ELEMENTS(threads); i++) {
        pthread_create(&threads[i], NULL, count_often, &counts[0]);
    }
    for (guint i = 0; i < 20; i++) {
        g_free(metrics_text(metrics));
    }
    for (gsize i = 0; i < G_N_ELEMENTS(threads); i++) {
        pthread_join(threads[i], NULL);
    }
    g_assert_cmpint(metric_get(&counts[0]), ==, 40000);
    metrics_free(metrics);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/metrics/milliseconds", test_milliseconds);
    g_test_add_func("/metrics/text", test_text);
    g_test_add_func("/metrics/shared-name", test_shared_name);
    g_test_add_func("/metrics/refresh", test_refresh);
    g_test_add_func("/metrics/empty", test_empty);
    g_test_add_func("/metrics/threads", test_threads);
    return g_test_run();
}
