/*
 * status.h - what the admin port's /status and a part of its /metrics tell of
 *
 * Made by main(), given to each part of the daemon, which adds itself, and to
 * the admin port, which asks. As with Metrics: what was added is looked at
 * until the admin port has stopped.
 */
#pragma once

#include "ops/kit/section.h"
#include "ops/kit/settings.h"

typedef struct Status Status;

/* Tells what there is to tell now; on the admin thread, which must not be kept
   waiting. Its calls are told already. */
typedef void (*StatusTell)(Section *section, gpointer user_data);

typedef struct StatusPart {
    const char *name;   /* "router", "cell 0"; copied */
    const char *labels; /* of its comb_call_seconds: server="router"; copied */
    Calls *calls;       /* of its server; borrowed */
    StatusTell tell;
    gpointer user_data; /* borrowed */
} StatusPart;

/* What the admin port knows when it is asked. */
typedef struct StatusAsk {
    const char *unhealthy; /* why, or NULL */
    const char *unready;   /* likewise */
    guint refresh_s;       /* 0: not wished for */
} StatusAsk;

/**
 * status_new() - of a daemon without parts yet
 *
 * @daemon, @summary, @settings, @options: as DaemonProgram has them; borrowed.
 * Owns:   the caller; status_free(), parts remain.
 */
Status *status_new(const char *daemon, const char *summary,
                   const Setting *settings, gconstpointer options);
void status_free(Status *status);

/**
 * status_add() - one more part
 *
 * Owns:   copies @part, not its calls and user data.
 * Thread: any, but not a StatusTell.
 */
void status_add(Status *status, const StatusPart *part);

/** status_tick() - note what time has gone by; every CALLS_TICK_S seconds.
 * Thread: the admin port's, here and below. */
void status_tick(Status *status);

/** status_page() - the page. Owns: the caller frees. */
char *status_page(Status *status, const StatusAsk *ask);

/** status_metrics() - build, process and calls, appended in Prometheus' text.
 */
void status_metrics(Status *status, GString *text);
