/*
 * histogram.c - see histogram.h
 *
 * The step of a value v >= 16 is its highest bit's place and the four bits
 * after it. The counts are 32 bits and wrap: they are only ever read as
 * differences over seconds.
 */
#include "ops/kit/histogram.h"

#include <math.h>

#define STEPS_A_POWER (1u << HISTOGRAM_STEP_BITS)
#define US_MAX ((G_GINT64_CONSTANT(1) << HISTOGRAM_TOP_BITS) - 1)

static const gint64 bounds[HISTOGRAM_BOUNDS] = {
    100,   250,    500,    1000,   2500,    5000,    10000,   25000,
    50000, 100000, 250000, 500000, 1000000, 2500000, 5000000, 10000000};

const gint64 *
histogram_bounds(void)
{
    return bounds;
}

guint
histogram_step(gint64 us)
{
    guint64 value = (guint64)CLAMP(us, 0, US_MAX);

    if (value < STEPS_A_POWER) {
        return (guint)value;
    }
    guint shift = 63 - (guint)__builtin_clzll(value) - HISTOGRAM_STEP_BITS;

    return (shift << HISTOGRAM_STEP_BITS) + (guint)(value >> shift);
}

gint64
histogram_step_begin(guint step)
{
    guint shift;

    if (step < STEPS_A_POWER) {
        return step;
    }
    shift = (step >> HISTOGRAM_STEP_BITS) - 1;
    return (gint64)(STEPS_A_POWER + step % STEPS_A_POWER) << shift;
}

/* The writer is one thread, so a load and a store do. */
static void
count_one(_Atomic guint64 *counter, guint64 n)
{
    guint64 value = atomic_load_explicit(counter, memory_order_relaxed);

    atomic_store_explicit(counter, value + n, memory_order_relaxed);
}

void
histogram_record(Histogram *histogram, gint64 us)
{
    gint64 value = CLAMP(us, 0, US_MAX);
    _Atomic guint32 *step = &histogram->step[histogram_step(value)];
    guint32 before = atomic_load_explicit(step, memory_order_relaxed);
    guint bound = 0;

    while (bound < HISTOGRAM_BOUNDS && value > bounds[bound]) {
        bound++;
    }
    atomic_store_explicit(step, before + 1, memory_order_relaxed);
    count_one(&histogram->bound[bound], 1);
    count_one(&histogram->sum_us, (guint64)value);
    if (value >
        atomic_load_explicit(&histogram->max_us, memory_order_relaxed)) {
        atomic_store_explicit(&histogram->max_us, value, memory_order_relaxed);
    }
}

void
histogram_read(const Histogram *histogram, HistogramSlice *sum)
{
    for (guint i = 0; i < HISTOGRAM_STEPS; i++) {
        sum->step[i] +=
            atomic_load_explicit(&histogram->step[i], memory_order_relaxed);
    }
}

gint64
histogram_take_max(Histogram *histogram)
{
    return atomic_exchange_explicit(&histogram->max_us, 0,
                                    memory_order_relaxed);
}

void
histogram_totals(const Histogram *histogram, HistogramTotals *sum)
{
    for (guint i = 0; i <= HISTOGRAM_BOUNDS; i++) {
        sum->bound[i] +=
            atomic_load_explicit(&histogram->bound[i], memory_order_relaxed);
    }
    sum->sum_us +=
        atomic_load_explicit(&histogram->sum_us, memory_order_relaxed);
}

void
histogram_slice_add(HistogramSlice *sum, const HistogramSlice *more)
{
    for (guint i = 0; i < HISTOGRAM_STEPS; i++) {
        sum->step[i] += more->step[i];
    }
    sum->max_us = MAX(sum->max_us, more->max_us);
}

void
histogram_slice_take(HistogramSlice *later, const HistogramSlice *earlier)
{
    for (guint i = 0; i < HISTOGRAM_STEPS; i++) {
        later->step[i] -= earlier->step[i];
    }
}

guint64
histogram_slice_count(const HistogramSlice *slice)
{
    guint64 count = 0;

    for (guint i = 0; i < HISTOGRAM_STEPS; i++) {
        count += slice->step[i];
    }
    return count;
}

gint64
histogram_slice_quantile(const HistogramSlice *slice, double share)
{
    guint64 count = histogram_slice_count(slice);
    guint64 wanted = (guint64)ceil((double)count * share);
    guint64 seen = 0;
    guint step = 0;

    if (count == 0) {
        return 0;
    }
    wanted = CLAMP(wanted, 1, count);
    while ((seen += slice->step[step]) < wanted) {
        step++;
    }
    gint64 end = histogram_step_begin(step + 1) - 1;

    /* The longest may have been taken a moment before it was counted. */
    return slice->max_us >= histogram_step_begin(step) ? MIN(end, slice->max_us)
                                                       : end;
}
