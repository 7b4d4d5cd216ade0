/*
 * sim.h - one seed: a world, its log, one or two cells, and what befalls them
 */
#pragma once

#include "tests/sim/disk.h"

#define SIM_KILLS_MAX 32

/* Sums over seeds; of guint64 only, so that they can be added up. */
typedef struct SimTotals {
    guint64 seeds;
    guint64 failures;
    guint64 events;  /* made */
    guint64 records; /* appended: events, again and again */
    guint64 ops;     /* of the schedules */
    guint64 opens;   /* of cells, also those that failed */
    guint64 between; /* crashes between two operations */
    guint64 faults[DISK_FAULTS];
    guint64 kills[SIM_KILLS_MAX]; /* by kill point */
    guint64 log_stops;
    guint64 clean_stops;
    guint64 damaged;     /* tail files */
    guint64 rebuilt;     /* cells, from nothing, for want of one */
    guint64 checkpoints; /* done */
    guint64 pages;       /* compared */
    guint64 posts;       /* in them */
    guint64 loose;       /* pages of cells that repeat */
    guint64 quiet;       /* times that everything was compared at the end */
    guint64 digest;      /* of all pages, in no order */
} SimTotals;

/**
 * sim_run() - run a seed
 *
 * @verbose: print each operation.
 * Effect:   adds to @totals. NULL, or what differs.
 * Owns:     the caller frees.
 */
char *sim_run(guint64 seed, gboolean verbose, SimTotals *totals);
