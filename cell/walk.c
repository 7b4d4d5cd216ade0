/*
 * A walk has two sources that each offer their next id: the ids of the cut,
 * an array, and the rows. For a timeline a row is an id; for an inbox it is a
 * chunk, decoded as it is reached, whose ids are offered one by one. The walk
 * takes the greater (older) or the smaller (newer) of both offers, and from
 * both sources where they agree.
 *
 * An inbox ends at its floor. An older walk that gets there changes over to a
 * merge of timelines; a newer walk that begins below the floor begins with
 * the merge. Merged ids are fetched a run at a time, longer runs each time. For
 * a user who follows very many a run comes from a sweep of all posts instead.
 *
 * Moving from chunk to chunk checks the chain: a chunk that should be there
 * and is not fails the walk, so that a page is refused rather than short.
 */
#include "cell/walk.h"

#include "cell/chunk.h"
#include "cell/ids.h"
#include "cell/lookup.h"
#include "cell/merge.h"
#include "cell/sweep.h"

/* Ids of the first merge; each further one brings twice as many. */
#define WALK_MERGE_MIN 32
#define WALK_MERGE_MAX 256
/* Posts of others that a sweep may look at: 10 to 20 ms. */
#define WALK_SWEEP_MAX 4096

struct Walk {
    const Cut *cut; /* borrowed */
    WalkKind kind;
    UserId user;
    gboolean older;
    gssize ids_at;      /* the next of the cut's ids; past an end: none */
    StoreIter *iter;    /* over the rows; NULL before they are looked at */
    StoreOutcome row;   /* whether @row_id is an offer */
    gint64 row_id;      /* the rows' offer */
    gssize chunk_at;    /* its place in @chunk (inbox) */
    Chunk chunk;        /* the chunk under the iterator (inbox) */
    InboxEnds ends;     /* of the inbox; its floor 0: it has all */
    gint64 chunks_from; /* where to begin with chunks; 0: begun, or none */
    gboolean below;     /* in the merge */
    gint64 merge_from;  /* where the next run begins */
    guint merge_max;    /* how long it may be */
    gboolean merge_end; /* there is no further run */
    gboolean sweeping;  /* runs are read from everybody's posts */
    Follows follows;    /* the user's, where @sweeping */
    guint budget;       /* of posts of others */
    GArray *merged;     /* the run; NULL before there is one */
    guint merged_at;    /* the next of it */
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
    guint32 serial = walk->chunk.serial;
    if (walk->older && first <= walk->ends.floor) {
        return STORE_MISSING;
    }
    walk_move(walk);
    StoreOutcome outcome = walk_load_chunk(walk);
    const Chunk *chunk = &walk->chunk;
    if (walk->older) {
        /* What is wholly below the floor may have been dropped. */
        if ((outcome == STORE_MISSING && before >= MAX(walk->ends.floor, 1)) ||
            (outcome == STORE_FOUND &&
             (chunk->ids[0] != before || chunk->serial + 1 != serial))) {
            return STORE_FAILED;
        }
        walk->chunk_at = (gssize)chunk->n - 1;
    } else {
        if (outcome == STORE_FOUND &&
            (chunk->before != first || chunk->serial != serial + 1)) {
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
walk_begin_chunks(Walk *walk, gint64 from)
{
    walk->iter = store_iter_new(walk->cut->state->store, walk->cut->snapshot);
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
        if (walk->row == STORE_FOUND &&
            walk->chunk.before >= MAX(walk->ends.floor, 1)) {
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
    walk->iter = store_iter_new(walk->cut->state->store, walk->cut->snapshot);
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

static void
walk_begin_inbox(Walk *walk, gint64 from)
{
    const Cut *cut = walk->cut;
    gsize at = ids_lower_bound(cut->ids, cut->n_ids, from);
    gboolean equal = at < cut->n_ids && cut->ids[at] == from;
    walk->ids_at = walk->older ? (gssize)at - 1 : (gssize)at + equal;
    walk->row = STORE_MISSING;
    if (walk->older) {
        walk->chunks_from = walk->ends.last != 0 ? from : 0;
    } else if (from < walk->ends.last) {
        walk_begin_chunks(walk, from);
    }
}

/* An older walk goes to the chunks once it has given what is newer than all of
   them: most pages end before. */
static void
walk_reach_chunks(Walk *walk)
{
    const Cut *cut = walk->cut;
    gint64 from = walk->chunks_from;
    if (from != 0 &&
        (walk->ids_at < 0 || cut->ids[walk->ids_at] <= walk->ends.last)) {
        walk->chunks_from = 0;
        walk_begin_chunks(walk, from);
    }
}

/* Change over to the timelines, or to a sweep, from @from on. */
static void
walk_begin_merge(Walk *walk, gint64 from)
{
    follows_init(&walk->follows, walk->cut, walk->user);
    walk->budget = WALK_SWEEP_MAX;
    walk->below = TRUE;
    walk->merge_from = from;
    walk->merge_max = WALK_MERGE_MIN;
    walk->merge_end = walk->ends.floor == 0;
    if (!walk->merge_end) {
        StoreOutcome many = follows_are_many(&walk->follows);
        walk->sweeping = many == STORE_FOUND;
        walk->row = many == STORE_FAILED ? STORE_FAILED : walk->row;
    }
}

Walk *
walk_new(const Cut *cut, WalkKind kind, UserId user, gboolean older,
         gint64 from)
{
    Walk *walk = g_new0(Walk, 1);
    walk->cut = cut;
    walk->kind = kind;
    walk->user = user;
    walk->older = older;
    walk->row = STORE_MISSING;
    if (kind == WALK_TIMELINE) {
        walk_begin_timeline(walk, from);
        return walk;
    }
    if (lookup_inbox(cut, user, &walk->ends) != STORE_FOUND) {
        walk->row = STORE_FAILED;
    } else if (older ? from <= walk->ends.floor : from < walk->ends.floor - 1) {
        walk_begin_merge(walk, from);
    } else {
        walk_begin_inbox(walk, from);
    }
    return walk;
}

void
walk_free(Walk *walk)
{
    follows_clear(&walk->follows);
    if (walk->iter != NULL) {
        store_iter_free(walk->iter);
    }
    if (walk->merged != NULL) {
        g_array_unref(walk->merged);
    }
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

/* The next id of the cut's and the rows. */
static StoreOutcome
walk_next_offer(Walk *walk, gint64 *ret_id)
{
    const Cut *cut = walk->cut;
    gboolean inbox = walk->kind == WALK_INBOX;
    gboolean have_id =
        inbox && walk->ids_at >= 0 && walk->ids_at < (gssize)cut->n_ids;
    gboolean have_row = walk->row == STORE_FOUND;
    if (!have_id && !have_row) {
        return STORE_MISSING;
    }
    gint64 of_cut = have_id ? cut->ids[walk->ids_at] : 0;
    gint64 id = have_id ? of_cut : walk->row_id;
    if (have_id && have_row) {
        id =
            walk->older ? MAX(of_cut, walk->row_id) : MIN(of_cut, walk->row_id);
    }
    if (have_id && of_cut == id) {
        walk->ids_at += walk->older ? -1 : 1;
    }
    if (have_row && walk->row_id == id) {
        walk_advance_row(walk);
    }
    *ret_id = id;
    return STORE_FOUND;
}

/* The next run of the merge; STORE_MISSING: there is none. */
static StoreOutcome
walk_merge(Walk *walk)
{
    if (walk->row == STORE_FAILED || walk->merge_end || walk_gave_up(walk)) {
        return walk->row == STORE_FAILED ? STORE_FAILED : STORE_MISSING;
    }
    if (walk->merged == NULL) {
        walk->merged = g_array_new(FALSE, FALSE, sizeof(gint64));
    }
    MergeRange range = {
        .user = walk->user,
        .older = walk->older,
        .from = walk->merge_from,
        .to = walk->older ? 0 : walk->ends.floor,
        .max = walk->merge_max,
    };
    g_array_set_size(walk->merged, 0);
    walk->merged_at = 0;
    StoreOutcome outcome =
        walk->sweeping
            ? sweep_read(&walk->follows, &range, &walk->budget, walk->merged)
            : merge_read(walk->cut->state->store, walk->cut->snapshot, &range,
                         walk->merged);
    walk->merge_end = outcome != STORE_FOUND;
    walk->merge_max = MIN(2 * walk->merge_max, WALK_MERGE_MAX);
    if (outcome != STORE_FAILED && walk->merged->len > 0) {
        walk->merge_from =
            g_array_index(walk->merged, gint64, walk->merged->len - 1);
        return STORE_FOUND;
    }
    return outcome;
}

static StoreOutcome
walk_next_merged(Walk *walk, gint64 *ret_id)
{
    if (walk->merged == NULL || walk->merged_at == walk->merged->len) {
        StoreOutcome outcome = walk_merge(walk);
        if (outcome != STORE_FOUND) {
            return outcome;
        }
    }
    *ret_id = g_array_index(walk->merged, gint64, walk->merged_at++);
    return STORE_FOUND;
}

StoreOutcome
walk_next(Walk *walk, PostId *ret_post)
{
    StoreOutcome outcome = STORE_MISSING;
    gint64 id = 0;
    if (walk->row == STORE_FAILED) {
        return STORE_FAILED;
    }
    if (walk->below && !walk->older) {
        outcome = walk_next_merged(walk, &id);
        if (outcome == STORE_MISSING && !walk_gave_up(walk)) {
            walk->below = FALSE;
            walk_begin_inbox(walk, walk->ends.floor - 1);
        }
    }
    if (!walk->below) {
        walk_reach_chunks(walk);
        if (walk->row == STORE_FAILED) {
            return STORE_FAILED;
        }
        outcome = walk_next_offer(walk, &id);
        if (walk->older && walk->kind == WALK_INBOX &&
            (outcome == STORE_MISSING || id < walk->ends.floor)) {
            walk_begin_merge(walk, walk->ends.floor);
        }
    }
    if (walk->below && walk->older) {
        outcome = walk_next_merged(walk, &id);
    }
    *ret_post = (PostId){id};
    return outcome;
}

gboolean
walk_gave_up(const Walk *walk)
{
    return walk->sweeping && walk->budget == 0;
}
