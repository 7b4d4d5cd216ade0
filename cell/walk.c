/*
 * A walk has two sources that each offer their next id: the tail, an array,
 * and the rows. For a timeline a row is an id; for an inbox it is a chunk,
 * decoded as it is reached, whose ids are offered one by one. walk_next()
 * takes the greater (older) or the smaller (newer) of both offers, and from
 * both sources where they agree.
 *
 * Moving from chunk to chunk checks the chain: a chunk that should be there
 * and is not fails the walk, so that a page is refused rather than short.
 */
#include "cell/walk.h"

#include "cell/chunk.h"
#include "cell/ids.h"

struct Walk {
    WalkKind kind;
    UserId user;
    gboolean older;
    const gint64 *tail; /* of the cut; borrowed */
    gssize tail_at;     /* the next one's place; past an end: none */
    gssize n_tail;      /* of them */
    StoreIter *iter;    /* over the rows */
    StoreOutcome row;   /* whether @row_id is an offer */
    gint64 row_id;      /* the rows' offer */
    gssize chunk_at;    /* its place in @chunk (inbox) */
    Chunk chunk;        /* the chunk under the iterator (inbox) */
};

static void
walk_move(Walk *walk)
{
    if (walk->older) {
        store_iter_prev(walk->iter);
    } else {
        store_iter_next(walk->iter);
    }
}

/* The row under the iterator, if it is one of this walk's. */
static StoreOutcome
walk_row(Walk *walk, gint64 *ret_second, WireBytes *ret_value)
{
    WireBytes key;
    char letter = walk->kind == WALK_INBOX ? 'i' : 't';
    StoreOutcome outcome = store_iter_get(walk->iter, &key, ret_value);
    if (outcome != STORE_FOUND) {
        return outcome;
    }
    if (!key_is(key, letter, KEY_PAIR_BYTES) ||
        key_i64(key, 1) != walk->user.v) {
        return STORE_MISSING;
    }
    *ret_second = key_i64(key, KEY_PAIR_SECOND);
    return STORE_FOUND;
}

/* Decode the chunk under the iterator. */
static StoreOutcome
walk_load_chunk(Walk *walk)
{
    gint64 first;
    WireBytes value;
    StoreOutcome outcome = walk_row(walk, &first, &value);
    if (outcome != STORE_FOUND) {
        return outcome;
    }
    if (!chunk_decode(value, &walk->chunk) || walk->chunk.ids[0] != first) {
        return STORE_FAILED;
    }
    return STORE_FOUND;
}

/* On to the next chunk, which must be the next of the chain. */
static StoreOutcome
walk_next_chunk(Walk *walk)
{
    gint64 first = walk->chunk.ids[0];
    gint64 before = walk->chunk.before;
    walk_move(walk);
    StoreOutcome outcome = walk_load_chunk(walk);
    if (walk->older) {
        if ((outcome == STORE_MISSING && before != 0) ||
            (outcome == STORE_FOUND && walk->chunk.ids[0] != before)) {
            return STORE_FAILED;
        }
        walk->chunk_at = (gssize)walk->chunk.n - 1;
    } else {
        if (outcome == STORE_FOUND && walk->chunk.before != first) {
            return STORE_FAILED;
        }
        walk->chunk_at = 0;
    }
    return outcome;
}

/* Offer the id at @chunk_at, or the next chunk's where there is none. */
static void
walk_offer_of_chunk(Walk *walk)
{
    if (walk->chunk_at < 0 || walk->chunk_at >= (gssize)walk->chunk.n) {
        walk->row = walk_next_chunk(walk);
    }
    if (walk->row == STORE_FOUND) {
        walk->row_id = walk->chunk.ids[walk->chunk_at];
    }
}

static void
walk_begin_inbox(Walk *walk, gint64 from)
{
    store_iter_seek_back(walk->iter, key_chunk(walk->user, (PostId){from}));
    walk->row = walk_load_chunk(walk);
    if (walk->row == STORE_FOUND) {
        gsize at = ids_lower_bound(walk->chunk.ids, walk->chunk.n, from);
        if (walk->older) {
            walk->chunk_at = (gssize)at - 1;
        } else {
            gboolean equal = at < walk->chunk.n && walk->chunk.ids[at] == from;
            walk->chunk_at = (gssize)at + equal;
        }
    } else if (walk->row == STORE_MISSING && !walk->older) {
        store_iter_seek(walk->iter, key_chunk(walk->user, (PostId){from}));
        walk->row = walk_load_chunk(walk);
        if (walk->row == STORE_FOUND && walk->chunk.before != 0) {
            walk->row = STORE_FAILED;
        }
        walk->chunk_at = 0;
    }
    if (walk->row == STORE_FOUND) {
        walk_offer_of_chunk(walk);
    }
}

static void
walk_begin_timeline(Walk *walk, gint64 from)
{
    Key key = key_timeline(walk->user, (PostId){from});
    WireBytes value;
    if (walk->older) {
        store_iter_seek_back(walk->iter, key);
    } else {
        store_iter_seek(walk->iter, key);
    }
    walk->row = walk_row(walk, &walk->row_id, &value);
    if (walk->row == STORE_FOUND && walk->row_id == from) {
        walk_move(walk);
        walk->row = walk_row(walk, &walk->row_id, &value);
    }
}

Walk *
walk_new(const Cut *cut, WalkKind kind, UserId user, gboolean older,
         gint64 from)
{
    Walk *walk = g_new0(Walk, 1);
    walk->kind = kind;
    walk->user = user;
    walk->older = older;
    walk->iter = store_iter_new(cut->state->store, cut->snapshot);
    if (kind == WALK_TIMELINE) {
        walk_begin_timeline(walk, from);
        return walk;
    }
    walk->tail = cut->tail;
    walk->n_tail = cut->n_tail;
    gsize at = ids_lower_bound(cut->tail, cut->n_tail, from);
    gboolean equal = at < cut->n_tail && cut->tail[at] == from;
    walk->tail_at = older ? (gssize)at - 1 : (gssize)at + equal;
    walk_begin_inbox(walk, from);
    return walk;
}

void
walk_free(Walk *walk)
{
    store_iter_free(walk->iter);
    g_free(walk);
}

static void
walk_advance_row(Walk *walk)
{
    if (walk->kind == WALK_INBOX) {
        walk->chunk_at += walk->older ? -1 : 1;
        walk_offer_of_chunk(walk);
    } else {
        WireBytes value;
        walk_move(walk);
        walk->row = walk_row(walk, &walk->row_id, &value);
    }
}

StoreOutcome
walk_next(Walk *walk, PostId *ret_post)
{
    if (walk->row == STORE_FAILED) {
        return STORE_FAILED;
    }
    gboolean have_tail = walk->tail_at >= 0 && walk->tail_at < walk->n_tail;
    gboolean have_row = walk->row == STORE_FOUND;
    if (!have_tail && !have_row) {
        return STORE_MISSING;
    }
    gint64 tail_id = have_tail ? walk->tail[walk->tail_at] : 0;
    gint64 id = have_tail ? tail_id : walk->row_id;
    if (have_tail && have_row) {
        id = walk->older ? MAX(tail_id, walk->row_id)
                         : MIN(tail_id, walk->row_id);
    }
    if (have_tail && tail_id == id) {
        walk->tail_at += walk->older ? -1 : 1;
    }
    if (have_row && walk->row_id == id) {
        walk_advance_row(walk);
    }
    *ret_post = (PostId){id};
    return STORE_FOUND;
}
