/*
 * Of several events on one edge in a batch the last noted holds: only newest
 * facts are noted, so it is the newest. Edges are taken user by user, since an
 * inbox's chunks can be changed once a batch.
 *
 * A follow reads the author's timeline as it is committed; posts of the same
 * batch come by their fan-out, which goes to the followers as they are after
 * the whole batch. Most follows of a large import are of authors who have not
 * written yet: that is remembered (followers_posts()), so that they cost no
 * look at the store.
 */
#include "cell/effects.h"

#include "cell/followers.h"
#include "cell/ids.h"
#include "ops/kit/error.h"

/* Of one batch: follows whose author may have posts, and deliveries. */
#define EFFECTS_FOLLOWS_MAX 32
#define EFFECTS_DELIVERIES_MAX 262144

typedef struct EdgeEffect {
    guint32 user;
    guint32 author; /* its index among followers */
    UserId author_id;
    guint seq; /* in order of the log */
    gboolean follows;
} EdgeEffect;

struct Effects {
    State *state;     /* borrowed */
    Fanout *fanout;   /* owned */
    GArray *posts;    /* FanoutPost, in order of the log */
    GArray *edges;    /* EdgeEffect, likewise */
    guint follows;    /* of them, that cost a timeline */
    guint deliveries; /* of the posts */
    GArray *timeline; /* scratch: gint64, an author's posts, ascending */
    GArray *news;     /* scratch: gint64, what one user is to get */
    GArray *merged;   /* scratch: their union */
};

Effects *
effects_new(State *state)
{
    Effects *effects = g_new0(Effects, 1);
    effects->state = state;
    effects->fanout = fanout_new(state);
    effects->posts = g_array_new(FALSE, FALSE, sizeof(FanoutPost));
    effects->edges = g_array_new(FALSE, FALSE, sizeof(EdgeEffect));
    effects->timeline = g_array_new(FALSE, FALSE, sizeof(gint64));
    effects->news = g_array_new(FALSE, FALSE, sizeof(gint64));
    effects->merged = g_array_new(FALSE, FALSE, sizeof(gint64));
    return effects;
}

void
effects_free(Effects *effects)
{
    fanout_free(effects->fanout);
    g_array_unref(effects->posts);
    g_array_unref(effects->edges);
    g_array_unref(effects->timeline);
    g_array_unref(effects->news);
    g_array_unref(effects->merged);
    g_free(effects);
}

Fanout *
effects_fanout(Effects *effects)
{
    return effects->fanout;
}

/* ---- noting ---- */

void
effects_post(Effects *effects, const FanoutPost *post)
{
    const Followers *followers = effects->state->followers;
    guint32 author = followers_find(followers, post->author);
    g_array_append_val(effects->posts, *post);
    if (author != IDMAP_NONE) {
        effects->deliveries += MIN(followers_count(followers, author),
                                   inbox_tuning(effects->state->inbox)->slice);
    }
}

void
effects_edge(Effects *effects, guint32 user, UserId author, gboolean follows)
{
    Followers *followers = effects->state->followers;
    EdgeEffect effect = {user, followers_author(followers, author), author,
                         effects->edges->len, follows};
    g_array_append_val(effects->edges, effect);
    effects->follows += followers_posts(followers, effect.author) != POSTS_NONE;
}

gboolean
effects_full(const Effects *effects)
{
    return effects->follows >= EFFECTS_FOLLOWS_MAX ||
           effects->deliveries >= EFFECTS_DELIVERIES_MAX;
}

/* ---- edges ---- */

static gint
edge_compare(gconstpointer a, gconstpointer b)
{
    const EdgeEffect *left = a;
    const EdgeEffect *right = b;
    if (left->user != right->user) {
        return left->user < right->user ? -1 : 1;
    }
    if (left->author != right->author) {
        return left->author < right->author ? -1 : 1;
    }
    return left->seq < right->seq ? -1 : 1;
}

static const EdgeEffect *
effects_edge_at(const Effects *effects, guint i)
{
    return &g_array_index(effects->edges, EdgeEffect, i);
}

/* Whether the edge at @i is the last word on its pair. */
static gboolean
effects_edge_holds(const Effects *effects, guint i)
{
    const EdgeEffect *edge = effects_edge_at(effects, i);
    const EdgeEffect *next =
        i + 1 < effects->edges->len ? effects_edge_at(effects, i + 1) : NULL;
    return next == NULL || next->user != edge->user ||
           next->author != edge->author;
}

static void
ids_reverse(GArray *ids)
{
    for (guint i = 0; i < ids->len / 2; i++) {
        gint64 *a = &g_array_index(ids, gint64, i);
        gint64 *b = &g_array_index(ids, gint64, ids->len - 1 - i);
        gint64 held = *a;
        *a = *b;
        *b = held;
    }
}

/* The author's newest posts down to @floor, ascending, into the scratch
   array: one more than a window at most. */
static gboolean
effects_read_timeline(Effects *effects, StoreIter *iter, UserId author,
                      gint64 floor)
{
    WireBytes key;
    WireBytes value;
    StoreOutcome outcome;
    gsize max = inbox_window_ids(effects->state->inbox) + 1;
    g_array_set_size(effects->timeline, 0);
    for (store_iter_seek_back(iter, key_timeline(author, (PostId){G_MAXINT64}));
         (outcome = store_iter_get(iter, &key, &value)) == STORE_FOUND &&
         key_is(key, 't', KEY_PAIR_BYTES) && key_i64(key, 1) == author.v &&
         effects->timeline->len < max;
         store_iter_prev(iter)) {
        gint64 post = key_i64(key, KEY_PAIR_SECOND);
        if (post < floor) {
            break;
        }
        g_array_append_val(effects->timeline, post);
    }
    ids_reverse(effects->timeline);
    return outcome != STORE_FAILED;
}

static const gint64 *
ids_of(const GArray *array)
{
    return (const gint64 *)(gconstpointer)array->data;
}

/* Add the author's posts to the news of the edge's user. */
static gboolean
effects_add_news(Effects *effects, StoreIter *iter, const EdgeEffect *edge,
                 InboxNews *news)
{
    State *state = effects->state;
    if (followers_posts(state->followers, edge->author) == POSTS_NONE) {
        return TRUE;
    }
    gint64 floor = inbox_floor(state->inbox, edge->user);
    if (!effects_read_timeline(effects, iter, edge->author_id, floor)) {
        return FALSE;
    }
    gsize n = effects->timeline->len;
    const gint64 *ids = ids_of(effects->timeline);
    if (n > inbox_window_ids(state->inbox)) {
        news->floor = MAX(news->floor, ids[1]);
    }
    /* A post of this very batch is known of, though not committed yet. */
    if (floor == 0 &&
        followers_posts(state->followers, edge->author) == POSTS_UNKNOWN) {
        followers_set_posts(state->followers, edge->author,
                            n > 0 ? POSTS_SOME : POSTS_NONE);
    }
    g_array_set_size(effects->merged, 0);
    ids_union(effects->merged, ids_of(effects->news), effects->news->len, ids,
              n);
    GArray *held = effects->news;
    effects->news = effects->merged;
    effects->merged = held;
    return TRUE;
}

/* All new follows of the user at *at; moves it to the next user. */
static gboolean
effects_follow(Effects *effects, StoreBatch *batch, StoreIter *iter, guint *at,
               GError **error)
{
    State *state = effects->state;
    guint32 user = effects_edge_at(effects, *at)->user;
    InboxNews news = {0};
    g_array_set_size(effects->news, 0);
    for (; *at < effects->edges->len; (*at)++) {
        const EdgeEffect *edge = effects_edge_at(effects, *at);
        if (edge->user != user) {
            break;
        }
        if (edge->follows && effects_edge_holds(effects, *at) &&
            !effects_add_news(effects, iter, edge, &news)) {
            g_set_error(error, COMB_ERROR, COMB_ERROR_CORRUPT,
                        "cannot read a timeline: %s",
                        store_failure(state->store));
            return FALSE;
        }
    }
    news.ids = ids_of(effects->news);
    news.n = effects->news->len;
    state_add(state, METRIC_DELIVERIES, (gint64)news.n);
    return news.n == 0 || inbox_insert(state->inbox, batch, user, &news, error);
}

/* ---- the two halves ---- */

gboolean
effects_before(Effects *effects, StoreBatch *batch, GError **error)
{
    Followers *followers = effects->state->followers;
    for (guint i = 0; i < effects->posts->len; i++) {
        const FanoutPost *post = &g_array_index(effects->posts, FanoutPost, i);
        guint32 author = followers_find(followers, post->author);
        if (author != IDMAP_NONE) {
            followers_set_posts(followers, author, POSTS_SOME);
        }
    }
    g_array_sort(effects->edges, edge_compare);
    if (effects->edges->len > 0) {
        g_autoptr(StoreIter) iter = store_iter_new(effects->state->store, NULL);
        for (guint at = 0; at < effects->edges->len;) {
            if (!effects_follow(effects, batch, iter, &at, error)) {
                return FALSE;
            }
        }
    }
    for (guint i = 0; i < effects->posts->len; i++) {
        fanout_start(effects->fanout,
                     &g_array_index(effects->posts, FanoutPost, i));
    }
    return TRUE;
}

/* What the facts hide already leaves the inbox. */
static gboolean
effects_unfollow(Effects *effects, GError **error)
{
    State *state = effects->state;
    g_autoptr(StoreIter) iter = NULL;
    for (guint i = 0; i < effects->edges->len; i++) {
        const EdgeEffect *edge = effects_edge_at(effects, i);
        if (edge->follows || !effects_edge_holds(effects, i)) {
            continue;
        }
        if (iter == NULL) {
            iter = store_iter_new(state->store, NULL);
        }
        gint64 floor = inbox_floor(state->inbox, edge->user);
        if (!effects_read_timeline(effects, iter, edge->author_id, floor)) {
            g_set_error(error, COMB_ERROR, COMB_ERROR_CORRUPT,
                        "cannot read a timeline: %s",
                        store_failure(state->store));
            return FALSE;
        }
        inbox_remove(state->inbox, edge->user, ids_of(effects->timeline),
                     effects->timeline->len);
    }
    return TRUE;
}

gboolean
effects_after(Effects *effects, GError **error)
{
    inbox_inserted(effects->state->inbox);
    gboolean good = effects_unfollow(effects, error);
    g_array_set_size(effects->edges, 0);
    g_array_set_size(effects->posts, 0);
    effects->follows = 0;
    effects->deliveries = 0;
    return good;
}

gboolean
effects_fold(Effects *effects, StoreBatch *batch, GError **error)
{
    State *state = effects->state;
    while (inbox_fold_due(state->inbox)) {
        if (!inbox_fold(state->inbox, batch, error) ||
            !killpoint_hit(state->kill, KILL_SEAL, error) ||
            !state_commit(state, batch, error) ||
            !killpoint_hit(state->kill, KILL_SEALED, error)) {
            return FALSE;
        }
        state_add(state, METRIC_SEALED, (gint64)inbox_folded(state->inbox));
    }
    return TRUE;
}
