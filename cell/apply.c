/*
 * The thread's life. Unfounded, it waits for a cell map that knows this cell,
 * founds the store, and starts at offset 0. Founded, it starts where the tail
 * checkpoint says. It opens a reader, trying again for as long as no broker
 * answers; any other refusal is a named stop. Then it takes batches until it
 * is told to end, finishes what is pending, and leaves a checkpoint behind.
 *
 * Checkpoints are taken by a second thread, one at a time: the first says
 * where a replay would have to begin, hands over, and goes on applying. When
 * it has ended the first answers those who wished for it before it began.
 *
 * Failure modes. A store that fails to write (disk full) latches: the thread
 * stops with the reason, pages are served as they were, a restart replays.
 */
#include "cell/apply.h"

#include "cell/checkpoint.h"
#include "cell/ingest.h"
#include "ops/kit/ensure.h"
#include "ops/kit/error.h"
#include "ops/kit/logger.h"

#define APPLY_WAIT_MS 50
/* Tails copied in one step of a checkpoint. */
#define APPLY_CHECKPOINT_USERS 4096
#define APPLY_RETRY_US (G_USEC_PER_SEC / 2)
#define APPLY_REPORT_US (5 * G_USEC_PER_SEC)

/* Of the checkpoint that the second thread takes. */
typedef enum ApplyPhase {
    APPLY_RESTING,
    APPLY_BEGUN, /* the second thread's */
    APPLY_ENDED, /* to be looked at by the first */
} ApplyPhase;

struct Apply {
    ApplyOptions options;
    State *state;           /* borrowed */
    Ingest *ingest;         /* owned; the apply thread's */
    Checkpoint *checkpoint; /* owned; whose it is tells @phase */
    guint64 *next;          /* scratch, a position per partition */
    gint64 checkpoint_us;   /* when the last checkpoint ended */
    gint64 report_us;       /* when the log was last told; 0: never */
    gboolean dirty;         /* there is what the last one does not hold */
    guint64 begun_wishes;   /* made when the one under way was begun */
    pthread_t thread;
    pthread_t checkpointer;
    _Atomic gboolean stopping;
    pthread_mutex_t mutex; /* guards what follows */
    pthread_cond_t done;   /* a wish was granted */
    pthread_cond_t moved;  /* @phase or @leaving has changed */
    ApplyPhase phase;
    GError *failure;       /* of the checkpoint that has ended; owned */
    gboolean leaving;      /* the checkpointer is to end */
    guint64 wished;        /* checkpoints asked for */
    guint64 granted;       /* of them, answered */
    GError *granted_error; /* of the last one, NULL: written; owned */
};

/* ---- checkpoints: the second thread ---- */

static GError *
apply_take_checkpoint(Apply *apply)
{
    GError *failure = NULL;
    CheckpointOutcome outcome;
    do {
        outcome = checkpoint_step(apply->checkpoint, APPLY_CHECKPOINT_USERS,
                                  &failure);
    } while (outcome == CHECKPOINT_MORE);
    return failure;
}

static gpointer
apply_checkpointer(gpointer user_data)
{
    Apply *apply = user_data;
    pthread_mutex_lock(&apply->mutex);
    while (!apply->leaving) {
        if (apply->phase != APPLY_BEGUN) {
            pthread_cond_wait(&apply->moved, &apply->mutex);
            continue;
        }
        pthread_mutex_unlock(&apply->mutex);
        GError *failure = apply_take_checkpoint(apply);
        pthread_mutex_lock(&apply->mutex);
        apply->failure = failure;
        apply->phase = APPLY_ENDED;
        pthread_cond_broadcast(&apply->moved);
    }
    pthread_mutex_unlock(&apply->mutex);
    return NULL;
}

/* ---- checkpoints: the apply thread ---- */

static void
apply_set_phase(Apply *apply, ApplyPhase phase)
{
    pthread_mutex_lock(&apply->mutex);
    apply->phase = phase;
    pthread_cond_broadcast(&apply->moved);
    pthread_mutex_unlock(&apply->mutex);
}

static void
apply_begin_checkpoint(Apply *apply, guint64 wishes)
{
    apply->begun_wishes = wishes;
    ingest_replay_from(apply->ingest, apply->next);
    checkpoint_begin(apply->checkpoint, apply->next);
    apply->dirty = ingest_pending(apply->ingest);
    apply_set_phase(apply, APPLY_BEGUN);
}

/* Answer the first @wishes of those who wait in apply_checkpoint(). */
static void
apply_grant(Apply *apply, guint64 wishes, const GError *failure)
{
    pthread_mutex_lock(&apply->mutex);
    if (wishes > apply->granted) {
        g_clear_error(&apply->granted_error);
        apply->granted_error = failure != NULL ? g_error_copy(failure) : NULL;
        apply->granted = wishes;
        pthread_cond_broadcast(&apply->done);
    }
    pthread_mutex_unlock(&apply->mutex);
}

/* Wishes made so far; *ret_open: some are not granted yet. */
static guint64
apply_wishes(Apply *apply, gboolean *ret_open)
{
    pthread_mutex_lock(&apply->mutex);
    guint64 wished = apply->wished;
    *ret_open = wished != apply->granted;
    pthread_mutex_unlock(&apply->mutex);
    return wished;
}

/* Look at the checkpoint under way; with @wait, until it has ended. */
static gboolean
apply_end_checkpoint(Apply *apply, gboolean wait, GError **error)
{
    pthread_mutex_lock(&apply->mutex);
    while (wait && apply->phase == APPLY_BEGUN) {
        pthread_cond_wait(&apply->moved, &apply->mutex);
    }
    gboolean ended = apply->phase == APPLY_ENDED;
    GError *failure = ended ? g_steal_pointer(&apply->failure) : NULL;
    apply->phase = ended ? APPLY_RESTING : apply->phase;
    pthread_mutex_unlock(&apply->mutex);
    if (!ended) {
        return TRUE;
    }
    apply_grant(apply, apply->begun_wishes, failure);
    /* From its end, so that a slow disk still leaves time to apply. */
    apply->checkpoint_us = g_get_monotonic_time();
    if (failure != NULL) {
        g_propagate_error(error, failure);
        return FALSE;
    }
    return TRUE;
}

static gboolean
apply_is_checkpointing(Apply *apply)
{
    pthread_mutex_lock(&apply->mutex);
    gboolean begun = apply->phase == APPLY_BEGUN;
    pthread_mutex_unlock(&apply->mutex);
    return begun;
}

static gboolean
apply_maybe_checkpoint(Apply *apply, GError **error)
{
    if (!apply_end_checkpoint(apply, FALSE, error)) {
        return FALSE;
    }
    gboolean open;
    guint64 wishes = apply_wishes(apply, &open);
    gint64 age = g_get_monotonic_time() - apply->checkpoint_us;
    gboolean due = age >= (gint64)apply->options.checkpoint_s * G_USEC_PER_SEC;
    if (apply_is_checkpointing(apply) || (!open && !due)) {
        return TRUE;
    }
    if (apply->dirty) {
        apply_begin_checkpoint(apply, wishes);
    } else {
        apply_grant(apply, wishes, NULL);
        apply->checkpoint_us = g_get_monotonic_time();
    }
    return TRUE;
}

/* The last one of this thread's life: nothing is left to replay. */
static gboolean
apply_last_checkpoint(Apply *apply, GError **error)
{
    gboolean open;
    if (!ingest_finish(apply->ingest, error) ||
        !apply_end_checkpoint(apply, TRUE, error)) {
        return FALSE;
    }
    if (apply->dirty) {
        apply_begin_checkpoint(apply, apply_wishes(apply, &open));
    }
    return apply_end_checkpoint(apply, TRUE, error);
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
    gboolean open;
    guint64 wishes = apply_wishes(apply, &open);
    if (open) {
        g_autoptr(GError) failure =
            g_error_new(COMB_ERROR, COMB_ERROR_GAP, "%s", why);
        apply_grant(apply, wishes, failure);
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
    g_autoptr(CellMap) map = apply_await_map(apply);
    return map == NULL || ingest_found(apply->ingest, map, error);
}

/* Open the reader; as long as no broker answers, try again. */
static gboolean
apply_open(Apply *apply, GError **error)
{
    while (!atomic_load(&apply->stopping)) {
        g_autoptr(GError) failure = NULL;
        if (ingest_open(apply->ingest, &failure)) {
            ingest_read_ahead(apply->ingest);
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

/* The log's own tools show by it how far this cell is. Nothing is read from it;
   said again while nothing comes, so that the log does not forget it. */
static void
apply_report(Apply *apply)
{
    gint64 now_us = g_get_monotonic_time();
    if (now_us - apply->report_us >= APPLY_REPORT_US) {
        ingest_report(apply->ingest);
        apply->report_us = now_us;
    }
}

static gboolean
apply_step(Apply *apply, GError **error)
{
    apply_report(apply);
    switch (ingest_step(apply->ingest, APPLY_WAIT_MS, error)) {
    case INGEST_FAILED:
        return FALSE;
    case INGEST_IDLE:
        break;
    case INGEST_APPLIED:
        apply->dirty = TRUE;
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
    ingest_report(apply->ingest);
    return apply_last_checkpoint(apply, error);
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
            LogEnds *ends, const guint64 *next)
{
    Apply *apply = g_new0(Apply, 1);
    apply->options = *options;
    apply->state = state;
    apply->ingest = ingest_new(state, firehose, ends, next);
    apply->checkpoint = checkpoint_new(state);
    apply->next = g_new0(guint64, state->identity.partitions);
    apply->checkpoint_us = g_get_monotonic_time();
    pthread_mutex_init(&apply->mutex, NULL);
    pthread_cond_init(&apply->done, NULL);
    pthread_cond_init(&apply->moved, NULL);
    int failed =
        pthread_create(&apply->checkpointer, NULL, apply_checkpointer, apply);
    ensure(failed == 0);
    failed = pthread_create(&apply->thread, NULL, apply_main, apply);
    ensure(failed == 0);
    return apply;
}

void
apply_stop(Apply *apply)
{
    atomic_store(&apply->stopping, TRUE);
    pthread_join(apply->thread, NULL);
    pthread_mutex_lock(&apply->mutex);
    apply->leaving = TRUE;
    pthread_cond_broadcast(&apply->moved);
    pthread_mutex_unlock(&apply->mutex);
    pthread_join(apply->checkpointer, NULL);
    checkpoint_free(apply->checkpoint);
    ingest_free(apply->ingest);
    pthread_cond_destroy(&apply->done);
    pthread_cond_destroy(&apply->moved);
    g_clear_error(&apply->failure);
    g_free(apply->next);
    pthread_mutex_destroy(&apply->mutex);
    g_clear_error(&apply->granted_error);
    g_free(apply);
}
