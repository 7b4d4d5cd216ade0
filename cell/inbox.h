/*
 * inbox.h - the inboxes of all homed users: tails in memory, chunks sealed
 *
 * An inbox is a set of post ids in two parts: a tail in memory (tails.h), and
 * chunk rows in the store (chunk.h) that do not overlap each other. New, late
 * and repeated ids go into the tail; of a tail that is full the oldest ids
 * are sealed into the chunks. An id may be in both; readers drop the double.
 *
 * It reaches back to the user's floor. Above it every id that belongs to the
 * dashboard is here; below it none needs to be, since pages are derived from
 * the authors' timelines there (merge.h). The floor rises when the oldest
 * chunks are dropped, and when a new follow brings more posts than fit. It is
 * a row of the store, 'w': i64 LE floor, u32 LE XXH32 of that, seed 0.
 *
 * An inbox is a hint: whether a post may be shown is decided from facts when
 * a page is read. What must never happen is that an id is missing. So ids
 * come into tails before the facts that call for them are committed, and
 * leave them after what takes their place is.
 *
 * Thread: the apply thread, but for what says otherwise.
 */
#pragma once

#include "cell/store.h"
#include "cell/tails.h"

/* Users of one fold. */
#define INBOX_FOLD_MAX 1024

#define INBOX_NOBODY G_MAXUINT32

#define INBOX_FOLLOWS_MAX 4096

/* How an inbox is kept. By I2 nobody can see it. */
typedef struct InboxTuning {
    guint tail_ids_max;  /* a longer tail is sealed, all but the newest */
    guint tail_ids_keep; /* so many */
    guint chunk_ids;     /* about so many a chunk row */
    guint window_chunks; /* an inbox with a quarter more is cut down to so
                            many */
    guint slice;         /* deliveries of a big fan-out between two batches */
    guint follows_max;   /* below its window the inbox of who follows more is
                            read from everybody's posts (sweep.h); at most
                            INBOX_FOLLOWS_MAX */
} InboxTuning;

/** inbox_tuning_default() - what cells run with. Borrowed, static. */
const InboxTuning *inbox_tuning_default(void);

typedef struct Inbox Inbox;

/**
 * inbox_new() - no users yet
 *
 * @store:  borrowed; chunks and floors go there.
 * @tuning: copied.
 */
Inbox *inbox_new(Store *store, const InboxTuning *tuning);
void inbox_free(Inbox *inbox);

/** inbox_tuning() - what it was made with; borrowed. */
const InboxTuning *inbox_tuning(const Inbox *inbox);

/** inbox_load_floors() - take over the floor rows. Fails: _CORRUPT. */
gboolean inbox_load_floors(Inbox *inbox, GError **error);

/** inbox_add_user() - the local index of @user, given at the first call. */
guint32 inbox_add_user(Inbox *inbox, UserId user);

/** inbox_find() - the local index, or INBOX_NOBODY. Thread: any. */
guint32 inbox_find(const Inbox *inbox, UserId user);

/** inbox_users() - indexes go from 0 to one less. Thread: any. */
guint32 inbox_users(const Inbox *inbox);

/** inbox_user_id() - whose inbox local index @user is. Thread: any. */
UserId inbox_user_id(const Inbox *inbox, guint32 user);

/** inbox_tails() - the tails; borrowed. Thread: any, for its readers' part. */
Tails *inbox_tails(const Inbox *inbox);

/** inbox_bytes() - memory held for users and tails. */
gsize inbox_bytes(const Inbox *inbox);

/** inbox_live_bytes() - of it, in use. */
gsize inbox_live_bytes(const Inbox *inbox);

/** inbox_set_memory() - where tails are to be thrifty with memory held. */
void inbox_set_memory(Inbox *inbox, gsize bytes);

/** inbox_deliver() - put @post into the inboxes of @n @users. */
void inbox_deliver(Inbox *inbox, const guint32 *users, guint n, PostId post);

/* What a new follow brings: posts, ascending, of an author or several. */
typedef struct InboxNews {
    const gint64 *ids;
    gsize n;
    gint64 floor; /* some below it were left out; 0: none */
} InboxNews;

/**
 * inbox_insert() - put many posts into one inbox, before @batch is committed
 *
 * Effect: few ids go into the tail, many into chunk rows staged in @batch.
 *         Ids below the inbox's floor or the news' are left out. One call a
 *         user and batch; inbox_inserted() is due once it is committed.
 * Fails:  COMB_ERROR_CORRUPT, COMB_ERROR_IO.
 */
gboolean inbox_insert(Inbox *inbox, StoreBatch *batch, guint32 user,
                      const InboxNews *news, GError **error);

/**
 * inbox_inserted() - the staged rows are committed: the floors hold
 *
 * Effect: not before, as a reader whose snapshot is older still needs what is
 *         delivered below them.
 */
void inbox_inserted(Inbox *inbox);

/** inbox_window_ids() - about how many ids an inbox holds at most. */
gsize inbox_window_ids(const Inbox *inbox);

/** inbox_floor() - ids below need not be inserted. */
gint64 inbox_floor(const Inbox *inbox, guint32 user);

/**
 * inbox_remove() - take posts out: of the tail now, of chunks by the next fold
 *
 * @ids: ascending.
 */
void inbox_remove(Inbox *inbox, guint32 user, const gint64 *ids, gsize n);

/**
 * inbox_fold() - stage in @batch what full tails and removals do to chunks
 *
 * Effect: of at most INBOX_FOLD_MAX users, so that a batch stays small; call
 *         again while inbox_fold_due(). inbox_folded() is due once the batch
 *         is committed; until then the tails still hold what is being sealed.
 * Fails:  COMB_ERROR_CORRUPT, COMB_ERROR_IO: a chunk cannot be read.
 */
gboolean inbox_fold(Inbox *inbox, StoreBatch *batch, GError **error);

/** inbox_fold_due() - whether inbox_fold() has anything to do. */
gboolean inbox_fold_due(const Inbox *inbox);

/**
 * inbox_folded() - the staged rows are committed: shorten the tails
 *
 * Effect: how many ids were sealed.
 */
gsize inbox_folded(Inbox *inbox);

/**
 * inbox_relieve() - memory is short: have tails of up to @users users sealed
 * whole
 *
 * Effect: goes round all users, a call at a time; inbox_fold() does it.
 */
void inbox_relieve(Inbox *inbox, guint32 users);

/**
 * inbox_read_floor() - the floor as of @snapshot; 0: none
 *
 * Effect: STORE_FAILED where the row is damaged. Thread: any.
 */
StoreOutcome inbox_read_floor(Store *store, const StoreSnapshot *snapshot,
                              UserId user, gint64 *ret_floor);
