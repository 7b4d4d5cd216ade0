#include "cell/checkpoint.h"

#include "cell/tailfile.h"

#include <string.h>

struct Checkpoint {
    State *state;  /* borrowed */
    guint64 *next; /* the position claimed; owned */
};

Checkpoint *
checkpoint_new(State *state)
{
    Checkpoint *checkpoint = g_new0(Checkpoint, 1);
    checkpoint->state = state;
    checkpoint->next = g_new0(guint64, state->identity.partitions);
    return checkpoint;
}

void
checkpoint_free(Checkpoint *checkpoint)
{
    g_free(checkpoint->next);
    g_free(checkpoint);
}

void
checkpoint_begin(Checkpoint *checkpoint, const guint64 *next)
{
    gsize bytes = checkpoint->state->identity.partitions * sizeof *next;
    memcpy(checkpoint->next, next, bytes);
}

CheckpointOutcome
checkpoint_step(Checkpoint *checkpoint, guint32 users, GError **error)
{
    State *state = checkpoint->state;
    (void)users;
    if (!store_flush(state->store, error) ||
        !tailfile_write(state->dir, &state->identity, checkpoint->next,
                        state->inbox, error)) {
        return CHECKPOINT_FAILED;
    }
    state_add(state, METRIC_CHECKPOINTS, 1);
    return CHECKPOINT_DONE;
}

const guint64 *
checkpoint_next(const Checkpoint *checkpoint)
{
    return checkpoint->next;
}
