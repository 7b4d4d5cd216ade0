/*
 * The life of an entry. fan-out calls inbox_deliver(): almost always the id
 * is the newest and is appended to the tail. When the tail passes
 * INBOX_TAIL_MAX, its user is listed; at the end of the apply batch
 * inbox_fold() merges the oldest ids into the user's chunks. In the common
 * case they are newer than all chunks and become one new row; where late ids
 * reach below, the chunks from there on are read, merged and written anew.
 * Removal (unfollow) takes ids out of the tail at once and leaves the chunks
 * to the same fold, so that each user's chunks are rewritten once a batch.
 * inbox_folded() shortens the tails only after the rows are committed: a
 * reader that copies the tail before it opens its snapshot sees an id in at
 * least one place.
 *
 * What can go wrong: a chunk that fails its check or its chain stops the
 * fold, and with it applying; the cell is rebuilt, never patched.
 */
#include "cell/inbox.h"

#include "cell/chunks.h"
#include "cell/ids.h"
#include "ops/kit/ensure.h"

#include <string.h>

typedef struct Tail {
    gint64 *ids; /* ascending; owned */
    guint32 n;   /* of them */
    guint32 capacity;
    guint32 sealing; /* the oldest so many are staged as chunks */
    gboolean listed; /* in Inbox.due */
    ChunkTip tip;    /* where the user's chunks end */
} Tail;

struct Inbox {
    GHashTable *index;   /* user id, as a pointer -> local index + 1 */
    GArray *users;       /* UserId by local index */
    GArray *tails;       /* Tail by local index */
    GArray *due;         /* guint32: users to fold */
    guint folding;       /* of them, the last so many are staged */
    GHashTable *removed; /* local index -> GArray of gint64 to take out of
                            chunks */
    Chunks *chunks;      /* writes their rows */
    GArray *merged;      /* scratch: a union of ids */
};

static void
inbox_array_free(gpointer array)
{
    g_array_unref(array);
}

Inbox *
inbox_new(Store *store)
{
    Inbox *inbox = g_new0(Inbox, 1);
    inbox->index = g_hash_table_new(NULL, NULL);
    inbox->users = g_array_new(FALSE, FALSE, sizeof(UserId));
    inbox->tails = g_array_new(FALSE, FALSE, sizeof(Tail));
    inbox->due = g_array_new(FALSE, FALSE, sizeof(guint32));
    inbox->removed = g_hash_table_new_full(NULL, NULL, NULL, inbox_array_free);
    inbox->merged = g_array_new(FALSE, FALSE, sizeof(gint64));
    inbox->chunks = chunks_new(store);
    return inbox;
}

static Tail *
inbox_at(const Inbox *inbox, guint32 user)
{
    ensure(user < inbox->tails->len);
    return &g_array_index(inbox->tails, Tail, user);
}

void
inbox_free(Inbox *inbox)
{
    for (guint32 i = 0; i < inbox->tails->len; i++) {
        g_free(inbox_at(inbox, i)->ids);
    }
    g_hash_table_unref(inbox->index);
    g_hash_table_unref(inbox->removed);
    g_array_unref(inbox->users);
    g_array_unref(inbox->tails);
    g_array_unref(inbox->due);
    g_array_unref(inbox->merged);
    chunks_free(inbox->chunks);
    g_free(inbox);
}

guint32
inbox_find(const Inbox *inbox, UserId user)
{
    gpointer found =
        g_hash_table_lookup(inbox->index, GSIZE_TO_POINTER((gsize)user.v));
    return found != NULL ? GPOINTER_TO_UINT(found) - 1 : INBOX_NOBODY;
}

guint32
inbox_add_user(Inbox *inbox, UserId user)
{
    guint32 found = inbox_find(inbox, user);
    if (found != INBOX_NOBODY) {
        return found;
    }
    Tail tail = {.tip = CHUNK_TIP_UNKNOWN};
    g_array_append_val(inbox->users, user);
    g_array_append_val(inbox->tails, tail);
    guint32 index = inbox->tails->len - 1;
    g_hash_table_insert(inbox->index, GSIZE_TO_POINTER((gsize)user.v),
                        GUINT_TO_POINTER(index + 1));
    return index;
}

guint32
inbox_users(const Inbox *inbox)
{
    return inbox->tails->len;
}

UserId
inbox_user_id(const Inbox *inbox, guint32 user)
{
    ensure(user < inbox->users->len);
    return g_array_index(inbox->users, UserId, user);
}

const gint64 *
inbox_tail(const Inbox *inbox, guint32 user, guint *ret_n)
{
    const Tail *tail = inbox_at(inbox, user);
    *ret_n = tail->n;
    return tail->ids;
}

static void
tail_reserve(Tail *tail, gsize n)
{
    if (n <= tail->capacity) {
        return;
    }
    gsize capacity = MAX(n, tail->capacity + tail->capacity / 2);
    capacity = MAX(capacity, 4);
    ensure(capacity < G_MAXUINT32);
    tail->ids = g_renew(gint64, tail->ids, capacity);
    tail->capacity = (guint32)capacity;
}

/* List @user for the next fold. */
static void
inbox_list(Inbox *inbox, guint32 user)
{
    Tail *tail = inbox_at(inbox, user);
    if (!tail->listed) {
        tail->listed = TRUE;
        g_array_append_val(inbox->due, user);
    }
}

void
inbox_deliver(Inbox *inbox, guint32 user, PostId post)
{
    Tail *tail = inbox_at(inbox, user);
    guint32 at = tail->n;
    if (tail->n > 0 && tail->ids[tail->n - 1] >= post.v) {
        at = (guint32)ids_lower_bound(tail->ids, tail->n, post.v);
        if (tail->ids[at] == post.v) {
            return;
        }
    }
    tail_reserve(tail, (gsize)tail->n + 1);
    memmove(tail->ids + at + 1, tail->ids + at,
            (tail->n - at) * sizeof *tail->ids);
    tail->ids[at] = post.v;
    tail->n++;
    if (tail->n > INBOX_TAIL_MAX) {
        inbox_list(inbox, user);
    }
}

void
inbox_merge(Inbox *inbox, guint32 user, const gint64 *ids, gsize n)
{
    Tail *tail = inbox_at(inbox, user);
    ensure(tail->sealing == 0);
    g_array_set_size(inbox->merged, 0);
    ids_union(inbox->merged, tail->ids, tail->n, ids, n);
    guint merged = inbox->merged->len;
    tail_reserve(tail, merged);
    if (merged > 0) {
        memcpy(tail->ids, inbox->merged->data, merged * sizeof *tail->ids);
    }
    tail->n = merged;
    if (tail->n > INBOX_TAIL_MAX) {
        inbox_list(inbox, user);
    }
}

void
inbox_remove(Inbox *inbox, guint32 user, const gint64 *ids, gsize n)
{
    if (n == 0) {
        return;
    }
    Tail *tail = inbox_at(inbox, user);
    tail->n = (guint32)ids_subtract(tail->ids, tail->n, ids, n);
    gpointer key = GUINT_TO_POINTER(user);
    GArray *before = g_hash_table_lookup(inbox->removed, key);
    GArray *gone = g_array_new(FALSE, FALSE, sizeof(gint64));
    ids_union(gone, ids, n,
              before != NULL ? (gint64 *)(gpointer)before->data : NULL,
              before != NULL ? before->len : 0);
    g_hash_table_replace(inbox->removed, key, gone);
    inbox_list(inbox, user);
}

/* What folding does for one listed user. */
static gboolean
inbox_fold_user(Inbox *inbox, StoreBatch *batch, guint32 user, GError **error)
{
    Tail *tail = inbox_at(inbox, user);
    GArray *gone = g_hash_table_lookup(inbox->removed, GUINT_TO_POINTER(user));
    guint32 sealing = tail->n > INBOX_TAIL_MAX ? tail->n - INBOX_TAIL_KEEP : 0;
    ChunkChange change = {
        .add = tail->ids,
        .n_add = sealing,
        .remove = gone != NULL ? (gint64 *)(gpointer)gone->data : NULL,
        .n_remove = gone != NULL ? gone->len : 0,
    };
    UserId id = inbox_user_id(inbox, user);
    if (!chunks_change(inbox->chunks, batch, id, &change, &tail->tip, error)) {
        return FALSE;
    }
    tail->sealing = sealing;
    return TRUE;
}

/* The user at @i of those the next fold takes: the last ones listed. */
static guint32
inbox_due_user(const Inbox *inbox, guint i)
{
    return g_array_index(inbox->due, guint32, inbox->due->len - 1 - i);
}

gboolean
inbox_fold(Inbox *inbox, StoreBatch *batch, GError **error)
{
    inbox->folding = MIN(inbox->due->len, INBOX_FOLD_MAX);
    for (guint i = 0; i < inbox->folding; i++) {
        if (!inbox_fold_user(inbox, batch, inbox_due_user(inbox, i), error)) {
            return FALSE;
        }
    }
    return TRUE;
}

gboolean
inbox_fold_due(const Inbox *inbox)
{
    return inbox->due->len > 0;
}

/* Drop what was sealed, and memory that only a merge needed. */
static void
tail_shorten(Tail *tail)
{
    tail->n -= tail->sealing;
    if (tail->n > 0) {
        memmove(tail->ids, tail->ids + tail->sealing,
                tail->n * sizeof *tail->ids);
    }
    tail->sealing = 0;
    tail->listed = FALSE;
    if (tail->capacity > 2 * INBOX_TAIL_MAX) {
        tail->capacity = MAX(tail->n, 4);
        tail->ids = g_renew(gint64, tail->ids, tail->capacity);
    }
}

void
inbox_folded(Inbox *inbox)
{
    for (guint i = 0; i < inbox->folding; i++) {
        guint32 user = inbox_due_user(inbox, i);
        tail_shorten(inbox_at(inbox, user));
        g_hash_table_remove(inbox->removed, GUINT_TO_POINTER(user));
    }
    g_array_set_size(inbox->due, inbox->due->len - inbox->folding);
    inbox->folding = 0;
}
