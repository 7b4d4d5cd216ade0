/*
 * inbox.h - the inboxes of all homed users: tails in memory, chunks sealed
 *
 * An inbox is a set of post ids, in two parts: a sorted tail in memory, and
 * chunk rows (chunk.h) that do not overlap each other. New, late and repeated
 * ids go into the tail; a tail that is full has its oldest ids folded into the
 * chunks. An id may be in both parts; readers drop the double.
 *
 * It is a hint: whether a post may be shown is decided from facts when a page
 * is read. What must never happen is that an id is missing, so the tails on
 * disk (tailfile.h) are always older than the chunk rows, never newer.
 *
 * Thread: the apply thread writes, under the write side of the state's lock;
 * inbox_find() and inbox_tail() are for readers under the read side.
 */
#pragma once

#include "cell/store.h"

/* A tail longer than this is folded, all but the newest INBOX_TAIL_KEEP. */
#define INBOX_TAIL_MAX 160
#define INBOX_TAIL_KEEP 32

/* Users of one fold. */
#define INBOX_FOLD_MAX 1024

#define INBOX_NOBODY G_MAXUINT32

typedef struct Inbox Inbox;

/** inbox_new() - no users yet; chunks go to @store, borrowed. */
Inbox *inbox_new(Store *store);
void inbox_free(Inbox *inbox);

/** inbox_add_user() - the local index of @user, given at the first call. */
guint32 inbox_add_user(Inbox *inbox, UserId user);

/** inbox_find() - the local index, or INBOX_NOBODY. */
guint32 inbox_find(const Inbox *inbox, UserId user);

/** inbox_users() - how many there are: indexes go from 0 to one less. */
guint32 inbox_users(const Inbox *inbox);

/** inbox_user_id() - whose inbox local index @user is. */
UserId inbox_user_id(const Inbox *inbox, guint32 user);

/** inbox_deliver() - put one post into the tail; a repeated id changes nothing.
 */
void inbox_deliver(Inbox *inbox, guint32 user, PostId post);

/** inbox_merge() - put many posts into the tail. @ids: ascending. */
void inbox_merge(Inbox *inbox, guint32 user, const gint64 *ids, gsize n);

/**
 * inbox_remove() - take posts out of the tail, and note them for the chunks
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
 *         Changes nothing that a reader sees: no lock is needed.
 * Fails:  COMB_ERROR_CORRUPT, COMB_ERROR_IO: a chunk cannot be read.
 */
gboolean inbox_fold(Inbox *inbox, StoreBatch *batch, GError **error);

/** inbox_fold_due() - whether inbox_fold() has anything to do. */
gboolean inbox_fold_due(const Inbox *inbox);

/** inbox_folded() - the staged rows are committed: shorten the tails. */
void inbox_folded(Inbox *inbox);

/** inbox_tail() - the user's tail, ascending; borrowed. */
const gint64 *inbox_tail(const Inbox *inbox, guint32 user, guint *ret_n);
