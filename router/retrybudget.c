#include "router/retrybudget.h"

#include <string.h>

void
retrybudget_init(RetryBudget *budget)
{
    memset(budget, 0, sizeof *budget);
}

/* Forgets the seconds that have become too old; the place of this one. */
static guint
budget_settle(RetryBudget *budget, gint64 now_us)
{
    gint64 second = now_us / G_USEC_PER_SEC;
    gint64 from = MAX(budget->second + 1, second - RETRYBUDGET_SECONDS + 1);
    for (gint64 s = from; s <= second; s++) {
        budget->tries[s % RETRYBUDGET_SECONDS] = 0;
        budget->retries[s % RETRYBUDGET_SECONDS] = 0;
    }
    budget->second = MAX(budget->second, second);
    return (guint)(budget->second % RETRYBUDGET_SECONDS);
}

void
retrybudget_try(RetryBudget *budget, gint64 now_us)
{
    budget->tries[budget_settle(budget, now_us)]++;
}

gboolean
retrybudget_take(RetryBudget *budget, gint64 now_us)
{
    guint place = budget_settle(budget, now_us);
    guint64 tries = 0;
    guint64 retries = 0;
    for (guint i = 0; i < RETRYBUDGET_SECONDS; i++) {
        tries += budget->tries[i];
        retries += budget->retries[i];
    }
    guint64 allowed = RETRYBUDGET_SECONDS * RETRYBUDGET_MIN_PER_S +
                      tries * RETRYBUDGET_PERCENT / 100;
    if (retries >= allowed) {
        return FALSE;
    }
    budget->retries[place]++;
    return TRUE;
}
