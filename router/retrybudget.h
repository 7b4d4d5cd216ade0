/*
 * retrybudget.h - how many calls may be sent a second time (private)
 *
 * Retries hurt most where they come from everybody at once: a cell that is
 * in trouble makes the others work more, and they get into trouble too. So
 * over any RETRYBUDGET_SECONDS at most RETRYBUDGET_PERCENT of the first tries
 * are retried, and RETRYBUDGET_MIN_PER_S a second for who asks seldom. It is
 * Finagle's RetryBudget, counted in whole seconds:
 * https://twitter.github.io/finagle/guide/Clients.html#retries
 *
 * Thread: its owner's.
 */
#pragma once

#include <glib.h>

#define RETRYBUDGET_SECONDS 10
#define RETRYBUDGET_PERCENT 20
#define RETRYBUDGET_MIN_PER_S 1

typedef struct RetryBudget {
    gint64 second;                        /* the newest that is counted */
    guint64 tries[RETRYBUDGET_SECONDS];   /* by second modulo size */
    guint64 retries[RETRYBUDGET_SECONDS]; /* granted; likewise */
} RetryBudget;

/** retrybudget_init() - as if nothing had been tried for long. */
void retrybudget_init(RetryBudget *budget);

/** retrybudget_try() - count a first try. @now_us: any clock that only rises.
 */
void retrybudget_try(RetryBudget *budget, gint64 now_us);

/** retrybudget_take() - count a retry where there may be one; else FALSE. */
gboolean retrybudget_take(RetryBudget *budget,
                          gint64 now_us) G_GNUC_WARN_UNUSED_RESULT;
