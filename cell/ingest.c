/*
 * A batch: events are decoded and joined into a write batch, without the
 * lock; then, under the lock, rows and position are committed and the effects
 * run, so that readers see either none or all of it. Effects that were lost
 * in a crash come back because replay starts at the tail checkpoint, and an
 * event met again repeats its effect.
 *
 * Failure modes. A store that fails to write (disk full) latches: the step
 * fails with the reason, pages are served as they were, a restart replays.
 */
#include "cell/ingest.h"

#include "cell/effects.h"
#include "cell/facts.h"
#include "cell/tailfile.h"
#include "firehose/partition.h"
#include "ops/kit/ensure.h"
#include "ops/kit/error.h"
#include "ops/kit/logger.h"

#include <string.h>

#define INGEST_BATCH_MAX 512
#define INGEST_EDGES_MAX 32
#define INGEST_END_CHECK_US G_USEC_PER_SEC

struct Ingest {
    State *state;        /* borrowed */
    Log *firehose;       /* borrowed */
    LogReader *reader;   /* NULL before it is open */
    StoreBatch *batch;   /* owned */
    Effects *effects;    /* owned */
    guint64 *next;       /* per partition, to apply next */
    guint64 *target;     /* per partition, the log's end at start */
    gint64 as_of;        /* newest event id applied */
    gint64 end_check_us; /* when the log's end was last looked at */
};

/* ---- one event ---- */

static FactOutcome
ingest_post(Ingest *ingest, const Event *event)
{
    FactOutcome outcome = fact_post(ingest->batch, event);
    if (outcome == FACT_SET || outcome == FACT_AGAIN) {
        effects_post(ingest->effects, event->user, event->post.id);
    }
    return outcome;
}

/* The user's inbox; readers are kept out only while a new one is added. */
static guint32
ingest_user(State *state, UserId id)
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
ingest_edge(Ingest *ingest, const Event *event)
{
    State *state = ingest->state;
    if (!state_is_homed(state, event->user)) {
        state_add(state, METRIC_FOREIGN, 1);
        return FACT_OLDER;
    }
    gboolean was = FALSE;
    gboolean follows = event->kind == EVENT_FOLLOW;
    FactOutcome outcome = fact_edge(ingest->batch, event, &was);
    if (outcome != FACT_SET && outcome != FACT_AGAIN) {
        return outcome;
    }
    guint32 user = ingest_user(state, event->user);
    if (outcome == FACT_SET && follows && !was) {
        followers_add(state->followers, event->target_user, user);
    } else if (outcome == FACT_SET && !follows && was) {
        followers_remove(state->followers, event->target_user, user);
    }
    effects_edge(ingest->effects, user, event->target_user, follows);
    return outcome;
}

static FactOutcome
ingest_event(Ingest *ingest, const Event *event)
{
    switch (event->kind) {
    case EVENT_POST:
        return ingest_post(ingest, event);
    case EVENT_DELETE:
        return fact_delete(ingest->batch, event);
    case EVENT_FOLLOW:
    case EVENT_UNFOLLOW:
        return ingest_edge(ingest, event);
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
    return fact_keep(ingest->batch, event);
}

static FactOutcome
ingest_set_aside(Ingest *ingest, const LogRecord *record,
                 const EventFault *fault)
{
    logger_warn("cell.ingest", "quarantined",
                "cell=%u partition=%u offset=%" G_GUINT64_FORMAT
                " field=%s reason=\"%s\"",
                ingest->state->identity.cell, record->partition, record->offset,
                fault->field, fault->reason);
    FactOutcome outcome = fact_quarantine(ingest->batch, record, fault);
    if (outcome == FACT_SET) {
        state_add(ingest->state, METRIC_QUARANTINED, 1);
    }
    return outcome;
}

/* Whether the record is in the partition of its acting user: all events that
   set a fact are in one partition's order. */
static gboolean
ingest_in_place(Ingest *ingest, const LogRecord *record, const Event *event)
{
    guint8 key[PARTITION_KEY_BYTES];
    partition_key(event->user, key);
    return partition_of(key, sizeof key, ingest->state->identity.partitions) ==
           record->partition;
}

static FactOutcome
ingest_record(Ingest *ingest, const LogRecord *record)
{
    static const EventFault misplaced = {"record.partition",
                                         "is not that of the event's user", -1};
    Event event;
    EventFault fault;
    if (!event_decode(record->value.data, record->value.len, &event, &fault)) {
        return ingest_set_aside(ingest, record, &fault);
    }
    if (!ingest_in_place(ingest, record, &event)) {
        return ingest_set_aside(ingest, record, &misplaced);
    }
    state_add(ingest->state, METRIC_EVENTS + (guint)event.kind - 1, 1);
    ingest->as_of = MAX(ingest->as_of, event.id.v);
    return ingest_event(ingest, &event);
}

/* ---- a batch ---- */

/* Stage records, as many as make one commit; *ret_staged of @n. Edges cost a
   timeline each under the lock, so a batch ends early with many of them. */
static gboolean
ingest_stage(Ingest *ingest, const LogRecord *records, gsize n,
             gsize *ret_staged, GError **error)
{
    gsize i = 0;
    while (i < n && effects_edges(ingest->effects) < INGEST_EDGES_MAX) {
        const LogRecord *record = &records[i++];
        if (ingest_record(ingest, record) == FACT_FAILED) {
            g_set_error(error, COMB_ERROR, COMB_ERROR_CORRUPT,
                        "cannot read the store: %s",
                        store_failure(ingest->state->store));
            return FALSE;
        }
        ingest->next[record->partition] = record->offset + 1;
        gboolean run_ends = i == n ||
                            records[i].partition != record->partition ||
                            effects_edges(ingest->effects) >= INGEST_EDGES_MAX;
        if (run_ends) {
            meta_put_position(ingest->batch, record->partition,
                              record->offset + 1, record->timestamp_ms);
        }
    }
    meta_put_as_of(ingest->batch, ingest->as_of);
    *ret_staged = i;
    return TRUE;
}

static void
ingest_publish_progress(Ingest *ingest, const LogRecord *last)
{
    State *state = ingest->state;
    gboolean ready = TRUE;
    for (guint i = 0; i < state->identity.partitions; i++) {
        atomic_store(&state->next[i], ingest->next[i]);
        ready = ready && ingest->next[i] >= ingest->target[i];
    }
    atomic_store(&state->as_of, ingest->as_of);
    metric_set(&state->metrics[METRIC_USERS], inbox_users(state->inbox));
    metric_set(&state->metrics[METRIC_EDGES],
               (gint64)followers_edges(state->followers));
    if (last != NULL) {
        atomic_store(&state->at_end, FALSE);
        atomic_store(&state->fresh_at_ms, last->timestamp_ms);
    }
    if (ready && !atomic_load(&state->ready)) {
        logger_info("cell.ingest", "caught up", "cell=%u",
                    state->identity.cell);
        atomic_store(&state->ready, TRUE);
    }
}

/* Commit what is staged and run its effects: readers see none or all. */
static gboolean
ingest_commit(Ingest *ingest, const LogRecord *last, GError **error)
{
    State *state = ingest->state;
    pthread_rwlock_wrlock(&state->lock);
    gboolean good = store_batch_commit(ingest->batch, error) &&
                    effects_run(ingest->effects, error);
    if (good) {
        ingest_publish_progress(ingest, last);
    }
    pthread_rwlock_unlock(&state->lock);
    return good && effects_fold(ingest->effects, ingest->batch, error);
}

static gboolean
ingest_records(Ingest *ingest, const LogRecord *records, gsize n,
               GError **error)
{
    while (n > 0) {
        gsize staged;
        if (!ingest_stage(ingest, records, n, &staged, error) ||
            !ingest_commit(ingest, &records[staged - 1], error)) {
            return FALSE;
        }
        records += staged;
        n -= staged;
    }
    return TRUE;
}

/* Nothing came: are we at the end, or is the log silent (I10)? */
static void
ingest_idle(Ingest *ingest)
{
    gint64 now_us = g_get_monotonic_time();
    if (now_us - ingest->end_check_us < INGEST_END_CHECK_US) {
        return;
    }
    ingest->end_check_us = now_us;
    gint64 now_ms = g_get_real_time() / 1000;
    for (guint i = 0; i < ingest->state->identity.partitions; i++) {
        guint64 first;
        guint64 end;
        if (!log_bounds(ingest->firehose, i, &first, &end, NULL) ||
            end != ingest->next[i]) {
            return;
        }
    }
    atomic_store(&ingest->state->fresh_at_ms, now_ms);
    atomic_store(&ingest->state->at_end, TRUE);
}

/* ---- life ---- */

Ingest *
ingest_new(State *state, Log *firehose, const guint64 *next)
{
    Ingest *ingest = g_new0(Ingest, 1);
    guint partitions = state->identity.partitions;
    ingest->state = state;
    ingest->firehose = firehose;
    ingest->batch = store_batch_new(state->store);
    ingest->effects = effects_new(state);
    ingest->next = g_memdup2(next, partitions * sizeof *next);
    ingest->target = g_new0(guint64, partitions);
    ingest->as_of = atomic_load(&state->as_of);
    return ingest;
}

void
ingest_free(Ingest *ingest)
{
    if (ingest->reader != NULL) {
        log_reader_close(ingest->reader);
    }
    effects_free(ingest->effects);
    store_batch_free(ingest->batch);
    g_free(ingest->next);
    g_free(ingest->target);
    g_free(ingest);
}

const guint64 *
ingest_next(const Ingest *ingest)
{
    return ingest->next;
}

gboolean
ingest_found(Ingest *ingest, CellMap *map, GError **error)
{
    State *state = ingest->state;
    meta_found(ingest->batch, &state->identity, map);
    /* The tail file first: founded without one would mean that it was lost. */
    if (!tailfile_write(state->dir, &state->identity, ingest->next,
                        state->inbox, error) ||
        !store_batch_commit(ingest->batch, error) ||
        !store_flush(state->store, error)) {
        return FALSE;
    }
    logger_info("cell.ingest", "founded",
                "cell=%u epoch=%" G_GINT64_FORMAT " log=%s",
                state->identity.cell, cellmap_epoch(map), state->identity.log);
    state_set_home(state, map);
    return TRUE;
}

gboolean
ingest_open(Ingest *ingest, GError **error)
{
    guint64 first;
    for (guint i = 0; i < ingest->state->identity.partitions; i++) {
        if (!log_bounds(ingest->firehose, i, &first, &ingest->target[i],
                        error)) {
            return FALSE;
        }
    }
    g_autofree char *group =
        g_strdup_printf("comb.cell.%u", ingest->state->identity.cell);
    ingest->reader =
        log_reader_open(ingest->firehose, ingest->next, group, error);
    if (ingest->reader == NULL) {
        return FALSE;
    }
    ingest_publish_progress(ingest, NULL);
    return TRUE;
}

IngestOutcome
ingest_step(Ingest *ingest, gint timeout_ms, GError **error)
{
    const LogRecord *records;
    gsize n;
    const char *stopped = state_stopped(ingest->state);
    if (stopped != NULL) {
        g_set_error(error, COMB_ERROR, COMB_ERROR_CORRUPT, "%s", stopped);
        return INGEST_FAILED;
    }
    switch (log_reader_next(ingest->reader, timeout_ms, INGEST_BATCH_MAX,
                            &records, &n, error)) {
    case LOG_READ_STOP:
        return INGEST_FAILED;
    case LOG_READ_IDLE:
        ingest_idle(ingest);
        return INGEST_IDLE;
    case LOG_READ_RECORDS:
        break;
    }
    return ingest_records(ingest, records, n, error) ? INGEST_APPLIED
                                                     : INGEST_FAILED;
}

void
ingest_report(Ingest *ingest, const guint64 *next)
{
    if (ingest->reader != NULL) {
        log_reader_commit(ingest->reader, next);
    }
}
