/*
 * The life of an entry. Fan-out calls inbox_deliver(): nearly always the id
 * is the newest and is appended to the tail. A tail that passes tail_ids_max
 * is due; at the end of the apply batch inbox_fold() stages its oldest ids as
 * a chunk. In the common case they are newer than all chunks and become one
 * new row; where late ids reach below, the chunks from there on are read,
 * merged and written anew. Removal (unfollow) takes ids out of the tail at
 * once and leaves the chunks to the same fold, so that each user's chunks are
 * rewritten once a batch. inbox_folded() shortens the tails only after the
 * rows are committed: whoever finds a tail shortened since before its
 * snapshot looks again (cut.h), and so sees an id in at least one place.
 *
 * An inbox with too many chunks loses the oldest, in the same batch as its
 * floor rises to what is left.
 *
 * What can go wrong: a chunk that fails its check or its chain stops the
 * fold, and with it applying; the cell is rebuilt, never patched.
 */
#include "cell/inbox.h"

#include "cell/chunks.h"
#include "cell/idmap.h"
#include "cell/ids.h"
#include "ops/kit/ensure.h"
#include "ops/kit/error.h"

#include <string.h>
#include <xxhash.h>

#define FLOOR_BYTES 12

/* Some 1 KB of tail at most, some 16,000 ids of window. */
static const InboxTuning inbox_default = {
    .tail_ids_max = 288,
    .tail_ids_keep = 32,
    .chunk_ids = 256,
    .window_chunks = 64,
    .slice = 262144,
    .follows_max = INBOX_FOLLOWS_MAX,
};

/* A user of the fold under way. */
typedef struct Fold {
    guint32 user;
    guint sealing; /* the oldest so many of the tail are staged as chunks */
    gint64 floor;  /* staged; 0: not raised */
} Fold;

struct Inbox {
    InboxTuning tuning;
    Store *store;        /* borrowed */
    IdMap *users;        /* user id -> local index */
    Tails *tails;        /* by local index */
    Span tips;           /* of ChunkTip, likewise: where chunks end */
    GArray *folds;       /* Fold: those staged */
    GArray *inserts;     /* Fold: whose rows inbox_insert() staged */
    GHashTable *removed; /* local index -> GArray of gint64 to take out of
                            chunks */
    gboolean thrifty;    /* those due are to be sealed whole */
    guint32 hand;        /* where inbox_relieve() goes on */
    Chunks *chunks;      /* writes their rows */
    GArray *merged;      /* scratch: a union of ids */
};

static void
inbox_array_free(gpointer array)
{
    g_array_unref(array);
}

const InboxTuning *
inbox_tuning_default(void)
{
    return &inbox_default;
}

Inbox *
inbox_new(Store *store, const InboxTuning *tuning)
{
    Inbox *inbox = g_new0(Inbox, 1);
    ensure(tuning->tail_ids_keep < tuning->tail_ids_max &&
           tuning->tail_ids_max < TAIL_IDS_MAX / 2 &&
           tuning->window_chunks > 0 && tuning->slice > 0 &&
           tuning->follows_max <= INBOX_FOLLOWS_MAX);
    inbox->tuning = *tuning;
    inbox->store = store;
    inbox->users = idmap_new();
    inbox->tails = tails_new(tuning->tail_ids_max);
    span_init(&inbox->tips, (gsize)TAIL_USERS_MAX * sizeof(ChunkTip));
    inbox->folds = g_array_new(FALSE, FALSE, sizeof(Fold));
    inbox->inserts = g_array_new(FALSE, FALSE, sizeof(Fold));
    inbox->removed = g_hash_table_new_full(NULL, NULL, NULL, inbox_array_free);
    inbox->merged = g_array_new(FALSE, FALSE, sizeof(gint64));
    inbox->chunks = chunks_new(store, tuning->chunk_ids);
    return inbox;
}

void
inbox_free(Inbox *inbox)
{
    idmap_free(inbox->users);
    tails_free(inbox->tails);
    span_clear(&inbox->tips);
    g_array_unref(inbox->folds);
    g_array_unref(inbox->inserts);
    g_hash_table_unref(inbox->removed);
    g_array_unref(inbox->merged);
    chunks_free(inbox->chunks);
    g_free(inbox);
}

const InboxTuning *
inbox_tuning(const Inbox *inbox)
{
    return &inbox->tuning;
}

/* ---- users ---- */

guint32
inbox_find(const Inbox *inbox, UserId user)
{
    return idmap_find(inbox->users, user.v);
}

guint32
inbox_add_user(Inbox *inbox, UserId user)
{
    /* Room first: from the moment it is found, readers look at its tail. */
    guint32 users = idmap_count(inbox->users);
    tails_grow(inbox->tails, users + 1);
    span_grow(&inbox->tips, (gsize)(users + 1) * sizeof(ChunkTip));
    return idmap_add(inbox->users, user.v);
}

guint32
inbox_users(const Inbox *inbox)
{
    return idmap_count(inbox->users);
}

UserId
inbox_user_id(const Inbox *inbox, guint32 user)
{
    return (UserId){idmap_id(inbox->users, user)};
}

Tails *
inbox_tails(const Inbox *inbox)
{
    return inbox->tails;
}

static gsize
inbox_fixed_bytes(const Inbox *inbox)
{
    return idmap_bytes(inbox->users) + inbox->tips.used;
}

gsize
inbox_bytes(const Inbox *inbox)
{
    return inbox_fixed_bytes(inbox) + tails_bytes(inbox->tails);
}

gsize
inbox_live_bytes(const Inbox *inbox)
{
    return inbox_fixed_bytes(inbox) + tails_live_bytes(inbox->tails);
}

void
inbox_set_memory(Inbox *inbox, gsize bytes)
{
    gsize fixed = inbox_fixed_bytes(inbox);
    tails_set_memory(inbox->tails, bytes > fixed ? bytes - fixed : 0);
}

static ChunkTip *
inbox_tip(Inbox *inbox, guint32 user)
{
    ensure(user < inbox_users(inbox));
    return (ChunkTip *)(gpointer)inbox->tips.base + user;
}

/* ---- floors ---- */

static void
inbox_stage_floor(StoreBatch *batch, UserId user, gint64 floor)
{
    guint8 row[FLOOR_BYTES];
    gint64 floor_le = GINT64_TO_LE(floor);
    memcpy(row, &floor_le, sizeof floor_le);
    guint32 check = GUINT32_TO_LE(XXH32(row, sizeof floor_le, 0));
    memcpy(row + sizeof floor_le, &check, sizeof check);
    store_batch_put(batch, key_floor(user), row, sizeof row);
}

static gboolean
floor_read(WireBytes value, gint64 *ret_floor)
{
    guint32 check;
    if (value.len != FLOOR_BYTES) {
        return FALSE;
    }
    memcpy(ret_floor, value.data, sizeof *ret_floor);
    memcpy(&check, value.data + sizeof *ret_floor, sizeof check);
    *ret_floor = GINT64_FROM_LE(*ret_floor);
    return GUINT32_FROM_LE(check) == XXH32(value.data, sizeof *ret_floor, 0);
}

StoreOutcome
inbox_read_floor(Store *store, const StoreSnapshot *snapshot, UserId user,
                 gint64 *ret_floor)
{
    g_auto(StoreValue) value = {0};
    *ret_floor = 0;
    switch (store_get(store, snapshot, key_floor(user), &value)) {
    case STORE_FAILED:
        return STORE_FAILED;
    case STORE_MISSING:
        return STORE_FOUND;
    case STORE_FOUND:
        break;
    }
    return floor_read(value.bytes, ret_floor) ? STORE_FOUND : STORE_FAILED;
}

gboolean
inbox_load_floors(Inbox *inbox, GError **error)
{
    g_autoptr(StoreIter) iter = store_iter_new(inbox->store, NULL);
    WireBytes key;
    WireBytes value;
    StoreOutcome outcome;
    for (store_iter_seek(iter, key_letter('w'));
         (outcome = store_iter_get(iter, &key, &value)) == STORE_FOUND &&
         key_is(key, 'w', KEY_ONE_BYTES);
         store_iter_next(iter)) {
        gint64 floor;
        if (!floor_read(value, &floor)) {
            outcome = STORE_FAILED;
            break;
        }
        guint32 user = inbox_add_user(inbox, (UserId){key_i64(key, 1)});
        tails_set_floor(inbox->tails, user, floor);
    }
    if (outcome == STORE_FAILED) {
        g_set_error(error, COMB_ERROR, COMB_ERROR_CORRUPT,
                    "cannot read the inboxes' floors: %s",
                    store_failure(inbox->store) != NULL
                        ? store_failure(inbox->store)
                        : "a row is damaged");
    }
    return outcome != STORE_FAILED;
}

gint64
inbox_floor(const Inbox *inbox, guint32 user)
{
    return tails_floor(inbox->tails, user);
}

/* ---- ids in and out ---- */

void
inbox_deliver(Inbox *inbox, const guint32 *users, guint n, PostId post)
{
    tails_deliver(inbox->tails, users, n, post.v);
}

gsize
inbox_window_ids(const Inbox *inbox)
{
    return (gsize)inbox->tuning.window_chunks * inbox->tuning.chunk_ids;
}

static const gint64 *
inbox_merged(const Inbox *inbox)
{
    return (const gint64 *)(gconstpointer)inbox->merged->data;
}

gboolean
inbox_insert(Inbox *inbox, StoreBatch *batch, guint32 user,
             const InboxNews *news, GError **error)
{
    UserId id = inbox_user_id(inbox, user);
    Fold insert = {.user = user, .floor = inbox_floor(inbox, user)};
    if (news->floor > insert.floor) {
        insert.floor = news->floor;
        inbox_stage_floor(batch, id, insert.floor);
    }
    g_array_append_val(inbox->inserts, insert);
    gsize below = ids_lower_bound(news->ids, news->n, insert.floor);
    const gint64 *ids = news->ids + below;
    gsize n = news->n - below;
    if (tails_count(inbox->tails, user) + n > inbox->tuning.tail_ids_max) {
        ChunkChange change = {.add = ids, .n_add = n};
        return n == 0 || chunks_change(inbox->chunks, batch, id, &change,
                                       inbox_tip(inbox, user), error);
    }
    gint64 tail[TAIL_IDS_MAX];
    guint n_tail = tails_get(inbox->tails, user, tail);
    g_array_set_size(inbox->merged, 0);
    ids_union(inbox->merged, tail, n_tail, ids, n);
    tails_set(inbox->tails, user, inbox_merged(inbox), inbox->merged->len,
              FALSE);
    return TRUE;
}

/* Whether the inbox is longer than its window, as far as is known. */
static gboolean
inbox_is_long(Inbox *inbox, guint32 user)
{
    guint keep = inbox->tuning.window_chunks;
    return inbox_tip(inbox, user)->rows > keep + keep / 4;
}

/* An inbox that is too long is cut by the next fold, in a batch of its own. */
static void
inbox_list_long(Inbox *inbox, guint32 user)
{
    if (inbox_is_long(inbox, user)) {
        tails_list(inbox->tails, user);
    }
}

/* A post still pending below the floor will be left out from here on: whoever
   has an older snapshot, and so needs it, must look again. */
static void
inbox_raise_floor(Inbox *inbox, guint32 user, gint64 floor)
{
    gint64 tail[TAIL_IDS_MAX];
    guint n = tails_get(inbox->tails, user, tail);
    tails_set(inbox->tails, user, tail, n, TRUE);
    tails_set_floor(inbox->tails, user, floor);
}

void
inbox_inserted(Inbox *inbox)
{
    for (guint i = 0; i < inbox->inserts->len; i++) {
        const Fold *insert = &g_array_index(inbox->inserts, Fold, i);
        if (insert->floor > inbox_floor(inbox, insert->user)) {
            inbox_raise_floor(inbox, insert->user, insert->floor);
        }
        inbox_list_long(inbox, insert->user);
    }
    g_array_set_size(inbox->inserts, 0);
    chunks_refresh(inbox->chunks);
}

void
inbox_remove(Inbox *inbox, guint32 user, const gint64 *ids, gsize n)
{
    if (n == 0) {
        return;
    }
    gint64 tail[TAIL_IDS_MAX];
    guint n_tail = tails_get(inbox->tails, user, tail);
    guint kept = (guint)ids_subtract(tail, n_tail, ids, n);
    if (kept < n_tail) {
        tails_set(inbox->tails, user, tail, kept, TRUE);
    }
    gpointer key = GUINT_TO_POINTER(user);
    GArray *before = g_hash_table_lookup(inbox->removed, key);
    GArray *gone = g_array_new(FALSE, FALSE, sizeof(gint64));
    ids_union(gone, ids, n,
              before != NULL ? (gint64 *)(gpointer)before->data : NULL,
              before != NULL ? before->len : 0);
    g_hash_table_replace(inbox->removed, key, gone);
    tails_list(inbox->tails, user);
}

/* ---- folding ---- */

/* How many of a tail are to be sealed. */
static guint
inbox_to_seal(const Inbox *inbox, guint n)
{
    if (inbox->thrifty) {
        return n;
    }
    return n > inbox->tuning.tail_ids_max ? n - inbox->tuning.tail_ids_keep : 0;
}

/* Drop the oldest chunks of an inbox that is too long. In a batch without
   another change of its user: the chunks are then all committed. */
static gboolean
inbox_fold_window(Inbox *inbox, StoreBatch *batch, Fold *fold, GError **error)
{
    UserId id = inbox_user_id(inbox, fold->user);
    if (!chunks_drop(inbox->chunks, batch, id, inbox->tuning.window_chunks,
                     inbox_tip(inbox, fold->user), &fold->floor, error)) {
        return FALSE;
    }
    if (fold->floor > inbox_floor(inbox, fold->user)) {
        inbox_stage_floor(batch, id, fold->floor);
    }
    return TRUE;
}

/* The common case: what is sealed is newer than all chunks, and its bytes are
   taken as they are. FALSE without an error: it is another case. */
static gboolean
inbox_fold_newest(Inbox *inbox, StoreBatch *batch, const TailCopy *tail,
                  Fold *fold, GError **error)
{
    UserId id = inbox_user_id(inbox, fold->user);
    ChunkTip *tip = inbox_tip(inbox, fold->user);
    ChunkRun run = {.bytes = tail->run, .n = fold->sealing};
    guint chunk_ids = inbox->tuning.chunk_ids;
    if (run.n < chunk_ids / 2 || run.n == 0 || run.n > 2 * chunk_ids) {
        return FALSE;
    }
    gboolean good = idrun_cut(tail->run, tail->bytes, run.n, &run.cut);
    ensure(good);
    if (!chunks_know(inbox->chunks, id, tip, error) ||
        run.cut.first <= tip->last) {
        return FALSE;
    }
    chunks_append(inbox->chunks, batch, id, &run, tip);
    return TRUE;
}

/* What folding does for one user that is due. */
static gboolean
inbox_fold_user(Inbox *inbox, StoreBatch *batch, guint32 user, GError **error)
{
    TailCopy copy;
    GError *failure = NULL;
    tails_copy(inbox->tails, user, &copy);
    GArray *gone = g_hash_table_lookup(inbox->removed, GUINT_TO_POINTER(user));
    Fold fold = {.user = user, .sealing = inbox_to_seal(inbox, copy.n)};
    if (gone == NULL && fold.sealing == 0 && inbox_is_long(inbox, user)) {
        gboolean good = inbox_fold_window(inbox, batch, &fold, error);
        g_array_append_val(inbox->folds, fold);
        return good;
    }
    if (gone == NULL &&
        inbox_fold_newest(inbox, batch, &copy, &fold, &failure)) {
        g_array_append_val(inbox->folds, fold);
        return TRUE;
    }
    if (failure != NULL) {
        g_propagate_error(error, failure);
        return FALSE;
    }
    gint64 tail[TAIL_IDS_MAX];
    tails_get(inbox->tails, user, tail);
    ChunkChange change = {
        .add = tail,
        .n_add = fold.sealing,
        .remove = gone != NULL ? (gint64 *)(gpointer)gone->data : NULL,
        .n_remove = gone != NULL ? gone->len : 0,
    };
    if (!chunks_change(inbox->chunks, batch, inbox_user_id(inbox, user),
                       &change, inbox_tip(inbox, user), error)) {
        return FALSE;
    }
    g_array_append_val(inbox->folds, fold);
    return TRUE;
}

static gint
inbox_compare_users(gconstpointer a, gconstpointer b, gpointer user_data)
{
    const Inbox *inbox = user_data;
    gint64 left = inbox_user_id(inbox, *(const guint32 *)a).v;
    gint64 right = inbox_user_id(inbox, *(const guint32 *)b).v;
    return (left > right) - (left < right);
}

gboolean
inbox_fold(Inbox *inbox, StoreBatch *batch, GError **error)
{
    GArray *due = tails_due(inbox->tails);
    guint n = MIN(due->len, INBOX_FOLD_MAX);
    guint32 *users = &g_array_index(due, guint32, due->len - n);
    /* In order of key: RocksDB inserts neighbours faster. */
    g_qsort_with_data(users, (gint)n, sizeof *users, inbox_compare_users,
                      inbox);
    g_array_set_size(inbox->folds, 0);
    for (guint i = 0; i < n; i++) {
        if (!inbox_fold_user(inbox, batch, users[i], error)) {
            return FALSE;
        }
    }
    return TRUE;
}

gboolean
inbox_fold_due(const Inbox *inbox)
{
    return tails_due(inbox->tails)->len > 0;
}

gsize
inbox_folded(Inbox *inbox)
{
    gsize sealed = 0;
    GArray *due = tails_due(inbox->tails);
    g_array_set_size(due, due->len - inbox->folds->len);
    for (guint i = 0; i < inbox->folds->len; i++) {
        const Fold *fold = &g_array_index(inbox->folds, Fold, i);
        tails_drop(inbox->tails, fold->user, fold->sealing);
        sealed += fold->sealing;
        tails_set_floor(inbox->tails, fold->user, fold->floor);
        tails_unlist(inbox->tails, fold->user);
        g_hash_table_remove(inbox->removed, GUINT_TO_POINTER(fold->user));
    }
    inbox->thrifty = inbox->thrifty && due->len > 0;
    for (guint i = 0; i < inbox->folds->len; i++) {
        inbox_list_long(inbox, g_array_index(inbox->folds, Fold, i).user);
    }
    g_array_set_size(inbox->folds, 0);
    chunks_refresh(inbox->chunks);
    return sealed;
}

void
inbox_relieve(Inbox *inbox, guint32 users)
{
    guint32 all = inbox_users(inbox);
    inbox->thrifty = TRUE;
    for (guint32 i = 0; i < MIN(users, all); i++) {
        inbox->hand = inbox->hand + 1 < all ? inbox->hand + 1 : 0;
        if (tails_count(inbox->tails, inbox->hand) > 0) {
            tails_list(inbox->tails, inbox->hand);
        }
    }
}
