/*
 * calls.h - what a server's calls cost: rates, latencies, users, the slowest
 *
 * Measured where it is cheap: each serving thread has a recorder of its own
 * and counts there with relaxed atomics; the sketch of its users and its
 * slowest calls are under a mutex that nobody else holds but for the moment
 * in which a page is made. A call costs well under 100 ns.
 *
 * Read where there is time: the admin thread comes by every CALLS_TICK_S
 * seconds, notes what was counted since, and has so the last five minutes.
 */
#pragma once

#include "ops/kit/heavy.h"
#include "ops/kit/histogram.h"
#include "ops/kit/slow.h"

#define CALLS_TICK_S 5
#define CALLS_WINDOWS 3
#define CALLS_HOTTEST 10

typedef struct Calls Calls;

/* A method in one window of time. */
typedef struct CallsWindow {
    gint64 us; /* how long it is: a little more than asked for, or less where
                  the server is younger */
    guint64 calls;
    gint64 p50_us;
    gint64 p99_us;
    gint64 max_us;
} CallsWindow;

typedef struct CallsMethod {
    const char *name; /* borrowed */
    guint64 calls;    /* since the start */
    CallsWindow window[CALLS_WINDOWS];
} CallsMethod;

typedef struct CallsView {
    guint n_methods;
    CallsMethod *methods; /* in the server's order, then what it does not know;
                             owned */
    guint n_hottest;
    HeavyEntry hottest[CALLS_HOTTEST]; /* users */
    guint64 with_user;                 /* calls that name one; of this time */
    gint64 hottest_us;                 /* the time that they are of */
    guint n_slowest;
    SlowCall slowest[SLOW_CALLS]; /* the slowest first */
} CallsView;

/**
 * calls_new() - recorders for @threads threads
 *
 * @methods: names, ending with NULL; they outlive it, the array is copied.
 * Owns:     the caller; calls_free(), when nobody records or looks.
 */
Calls *calls_new(const char *const *methods, guint threads);
void calls_free(Calls *calls);

/** calls_patient() - @method may wait because its caller asks it to: it is not
 * told among the slowest. Thread: before any records. */
void calls_patient(Calls *calls, const char *method);

/** calls_find() - the index of the method called so, or that of all unknown
 * ones. Thread: any. */
guint calls_find(const Calls *calls, const void *name, gsize len);

/** calls_name() - the name of @method; borrowed. */
const char *calls_name(const Calls *calls, guint method);

/**
 * calls_record() - a call was answered
 *
 * @call:   its @us, @ended, @user and @method; the rest is not looked at.
 * Effect:  TRUE where it belongs to the slowest: calls_record_slow() wants all
 *          of it.
 * Thread:  the serving thread @thread, no other.
 */
gboolean calls_record(Calls *calls, guint thread, const SlowCall *call);

/** calls_record_slow() - keep @call, copied. Thread: as calls_record(). */
void calls_record_slow(Calls *calls, guint thread, const SlowCall *call);

/** calls_tick() - note what was counted until @now, monotonic us. Thread: the
 * one that looks. */
void calls_tick(Calls *calls, gint64 now);

/** calls_window_s() - the length of window @i, in seconds. */
guint calls_window_s(guint i);

/**
 * calls_view() - all of it, as it is now
 *
 * Owns:   the caller clears *ret_view with calls_view_clear().
 * Thread: that of calls_tick().
 */
void calls_view(Calls *calls, gint64 now, CallsView *ret_view);
void calls_view_clear(CallsView *view);

/**
 * calls_metrics() - samples of a Prometheus histogram, without its HELP
 *
 * @name:   "comb_call_seconds". @labels: "server=\"router\"", before the
 *          method's.
 * Effect:  appended to @text. Thread: any.
 */
void calls_metrics(const Calls *calls, const char *name, const char *labels,
                   GString *text);
