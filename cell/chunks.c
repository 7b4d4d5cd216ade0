/*
 * A change is one of two. Above the tip: split the new ids into rows and put
 * them. Reaching below it: read the chunks from the one that covers the
 * lowest id upwards, stage their deletion, merge, and put the result; a row
 * with the same first id is put after it is deleted, and the batch keeps that
 * order. The tip is looked up once after a start, and again after a change
 * that leaves no chunk of those it touched. The oldest chunks are dropped
 * where the inbox is longer than its window.
 */
#include "cell/chunks.h"

#include "cell/ids.h"
#include "ops/kit/ensure.h"
#include "ops/kit/error.h"

struct Chunks {
    Store *store;    /* borrowed */
    guint chunk_ids; /* about so many a row */
    guint32 lifted;  /* serial of the newest chunk lifted */
    StoreIter *iter; /* over committed rows; NULL: none yet */
    GArray *old;     /* scratch: ids of the chunks that are rewritten */
    GArray *merged;  /* scratch: ids to write */
    GByteArray *row; /* scratch: an encoded chunk */
};

Chunks *
chunks_new(Store *store, guint chunk_ids)
{
    Chunks *chunks = g_new0(Chunks, 1);
    ensure(chunk_ids > 0 && chunk_ids <= CHUNK_IDS_MAX / 2);
    chunks->store = store;
    chunks->chunk_ids = chunk_ids;
    chunks->old = g_array_new(FALSE, FALSE, sizeof(gint64));
    chunks->merged = g_array_new(FALSE, FALSE, sizeof(gint64));
    chunks->row = g_byte_array_new();
    return chunks;
}

void
chunks_free(Chunks *chunks)
{
    chunks_refresh(chunks);
    g_array_unref(chunks->old);
    g_array_unref(chunks->merged);
    g_byte_array_unref(chunks->row);
    g_free(chunks);
}

void
chunks_refresh(Chunks *chunks)
{
    g_clear_pointer(&chunks->iter, store_iter_free);
}

/* Making an iterator costs as much as a seek: a fold of many users has one. */
static StoreIter *
chunks_iter(Chunks *chunks)
{
    if (chunks->iter == NULL) {
        chunks->iter = store_iter_new(chunks->store, NULL);
    }
    return chunks->iter;
}

StoreOutcome
chunks_under(StoreIter *iter, UserId user, Chunk *ret_chunk)
{
    WireBytes key;
    WireBytes value;
    StoreOutcome outcome = store_iter_get(iter, &key, &value);
    if (outcome != STORE_FOUND) {
        return outcome;
    }
    if (!key_is(key, 'i', KEY_PAIR_BYTES) || key_i64(key, 1) != user.v) {
        return STORE_MISSING;
    }
    if (!chunk_decode(value, ret_chunk) ||
        ret_chunk->ids[0] != key_i64(key, KEY_PAIR_SECOND)) {
        return STORE_FAILED;
    }
    return STORE_FOUND;
}

static gboolean
chunks_fail(UserId user, GError **error)
{
    g_set_error(error, COMB_ERROR, COMB_ERROR_CORRUPT,
                "inbox of user %" G_GINT64_FORMAT
                ": a chunk is damaged or missing; rebuild this cell",
                user.v);
    return FALSE;
}

static gboolean
chunks_find_tip(Chunks *chunks, UserId user, ChunkTip *tip, GError **error)
{
    StoreIter *iter = chunks_iter(chunks);
    Chunk chunk;
    store_iter_seek_back(iter, key_chunk(user, (PostId){G_MAXINT64}));
    switch (chunks_under(iter, user, &chunk)) {
    case STORE_FAILED:
        return chunks_fail(user, error);
    case STORE_MISSING:
        *tip = (ChunkTip){.known = TRUE};
        break;
    case STORE_FOUND:
        /* How many the window has dropped is seen when it is too long. */
        *tip = (ChunkTip){chunk.ids[chunk.n - 1], chunk.ids[0], chunk.serial,
                          chunk.serial,           chunk.n,      TRUE};
        break;
    }
    return TRUE;
}

/* Read and stage the deletion of the chunks from the one over @low upwards.
   @ret_place is where the first of them was. */
static gboolean
chunks_lift(Chunks *chunks, StoreBatch *batch, UserId user, gint64 low,
            ChunkPlace *ret_place)
{
    StoreIter *iter = chunks_iter(chunks);
    Chunk chunk;
    store_iter_seek_back(iter, key_chunk(user, (PostId){low}));
    StoreOutcome outcome = chunks_under(iter, user, &chunk);
    if (outcome == STORE_MISSING) {
        store_iter_seek(iter, key_chunk(user, (PostId){low}));
        outcome = chunks_under(iter, user, &chunk);
    }
    if (outcome != STORE_FOUND) {
        return FALSE; /* the tip said that there is one */
    }
    ChunkPlace place = {chunk.serial, chunk.before};
    *ret_place = place;
    while (outcome == STORE_FOUND) {
        if (chunk.before != place.before || chunk.serial != place.serial) {
            return FALSE;
        }
        place = (ChunkPlace){chunk.serial + 1, chunk.ids[0]};
        g_array_append_vals(chunks->old, chunk.ids, chunk.n);
        store_batch_delete(batch, key_chunk(user, (PostId){chunk.ids[0]}));
        store_iter_next(iter);
        outcome = chunks_under(iter, user, &chunk);
    }
    chunks->lifted = place.serial - 1;
    return outcome == STORE_MISSING;
}

/* Stage the merged ids as rows of even size, the first of them at @place. */
static void
chunks_put(Chunks *chunks, StoreBatch *batch, UserId user, ChunkPlace place,
           ChunkTip *tip)
{
    const gint64 *ids = (const gint64 *)(gconstpointer)chunks->merged->data;
    guint left = chunks->merged->len;
    guint rows = left == 0 ? 0 : MAX(1, left / chunks->chunk_ids);
    guint32 below = tip->rows - (tip->serial + 1 - place.serial);
    *tip = (ChunkTip){0};
    for (; rows > 0; rows--) {
        guint n = (left + rows - 1) / rows;
        g_byte_array_set_size(chunks->row, 0);
        chunk_encode(chunks->row, ids, n, place);
        store_batch_put(batch, key_chunk(user, (PostId){ids[0]}),
                        chunks->row->data, chunks->row->len);
        *tip = (ChunkTip){ids[n - 1], ids[0], place.serial, ++below, n, TRUE};
        place = (ChunkPlace){place.serial + 1, ids[0]};
        ids += n;
        left -= n;
    }
}

gboolean
chunks_know(Chunks *chunks, UserId user, ChunkTip *tip, GError **error)
{
    return tip->known || chunks_find_tip(chunks, user, tip, error);
}

void
chunks_append(Chunks *chunks, StoreBatch *batch, UserId user,
              const ChunkRun *run, ChunkTip *tip)
{
    const IdCut *cut = &run->cut;
    ChunkPlace place = {tip->serial + 1, tip->first};
    WireBytes steps = {run->bytes + cut->second, cut->at - cut->second};
    ensure(tip->known && cut->first > tip->last);
    g_byte_array_set_size(chunks->row, 0);
    chunk_encode_run(chunks->row, cut->first, steps, run->n, place);
    store_batch_put(batch, key_chunk(user, (PostId){cut->first}),
                    chunks->row->data, chunks->row->len);
    *tip = (ChunkTip){cut->last,     cut->first, place.serial,
                      tip->rows + 1, run->n,     TRUE};
}

gboolean
chunks_drop(Chunks *chunks, StoreBatch *batch, UserId user, guint32 keep,
            ChunkTip *tip, gint64 *ret_floor, GError **error)
{
    StoreIter *iter = chunks_iter(chunks);
    Chunk chunk;
    ensure(tip->known && keep > 0);
    *ret_floor = 0;
    store_iter_seek(iter, key_chunk(user, (PostId){0}));
    if (chunks_under(iter, user, &chunk) != STORE_FOUND ||
        chunk.serial > tip->serial) {
        return chunks_fail(user, error);
    }
    guint32 serial = chunk.serial;
    tip->rows = tip->serial + 1 - serial;
    while (tip->rows > keep) {
        store_batch_delete(batch, key_chunk(user, (PostId){chunk.ids[0]}));
        store_iter_next(iter);
        if (chunks_under(iter, user, &chunk) != STORE_FOUND ||
            chunk.serial != ++serial) {
            return chunks_fail(user, error);
        }
        tip->rows--;
        *ret_floor = chunk.ids[0];
    }
    return TRUE;
}

static gint64
change_lowest(const ChunkChange *change)
{
    gint64 low = change->n_add > 0 ? change->add[0] : G_MAXINT64;
    gint64 gone = change->n_remove > 0 ? change->remove[0] : G_MAXINT64;
    return MIN(low, gone);
}

gboolean
chunks_change(Chunks *chunks, StoreBatch *batch, UserId user,
              const ChunkChange *change, ChunkTip *tip, GError **error)
{
    if (!chunks_know(chunks, user, tip, error)) {
        return FALSE;
    }
    gint64 low = change_lowest(change);
    if (change->n_add > 0 && tip->n > 0 &&
        tip->n + change->n_add <= chunks->chunk_ids) {
        low = MIN(low, tip->first);
    }
    gboolean above = low > tip->last;
    if (change->n_add == 0 && above) {
        return TRUE;
    }
    ChunkPlace place = {tip->serial + 1, tip->first};
    g_array_set_size(chunks->old, 0);
    /* The newest chunk must be the one that the tip knows of. */
    if (!above && (!chunks_lift(chunks, batch, user, low, &place) ||
                   chunks->lifted != tip->serial)) {
        return chunks_fail(user, error);
    }
    gint64 *old = (gint64 *)(gpointer)chunks->old->data;
    gsize kept =
        ids_subtract(old, chunks->old->len, change->remove, change->n_remove);
    g_array_set_size(chunks->merged, 0);
    ids_union(chunks->merged, old, kept, change->add, change->n_add);
    chunks_put(chunks, batch, user, place, tip);
    return TRUE;
}
