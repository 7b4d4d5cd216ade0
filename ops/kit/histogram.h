/*
 * histogram.h - how long things took, log-linear, without a lock
 *
 * Sixteen steps in each power of two, as HDR histograms have: a quantile is at
 * most 6 % above the truth, from 1 us to 35 minutes, in 1.8 KB. One thread
 * counts, with plain loads and stores that are atomic; any other reads. What a
 * reader has read twice differs by what was counted in between: that is a
 * Slice, and slices add up to windows of time.
 *
 * Beside the steps each value is counted under Prometheus' bounds, which are
 * round in decimal and therefore no bounds of steps.
 */
#pragma once

#include <glib.h>
#include <stdatomic.h>

#define HISTOGRAM_STEP_BITS 4
#define HISTOGRAM_TOP_BITS 31
#define HISTOGRAM_STEPS                                                        \
    ((HISTOGRAM_TOP_BITS - HISTOGRAM_STEP_BITS + 1) << HISTOGRAM_STEP_BITS)
#define HISTOGRAM_BOUNDS 16

typedef struct Histogram {
    _Atomic guint32 step[HISTOGRAM_STEPS];       /* counts; may wrap */
    _Atomic guint64 bound[HISTOGRAM_BOUNDS + 1]; /* above the bound before,
                                                    up to this; then the rest */
    _Atomic guint64 sum_us;                      /* of all values */
    _Atomic gint64
        max_us; /* since it was last taken; the reader sets it to 0 */
} Histogram;

/* What was counted in some time. */
typedef struct HistogramSlice {
    guint32 step[HISTOGRAM_STEPS];
    gint64 max_us; /* 0 where there is nothing */
} HistogramSlice;

/* Counts since the start, for Prometheus. */
typedef struct HistogramTotals {
    guint64 bound[HISTOGRAM_BOUNDS + 1]; /* each on its own, not cumulative */
    guint64 sum_us;
} HistogramTotals;

/** histogram_bounds() - HISTOGRAM_BOUNDS upper bounds in us, ascending. */
const gint64 *histogram_bounds(void);

/** histogram_step() - the step that counts @us; below 0 as 0. */
guint histogram_step(gint64 us);

/** histogram_step_begin() - the smallest value of @step. */
gint64 histogram_step_begin(guint step);

/** histogram_record() - count a value. Thread: its one writer. */
void histogram_record(Histogram *histogram, gint64 us);

/** histogram_read() - add its steps to @sum, modulo 2^32. Thread: any. */
void histogram_read(const Histogram *histogram, HistogramSlice *sum);

/** histogram_take_max() - the longest since the last call. Thread: any. */
gint64 histogram_take_max(Histogram *histogram);

/** histogram_totals() - add its totals to @sum. Thread: any. */
void histogram_totals(const Histogram *histogram, HistogramTotals *sum);

/** histogram_slice_add() - add @more to @sum. */
void histogram_slice_add(HistogramSlice *sum, const HistogramSlice *more);

/** histogram_slice_take() - take from @later, read of the same histograms,
 * what @earlier had. @max_us stays. */
void histogram_slice_take(HistogramSlice *later, const HistogramSlice *earlier);

/** histogram_slice_count() - how many values. */
guint64 histogram_slice_count(const HistogramSlice *slice);

/**
 * histogram_slice_quantile() - what @share of the values do not exceed
 *
 * @share: 0.5 is the median.
 * Effect: the end of its step, but no more than the longest; 0 where there
 *         is nothing.
 */
gint64 histogram_slice_quantile(const HistogramSlice *slice, double share);
