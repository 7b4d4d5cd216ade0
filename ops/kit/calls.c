/*
 * calls.c - see calls.h
 *
 * Each thread's recorder begins on a cache line of its own. The rings of
 * slices are made when a method is first called; all methods' have their slots
 * at the same times. A window is the open slot and so many closed ones that it
 * is as long as was asked for.
 *
 * Users are counted in two sketches, of this span of five minutes and the one
 * before, so that the page tells of now and not of last month. Where the mutex
 * is taken, a user is not counted: a page is being made, and the sketch is an
 * estimate.
 */
#include "ops/kit/calls.h"

#include "ops/kit/ensure.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define SLOTS 60
#define USERS_SPAN_US (G_GINT64_CONSTANT(300) * G_USEC_PER_SEC)
#define CACHE_LINE 64

static const guint windows_s[CALLS_WINDOWS] = {10, 60, 300};

/* One serving thread's. */
typedef struct Recorder {
    pthread_mutex_t lock;  /* guards what follows, up to @slow */
    gint64 users_began;    /* when users[0] did; 0: not yet */
    gint64 users_before;   /* when users[1] did; 0: there is none */
    Heavy users[2];        /* of this span, and of the one before */
    SlowList slow;         /* read without the lock by its own thread */
    Histogram histogram[]; /* by method */
} Recorder;

/* A method over time; the reader's. */
typedef struct Ring {
    HistogramSlice before;      /* what was counted at the last tick */
    HistogramSlice slot[SLOTS]; /* what was counted in each slot */
} Ring;

struct Calls {
    guint threads;
    guint n_methods;      /* with the unknown ones, the last */
    const char **names;   /* n_methods - 1; the array is owned */
    gsize *lengths;       /* of the names */
    guint patient;        /* a method; n_methods: none */
    Recorder **recorders; /* by thread */
    Ring **rings;         /* by method; NULL: not called yet */
    gint64 began[SLOTS];  /* of each slot; the reader's */
    gint64 open_began;    /* of the open one */
    guint n_slots;        /* closed ones there are */
    guint newest;         /* the last one that was closed */
};

static Recorder *
recorder_new(guint n_methods)
{
    gsize bytes = sizeof(Recorder) + n_methods * sizeof(Histogram);
    Recorder *recorder = aligned_alloc(CACHE_LINE, (bytes + CACHE_LINE - 1) /
                                                       CACHE_LINE * CACHE_LINE);

    ensure(recorder != NULL);
    memset(recorder, 0, bytes);
    ensure(pthread_mutex_init(&recorder->lock, NULL) == 0);
    return recorder;
}

Calls *
calls_new(const char *const *methods, guint threads)
{
    Calls *calls = g_new0(Calls, 1);

    while (methods[calls->n_methods] != NULL) {
        calls->n_methods++;
    }
    calls->names = g_memdup2(methods, calls->n_methods * sizeof(*methods));
    calls->lengths = g_new(gsize, calls->n_methods);
    for (guint i = 0; i < calls->n_methods; i++) {
        calls->lengths[i] = strlen(methods[i]);
    }
    calls->n_methods++;
    calls->patient = calls->n_methods;
    calls->threads = threads;
    calls->recorders = g_new(Recorder *, threads);
    for (guint i = 0; i < threads; i++) {
        calls->recorders[i] = recorder_new(calls->n_methods);
    }
    calls->rings = g_new0(Ring *, calls->n_methods);
    calls->open_began = g_get_monotonic_time();
    return calls;
}

void
calls_free(Calls *calls)
{
    for (guint i = 0; i < calls->threads; i++) {
        pthread_mutex_destroy(&calls->recorders[i]->lock);
        free(calls->recorders[i]);
    }
    for (guint i = 0; i < calls->n_methods; i++) {
        g_free(calls->rings[i]);
    }
    g_free(calls->recorders);
    g_free(calls->rings);
    g_free(calls->lengths);
    g_free(calls->names);
    g_free(calls);
}

void
calls_patient(Calls *calls, const char *method)
{
    calls->patient = calls_find(calls, method, strlen(method));
}

/* Few and short: a walk costs less than a hash of the name would. */
guint
calls_find(const Calls *calls, const void *name, gsize len)
{
    guint i = 0;

    while (
        i < calls->n_methods - 1 &&
        (calls->lengths[i] != len || memcmp(calls->names[i], name, len) != 0)) {
        i++;
    }
    return i;
}

const char *
calls_name(const Calls *calls, guint method)
{
    return method < calls->n_methods - 1 ? calls->names[method] : "unknown";
}

/* ---- recording: on a serving thread ---- */

static void
count_user(Recorder *recorder, gint64 user, gint64 now)
{
    if (pthread_mutex_trylock(&recorder->lock) != 0) {
        return;
    }
    if (recorder->users_began == 0 ||
        now - recorder->users_began >= USERS_SPAN_US) {
        recorder->users[1] = recorder->users[0];
        recorder->users_before = recorder->users_began;
        recorder->users_began = now;
        heavy_init(&recorder->users[0]);
    }
    heavy_add(&recorder->users[0], user);
    pthread_mutex_unlock(&recorder->lock);
}

gboolean
calls_record(Calls *calls, guint thread, const SlowCall *call)
{
    Recorder *recorder = calls->recorders[thread];

    histogram_record(&recorder->histogram[call->method], call->us);
    if (call->user != 0) {
        count_user(recorder, call->user, call->ended);
    }
    return call->method != calls->patient &&
           slow_wants(&recorder->slow, call->us, call->ended);
}

void
calls_record_slow(Calls *calls, guint thread, const SlowCall *call)
{
    Recorder *recorder = calls->recorders[thread];

    pthread_mutex_lock(&recorder->lock);
    slow_add(&recorder->slow, call);
    pthread_mutex_unlock(&recorder->lock);
}

/* ---- windows: on the reader's thread ---- */

/* What was counted of @method since the last tick; @ret_now: since ever. */
static void
read_open(Calls *calls, guint method, HistogramSlice *ret_now,
          HistogramSlice *ret_open)
{
    memset(ret_now, 0, sizeof(*ret_now));
    for (guint i = 0; i < calls->threads; i++) {
        histogram_read(&calls->recorders[i]->histogram[method], ret_now);
    }
    *ret_open = *ret_now;
    if (calls->rings[method] != NULL) {
        histogram_slice_take(ret_open, &calls->rings[method]->before);
    }
}

static gint64
take_max(Calls *calls, guint method)
{
    gint64 max_us = 0;

    for (guint i = 0; i < calls->threads; i++) {
        gint64 taken =
            histogram_take_max(&calls->recorders[i]->histogram[method]);

        max_us = MAX(max_us, taken); /* MAX() looks twice, taking is once */
    }
    return max_us;
}

/* The ring of @method, made where it is called for the first time, else NULL.
   The longest of the open slot is kept there, as taking it is final. */
static Ring *
note_max(Calls *calls, guint method, HistogramSlice *open)
{
    Ring *ring = calls->rings[method];

    if (ring == NULL && histogram_slice_count(open) > 0) {
        ring = calls->rings[method] = g_new0(Ring, 1);
    }
    if (ring != NULL) {
        gint64 max_us = take_max(calls, method);

        ring->before.max_us = MAX(ring->before.max_us, max_us);
        open->max_us = ring->before.max_us;
    }
    return ring;
}

static void
close_slot(Calls *calls, guint method, guint slot)
{
    HistogramSlice now, open;
    Ring *ring;

    read_open(calls, method, &now, &open);
    ring = note_max(calls, method, &open);
    if (ring != NULL) {
        ring->slot[slot] = open;
        ring->before = now;
    }
}

void
calls_tick(Calls *calls, gint64 now)
{
    guint slot = (calls->newest + 1) % SLOTS;

    for (guint i = 0; i < calls->n_methods; i++) {
        close_slot(calls, i, slot);
    }
    calls->began[slot] = calls->open_began;
    calls->open_began = now;
    calls->newest = slot;
    calls->n_slots = MIN(calls->n_slots + 1, SLOTS);
}

guint
calls_window_s(guint i)
{
    return windows_s[i];
}

/* Adds slots to @sum, from the @taken newest on, back to @since; gives how many
   it has then. */
static guint
widen(const Calls *calls, const Ring *ring, HistogramSlice *sum, guint taken,
      gint64 since)
{
    while (taken < calls->n_slots) {
        guint slot = (calls->newest + SLOTS - taken) % SLOTS;
        guint after = (slot + 1) % SLOTS;
        gint64 ended = taken == 0 ? calls->open_began : calls->began[after];

        if (ended <= since) {
            break;
        }
        if (ring != NULL) {
            histogram_slice_add(sum, &ring->slot[slot]);
        }
        taken++;
    }
    return taken;
}

static void
view_method(Calls *calls, guint method, gint64 now, CallsMethod *ret)
{
    HistogramTotals totals = {0};
    HistogramSlice ever, sum;
    guint taken = 0;
    Ring *ring;

    read_open(calls, method, &ever, &sum);
    ring = note_max(calls, method, &sum);
    for (guint i = 0; i < calls->threads; i++) {
        histogram_totals(&calls->recorders[i]->histogram[method], &totals);
    }
    *ret = (CallsMethod){.name = calls_name(calls, method)};
    for (guint i = 0; i <= HISTOGRAM_BOUNDS; i++) {
        ret->calls += totals.bound[i];
    }
    for (guint i = 0; i < CALLS_WINDOWS; i++) {
        taken = widen(calls, ring, &sum, taken,
                      now - (gint64)windows_s[i] * G_USEC_PER_SEC);
        gint64 began =
            taken == 0
                ? calls->open_began
                : calls->began[(calls->newest + SLOTS + 1 - taken) % SLOTS];

        ret->window[i] = (CallsWindow){
            .us = MAX(now - began, 1),
            .calls = histogram_slice_count(&sum),
            .p50_us = histogram_slice_quantile(&sum, 0.5),
            .p99_us = histogram_slice_quantile(&sum, 0.99),
            .max_us = sum.max_us,
        };
    }
}

/* ---- users and the slowest ---- */

/* Copies what is not too old into @copies; gives when the oldest began. */
static gint64
copy_users(const Recorder *recorder, gint64 now, GPtrArray *copies)
{
    const gint64 began[2] = {recorder->users_began, recorder->users_before};
    gint64 oldest = now;

    for (guint i = 0; i < 2; i++) {
        if (began[i] > 0 && now - began[i] < 2 * USERS_SPAN_US) {
            g_ptr_array_add(copies,
                            g_memdup2(&recorder->users[i], sizeof(Heavy)));
            oldest = MIN(oldest, began[i]);
        }
    }
    return oldest;
}

static void
view_recorders(Calls *calls, gint64 now, CallsView *view)
{
    g_autoptr(GPtrArray) copies = g_ptr_array_new_with_free_func(g_free);
    gint64 oldest = now;

    for (guint i = 0; i < calls->threads; i++) {
        Recorder *recorder = calls->recorders[i];
        gint64 began;

        pthread_mutex_lock(&recorder->lock);
        began = copy_users(recorder, now, copies);
        oldest = MIN(oldest, began);
        view->n_slowest =
            slow_merge(&recorder->slow, now, view->slowest, view->n_slowest);
        pthread_mutex_unlock(&recorder->lock);
    }
    for (guint i = 0; i < copies->len; i++) {
        const Heavy *heavy = g_ptr_array_index(copies, i);

        view->with_user += heavy->total;
    }
    view->hottest_us = now - oldest;
    view->n_hottest = heavy_merge((const Heavy *const *)copies->pdata,
                                  copies->len, view->hottest, CALLS_HOTTEST);
}

void
calls_view(Calls *calls, gint64 now, CallsView *ret_view)
{
    *ret_view = (CallsView){.n_methods = calls->n_methods};
    ret_view->methods = g_new0(CallsMethod, calls->n_methods);
    for (guint i = 0; i < calls->n_methods; i++) {
        view_method(calls, i, now, &ret_view->methods[i]);
    }
    view_recorders(calls, now, ret_view);
}

void
calls_view_clear(CallsView *view)
{
    g_clear_pointer(&view->methods, g_free);
}

/* ---- for Prometheus ---- */

static void
append_bound(GString *text, gint64 us)
{
    char number[G_ASCII_DTOSTR_BUF_SIZE];

    g_string_append(text, g_ascii_formatd(number, sizeof(number), "%g",
                                          (double)us / G_USEC_PER_SEC));
}

static void
append_method(const Calls *calls, guint method, const char *name,
              const char *labels, GString *text)
{
    g_autofree char *all =
        g_strdup_printf("%s,method=\"%s\"", labels, calls_name(calls, method));
    HistogramTotals totals = {0};
    guint64 count = 0;

    for (guint i = 0; i < calls->threads; i++) {
        histogram_totals(&calls->recorders[i]->histogram[method], &totals);
    }
    for (guint i = 0; i <= HISTOGRAM_BOUNDS; i++) {
        count += totals.bound[i];
        g_string_append_printf(text, "%s_bucket{%s,le=\"", name, all);
        if (i < HISTOGRAM_BOUNDS) {
            append_bound(text, histogram_bounds()[i]);
        } else {
            g_string_append(text, "+Inf");
        }
        g_string_append_printf(text, "\"} %" G_GUINT64_FORMAT "\n", count);
    }
    g_string_append_printf(text,
                           "%s_sum{%s} %" G_GUINT64_FORMAT
                           ".%06" G_GUINT64_FORMAT
                           "\n%s_count{%s} %" G_GUINT64_FORMAT "\n",
                           name, all, totals.sum_us / G_USEC_PER_SEC,
                           totals.sum_us % G_USEC_PER_SEC, name, all, count);
}

void
calls_metrics(const Calls *calls, const char *name, const char *labels,
              GString *text)
{
    for (guint i = 0; i < calls->n_methods; i++) {
        append_method(calls, i, name, labels, text);
    }
}
