/*
 * Each fact keeps all that was ever said of it, with the place of the first
 * saying; a question goes through them and leaves out what is not applied
 * yet. Nothing is carried from one question to the next.
 */
#include "tests/sim/model.h"

#include <string.h>

/* Where something was said first. */
typedef struct Place {
    guint partition;
    guint64 offset;
} Place;

typedef struct Variant {
    Place place;
    const SimEvent *event;
    WireBytes bytes; /* of the post */
} Variant;

typedef struct Deletion {
    Place place;
    gint64 actor;
} Deletion;

typedef struct ModelPost {
    gint64 id;
    GArray *variants;  /* Variant: different bytes given under the id */
    GArray *deletions; /* Deletion */
} ModelPost;

typedef struct EdgeEvent {
    Place place;
    const SimEvent *event;
} EdgeEvent;

typedef struct ModelEdge {
    gint64 reader;
    gint64 author;
    GArray *events; /* EdgeEvent */
} ModelEdge;

/* What holds of a partition after each of its records. */
typedef struct Mark {
    gint64 as_of;
    guint64 quarantined;
} Mark;

struct Model {
    guint partitions;
    GPtrArray *posts; /* ModelPost by id, ascending */
    GPtrArray *edges; /* ModelEdge */
    GPtrArray *marks; /* per partition a GArray of Mark */
};

static void
array_free(gpointer array)
{
    g_array_unref(array);
}

static void
post_free(gpointer data)
{
    ModelPost *post = data;
    g_array_unref(post->variants);
    g_array_unref(post->deletions);
    g_free(post);
}

static void
edge_free(gpointer data)
{
    ModelEdge *edge = data;
    g_array_unref(edge->events);
    g_free(edge);
}

Model *
model_new(guint partitions)
{
    Model *model = g_new0(Model, 1);
    model->partitions = partitions;
    model->posts = g_ptr_array_new_with_free_func(post_free);
    model->edges = g_ptr_array_new_with_free_func(edge_free);
    model->marks = g_ptr_array_new_with_free_func(array_free);
    for (guint i = 0; i < partitions; i++) {
        g_ptr_array_add(model->marks, g_array_new(FALSE, FALSE, sizeof(Mark)));
    }
    return model;
}

void
model_free(Model *model)
{
    g_ptr_array_unref(model->posts);
    g_ptr_array_unref(model->edges);
    g_ptr_array_unref(model->marks);
    g_free(model);
}

/* ---- hearing of events ---- */

/* Place of the first post with @id or above. */
static guint
model_search(const Model *model, gint64 id)
{
    guint low = 0;
    guint high = model->posts->len;
    while (low < high) {
        guint middle = low + (high - low) / 2;
        const ModelPost *post = g_ptr_array_index(model->posts, middle);
        if (post->id < id) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static const ModelPost *
model_find(const Model *model, gint64 id)
{
    guint at = model_search(model, id);
    if (at == model->posts->len) {
        return NULL;
    }
    const ModelPost *post = g_ptr_array_index(model->posts, at);
    return post->id == id ? post : NULL;
}

static ModelPost *
model_make(Model *model, gint64 id)
{
    guint at = model_search(model, id);
    ModelPost *post = NULL;
    if (at < model->posts->len) {
        post = g_ptr_array_index(model->posts, at);
    }
    if (post == NULL || post->id != id) {
        post = g_new0(ModelPost, 1);
        post->id = id;
        post->variants = g_array_new(FALSE, FALSE, sizeof(Variant));
        post->deletions = g_array_new(FALSE, FALSE, sizeof(Deletion));
        g_ptr_array_insert(model->posts, (gint)at, post);
    }
    return post;
}

/* The greater bytes; a longer one is greater than what it begins with. */
static int
bytes_order(WireBytes a, WireBytes b)
{
    int order = memcmp(a.data, b.data, MIN(a.len, b.len));
    if (order != 0) {
        return order;
    }
    return a.len == b.len ? 0 : (a.len > b.len ? 1 : -1);
}

static void
model_add_post(Model *model, const SimEvent *event, Place place)
{
    ModelPost *post = model_make(model, event->id);
    Variant variant = {
        place, event, {event->bytes->data + event->post_at, event->post_len}};
    for (guint i = 0; i < post->variants->len; i++) {
        const Variant *old = &g_array_index(post->variants, Variant, i);
        if (bytes_order(old->bytes, variant.bytes) == 0) {
            return;
        }
    }
    g_array_append_val(post->variants, variant);
}

static void
model_add_deletion(Model *model, const SimEvent *event, Place place)
{
    ModelPost *post = model_make(model, event->target);
    Deletion deletion = {place, event->user};
    g_array_append_val(post->deletions, deletion);
}

static void
model_add_edge(Model *model, const SimEvent *event, Place place)
{
    ModelEdge *edge = NULL;
    for (guint i = 0; i < model->edges->len && edge == NULL; i++) {
        ModelEdge *it = g_ptr_array_index(model->edges, i);
        edge = it->reader == event->user && it->author == event->target ? it
                                                                        : NULL;
    }
    if (edge == NULL) {
        edge = g_new0(ModelEdge, 1);
        edge->reader = event->user;
        edge->author = event->target;
        edge->events = g_array_new(FALSE, FALSE, sizeof(EdgeEvent));
        g_ptr_array_add(model->edges, edge);
    }
    for (guint i = 0; i < edge->events->len; i++) {
        if (g_array_index(edge->events, EdgeEvent, i).event == event) {
            return;
        }
    }
    EdgeEvent it = {place, event};
    g_array_append_val(edge->events, it);
}

void
model_add(Model *model, const SimEvent *event, const Delivery *delivery)
{
    GArray *marks = g_ptr_array_index(model->marks, delivery->partition);
    Place place = {delivery->partition, marks->len};
    gboolean valid = event->kind != 0 && !delivery->misplaced;
    Mark mark = {0};
    if (marks->len > 0) {
        mark = g_array_index(marks, Mark, marks->len - 1);
    }
    if (valid) {
        mark.as_of = MAX(mark.as_of, event->id);
    } else {
        mark.quarantined++;
    }
    g_array_append_val(marks, mark);
    if (!valid) {
        return;
    }
    if (event->kind == EVENT_POST) {
        model_add_post(model, event, place);
    } else if (event->kind == EVENT_DELETE) {
        model_add_deletion(model, event, place);
    } else if (event->kind == EVENT_FOLLOW || event->kind == EVENT_UNFOLLOW) {
        model_add_edge(model, event, place);
    }
}

/* ---- answering ---- */

static gboolean
applied(Place place, const guint64 *next)
{
    return place.offset < next[place.partition];
}

/* The post as it is, or NULL where it is not known. */
static const Variant *
post_winner(const ModelPost *post, const guint64 *next)
{
    const Variant *best = NULL;
    for (guint i = 0; post != NULL && i < post->variants->len; i++) {
        const Variant *it = &g_array_index(post->variants, Variant, i);
        if (applied(it->place, next) &&
            (best == NULL || bytes_order(it->bytes, best->bytes) > 0)) {
            best = it;
        }
    }
    return best;
}

static gboolean
post_deleted(const ModelPost *post, gint64 author, const guint64 *next)
{
    for (guint i = 0; i < post->deletions->len; i++) {
        const Deletion *it = &g_array_index(post->deletions, Deletion, i);
        if (it->actor == author && applied(it->place, next)) {
            return TRUE;
        }
    }
    return FALSE;
}

/* Whether what a post stands on is known; its bytes, unless deleted. */
static gboolean
model_basis(const Model *model, gint64 id, const guint64 *next,
            WireBytes *ret_bytes)
{
    if (id == 0) {
        return TRUE;
    }
    *ret_bytes = model_get(model, id, next);
    return post_winner(model_find(model, id), next) != NULL;
}

static gboolean
edge_follows(const ModelEdge *edge, const guint64 *next)
{
    gint64 id = 0;
    gboolean follows = FALSE;
    for (guint i = 0; i < edge->events->len; i++) {
        const EdgeEvent *it = &g_array_index(edge->events, EdgeEvent, i);
        if (!applied(it->place, next) || it->event->id < id) {
            continue;
        }
        gboolean follow = it->event->kind == EVENT_FOLLOW;
        follows = it->event->id == id ? follows || follow : follow;
        id = it->event->id;
    }
    return follows;
}

/* Whose posts the list is of: gint64. */
static GArray *
model_authors(const Model *model, gboolean dashboard, gint64 user,
              const guint64 *next)
{
    GArray *authors = g_array_new(FALSE, FALSE, sizeof(gint64));
    for (guint i = 0; dashboard && i < model->edges->len; i++) {
        const ModelEdge *edge = g_ptr_array_index(model->edges, i);
        if (edge->reader == user && edge_follows(edge, next)) {
            g_array_append_val(authors, edge->author);
        }
    }
    if (!dashboard) {
        g_array_append_val(authors, user);
    }
    return authors;
}

static gboolean
is_among(const GArray *users, gint64 user)
{
    for (guint i = 0; i < users->len; i++) {
        if (g_array_index(users, gint64, i) == user) {
            return TRUE;
        }
    }
    return FALSE;
}

void
model_list(const Model *model, gboolean dashboard, gint64 user,
           const guint64 *next, GArray *entries)
{
    g_autoptr(GArray) authors = model_authors(model, dashboard, user, next);
    g_array_set_size(entries, 0);
    for (guint i = model->posts->len; i > 0; i--) {
        const ModelPost *post = g_ptr_array_index(model->posts, i - 1);
        const Variant *winner = post_winner(post, next);
        if (winner == NULL || !is_among(authors, winner->event->user) ||
            post_deleted(post, winner->event->user, next)) {
            continue;
        }
        ModelEntry entry = {.id = post->id, .post = winner->bytes};
        if (model_basis(model, winner->event->reply_to, next, &entry.parent) &&
            model_basis(model, winner->event->reblog_of, next,
                        &entry.original)) {
            g_array_append_val(entries, entry);
        }
    }
}

WireBytes
model_get(const Model *model, gint64 id, const guint64 *next)
{
    const ModelPost *post = model_find(model, id);
    const Variant *winner = post_winner(post, next);
    if (winner == NULL || post_deleted(post, winner->event->user, next)) {
        return (WireBytes){NULL, 0};
    }
    return winner->bytes;
}

/* What holds of a partition at a prefix. */
static Mark
model_mark(const Model *model, guint partition, const guint64 *next)
{
    const GArray *marks = g_ptr_array_index(model->marks, partition);
    return next[partition] == 0
               ? (Mark){0}
               : g_array_index(marks, Mark, (guint)next[partition] - 1);
}

gint64
model_as_of(const Model *model, const guint64 *next)
{
    gint64 as_of = 0;
    for (guint i = 0; i < model->partitions; i++) {
        as_of = MAX(as_of, model_mark(model, i, next).as_of);
    }
    return as_of;
}

guint64
model_quarantined(const Model *model, const guint64 *next)
{
    guint64 n = 0;
    for (guint i = 0; i < model->partitions; i++) {
        n += model_mark(model, i, next).quarantined;
    }
    return n;
}

static void
explain_edges(const Model *model, gint64 reader, gint64 author, GString *out)
{
    for (guint i = 0; i < model->edges->len; i++) {
        const ModelEdge *edge = g_ptr_array_index(model->edges, i);
        if (edge->reader != reader || edge->author != author) {
            continue;
        }
        for (guint j = 0; j < edge->events->len; j++) {
            const EdgeEvent *it = &g_array_index(edge->events, EdgeEvent, j);
            g_string_append_printf(
                out,
                "    %s event %" G_GINT64_FORMAT " at %u:%" G_GUINT64_FORMAT
                "\n",
                it->event->kind == EVENT_FOLLOW ? "follow" : "unfollow",
                it->event->id, it->place.partition, it->place.offset);
        }
    }
}

void
model_explain(const Model *model, gint64 reader, gint64 id, GString *out)
{
    const ModelPost *post = model_find(model, id);
    g_string_append_printf(out, "  post %" G_GINT64_FORMAT "\n", id);
    for (guint i = 0; post != NULL && i < post->variants->len; i++) {
        const Variant *it = &g_array_index(post->variants, Variant, i);
        g_string_append_printf(
            out,
            "    by %" G_GINT64_FORMAT " at %u:%" G_GUINT64_FORMAT
            ", reply to %" G_GINT64_FORMAT ", reblog of %" G_GINT64_FORMAT "\n",
            it->event->user, it->place.partition, it->place.offset,
            it->event->reply_to, it->event->reblog_of);
        explain_edges(model, reader, it->event->user, out);
    }
    for (guint i = 0; post != NULL && i < post->deletions->len; i++) {
        const Deletion *it = &g_array_index(post->deletions, Deletion, i);
        g_string_append_printf(
            out,
            "    deleted by %" G_GINT64_FORMAT " at %u:%" G_GUINT64_FORMAT "\n",
            it->actor, it->place.partition, it->place.offset);
    }
}
