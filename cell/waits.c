/*
 * The life of a wait: parked at the end of its thread's list, with the bell
 * awaited; looked at after each commit and when the earliest time on the list
 * is over; taken off and read again from the start, because the user may have
 * moved meanwhile. What is due is read in rounds, so that a thousand waits
 * that are due at once do not hold up a thread's other calls.
 *
 * Nothing here takes a lock but the end: a thread that has ever parked a call
 * is told to end by a nudge, answers what waits, takes its events off its base
 * and says so. A thread that parks its first call in that moment sees the end
 * coming after it has shown its listener, and nudges itself.
 */
#include "cell/waits.h"

#include "cell/bell.h"
#include "ops/kit/ensure.h"

#include <pthread.h>
#include <sys/queue.h>

#define WAITS_ROUND 64

typedef struct Wait Wait;
struct Wait {
    Request *request; /* still to be answered */
    AtLeast *need;    /* owned */
    gint64 until_us;
    WaitsRead read;
    TAILQ_ENTRY(Wait) link;
};

typedef TAILQ_HEAD(WaitList, Wait) WaitList;

typedef struct WaitsThread {
    Waits *waits;
    _Atomic(BellListener *) listener; /* NULL: nobody has waited here */
    struct event *rung;               /* on the listener */
    struct event *timer;              /* at next_us */
    gint64 next_us;                   /* the earliest until_us of them */
    WaitList waiting;                 /* in order of arrival */
    guint n;                          /* of them */
    gboolean ended;                   /* nothing is on its base; the lock's */
} WaitsThread;

struct Waits {
    State *state; /* borrowed */
    gpointer user_data;
    _Atomic gboolean ending;
    pthread_mutex_t lock;      /* guards each thread's ended */
    pthread_cond_t ended_news; /* one has changed */
    guint n_threads;
    WaitsThread threads[]; /* each the server thread's of its number */
};

/* ---- reading what is due ---- */

static void
wait_read(Waits *waits, Wait *wait)
{
    State *state = waits->state;
    g_autofree char *late = NULL;
    if (!atleast_reached(state, wait->need) && state_stopped(state) == NULL) {
        late =
            atomic_load(&waits->ending)
                ? g_strdup("at_least is not waited for: the cell is stopping")
                : atleast_explain(state, wait->need);
        state_add(state, METRIC_WAITS_LATE, 1);
    }
    Request *request = wait->request;
    WaitsRead read = wait->read;
    state_add(state, METRIC_WAITING, -1);
    atleast_free(wait->need);
    g_free(wait);
    read(request, waits->user_data, late);
}

static gboolean
wait_is_due(const Waits *waits, const Wait *wait, gint64 now_us)
{
    return now_us >= wait->until_us ||
           atleast_reached(waits->state, wait->need);
}

/* Move what is due, at most @max, to @due. TRUE: more is due. */
static gboolean
thread_take_due(WaitsThread *thread, guint max, WaitList *due)
{
    Waits *waits = thread->waits;
    gboolean all =
        atomic_load(&waits->ending) || state_stopped(waits->state) != NULL;
    gint64 now_us = g_get_monotonic_time();
    Wait *next = TAILQ_FIRST(&thread->waiting);
    thread->next_us = G_MAXINT64;
    while (next != NULL) {
        Wait *wait = next;
        next = TAILQ_NEXT(wait, link);
        if (!all && !wait_is_due(waits, wait, now_us)) {
            thread->next_us = MIN(thread->next_us, wait->until_us);
        } else if (max > 0) {
            TAILQ_REMOVE(&thread->waiting, wait, link);
            TAILQ_INSERT_TAIL(due, wait, link);
            thread->n--;
            max--;
        } else {
            return TRUE;
        }
    }
    return FALSE;
}

static void
thread_set_timer(WaitsThread *thread)
{
    gint64 us = MAX(thread->next_us - g_get_monotonic_time(), 0);
    struct timeval time = {.tv_sec = us / G_USEC_PER_SEC,
                           .tv_usec = us % G_USEC_PER_SEC};
    ensure(evtimer_add(thread->timer, &time) == 0);
}

static void
list_read(Waits *waits, WaitList *due)
{
    Wait *wait;
    while ((wait = TAILQ_FIRST(due)) != NULL) {
        TAILQ_REMOVE(due, wait, link);
        wait_read(waits, wait);
    }
}

/* Answer everybody and leave the base. */
static void
thread_end(WaitsThread *thread)
{
    Waits *waits = thread->waits;
    WaitList due = TAILQ_HEAD_INITIALIZER(due);
    event_free(g_steal_pointer(&thread->rung));
    event_free(g_steal_pointer(&thread->timer));
    (void)thread_take_due(thread, G_MAXUINT, &due);
    list_read(waits, &due);
    pthread_mutex_lock(&waits->lock);
    thread->ended = TRUE;
    pthread_cond_signal(&waits->ended_news);
    pthread_mutex_unlock(&waits->lock);
}

/* The bell is awaited before anything is looked at, and no longer where nobody
   waits; reading comes last, as it may park again. */
static void
thread_read_due(WaitsThread *thread)
{
    WaitList due = TAILQ_HEAD_INITIALIZER(due);
    if (atomic_load(&thread->waits->ending)) {
        thread_end(thread);
        return;
    }
    if (thread->n > 0) {
        bell_await(thread->listener);
    }
    if (thread_take_due(thread, WAITS_ROUND, &due)) {
        bell_nudge(thread->listener);
    } else if (thread->n > 0) {
        thread_set_timer(thread);
    }
    list_read(thread->waits, &due);
}

static void
on_rung(evutil_socket_t fd, short what, void *user_data)
{
    WaitsThread *thread = user_data;
    (void)fd;
    (void)what;
    bell_hear(thread->listener);
    thread_read_due(thread);
}

static void
on_timer(evutil_socket_t fd, short what, void *user_data)
{
    (void)fd;
    (void)what;
    thread_read_due(user_data);
}

/* ---- parking ---- */

/* Before the first call is parked on a thread. */
static void
thread_settle(WaitsThread *thread, struct event_base *base)
{
    BellListener *listener = bell_listen(thread->waits->state->bell);
    thread->rung = event_new(base, bell_fd(listener), EV_READ | EV_PERSIST,
                             on_rung, thread);
    thread->timer = evtimer_new(base, on_timer, thread);
    ensure(thread->rung != NULL && thread->timer != NULL);
    ensure(event_add(thread->rung, NULL) == 0);
    atomic_store(&thread->listener, listener);
}

static void
thread_park(WaitsThread *thread, Wait *wait)
{
    Waits *waits = thread->waits;
    TAILQ_INSERT_TAIL(&thread->waiting, wait, link);
    thread->n++;
    state_add(waits->state, METRIC_WAITS, 1);
    state_add(waits->state, METRIC_WAITING, 1);
    if (thread->n == 1 || wait->until_us < thread->next_us) {
        thread->next_us = wait->until_us;
        thread_set_timer(thread);
    }
    bell_await(thread->listener);
    /* What came about before that was not rung for. */
    if (atomic_load(&waits->ending) || state_stopped(waits->state) != NULL ||
        atleast_reached(waits->state, wait->need)) {
        bell_nudge(thread->listener);
    }
}

WaitsOutcome
waits_park(Waits *waits, Request *request, AtLeast *need, gint64 until_us,
           WaitsRead read)
{
    guint number = request_thread(request);
    ensure(number < waits->n_threads);
    WaitsThread *thread = &waits->threads[number];
    if (atomic_load(&waits->ending)) {
        return WAITS_ENDED;
    }
    if (thread->n >= WAITS_MAX) {
        return WAITS_FULL;
    }
    if (atomic_load(&thread->listener) == NULL) {
        thread_settle(thread, request_base(request));
    }
    Wait *wait = g_new0(Wait, 1);
    wait->request = request;
    wait->need = need;
    wait->until_us = until_us;
    wait->read = read;
    thread_park(thread, wait);
    return WAITS_PARKED;
}

/* ---- life ---- */

Waits *
waits_new(State *state, guint threads, gpointer user_data)
{
    Waits *waits = g_malloc0(sizeof *waits + threads * sizeof(WaitsThread));
    waits->state = state;
    waits->user_data = user_data;
    waits->n_threads = threads;
    pthread_mutex_init(&waits->lock, NULL);
    pthread_cond_init(&waits->ended_news, NULL);
    for (guint i = 0; i < threads; i++) {
        waits->threads[i].waits = waits;
        TAILQ_INIT(&waits->threads[i].waiting);
    }
    return waits;
}

void
waits_end(Waits *waits)
{
    atomic_store(&waits->ending, TRUE);
    for (guint i = 0; i < waits->n_threads; i++) {
        WaitsThread *thread = &waits->threads[i];
        BellListener *listener = atomic_load(&thread->listener);
        if (listener == NULL) {
            continue;
        }
        bell_nudge(listener);
        pthread_mutex_lock(&waits->lock);
        while (!thread->ended) {
            pthread_cond_wait(&waits->ended_news, &waits->lock);
        }
        pthread_mutex_unlock(&waits->lock);
    }
}

void
waits_free(Waits *waits)
{
    pthread_cond_destroy(&waits->ended_news);
    pthread_mutex_destroy(&waits->lock);
    g_free(waits);
}
