/*
 * ops/kit/histogram: steps, quantiles and Prometheus' bounds.
 */
#include "ops/kit/histogram.h"

#include <pthread.h>

/* Every value lies in its step, and steps leave no gap. */
static void
test_steps(void)
{
    for (guint step = 0; step + 1 < HISTOGRAM_STEPS; step++) {
        gint64 begin = histogram_step_begin(step);
        gint64 end = histogram_step_begin(step + 1);

        g_assert_cmpint(begin, <, end);
        g_assert_cmpuint(histogram_step(begin), ==, step);
        g_assert_cmpuint(histogram_step(end - 1), ==, step);
    }
    g_assert_cmpuint(histogram_step(-5), ==, 0);
    g_assert_cmpuint(histogram_step(G_MAXINT64), ==, HISTOGRAM_STEPS - 1);
}

static void
fill(Histogram *histogram, gint64 first, gint64 last)
{
    for (gint64 us = first; us <= last; us++) {
        histogram_record(histogram, us);
    }
}

/* Quantiles are at most 6 % above the truth and never above the longest. */
static void
test_quantiles(void)
{
    g_autofree Histogram *histogram = g_new0(Histogram, 1);
    HistogramSlice slice = {0};
    static const struct {
        double share;
        gint64 truth;
    } rows[] = {{0.01, 100}, {0.5, 5000}, {0.99, 9900}, {1, 10000}};

    fill(histogram, 1, 10000);
    histogram_read(histogram, &slice);
    slice.max_us = histogram_take_max(histogram);
    g_assert_cmpint(slice.max_us, ==, 10000);
    g_assert_cmpuint(histogram_slice_count(&slice), ==, 10000);
    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        gint64 told = histogram_slice_quantile(&slice, rows[i].share);

        g_assert_cmpint(told, >=, rows[i].truth);
        g_assert_cmpint(told, <=, MIN(rows[i].truth * 107 / 100, 10000));
    }
}

/* Nothing counted has no quantile, and 0 us is a value like others. */
static void
test_empty(void)
{
    g_autofree Histogram *histogram = g_new0(Histogram, 1);
    HistogramSlice slice = {0};

    g_assert_cmpint(histogram_slice_quantile(&slice, 0.99), ==, 0);
    histogram_record(histogram, 0);
    histogram_read(histogram, &slice);
    g_assert_cmpuint(histogram_slice_count(&slice), ==, 1);
    g_assert_cmpint(histogram_slice_quantile(&slice, 1), ==, 0);
}

/* The difference of two readings is what was counted between them. */
static void
test_slices(void)
{
    g_autofree Histogram *histogram = g_new0(Histogram, 1);
    HistogramSlice before = {0}, after = {0};

    fill(histogram, 1, 100);
    histogram_read(histogram, &before);
    g_assert_cmpint(histogram_take_max(histogram), ==, 100);
    fill(histogram, 2000, 2009);
    histogram_read(histogram, &after);
    histogram_slice_take(&after, &before);
    after.max_us = histogram_take_max(histogram);
    g_assert_cmpuint(histogram_slice_count(&after), ==, 10);
    g_assert_cmpint(histogram_slice_quantile(&after, 0.5), >=, 2000);
    g_assert_cmpint(after.max_us, ==, 2009);
    histogram_slice_add(&after, &before);
    g_assert_cmpuint(histogram_slice_count(&after), ==, 110);
}

/* A bound counts what is up to it, itself included. */
static void
test_bounds(void)
{
    g_autofree Histogram *histogram = g_new0(Histogram, 1);
    const gint64 *bounds = histogram_bounds();
    HistogramTotals totals = {0};

    for (guint i = 0; i < HISTOGRAM_BOUNDS; i++) {
        histogram_record(histogram, bounds[i]);
        histogram_record(histogram, bounds[i] + 1);
        totals.sum_us -= (guint64)(2 * bounds[i] + 1);
    }
    histogram_totals(histogram, &totals);
    g_assert_cmpuint(totals.bound[0], ==, 1);
    for (guint i = 1; i < HISTOGRAM_BOUNDS; i++) {
        g_assert_cmpuint(totals.bound[i], ==, 2);
    }
    g_assert_cmpuint(totals.bound[HISTOGRAM_BOUNDS], ==, 1);
    g_assert_cmpuint(totals.sum_us, ==, 0);
}

static void *
record_many(void *histogram)
{
    fill(histogram, 1, 100000);
    return NULL;
}

/* Reading while another thread counts loses nothing and races with nothing. */
static void
test_reading_beside(void)
{
    g_autofree Histogram *histogram = g_new0(Histogram, 1);
    HistogramSlice slice = {0};
    pthread_t writer;

    pthread_create(&writer, NULL, record_many, histogram);
    for (guint i = 0; i < 100; i++) {
        HistogramSlice now = {0};

        histogram_read(histogram, &now);
        histogram_take_max(histogram);
    }
    pthread_join(writer, NULL);
    histogram_read(histogram, &slice);
    g_assert_cmpuint(histogram_slice_count(&slice), ==, 100000);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/histogram/steps", test_steps);
    g_test_add_func("/histogram/quantiles", test_quantiles);
    g_test_add_func("/histogram/empty", test_empty);
    g_test_add_func("/histogram/slices", test_slices);
    g_test_add_func("/histogram/bounds", test_bounds);
    g_test_add_func("/histogram/reading-beside", test_reading_beside);
    return g_test_run();
}
