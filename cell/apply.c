/*
 * The thread's life. Unfounded, it waits for a cell map that knows this cell,
 * founds the store (first tail file, then rows: from then on a missing tail
 * file means loss), and starts at offset 0. Founded, it starts where the tail
 * checkpoint says. It opens a reader, trying again for as long as no broker
 * answers; any other refusal is a named stop. Then it takes batches until it
 * is told to end, and leaves a checkpoint behind.
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
#define APPLY_RETRY_US (G_USEC_PER_SEC / 2)

struct Apply {
    ApplyOptions options;
    State *state;           /* borrowed */
    Ingest *ingest;         /* owned; the thread's */
    Checkpoint *checkpoint; /* owned; the thread's */
    gint64 checkpoint_us;   /* when the last checkpoint was written */
    gboolean dirty;         /* applied something since the last checkpoint */
    pthread_t thread;
    _Atomic gboolean stopping;
    pthread_mutex_t mutex; /* guards what follows */
    pthread_cond_t done;   /* a wish was granted */
    guint64 wished;        /* checkpoints asked for */
    guint64 granted;       /* of them, answered */
    GError *granted_error; /* of the last one, NULL: written; owned */
};

/* ---- checkpoints ---- */

static gboolean
apply_write_checkpoint(Apply *apply, GError **error)
{
    CheckpointOutcome outcome = CHECKPOINT_MORE;
    if (apply->dirty) {
        checkpoint_begin(apply->checkpoint, ingest_next(apply->ingest));
        while (outcome == CHECKPOINT_MORE) {
            outcome = checkpoint_step(apply->checkpoint, G_MAXUINT32, error);
        }
        if (outcome == CHECKPOINT_FAILED) {
            return FALSE;
        }
        apply->dirty = FALSE;
        ingest_report(apply->ingest, checkpoint_next(apply->checkpoint));
    }
    /* From its end, so that a slow disk still leaves time to apply. */
    apply->checkpoint_us = g_get_monotonic_time();
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

static gboolean
apply_step(Apply *apply, GError **error)
{
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
    apply->options = *options;
    apply->state = state;
    apply->ingest = ingest_new(state, firehose, next);
    apply->checkpoint = checkpoint_new(state);
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
    checkpoint_free(apply->checkpoint);
    ingest_free(apply->ingest);
    pthread_cond_destroy(&apply->done);
    pthread_mutex_destroy(&apply->mutex);
    g_clear_error(&apply->granted_error);
    g_free(apply);
}
