/*
 * bench_load.h - the load: calls over connections, and what became of them
 *
 * Closed loop (no rate): every connection always has `depth` calls under way,
 * so the service sets the pace; a call's time runs from when it was made. What
 * that finds is capacity.
 *
 * Open loop (a rate): calls are due at times of their own, whatever the
 * service does, and a call's time runs from when it was *due*. A service that
 * stalls for a second then shows all the waiting of that second; to count from
 * when the call was sent would leave it out (Gil Tene's "coordinated
 * omission"). Where every connection is full, due calls wait here, and that
 * counts too.
 *
 * A run: warm-up, of which nothing counts; the window; then up to the deadline
 * for the calls of the window that are still under way.
 */
#pragma once

#include "ops/combctl/bench_conn.h"
#include "ops/combctl/bench_latency.h"
#include "ops/combctl/bench_users.h"

typedef struct LoadOptions {
    const char *address; /* for messages */
    struct sockaddr_storage sockaddr;
    socklen_t sockaddr_len;
    guint connections; /* 1 or more */
    guint depth;       /* calls under way on each */
    double rate;       /* calls a second; 0: closed loop */
    gboolean constant; /* even gaps; else a Poisson process */
    double warmup_s;
    double duration_s;
    RequestForm form;
    guint share[BENCH_METHODS]; /* of 100 calls */
    gboolean check;             /* decode answers whole */
    guint64 seed;
    guint timeout_ms; /* for connecting */
    Users *users;     /* borrowed */
    GArray *posts;    /* gint64, for getPosts; borrowed, may be NULL */
} LoadOptions;

typedef struct LoadResult {
    double seconds;                  /* of the window */
    guint64 answers[ANSWER_KINDS];   /* to the window's calls, by kind */
    guint64 in_window;               /* good answers that came within it */
    Latency *latency[BENCH_METHODS]; /* of good answers; owned */
    Latency *late;                   /* open loop: due until sent; owned */
    Latency *refused;                /* overloaded ones: sent until answered;
                                        owned */
    guint64 entries;                 /* in good answers */
    guint64 incomplete;              /* good ones that say so */
    guint64 bytes_in;                /* of answers, within the window */
    guint64 unanswered;              /* at the end, or by a broken
                                        connection */
    guint64 unsent;                  /* due in the window and never sent */
    guint64 broken;                  /* connections, in the whole run */
    const char *broken_why;          /* the last one; static */
    const char *fault;               /* of a malformed answer; static */
    double cpu_us;                   /* of this process in the window */
    gboolean interrupted;
} LoadResult;

/**
 * load_run() - the whole run
 *
 * Owns:  *ret_result: load_result_clear().
 * Fails: COMB_ERROR_UNREACHABLE where it cannot connect, COMB_ERROR_INPUT
 *        where it was interrupted before the window.
 */
gboolean load_run(const LoadOptions *options, LoadResult *ret_result,
                  GError **error);
void load_result_clear(LoadResult *result);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(LoadResult, load_result_clear)
