/*
 * idclock.h - fresh ids that never run backwards on a node
 *
 * A hybrid logical clock: milliseconds of the wall clock, then a sequence
 * (layout: thrift/id.h). It does not go back over steps of the wall clock,
 * restarts or a kill: a file in the data directory holds a time that no id
 * given so far has passed, and is written ahead.
 *
 * Each call gives a run of ids, ascending, IDCLOCK_STEP apart:
 * first, first + IDCLOCK_STEP, ... Where a millisecond's sequences are used
 * up the run goes on in the next one; the sum carries by itself.
 */
#pragma once

#include "thrift/id.h"

#define IDCLOCK_STEP (G_GINT64_CONSTANT(1) << ID_NODE_BITS)

/* A caller's last id may be so far ahead of the wall clock. */
#define IDCLOCK_AFTER_MS_MAX 60000
/* The clock borrows so far from the future when ids are asked faster than
   milliseconds pass. */
#define IDCLOCK_BORROW_MS_MAX 1000

typedef struct IdClock IdClock;

typedef enum IdClockOutcome {
    IDCLOCK_GIVEN,
    IDCLOCK_AFTER_AHEAD, /* @after_id is too far in the future */
    IDCLOCK_OVERLOADED,  /* the borrow bound; try again in a moment */
    IDCLOCK_FAILED,      /* the file cannot be written; logged */
} IdClockOutcome;

/* The wall clock in milliseconds since 1970. */
typedef gint64 (*IdClockNow)(gpointer user_data);

/**
 * idclock_open() - take up the clock in @dir
 *
 * @dir:  exists; one process at a time.
 * @node: 0 to ID_NODE_MAX, no other gateway's.
 * @now:  NULL: the machine's clock. @user_data is for it.
 * Fails: COMB_ERROR_IO (cannot be written, is in use), COMB_ERROR_FULL,
 *        COMB_ERROR_CORRUPT (the message says what to do), NULL.
 */
IdClock *idclock_open(const char *dir, guint node, IdClockNow now,
                      gpointer user_data, GError **error);

/**
 * idclock_next() - @count fresh ids
 *
 * @count:    1 or more; they are *ret_first + i * IDCLOCK_STEP.
 * @after_id: every id given is greater; 0: none.
 * Effect:    greater than all ids given before. Every few seconds one caller
 *            writes the file, while the others go on.
 * Thread:    any.
 */
IdClockOutcome idclock_next(IdClock *clock, guint count, gint64 after_id,
                            gint64 *ret_first);

/** idclock_ahead_ms() - how far the newest id is ahead of the wall clock. */
gint64 idclock_ahead_ms(IdClock *clock);

/** idclock_close() - write the exact time and free. NULL is fine. */
void idclock_close(IdClock *clock);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(IdClock, idclock_close)
