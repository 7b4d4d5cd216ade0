#include "cell/effects.h"

#include "ops/kit/error.h"

typedef struct PostEffect {
    UserId author;
    PostId post;
} PostEffect;

typedef struct EdgeEffect {
    UserId author;
    guint32 user;
    gboolean follows;
} EdgeEffect;

struct Effects {
    State *state;     /* borrowed */
    GArray *posts;    /* PostEffect, in order of the log */
    GArray *edges;    /* EdgeEffect, likewise: the last of a pair holds */
    GArray *timeline; /* scratch: gint64, an author's posts */
};

Effects *
effects_new(State *state)
{
    Effects *effects = g_new0(Effects, 1);
    effects->state = state;
    effects->posts = g_array_new(FALSE, FALSE, sizeof(PostEffect));
    effects->edges = g_array_new(FALSE, FALSE, sizeof(EdgeEffect));
    effects->timeline = g_array_new(FALSE, FALSE, sizeof(gint64));
    return effects;
}

void
effects_free(Effects *effects)
{
    g_array_unref(effects->posts);
    g_array_unref(effects->edges);
    g_array_unref(effects->timeline);
    g_free(effects);
}

void
effects_post(Effects *effects, UserId author, PostId post)
{
    PostEffect effect = {author, post};
    g_array_append_val(effects->posts, effect);
}

void
effects_edge(Effects *effects, guint32 user, UserId author, gboolean follows)
{
    EdgeEffect effect = {author, user, follows};
    g_array_append_val(effects->edges, effect);
}

/* The author's posts, ascending, into the scratch array. */
static gboolean
effects_read_timeline(Effects *effects, StoreIter *iter, UserId author)
{
    WireBytes key;
    WireBytes value;
    StoreOutcome outcome;
    g_array_set_size(effects->timeline, 0);
    for (store_iter_seek(iter, key_timeline(author, (PostId){0}));
         (outcome = store_iter_get(iter, &key, &value)) == STORE_FOUND &&
         key_is(key, 't', KEY_PAIR_BYTES) && key_i64(key, 1) == author.v;
         store_iter_next(iter)) {
        gint64 post = key_i64(key, KEY_PAIR_SECOND);
        g_array_append_val(effects->timeline, post);
    }
    return outcome != STORE_FAILED;
}

static gboolean
effects_run_edges(Effects *effects)
{
    if (effects->edges->len == 0) {
        return TRUE;
    }
    State *state = effects->state;
    g_autoptr(StoreIter) iter = store_iter_new(state->store, NULL);
    for (guint i = 0; i < effects->edges->len; i++) {
        const EdgeEffect *edge = &g_array_index(effects->edges, EdgeEffect, i);
        if (!effects_read_timeline(effects, iter, edge->author)) {
            return FALSE;
        }
        const gint64 *ids =
            (const gint64 *)(gconstpointer)effects->timeline->data;
        guint n = effects->timeline->len;
        if (!edge->follows) {
            inbox_remove(state->inbox, edge->user, ids, n);
        } else if (n > 0) {
            inbox_merge(state->inbox, edge->user, ids, n);
            state_add(state, METRIC_DELIVERIES, n);
        }
    }
    return TRUE;
}

static void
effects_run_posts(Effects *effects)
{
    State *state = effects->state;
    for (guint i = 0; i < effects->posts->len; i++) {
        const PostEffect *post = &g_array_index(effects->posts, PostEffect, i);
        guint n;
        const guint32 *users =
            followers_get(state->followers, post->author, &n);
        for (guint j = 0; j < n; j++) {
            inbox_deliver(state->inbox, users[j], post->post);
        }
        state_add(state, METRIC_DELIVERIES, n);
    }
}

guint
effects_edges(const Effects *effects)
{
    return effects->edges->len;
}

gboolean
effects_run(Effects *effects, GError **error)
{
    if (!effects_run_edges(effects)) {
        g_set_error(error, COMB_ERROR, COMB_ERROR_CORRUPT,
                    "cannot read a timeline: %s",
                    store_failure(effects->state->store));
        return FALSE;
    }
    effects_run_posts(effects);
    g_array_set_size(effects->edges, 0);
    g_array_set_size(effects->posts, 0);
    return TRUE;
}

gboolean
effects_fold(Effects *effects, StoreBatch *batch, GError **error)
{
    State *state = effects->state;
    while (inbox_fold_due(state->inbox)) {
        if (!inbox_fold(state->inbox, batch, error) ||
            !store_batch_commit(batch, error)) {
            return FALSE;
        }
        pthread_rwlock_wrlock(&state->lock);
        inbox_folded(state->inbox);
        pthread_rwlock_unlock(&state->lock);
    }
    return TRUE;
}
