#include "cell/sweep.h"

#include "firehose/event.h"
#include "ops/kit/ensure.h"

static void
sweep_begin(StoreIter *iter, const MergeRange *range)
{
    if (range->older) {
        store_iter_seek_back(iter, key_post((PostId){range->from - 1}));
    } else {
        store_iter_seek(iter, key_post((PostId){MAX(range->from, 0) + 1}));
    }
}

static void
sweep_move(StoreIter *iter, const MergeRange *range)
{
    if (range->older) {
        store_iter_prev(iter);
    } else {
        store_iter_next(iter);
    }
}

/* The post under the iterator, if it is of the range; and by whom. */
static StoreOutcome
sweep_get(StoreIter *iter, const MergeRange *range, gint64 *ret_id,
          UserId *ret_author)
{
    WireBytes key;
    WireBytes value;
    Post post;
    StoreOutcome outcome = store_iter_get(iter, &key, &value);
    if (outcome != STORE_FOUND) {
        return outcome;
    }
    if (!key_is(key, 'p', KEY_ONE_BYTES)) {
        return STORE_MISSING;
    }
    *ret_id = key_i64(key, 1);
    if (range->older ? *ret_id <= range->to : *ret_id >= range->to) {
        return STORE_MISSING;
    }
    if (!post_decode(value, &post)) {
        return STORE_FAILED;
    }
    *ret_author = post.author;
    return STORE_FOUND;
}

StoreOutcome
sweep_read(Follows *follows, const MergeRange *range, guint *budget,
           GArray *out)
{
    ensure(range->max > 0 && *budget > 0);
    const Cut *cut = follows->cut;
    g_autoptr(StoreIter) iter =
        store_iter_new(cut->state->store, cut->snapshot);
    guint before = out->len;
    StoreOutcome outcome;
    UserId author;
    gint64 id;
    sweep_begin(iter, range);
    while ((outcome = sweep_get(iter, range, &id, &author)) == STORE_FOUND) {
        StoreOutcome followed = follows_author(follows, author);
        if (followed == STORE_FAILED) {
            outcome = STORE_FAILED;
            break;
        }
        if (followed == STORE_FOUND || --*budget == 0) {
            g_array_append_val(out, id);
        }
        if (out->len - before == range->max || *budget == 0) {
            break;
        }
        sweep_move(iter, range);
    }
    if (outcome == STORE_FAILED) {
        g_array_set_size(out, before);
    }
    return outcome;
}
