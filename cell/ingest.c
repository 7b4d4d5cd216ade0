/*
 * A batch: events are decoded and joined into a write batch; what they bring
 * into inboxes is put there; rows and position are committed together; what
 * they take out of inboxes leaves; full tails are sealed, in batches of their
 * own; a slice of each big fan-out is done. Readers see all of a batch or none
 * (cut.h). Effects that were lost in a crash come back because replay starts
 * at the tail checkpoint, and an event met again repeats its effect.
 *
 * Failure modes. A store that fails to write (disk full) latches: the step
 * fails with the reason, pages are served as they were, a restart replays.
 * Memory: near the budget tails are sealed whole, users in turn; where that
 * has gone round and the budget is passed all the same, the step fails.
 */
#include "cell/ingest.h"

#include "cell/ahead.h"
#include "cell/edges.h"
#include "cell/effects.h"
#include "cell/facts.h"
#include "cell/followers.h"
#include "cell/highwater.h"
#include "cell/tailfile.h"
#include "firehose/sealtrack.h"
#include "ops/kit/ensure.h"
#include "ops/kit/error.h"
#include "ops/kit/logger.h"

#include <string.h>

#define INGEST_BATCH_MAX 512
/* Users whose tails are sealed at a time when memory is short. */
#define INGEST_RELIEVE_USERS 8192
#define INGEST_END_CHECK_US G_USEC_PER_SEC

struct Ingest {
    State *state;        /* borrowed */
    Log *firehose;       /* borrowed */
    LogEnds *ends;       /* borrowed; may be NULL */
    LogReader *reader;   /* NULL before it is open */
    Ahead *ahead;        /* of it; likewise */
    StoreBatch *batch;   /* owned */
    Edges *edges;        /* owned */
    Effects *effects;    /* owned */
    SealTrack *seals;    /* owned; of what was read in this life */
    guint64 *next;       /* per partition, to apply next */
    guint64 *target;     /* per partition, the log's end at start */
    gint64 as_of;        /* newest event id applied */
    guint64 relieved;    /* users gone round for relief without success */
    gint64 end_check_us; /* when the log's end was last looked at */
    gint64 asked_ms;     /* that by the wall clock */
    guint64 ask;         /* its number while no answer has come; else 0 */
    guint64 *end;        /* per partition, what the log has answered */
};

/* ---- one event ---- */

static FactOutcome
ingest_post(Ingest *ingest, const LogRecord *record, const Event *event)
{
    FactOutcome outcome = fact_post(ingest->batch, event);
    if (outcome == FACT_SET || outcome == FACT_AGAIN) {
        FanoutPost post = {event->user, event->post.id, record->partition,
                           record->offset};
        effects_post(ingest->effects, &post);
    }
    return outcome;
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
    FactOutcome outcome = edges_join(ingest->edges, ingest->batch, event, &was);
    if (outcome != FACT_SET && outcome != FACT_AGAIN) {
        return outcome;
    }
    guint32 user = inbox_add_user(state->inbox, event->user);
    guint32 author = followers_author(state->followers, event->target_user);
    gboolean follows = event->kind == EVENT_FOLLOW;
    if (follows) {
        followers_add(state->followers, author, user);
    } else {
        followers_remove(state->followers, author, user);
    }
    effects_edge(ingest->effects, user, event->target_user, follows);
    return outcome;
}

static FactOutcome
ingest_event(Ingest *ingest, const LogRecord *record, const Event *event)
{
    switch (event->kind) {
    case EVENT_POST:
        return ingest_post(ingest, record, event);
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

/* Records of a gateway that are missing, or there twice, are told and no
   reason to stop: an append that was given up leaves a hole, too. */
static void
ingest_note_seal(Ingest *ingest, const LogRecord *record, Seal seal)
{
    gint64 from;
    switch (sealtrack_note(ingest->seals, record->partition, seal, &from)) {
    case SEALTRACK_NEXT:
    case SEALTRACK_FIRST:
        break;
    case SEALTRACK_AGAIN:
        state_add(ingest->state, METRIC_LOG_REPEATS, 1);
        break;
    case SEALTRACK_HOLE:
        state_add(ingest->state, METRIC_LOG_HOLES, seal.sequence - from);
        logger_warn("cell.ingest", "records of a gateway are not in the log",
                    "cell=%u partition=%u offset=%" G_GUINT64_FORMAT
                    " producer=%" G_GINT64_FORMAT " from=%" G_GINT64_FORMAT
                    " to=%" G_GINT64_FORMAT,
                    ingest->state->identity.cell, record->partition,
                    record->offset, seal.producer, from, seal.sequence - 1);
        break;
    }
}

static FactOutcome
ingest_record(Ingest *ingest, const AheadRecord *ahead)
{
    const LogRecord *record = &ahead->record;
    const Event *event = &ahead->event;
    if (!ahead->decoded) {
        return ingest_set_aside(ingest, record, &ahead->fault);
    }
    ingest_note_seal(ingest, record, event->seal);
    state_add(ingest->state, METRIC_EVENTS + (guint)event->kind - 1, 1);
    ingest->as_of = MAX(ingest->as_of, event->id.v);
    return ingest_event(ingest, record, event);
}

/* ---- a batch ---- */

/* A replay does not take the store's position back: its facts are ahead. */
static void
ingest_put_position(Ingest *ingest, const LogRecord *record)
{
    guint64 next = record->offset + 1;
    if (next >= ingest->state->stored[record->partition]) {
        meta_put_position(ingest->batch, record);
    }
}

/* Stage records, as many as make one commit; *ret_staged of @n. */
static gboolean
ingest_stage(Ingest *ingest, const AheadRecord *records, gsize n,
             gsize *ret_staged, GError **error)
{
    gsize i = 0;
    while (i < n && !effects_full(ingest->effects)) {
        const LogRecord *record = &records[i].record;
        if (ingest_record(ingest, &records[i++]) == FACT_FAILED) {
            g_set_error(error, COMB_ERROR, COMB_ERROR_CORRUPT,
                        "cannot read the store: %s",
                        store_failure(ingest->state->store) != NULL
                            ? store_failure(ingest->state->store)
                            : "a row is damaged");
            return FALSE;
        }
        ingest->next[record->partition] = record->offset + 1;
        gboolean run_ends = i == n ||
                            records[i].record.partition != record->partition ||
                            effects_full(ingest->effects);
        if (run_ends) {
            ingest_put_position(ingest, record);
        }
    }
    edges_stage(ingest->edges, ingest->batch);
    meta_put_as_of(ingest->batch, ingest->as_of);
    *ret_staged = i;
    return TRUE;
}

static void
ingest_publish_progress(Ingest *ingest, const LogRecord *last)
{
    State *state = ingest->state;
    gboolean ready = TRUE;
    atomic_store(&state->as_of, ingest->as_of);
    for (guint i = 0; i < state->identity.partitions; i++) {
        atomic_store(&state->next[i], ingest->next[i]);
        ready = ready && ingest->next[i] >= ingest->target[i];
    }
    bell_ring(state->bell);
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

/* Near the memory budget: have tails sealed whole by the fold that follows. */
static void
ingest_relieve(Ingest *ingest)
{
    State *state = ingest->state;
    gsize budget = state->memory_bytes;
    if (budget > 0 && state_note_memory(state) >= budget - budget / 10) {
        inbox_relieve(state->inbox, INGEST_RELIEVE_USERS);
        ingest->relieved += INGEST_RELIEVE_USERS;
    }
}

/* Whether the batch has left the state within its bounds; where sealing has
   gone round all users and memory is passed all the same, it has not. */
static gboolean
ingest_check_bounds(Ingest *ingest, GError **error)
{
    State *state = ingest->state;
    guint32 users = inbox_users(state->inbox);
    gsize budget = state->memory_bytes;
    gsize live = state_note_memory(state);
    if (users > TAIL_USERS_MAX - INGEST_BATCH_MAX) {
        g_set_error(error, COMB_ERROR, COMB_ERROR_FULL,
                    "the cell has as many users as it can, %u; add a cell",
                    users);
        return FALSE;
    }
    if (budget > 0 && live > budget && ingest->relieved >= users) {
        g_set_error(error, COMB_ERROR, COMB_ERROR_FULL,
                    "the memory budget of %" G_GSIZE_FORMAT
                    " bytes is used up by %u users and %" G_GUINT64_FORMAT
                    " follows; raise memory-mb, or move users away",
                    budget, users, followers_edges(state->followers));
        return FALSE;
    }
    if (live < budget - budget / 10) {
        ingest->relieved = 0;
    }
    return TRUE;
}

/* Seal what is due, all of it where memory is short. */
static gboolean
ingest_settle(Ingest *ingest, GError **error)
{
    ingest_relieve(ingest);
    return effects_fold(ingest->effects, ingest->batch, error) &&
           ingest_check_bounds(ingest, error);
}

/* Commit what is staged, with its effects: readers see none or all. */
static gboolean
ingest_commit(Ingest *ingest, const LogRecord *last, GError **error)
{
    State *state = ingest->state;
    if (!effects_before(ingest->effects, ingest->batch, error) ||
        !killpoint_hit(state->kill, KILL_BATCH, error) ||
        !state_commit(state, ingest->batch, error)) {
        return FALSE;
    }
    ingest_publish_progress(ingest, last);
    if (!killpoint_hit(state->kill, KILL_COMMIT, error) ||
        !effects_after(ingest->effects, error)) {
        return FALSE;
    }
    return ingest_settle(ingest, error) &&
           fanout_slice(effects_fanout(ingest->effects), error);
}

static gboolean
ingest_records(Ingest *ingest, const AheadRecord *records, gsize n,
               GError **error)
{
    while (n > 0) {
        gsize staged;
        if (!ingest_stage(ingest, records, n, &staged, error) ||
            !ingest_commit(ingest, &records[staged - 1].record, error)) {
            return FALSE;
        }
        records += staged;
        n -= staged;
    }
    return TRUE;
}

/* The log's ends at once, from a log that does not make us wait. */
static LogEndsOutcome
ingest_ask_log(Ingest *ingest)
{
    guint64 first;
    for (guint i = 0; i < ingest->state->identity.partitions; i++) {
        if (!log_bounds(ingest->firehose, i, &first, &ingest->end[i], NULL)) {
            return LOG_ENDS_SILENT;
        }
    }
    return LOG_ENDS_TOLD;
}

/* Likewise from one that may: asked now, taken when nothing comes again. */
static LogEndsOutcome
ingest_ask_ends(Ingest *ingest)
{
    if (ingest->ask == 0) {
        ingest->ask = log_ends_ask(ingest->ends);
    }
    LogEndsOutcome outcome =
        log_ends_take(ingest->ends, ingest->ask, ingest->end);
    if (outcome != LOG_ENDS_WAIT) {
        ingest->ask = 0;
    }
    return outcome;
}

/* Nothing came: are we at the end, or is the log silent (I10)? */
static void
ingest_idle(Ingest *ingest)
{
    gint64 now_us = g_get_monotonic_time();
    if (ingest->ask == 0) {
        if (now_us - ingest->end_check_us < INGEST_END_CHECK_US) {
            return;
        }
        ingest->end_check_us = now_us;
        ingest->asked_ms = g_get_real_time() / 1000;
    }
    LogEndsOutcome outcome =
        ingest->ends != NULL ? ingest_ask_ends(ingest) : ingest_ask_log(ingest);
    gsize bytes = ingest->state->identity.partitions * sizeof *ingest->end;
    if (outcome == LOG_ENDS_TOLD &&
        memcmp(ingest->end, ingest->next, bytes) == 0) {
        atomic_store(&ingest->state->fresh_at_ms, ingest->asked_ms);
        atomic_store(&ingest->state->at_end, TRUE);
    }
}

/* ---- life ---- */

Ingest *
ingest_new(State *state, Log *firehose, LogEnds *ends, const guint64 *next)
{
    Ingest *ingest = g_new0(Ingest, 1);
    guint partitions = state->identity.partitions;
    ingest->state = state;
    ingest->firehose = firehose;
    ingest->ends = ends;
    ingest->batch = state_batch_new(state);
    ingest->edges = edges_new(state->store);
    ingest->effects = effects_new(state);
    ingest->seals = sealtrack_new(partitions);
    ingest->next = g_memdup2(next, partitions * sizeof *next);
    ingest->target = g_new0(guint64, partitions);
    ingest->end = g_new0(guint64, partitions);
    ingest->as_of = atomic_load(&state->as_of);
    return ingest;
}

void
ingest_free(Ingest *ingest)
{
    if (ingest->reader != NULL) {
        ahead_free(ingest->ahead);
        log_reader_close(ingest->reader);
    }
    effects_free(ingest->effects);
    sealtrack_free(ingest->seals);
    edges_free(ingest->edges);
    store_batch_free(ingest->batch);
    g_free(ingest->next);
    g_free(ingest->target);
    g_free(ingest->end);
    g_free(ingest);
}

const guint64 *
ingest_next(const Ingest *ingest)
{
    return ingest->next;
}

void
ingest_replay_from(const Ingest *ingest, guint64 *ret_next)
{
    gsize bytes = ingest->state->identity.partitions * sizeof *ret_next;
    memcpy(ret_next, ingest->next, bytes);
    fanout_hold_back(effects_fanout(ingest->effects), ret_next);
}

gboolean
ingest_pending(const Ingest *ingest)
{
    return fanout_pending(effects_fanout(ingest->effects)) > 0;
}

gboolean
ingest_finish(Ingest *ingest, GError **error)
{
    Fanout *fanout = effects_fanout(ingest->effects);
    while (fanout_pending(fanout) > 0) {
        if (!fanout_slice(fanout, error) || !ingest_settle(ingest, error)) {
            return FALSE;
        }
    }
    return TRUE;
}

gboolean
ingest_found(Ingest *ingest, CellMap *map, GError **error)
{
    State *state = ingest->state;
    Highwater high = {0, ingest->next};
    meta_found(ingest->batch, &state->identity, map);
    /* The files first: founded without one would mean that it was lost. */
    if (!tailfile_found(state->dir, &state->identity, state->kill, error) ||
        !highwater_write(state->dir, &state->identity, &high, state->kill,
                         error) ||
        !state_commit(state, ingest->batch, error) ||
        !store_flush(state->store, error)) {
        return FALSE;
    }
    logger_info("cell.ingest", "founded",
                "cell=%u epoch=%" G_GINT64_FORMAT " log=%s",
                state->identity.cell, cellmap_epoch(map), state->identity.log);
    state_set_home(state, map);
    return TRUE;
}

/* The log is no longer the one that was applied. What the store has is whole
   where there is nothing to replay: it is served, as stale. */
static void
ingest_lose_log(Ingest *ingest, GError *failure, GError **error)
{
    State *state = ingest->state;
    gsize bytes = state->identity.partitions * sizeof *ingest->next;
    g_set_error(error, COMB_ERROR, COMB_ERROR_GAP, "%s" STATE_REPAIR,
                failure->message, state->dir, state->dir);
    state_stop(state, (*error)->message);
    if (memcmp(ingest->next, state->stored, bytes) == 0) {
        atomic_store(&state->ready, TRUE);
    }
    g_error_free(failure);
}

/* The store has applied all up to its position: is the log that it read still
   there, and what comes next? */
static gboolean
ingest_begin(Ingest *ingest, GError **error)
{
    State *state = ingest->state;
    guint64 first;
    if (!log_marks_check(ingest->firehose, state->stored, state->marks,
                         error)) {
        return FALSE;
    }
    for (guint i = 0; i < state->identity.partitions; i++) {
        if (!log_bounds(ingest->firehose, i, &first, &ingest->target[i],
                        error)) {
            return FALSE;
        }
    }
    g_autofree char *group =
        g_strdup_printf("comb.cell.%u", state->identity.cell);
    ingest->reader =
        log_reader_open(ingest->firehose, ingest->next, group, error);
    return ingest->reader != NULL;
}

gboolean
ingest_open(Ingest *ingest, GError **error)
{
    GError *failure = NULL;
    if (ingest_begin(ingest, &failure)) {
        ingest->ahead =
            ahead_new(ingest->reader, ingest->state->identity.partitions,
                      INGEST_BATCH_MAX);
        ingest_publish_progress(ingest, NULL);
        return TRUE;
    }
    if (g_error_matches(failure, COMB_ERROR, COMB_ERROR_GAP)) {
        ingest_lose_log(ingest, failure, error);
    } else {
        g_propagate_error(error, failure);
    }
    return FALSE;
}

void
ingest_read_ahead(Ingest *ingest)
{
    ahead_start(ingest->ahead);
}

IngestOutcome
ingest_step(Ingest *ingest, gint timeout_ms, GError **error)
{
    const AheadRecord *records;
    gsize n;
    const char *stopped = state_stopped(ingest->state);
    if (stopped != NULL) {
        g_set_error(error, COMB_ERROR, COMB_ERROR_CORRUPT, "%s", stopped);
        return INGEST_FAILED;
    }
    if (ingest_pending(ingest)) {
        timeout_ms = 0;
    }
    switch (ahead_next(ingest->ahead, timeout_ms, &records, &n, error)) {
    case LOG_READ_STOP:
        return INGEST_FAILED;
    case LOG_READ_IDLE:
        ingest_idle(ingest);
        return fanout_slice(effects_fanout(ingest->effects), error) &&
                       ingest_settle(ingest, error)
                   ? INGEST_IDLE
                   : INGEST_FAILED;
    case LOG_READ_RECORDS:
        break;
    }
    return ingest_records(ingest, records, n, error) ? INGEST_APPLIED
                                                     : INGEST_FAILED;
}

void
ingest_report(Ingest *ingest)
{
    if (ingest->reader != NULL) {
        log_reader_commit(ingest->reader, ingest->next);
    }
}
