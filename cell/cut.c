#include "cell/cut.h"

#include "cell/ids.h"
#include "ops/kit/ensure.h"

/* The store's moment, and what is known of it. Read before the snapshot is
   taken: it has at least that. */
static void
cut_snapshot(Cut *cut)
{
    cut->as_of = atomic_load(&cut->state->as_of);
    cut->lag_ms = state_lag_ms(cut->state);
    cut->commits = atomic_load(&cut->state->commits);
    cut->snapshot = store_snapshot(cut->state->store);
}

/* The ids of a tail and of posts on their way to it. */
static void
cut_join(Cut *cut, const TailCopy *tail, const gint64 *pending, guint n_pending)
{
    g_autofree gint64 *ids = g_new(gint64, tail->n + 1);
    gboolean good =
        idrun_decode(tail->run, tail->run + tail->bytes, tail->n, ids);
    ensure(good);
    if (n_pending == 0) {
        cut->n_ids = tail->n;
        cut->ids = g_steal_pointer(&ids);
        return;
    }
    GArray *all = g_array_new(FALSE, FALSE, sizeof(gint64));
    ids_union(all, ids, tail->n, pending, n_pending);
    cut->n_ids = all->len;
    cut->ids = (gint64 *)(gpointer)g_array_free(all, FALSE);
}

/* FALSE: ids have left the tail meanwhile; nothing is kept. */
static gboolean
cut_try(Cut *cut, UserId user)
{
    const Inbox *inbox = cut->state->inbox;
    guint32 index = inbox_find(inbox, user);
    if (index == INBOX_NOBODY) {
        cut_snapshot(cut);
        /* Somebody who has come since may have a tail by now. */
        return inbox_find(inbox, user) == INBOX_NOBODY;
    }
    const Tails *tails = inbox_tails(inbox);
    gint64 pending[PENDING_MAX];
    TailCopy tail;
    guint32 shrinks = tails_shrinks(tails, index);
    cut_snapshot(cut);
    /* In this order: a post that is no longer pending is in the tail. */
    guint n_pending = pending_read(&cut->state->pending, pending);
    tails_copy(tails, index, &tail);
    if (tail.shrinks != shrinks) {
        return FALSE;
    }
    cut_join(cut, &tail, pending, n_pending);
    return TRUE;
}

void
cut_open(State *state, UserId user, Cut *ret_cut)
{
    *ret_cut = (Cut){.state = state};
    if (user.v == 0) {
        cut_snapshot(ret_cut);
        return;
    }
    while (!cut_try(ret_cut, user)) {
        store_snapshot_release(ret_cut->snapshot);
    }
}

void
cut_close(Cut *cut)
{
    if (cut->snapshot != NULL) {
        store_snapshot_release(cut->snapshot);
    }
    g_free(cut->ids);
    *cut = (Cut){0};
}
