/*
 * The authors followed are visited in order of id, as their timelines lie in
 * the store, with one iterator. The best ids so far are kept, best first; an
 * author's rows are read from the range's near end and left as soon as one is
 * no better than the worst kept. So after a few authors most cost one seek,
 * and the seeks go forward through the store, from block to block.
 */
#include "cell/merge.h"

#include "cell/edges.h"
#include "ops/kit/ensure.h"

#include <string.h>

typedef struct Merge {
    const MergeRange *range;
    StoreIter *iter; /* over timelines; owned */
    gint64 worst;    /* an id must be nearer than this: range.to, or the worst
                        kept where there are as many as wanted */
    gint64 *kept;    /* nearest first; borrowed */
    guint n;         /* kept */
} Merge;

/* Whether @a comes before @b in the range's direction. */
static gboolean
merge_is_nearer(const Merge *merge, gint64 a, gint64 b)
{
    return merge->range->older ? a > b : a < b;
}

/* Keep @id, which is nearer than the worst, in place of it. */
static void
merge_keep(Merge *merge, gint64 id)
{
    guint low = 0;
    guint high = merge->n;
    while (low < high) {
        guint middle = (low + high) / 2;
        if (merge_is_nearer(merge, merge->kept[middle], id)) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (low < merge->n && merge->kept[low] == id) {
        return;
    }
    guint after = MIN(merge->n, merge->range->max - 1) - low;
    memmove(merge->kept + low + 1, merge->kept + low,
            after * sizeof *merge->kept);
    merge->kept[low] = id;
    merge->n = low + after + 1;
    if (merge->n == merge->range->max) {
        merge->worst = merge->kept[merge->n - 1];
    }
}

/* The post under the iterator, if it is one of @author's. */
static StoreOutcome
merge_get(Merge *merge, UserId author, gint64 *ret_id)
{
    WireBytes key;
    WireBytes unused;
    StoreOutcome outcome = store_iter_get(merge->iter, &key, &unused);
    if (outcome != STORE_FOUND) {
        return outcome;
    }
    if (!key_is(key, 't', KEY_PAIR_BYTES) || key_i64(key, 1) != author.v) {
        return STORE_MISSING;
    }
    *ret_id = key_i64(key, KEY_PAIR_SECOND);
    return STORE_FOUND;
}

static StoreOutcome
merge_author(Merge *merge, UserId author)
{
    const MergeRange *range = merge->range;
    StoreOutcome outcome;
    gint64 id;
    if (range->older) {
        Key key = key_timeline(author, (PostId){range->from - 1});
        store_iter_seek_back(merge->iter, key);
    } else {
        Key key = key_timeline(author, (PostId){MAX(range->from, 0) + 1});
        store_iter_seek(merge->iter, key);
    }
    while ((outcome = merge_get(merge, author, &id)) == STORE_FOUND &&
           merge_is_nearer(merge, id, merge->worst)) {
        merge_keep(merge, id);
        if (range->older) {
            store_iter_prev(merge->iter);
        } else {
            store_iter_next(merge->iter);
        }
    }
    return outcome;
}

static StoreOutcome
merge_authors(Merge *merge, Store *store, const StoreSnapshot *snapshot)
{
    g_auto(EdgeReader) edges = {0};
    UserId author;
    StoreOutcome outcome;
    edge_reader_init(&edges, store, snapshot, merge->range->user);
    while ((outcome = edge_reader_next(&edges, &author)) == STORE_FOUND) {
        if (merge_author(merge, author) == STORE_FAILED) {
            return STORE_FAILED;
        }
    }
    return outcome;
}

StoreOutcome
merge_read(Store *store, const StoreSnapshot *snapshot, const MergeRange *range,
           GArray *out)
{
    ensure(range->max > 0);
    guint before = out->len;
    gboolean empty = range->older ? range->from <= MAX(range->to, 1)
                                  : range->from >= range->to;
    if (empty) {
        return STORE_MISSING;
    }
    g_array_set_size(out, before + range->max);
    g_autoptr(StoreIter) iter = store_iter_new(store, snapshot);
    Merge merge = {
        .range = range,
        .iter = iter,
        .worst = range->to,
        .kept = (gint64 *)(gpointer)out->data + before,
    };
    StoreOutcome outcome = merge_authors(&merge, store, snapshot);
    g_array_set_size(out, outcome == STORE_FAILED ? before : before + merge.n);
    if (outcome == STORE_FAILED) {
        return STORE_FAILED;
    }
    return merge.n == range->max ? STORE_FOUND : STORE_MISSING;
}
