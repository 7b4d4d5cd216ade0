#include "cell/cut.h"

void
cut_open(State *state, UserId user, Cut *ret_cut)
{
    *ret_cut = (Cut){.state = state};
    pthread_rwlock_rdlock(&state->lock);
    guint32 index = inbox_find(state->inbox, user);
    if (index != INBOX_NOBODY) {
        const gint64 *tail = inbox_tail(state->inbox, index, &ret_cut->n_tail);
        ret_cut->tail = g_memdup2(tail, ret_cut->n_tail * sizeof *tail);
    }
    ret_cut->snapshot = store_snapshot(state->store);
    ret_cut->as_of = atomic_load(&state->as_of);
    ret_cut->lag_ms = state_lag_ms(state);
    pthread_rwlock_unlock(&state->lock);
}

void
cut_close(Cut *cut)
{
    if (cut->snapshot != NULL) {
        store_snapshot_release(cut->snapshot);
    }
    g_free(cut->tail);
    *cut = (Cut){0};
}
