/*
 * The thread's life. Unfounded, it waits for a cell map that knows this cell,
 * founds the store (first tail file, then rows: from then on a missing tail
 * file means loss), and starts at offset 0. Founded, it starts where the tail
 * checkpoint says. It opens a reader, trying again for as long as no broker
 * answers; any other refusal is a named stop. Then it takes batches until it
 * is told to end, and leaves a checkpoint behind.
 *
 * A batch: events are decoded and joined into a write batch, without the
 * lock; then, under the lock, rows and position are committed and the effects
 * run, so that readers see either none or all of it. Effects that were lost
 * in a crash come back because replay starts at the tail checkpoint, and an
 * event met again repeats its effect.
 *
 * Failure modes. A store that fails to write (disk full) latches: the thread
 * stops with the reason, pages are served as they were, a restart replays.
 */
#include "cell/apply.h"

#include "cell/effects.h"
#include "cell/facts.h"
#include "cell/tailfile.h"
#include "firehose/partition.h"
#include "ops/kit/ensure.h"
#include "ops/kit/error.h"
#include "ops/kit/logger.h"

#include <string.h>

#define APPLY_BATCH_MAX 512
#define APPLY_EDGES_MAX 32
#define APPLY_WAIT_MS 50
#define APPLY_RETRY_US (G_USEC_PER_SEC / 2)
#define APPLY_END_CHECK_US G_USEC_PER_SEC

struct Apply {
    ApplyOptions options;
    State *state;         /* borrowed */
    Log *firehose;        /* borrowed */
    LogReader *reader;    /* the thread's; NULL before it is open */
    StoreBatch *batch;    /* the thread's */
    Effects *effects;     /* the thread's */
    guint64 *next;        /* per partition, to apply next; the thread's */
    guint64 *target;      /* per partition, the log's end at start */
    gint64 as_of;         /* newest event id applied; the thread's */
    gint64 checkpoint_us; /* when the last checkpoint was written */
    gint64 end_check_us;  /* when the log's end was last looked at */
    gboolean dirty;       /* applied something since the last checkpoint */
    pthread_t thread;
    _Atomic gboolean stopping;
    pthread_mutex_t mutex; /* guards what follows */
    pthread_cond_t done;   /* a wish was granted */
    guint64 wished;        /* checkpoints asked for */
    guint64 granted;       /* of them, answered */
    GError *granted_error; /* of the last one, NULL: written; owned */
};

/* ---- one event ---- */

static FactOutcome
apply_post(Apply *apply, const Event *event)
{
    FactOutcome outcome = fact_post(apply->batch, event);
    if (outcome == FACT_SET || outcome == FACT_AGAIN) {
        effects_post(apply->effects, event->user, event->post.id);
    }
    return outcome;
}

/* The user's inbox; readers are kept out only while a new one is added. */
static guint32
apply_user(State *state, UserId id)
{
    guint32 user = inbox_find(state->inbox, id);
    if (user == INBOX_NOBODY) {
        pthread_rwlock_wrlock(&state->lock);
        user = inbox_add_user(state->inbox, id);
        pthread_rwlock_unlock(&state->lock);
    }
    return user;
}

static FactOutcome
apply_edge(Apply *apply, const Event *event)
{
    State *state = apply->state;
    if (!state_is_homed(state, event->user)) {
        state_add(state, METRIC_FOREIGN, 1);
        return FACT_OLDER;
    }
    gboolean was = FALSE;
    gboolean follows = event->kind == EVENT_FOLLOW;
    FactOutcome outcome = fact_edge(apply->batch, event, &was);
    if (outcome != FACT_SET && outcome != FACT_AGAIN) {
        return outcome;
    }
    guint32 user = apply_user(state, event->user);
    if (outcome == FACT_SET && follows && !was) {
        followers_add(state->followers, event->target_user, user);
    } else if (outcome == FACT_SET && !follows && was) {
        followers_remove(state->followers, event->target_user, user);
    }
    effects_edge(apply->effects, user, event->target_user, follows);
    return outcome;
}

static FactOutcome
apply_event(Apply *apply, const Event *event)
{
    switch (event->kind) {
    case EVENT_POST:
        return apply_post(apply, event);
    case EVENT_DELETE:
        return fact_delete(apply->batch, event);
    case EVENT_FOLLOW:
    case EVENT_UNFOLLOW:
        return apply_edge(apply, event);
    case EVENT_EDIT:
    case EVENT_LIKE:
    case EVENT_UNLIKE:
    case EVENT_BLOCK:
    case EVENT_UNBLOCK:
    case EVENT_MUTE:
    case EVENT_UNMUTE:
    case EVENT_READ_MARK:
    case EVENT_DELETE_USER:
        break;
    }
    return fact_keep(apply->batch, event);
}

static FactOutcome
apply_set_aside(Apply *apply, const LogRecord *record, const EventFault *fault)
{
    logger_warn("cell.apply", "quarantined",
                "cell=%u partition=%u offset=%" G_GUINT64_FORMAT
                " field=%s reason=\"%s\"",
                apply->state->identity.cell, record->partition, record->offset,
                fault->field, fault->reason);
    FactOutcome outcome = fact_quarantine(apply->batch, record, fault);
    if (outcome == FACT_SET) {
        state_add(apply->state, METRIC_QUARANTINED, 1);
    }
    return outcome;
}

/* Whether the record is in the partition of its acting user: all events that
   set a fact are in one partition's order. */
static gboolean
apply_in_place(Apply *apply, const LogRecord *record, const Event *event)
{
    guint8 key[PARTITION_KEY_BYTES];
    partition_key(event->user, key);
    return partition_of(key, sizeof key, apply->state->identity.partitions) ==
           record->partition;
}

static FactOutcome
apply_record(Apply *apply, const LogRecord *record)
{
    static const EventFault misplaced = {"record.partition",
                                         "is not that of the event's user", -1};
    Event event;
    EventFault fault;
    if (!event_decode(record->value.data, record->value.len, &event, &fault)) {
        return apply_set_aside(apply, record, &fault);
    }
    if (!apply_in_place(apply, record, &event)) {
        return apply_set_aside(apply, record, &misplaced);
    }
    state_add(apply->state, METRIC_EVENTS + (guint)event.kind - 1, 1);
    apply->as_of = MAX(apply->as_of, event.id.v);
    return apply_event(apply, &event);
}

/* ---- a batch ---- */

/* Stage records, as many as make one commit; *ret_staged of @n. Edges cost a
   timeline each under the lock, so a batch ends early with many of them. */
static gboolean
apply_stage(Apply *apply, const LogRecord *records, gsize n, gsize *ret_staged,
            GError **error)
{
    gsize i = 0;
    while (i < n && effects_edges(apply->effects) < APPLY_EDGES_MAX) {
        const LogRecord *record = &records[i++];
        if (apply_record(apply, record) == FACT_FAILED) {
            g_set_error(error, COMB_ERROR, COMB_ERROR_CORRUPT,
                        "cannot read the store: %s",
                        store_failure(apply->state->store));
            return FALSE;
        }
        apply->next[record->partition] = record->offset + 1;
        gboolean run_ends = i == n ||
                            records[i].partition != record->partition ||
                            effects_edges(apply->effects) >= APPLY_EDGES_MAX;
        if (run_ends) {
            meta_put_position(apply->batch, record->partition,
                              record->offset + 1, record->timestamp_ms);
        }
    }
    meta_put_as_of(apply->batch, apply->as_of);
    *ret_staged = i;
    return TRUE;
}

static void
apply_publish_progress(Apply *apply, const LogRecord *last)
{
    State *state = apply->state;
    gboolean ready = TRUE;
    for (guint i = 0; i < state->identity.partitions; i++) {
        atomic_store(&state->next[i], apply->next[i]);
        ready = ready && apply->next[i] >= apply->target[i];
    }
    atomic_store(&state->as_of, apply->as_of);
    metric_set(&state->metrics[METRIC_USERS], inbox_users(state->inbox));
    metric_set(&state->metrics[METRIC_EDGES],
               (gint64)followers_edges(state->followers));
    if (last != NULL) {
        atomic_store(&state->at_end, FALSE);
        atomic_store(&state->fresh_at_ms, last->timestamp_ms);
    }
    if (ready && !atomic_load(&state->ready)) {
        logger_info("cell.apply", "caught up", "cell=%u", state->identity.cell);
        atomic_store(&state->ready, TRUE);
    }
}

/* Commit what is staged and run its effects: readers see none or all. */
static gboolean
apply_commit(Apply *apply, const LogRecord *last, GError **error)
{
    State *state = apply->state;
    pthread_rwlock_wrlock(&state->lock);
    gboolean good = store_batch_commit(apply->batch, error) &&
                    effects_run(apply->effects, error);
    if (good) {
        apply_publish_progress(apply, last);
    }
    pthread_rwlock_unlock(&state->lock);
    apply->dirty = TRUE;
    return good && effects_fold(apply->effects, apply->batch, error);
}

static gboolean
apply_records(Apply *apply, const LogRecord *records, gsize n, GError **error)
{
    while (n > 0) {
        gsize staged;
        if (!apply_stage(apply, records, n, &staged, error) ||
            !apply_commit(apply, &records[staged - 1], error)) {
            return FALSE;
        }
        records += staged;
        n -= staged;
    }
    return TRUE;
}

/* ---- checkpoints ---- */

static gboolean
apply_write_checkpoint(Apply *apply, GError **error)
{
    State *state = apply->state;
    if (!apply->dirty) {
        apply->checkpoint_us = g_get_monotonic_time();
        return TRUE;
    }
    if (!store_flush(state->store, error) ||
        !tailfile_write(apply->options.dir, &state->identity, apply->next,
                        state->inbox, error)) {
        return FALSE;
    }
    /* From its end, so that a slow disk still leaves time to apply. */
    apply->checkpoint_us = g_get_monotonic_time();
    apply->dirty = FALSE;
    state_add(state, METRIC_CHECKPOINTS, 1);
    if (apply->reader != NULL) {
        log_reader_commit(apply->reader, apply->next);
    }
    return TRUE;
}

/* Answer those who wait in apply_checkpoint(). */
static void
apply_grant(Apply *apply, const GError *failure)
{
    pthread_mutex_lock(&apply->mutex);
    g_clear_error(&apply->granted_error);
    if (failure != NULL) {
        apply->granted_error = g_error_copy(failure);
    }
    apply->granted = apply->wished;
    pthread_cond_broadcast(&apply->done);
    pthread_mutex_unlock(&apply->mutex);
}

static gboolean
apply_is_wished(Apply *apply)
{
    pthread_mutex_lock(&apply->mutex);
    gboolean wished = apply->wished != apply->granted;
    pthread_mutex_unlock(&apply->mutex);
    return wished;
}

static gboolean
apply_maybe_checkpoint(Apply *apply, GError **error)
{
    gint64 age = g_get_monotonic_time() - apply->checkpoint_us;
    gboolean wished = apply_is_wished(apply);
    if (!wished && age < (gint64)apply->options.checkpoint_s * G_USEC_PER_SEC) {
        return TRUE;
    }
    gboolean good = apply_write_checkpoint(apply, error);
    if (wished) {
        apply_grant(apply, good ? NULL : *error);
    }
    return good;
}

gboolean
apply_checkpoint(Apply *apply, GError **error)
{
    pthread_mutex_lock(&apply->mutex);
    guint64 mine = ++apply->wished;
    while (apply->granted < mine) {
        pthread_cond_wait(&apply->done, &apply->mutex);
    }
    gboolean good = apply->granted_error == NULL;
    if (!good && error != NULL) {
        *error = g_error_copy(apply->granted_error);
    }
    pthread_mutex_unlock(&apply->mutex);
    return good;
}

/* ---- the thread ---- */

/* Answer those who wish for a checkpoint while none can be written. */
static void
apply_deny(Apply *apply, const char *why)
{
    if (apply_is_wished(apply)) {
        g_autoptr(GError) failure =
            g_error_new(COMB_ERROR, COMB_ERROR_GAP, "%s", why);
        apply_grant(apply, failure);
    }
}

/* The first map that has this cell in it, or NULL at the end. */
static CellMap *
apply_await_map(Apply *apply)
{
    State *state = apply->state;
    while (!atomic_load(&apply->stopping)) {
        CellMap *map = mapfeed_wait(state->feed, 1, APPLY_WAIT_MS);
        if (map != NULL) {
            if (cellmap_find(map, state->identity.cell) != NULL) {
                return map;
            }
            cellmap_unref(map);
            g_usleep(APPLY_WAIT_MS * 1000);
        }
        apply_deny(apply, "the cell has no map yet");
    }
    return NULL;
}

static gboolean
apply_found(Apply *apply, GError **error)
{
    State *state = apply->state;
    g_autoptr(CellMap) map = apply_await_map(apply);
    if (map == NULL) {
        return TRUE;
    }
    meta_found(apply->batch, &state->identity, map);
    /* The tail file first: founded without one would mean that it was lost. */
    if (!tailfile_write(apply->options.dir, &state->identity, apply->next,
                        state->inbox, error) ||
        !store_batch_commit(apply->batch, error) ||
        !store_flush(state->store, error)) {
        return FALSE;
    }
    logger_info("cell.apply", "founded",
                "cell=%u epoch=%" G_GINT64_FORMAT " log=%s",
                state->identity.cell, cellmap_epoch(map), state->identity.log);
    state_set_home(state, map);
    return TRUE;
}

static gboolean
apply_try_open(Apply *apply, GError **error)
{
    guint64 first;
    for (guint i = 0; i < apply->state->identity.partitions; i++) {
        if (!log_bounds(apply->firehose, i, &first, &apply->target[i], error)) {
            return FALSE;
        }
    }
    g_autofree char *group =
        g_strdup_printf("comb.cell.%u", apply->state->identity.cell);
    apply->reader = log_reader_open(apply->firehose, apply->next, group, error);
    return apply->reader != NULL;
}

/* Open the reader; as long as no broker answers, try again. */
static gboolean
apply_open(Apply *apply, GError **error)
{
    while (!atomic_load(&apply->stopping)) {
        g_autoptr(GError) failure = NULL;
        if (apply_try_open(apply, &failure)) {
            apply_publish_progress(apply, NULL);
            return TRUE;
        }
        if (!g_error_matches(failure, COMB_ERROR, COMB_ERROR_UNREACHABLE)) {
            g_propagate_error(error, g_steal_pointer(&failure));
            return FALSE;
        }
        logger_warn("cell.apply", "the log does not answer", "reason=\"%s\"",
                    failure->message);
        apply_deny(apply, failure->message);
        g_usleep(APPLY_RETRY_US);
    }
    return TRUE;
}

/* Nothing came: are we at the end, or is the log silent (I10)? */
static void
apply_idle(Apply *apply)
{
    gint64 now_us = g_get_monotonic_time();
    if (now_us - apply->end_check_us < APPLY_END_CHECK_US) {
        return;
    }
    apply->end_check_us = now_us;
    gint64 now_ms = g_get_real_time() / 1000;
    for (guint i = 0; i < apply->state->identity.partitions; i++) {
        guint64 first;
        guint64 end;
        if (!log_bounds(apply->firehose, i, &first, &end, NULL) ||
            end != apply->next[i]) {
            return;
        }
    }
    atomic_store(&apply->state->fresh_at_ms, now_ms);
    atomic_store(&apply->state->at_end, TRUE);
}

static gboolean
apply_step(Apply *apply, GError **error)
{
    const LogRecord *records;
    gsize n;
    const char *stopped = state_stopped(apply->state);
    if (stopped != NULL) {
        g_set_error(error, COMB_ERROR, COMB_ERROR_CORRUPT, "%s", stopped);
        return FALSE;
    }
    switch (log_reader_next(apply->reader, APPLY_WAIT_MS, APPLY_BATCH_MAX,
                            &records, &n, error)) {
    case LOG_READ_STOP:
        return FALSE;
    case LOG_READ_IDLE:
        apply_idle(apply);
        break;
    case LOG_READ_RECORDS:
        if (!apply_records(apply, records, n, error)) {
            return FALSE;
        }
        break;
    }
    return apply_maybe_checkpoint(apply, error);
}

static gboolean
apply_run(Apply *apply, GError **error)
{
    if (atomic_load(&apply->state->home) == NULL &&
        !apply_found(apply, error)) {
        return FALSE;
    }
    if (atomic_load(&apply->stopping)) {
        return TRUE;
    }
    if (!apply_open(apply, error)) {
        return FALSE;
    }
    while (!atomic_load(&apply->stopping)) {
        if (!apply_step(apply, error)) {
            return FALSE;
        }
    }
    return apply_write_checkpoint(apply, error);
}

static gpointer
apply_main(gpointer user_data)
{
    Apply *apply = user_data;
    g_autoptr(GError) failure = NULL;
    if (!apply_run(apply, &failure)) {
        state_stop(apply->state, failure->message);
    }
    while (!atomic_load(&apply->stopping)) {
        apply_deny(apply, failure->message);
        g_usleep(APPLY_WAIT_MS * 1000);
    }
    apply_deny(apply, "the cell stops");
    return NULL;
}

Apply *
apply_start(const ApplyOptions *options, State *state, Log *firehose,
            const guint64 *next)
{
    Apply *apply = g_new0(Apply, 1);
    guint partitions = state->identity.partitions;
    apply->options = *options;
    apply->state = state;
    apply->firehose = firehose;
    apply->batch = store_batch_new(state->store);
    apply->effects = effects_new(state);
    apply->next = g_memdup2(next, partitions * sizeof *next);
    apply->target = g_new0(guint64, partitions);
    apply->as_of = atomic_load(&state->as_of);
    apply->checkpoint_us = g_get_monotonic_time();
    pthread_mutex_init(&apply->mutex, NULL);
    pthread_cond_init(&apply->done, NULL);
    int failed = pthread_create(&apply->thread, NULL, apply_main, apply);
    ensure(failed == 0);
    return apply;
}

void
apply_stop(Apply *apply)
{
    atomic_store(&apply->stopping, TRUE);
    pthread_join(apply->thread, NULL);
    if (apply->reader != NULL) {
        log_reader_close(apply->reader);
    }
    effects_free(apply->effects);
    store_batch_free(apply->batch);
    pthread_cond_destroy(&apply->done);
    pthread_mutex_destroy(&apply->mutex);
    g_clear_error(&apply->granted_error);
    g_free(apply->next);
    g_free(apply->target);
    g_free(apply);
}
