/*
 * cut.h - one point of the cell's state, for one reader
 *
 * A snapshot of the store, and ids that hold every post which the snapshot's
 * facts put into the user's dashboard and its chunks do not: a copy of the
 * tail, and the posts whose fan-out is under way. What is read from a cut is
 * of the snapshot's moment however long it takes (I5): an id whose post or
 * follow came later is not shown, as the snapshot does not know it.
 *
 * Nobody waits for anybody. Ids come into tails before their facts are
 * committed, so a copy made after the snapshot lacks none; they leave a tail
 * after the chunk that takes them is committed, and the tail then counts a
 * shrink: where the count has moved since before the snapshot, the cut is
 * made again.
 */
#pragma once

#include "cell/state.h"

typedef struct Cut {
    State *state;            /* borrowed */
    StoreSnapshot *snapshot; /* owned */
    guint64 commits;         /* that the snapshot has, at least */
    gint64 *ids;             /* of the user, ascending; owned */
    gsize n_ids;             /* of them */
    gint64 as_of;            /* newest event id in it */
    gint64 lag_ms;           /* how far behind the log it was */
} Cut;

/**
 * cut_open() - cut now
 *
 * @user: whose ids to have; id 0: nobody's.
 * Thread: any.
 */
void cut_open(State *state, UserId user, Cut *ret_cut);
void cut_close(Cut *cut);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Cut, cut_close)
