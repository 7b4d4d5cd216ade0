/*
 * cut.h - one point of the cell's state, for one reader
 *
 * A snapshot of the store and a copy of the user's tail, taken together under
 * the read side of the state's lock; what is read from a cut is of one moment
 * however long it takes (I5).
 */
#pragma once

#include "cell/state.h"

typedef struct Cut {
    State *state;            /* borrowed */
    StoreSnapshot *snapshot; /* owned */
    gint64 *tail;            /* the user's, ascending; owned */
    guint n_tail;            /* of them */
    gint64 as_of;            /* newest event id in it */
    gint64 lag_ms;           /* how far behind the log it was */
} Cut;

/**
 * cut_open() - cut now
 *
 * @user: whose tail to copy; id 0: nobody's.
 * Thread: any.
 */
void cut_open(State *state, UserId user, Cut *ret_cut);
void cut_close(Cut *cut);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Cut, cut_close)
