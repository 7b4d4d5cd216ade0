/*
 * tails.h - the newest ids of every inbox, in memory
 *
 * A tail is a run of ascending ids (idrun.h) in a block of its user's own
 * (arena.h), as large as it needs. Nothing here is durable and nothing knows
 * the store.
 *
 * One thread changes tails; any number copy them beside it. Each tail has a
 * sequence that is odd while it is being changed: a copy during which it has
 * moved is made again, so a copy is always one that was. No one waits for a
 * reader. All that readers touch is atomic, with acquire and release only.
 */
#pragma once

#include "cell/arena.h"
#include "cell/idrun.h"

/* Bytes and ids of the longest tail: of what is due, and a batch on top. */
#define TAIL_BYTES_MAX ARENA_BLOCK_BYTES_MAX
#define TAIL_IDS_MAX (TAIL_BYTES_MAX / 2)

/* Users of one cell: 2 GiB of addresses, as much memory as there are users. */
#define TAIL_USERS_MAX (1u << 26)

typedef struct Tails Tails;

/* A tail as it was at one moment. */
typedef struct TailCopy {
    guint32 shrinks; /* tails_shrinks() then */
    guint n;         /* ids */
    guint bytes;     /* of the run */
    guint8 run[TAIL_BYTES_MAX];
} TailCopy;

/**
 * tails_new() - no users yet
 *
 * @ids_due: a tail with more ids is due (tails_due()).
 */
Tails *tails_new(guint ids_due);
void tails_free(Tails *tails);

/** tails_grow() - have empty tails for @users users; TAIL_USERS_MAX at most. */
void tails_grow(Tails *tails, guint32 users);

/** tails_bytes() - memory held; a count that is kept, not made. */
gsize tails_bytes(const Tails *tails);

/** tails_live_bytes() - of it, in blocks that are in use. */
gsize tails_live_bytes(const Tails *tails);

/** tails_set_memory() - be thrifty where @bytes are held (arena.h). */
void tails_set_memory(Tails *tails, gsize bytes);

/* ---- the writer ---- */

/**
 * tails_deliver() - put @id into the tails of @n @users
 *
 * Effect: the newest id is appended, a late one put in its place, one that is
 *         there changes nothing. Ids below a tail's floor are left out.
 */
void tails_deliver(Tails *tails, const guint32 *users, guint n, gint64 id);

/** tails_get() - the ids, ascending; at most TAIL_IDS_MAX. */
guint tails_get(const Tails *tails, guint32 user, gint64 ret_ids[TAIL_IDS_MAX]);

/** tails_count() - how many ids. */
guint tails_count(const Tails *tails, guint32 user);

/**
 * tails_set() - replace a tail by @n ascending @ids
 *
 * @shrinks: ids may have gone: whoever copies must look for them elsewhere.
 */
void tails_set(Tails *tails, guint32 user, const gint64 *ids, guint n,
               gboolean shrinks);

/** tails_drop() - take out the oldest @n ids; a shrink where any are. */
void tails_drop(Tails *tails, guint32 user, guint n);

/**
 * tails_load() - fill an empty tail from a run of @n ids
 *
 * Effect: FALSE where it is no such run.
 */
gboolean tails_load(Tails *tails, guint32 user, const guint8 *run, guint bytes,
                    guint n);

/** tails_floor() - ids below are left out. tails_set_floor() raises it. */
gint64 tails_floor(const Tails *tails, guint32 user);
void tails_set_floor(Tails *tails, guint32 user, gint64 floor);

/** tails_list() - make @user due, whatever the tail's length. */
void tails_list(Tails *tails, guint32 user);

/** tails_due() - the users that are due, each once; the caller's to take. */
GArray *tails_due(Tails *tails);

/** tails_unlist() - @user was taken off tails_due(). */
void tails_unlist(Tails *tails, guint32 user);

/* ---- readers: any thread ---- */

/** tails_shrinks() - how often ids have gone from this tail. */
guint32 tails_shrinks(const Tails *tails, guint32 user);

/** tails_copy() - the tail as it is at one moment during the call. */
void tails_copy(const Tails *tails, guint32 user, TailCopy *ret_copy);
