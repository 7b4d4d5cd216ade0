/*
 * begin: note the position P to claim, and the position S that the store has
 * reached, S at or past P. steps: copy tails into the file. last step: sync
 * the file; flush the store, so that everything a copied tail may have given
 * to a chunk is safe; write the high-water file with S; rename the tail file
 * into place. A crash anywhere leaves the generation before, whose position is
 * older and whose tails the flush has not harmed.
 */
#include "cell/checkpoint.h"

#include "cell/highwater.h"
#include "cell/tailfile.h"

#include <string.h>

struct Checkpoint {
    State *state;       /* borrowed */
    guint64 *next;      /* the position claimed; owned */
    Highwater flushed;  /* what the store has when it is flushed; owned */
    TailWriter *writer; /* NULL: not begun to write */
    guint32 user;       /* to be copied next */
    guint32 users;      /* there were at the beginning */
    TailCopy tail;      /* scratch */
};

Checkpoint *
checkpoint_new(State *state)
{
    Checkpoint *checkpoint = g_new0(Checkpoint, 1);
    guint partitions = state->identity.partitions;
    checkpoint->state = state;
    checkpoint->next = g_new0(guint64, partitions);
    checkpoint->flushed.next = g_new0(guint64, partitions);
    return checkpoint;
}

void
checkpoint_free(Checkpoint *checkpoint)
{
    g_clear_pointer(&checkpoint->writer, tailfile_abort);
    g_free(checkpoint->next);
    g_free(checkpoint->flushed.next);
    g_free(checkpoint);
}

void
checkpoint_begin(Checkpoint *checkpoint, const guint64 *next)
{
    State *state = checkpoint->state;
    g_clear_pointer(&checkpoint->writer, tailfile_abort);
    memcpy(checkpoint->next, next, state->identity.partitions * sizeof *next);
    checkpoint->user = 0;
    checkpoint->users = inbox_users(state->inbox);
}

static gboolean
checkpoint_copy(Checkpoint *checkpoint, guint32 users, GError **error)
{
    State *state = checkpoint->state;
    if (checkpoint->writer == NULL) {
        checkpoint->writer = tailfile_begin(state->dir, &state->identity,
                                            checkpoint->next, error);
        if (checkpoint->writer == NULL) {
            return FALSE;
        }
    }
    if (!killpoint_hit(state->kill, KILL_CHECKPOINT, error)) {
        return FALSE;
    }
    const Tails *tails = inbox_tails(state->inbox);
    users = MIN(users, checkpoint->users - checkpoint->user);
    for (guint32 end = checkpoint->user + users; checkpoint->user < end;
         checkpoint->user++) {
        tails_copy(tails, checkpoint->user, &checkpoint->tail);
        tailfile_put(checkpoint->writer,
                     inbox_user_id(state->inbox, checkpoint->user),
                     &checkpoint->tail);
    }
    return killpoint_hit(state->kill, KILL_TAILS_WRITE, error);
}

static gboolean
checkpoint_end(Checkpoint *checkpoint, GError **error)
{
    State *state = checkpoint->state;
    checkpoint->flushed.commits = atomic_load(&state->commits);
    for (guint i = 0; i < state->identity.partitions; i++) {
        checkpoint->flushed.next[i] =
            MAX(atomic_load(&state->next[i]), state->stored[i]);
    }
    if (!tailfile_end(checkpoint->writer, error) ||
        !killpoint_hit(state->kill, KILL_FLUSH, error) ||
        !store_flush(state->store, error) ||
        !killpoint_hit(state->kill, KILL_FLUSHED, error) ||
        !highwater_write(state->dir, &state->identity, &checkpoint->flushed,
                         state->kill, error)) {
        return FALSE;
    }
    return tailfile_commit(g_steal_pointer(&checkpoint->writer), state->kill,
                           error);
}

CheckpointOutcome
checkpoint_step(Checkpoint *checkpoint, guint32 users, GError **error)
{
    gboolean good = checkpoint_copy(checkpoint, users, error);
    if (good && checkpoint->user < checkpoint->users) {
        return CHECKPOINT_MORE;
    }
    if (!good || !checkpoint_end(checkpoint, error)) {
        g_clear_pointer(&checkpoint->writer, tailfile_abort);
        return CHECKPOINT_FAILED;
    }
    state_add(checkpoint->state, METRIC_CHECKPOINTS, 1);
    return CHECKPOINT_DONE;
}

const guint64 *
checkpoint_next(const Checkpoint *checkpoint)
{
    return checkpoint->next;
}
