/*
 * log_ends.c - see log_ends.h
 *
 * Each look asks for a number of its own: it is answered when a round that
 * began after it has ended. A round that fails changes nothing; what is told
 * then is old, and its age is told with it.
 */
#include "firehose/log_ends.h"

#include "ops/kit/ensure.h"

#include <pthread.h>
#include <time.h>

#define LOOK_MS_MAX 250

typedef struct LogEnd {
    guint64 first;
    guint64 end;
} LogEnd;

struct LogEnds {
    Log *log; /* borrowed */
    guint n;  /* partitions */
    pthread_t thread;
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t changed;
    guint64 asked;         /* looks so far */
    guint64 answered;      /* looks that a round has ended for */
    guint64 answered_well; /* of these, the last whose round was told all */
    gboolean stopping;
    gint64 told_us; /* when the log told @end; 0: never */
    LogEnd *end;    /* by partition */
};

/* Everything, or FALSE. */
static gboolean
ask(LogEnds *ends, LogEnd *ret_end)
{
    for (guint i = 0; i < ends->n; i++) {
        if (!log_bounds(ends->log, i, &ret_end[i].first, &ret_end[i].end,
                        NULL)) {
            return FALSE;
        }
    }
    return TRUE;
}

/* With the lock, which is let go meanwhile. */
static void
go_round(LogEnds *ends, LogEnd *fresh)
{
    guint64 asked = ends->asked;
    gboolean told;

    pthread_mutex_unlock(&ends->lock);
    told = ask(ends, fresh);
    pthread_mutex_lock(&ends->lock);
    if (told) {
        for (guint i = 0; i < ends->n; i++) {
            ends->end[i] = fresh[i];
        }
        ends->told_us = g_get_monotonic_time();
        ends->answered_well = asked;
    }
    ends->answered = asked;
    pthread_cond_broadcast(&ends->changed);
}

static void *
run(void *user_data)
{
    LogEnds *ends = user_data;
    g_autofree LogEnd *fresh = g_new0(LogEnd, ends->n);

    pthread_mutex_lock(&ends->lock);
    while (!ends->stopping) {
        if (ends->answered == ends->asked) {
            pthread_cond_wait(&ends->changed, &ends->lock);
        } else {
            go_round(ends, fresh);
        }
    }
    pthread_mutex_unlock(&ends->lock);
    return NULL;
}

LogEnds *
log_ends_start(Log *log)
{
    LogEnds *ends = g_new0(LogEnds, 1);
    pthread_condattr_t monotonic;

    ends->log = log;
    ends->n = log_partitions(log);
    ends->end = g_new0(LogEnd, ends->n);
    ensure(pthread_mutex_init(&ends->lock, NULL) == 0);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    ensure(pthread_cond_init(&ends->changed, &monotonic) == 0);
    pthread_condattr_destroy(&monotonic);
    ensure(pthread_create(&ends->thread, NULL, run, ends) == 0);
    return ends;
}

/* With the lock. */
static guint64
ask_anew(LogEnds *ends)
{
    pthread_cond_broadcast(&ends->changed);
    return ++ends->asked;
}

/* With the lock. */
static LogEndsOutcome
take(const LogEnds *ends, guint64 ask, guint64 *ret_end)
{
    if (ends->answered < ask) {
        return LOG_ENDS_WAIT;
    }
    if (ends->answered_well < ask) {
        return LOG_ENDS_SILENT;
    }
    for (guint i = 0; i < ends->n; i++) {
        ret_end[i] = ends->end[i].end;
    }
    return LOG_ENDS_TOLD;
}

/* With the lock; the number of the look. */
static guint64
look(LogEnds *ends)
{
    gint64 until_us = g_get_monotonic_time() + LOOK_MS_MAX * 1000;
    const struct timespec until = {until_us / G_USEC_PER_SEC,
                                   until_us % G_USEC_PER_SEC * 1000};
    guint64 mine = ask_anew(ends);

    while (ends->answered < mine &&
           pthread_cond_timedwait(&ends->changed, &ends->lock, &until) == 0) {
    }
    return mine;
}

gboolean
log_ends_get(LogEnds *ends, guint64 *ret_end)
{
    gboolean told;

    pthread_mutex_lock(&ends->lock);
    told = take(ends, look(ends), ret_end) == LOG_ENDS_TOLD;
    pthread_mutex_unlock(&ends->lock);
    return told;
}

guint64
log_ends_ask(LogEnds *ends)
{
    guint64 ask;

    pthread_mutex_lock(&ends->lock);
    ask = ask_anew(ends);
    pthread_mutex_unlock(&ends->lock);
    return ask;
}

LogEndsOutcome
log_ends_take(LogEnds *ends, guint64 ask, guint64 *ret_end)
{
    LogEndsOutcome outcome;

    pthread_mutex_lock(&ends->lock);
    outcome = take(ends, ask, ret_end);
    pthread_mutex_unlock(&ends->lock);
    return outcome;
}

void
log_ends_tell(LogEnds *ends, const _Atomic guint64 *next, Section *section)
{
    pthread_mutex_lock(&ends->lock);
    look(ends);
    gboolean told = ends->told_us != 0;

    for (guint i = 0; i < ends->n; i++) {
        SectionPartition partition = {
            .partition = i,
            .first = told ? (gint64)ends->end[i].first : -1,
            .next = next != NULL ? (gint64)next[i] : -1,
            .end = told ? (gint64)ends->end[i].end : -1,
        };

        section_partition(section, &partition);
    }
    if (told) {
        section->log_age_ms = (g_get_monotonic_time() - ends->told_us) / 1000;
    }
    pthread_mutex_unlock(&ends->lock);
}

void
log_ends_stop(LogEnds *ends)
{
    pthread_mutex_lock(&ends->lock);
    ends->stopping = TRUE;
    pthread_cond_broadcast(&ends->changed);
    pthread_mutex_unlock(&ends->lock);
    pthread_join(ends->thread, NULL);
    pthread_cond_destroy(&ends->changed);
    pthread_mutex_destroy(&ends->lock);
    g_free(ends->end);
    g_free(ends);
}
