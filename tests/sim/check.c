#include "tests/sim/check.h"

#include "tests/kit/page_seen.h"

#include <string.h>

/* Values of dashboard.thrift. */
#define END_MORE 1
#define END_NOTHING_NEWER 2
#define END_OF_INBOX 3

void
checker_init(Checker *checker, const Model *model)
{
    *checker = (Checker){.model = model};
    checker->want = g_array_new(FALSE, FALSE, sizeof(ModelEntry));
}

void
checker_clear(Checker *checker)
{
    g_array_unref(checker->want);
}

/* The part of the list that a page must be. */
typedef struct Slice {
    guint first;
    guint n;
    gint32 end;
} Slice;

static const ModelEntry *
want_at(const Checker *checker, guint i)
{
    return &g_array_index(checker->want, ModelEntry, i);
}

static Slice
slice_of(const Checker *checker, const Pager *pager, gboolean older)
{
    guint all = checker->want->len;
    guint at = 0; /* the first one at or below the cursor */
    while (at < all && want_at(checker, at)->id > pager->from) {
        at++;
    }
    if (!older) {
        guint n = MIN(at, pager->limit);
        return (Slice){at - n, n, at > n ? END_MORE : END_NOTHING_NEWER};
    }
    if (at < all && want_at(checker, at)->id == pager->from) {
        at++;
    }
    guint n = MIN(all - at, pager->limit);
    return (Slice){at, n, all - at > n ? END_MORE : END_OF_INBOX};
}

/* ---- telling what differs ---- */

static void
tell_ids(GString *out, const char *name, const gint64 *ids, guint n)
{
    g_string_append_printf(out, "\n  %s (%u):", name, n);
    for (guint i = 0; i < n; i++) {
        g_string_append_printf(out, " %" G_GINT64_FORMAT, ids[i]);
    }
}

static gboolean
id_among(const gint64 *ids, guint n, gint64 id)
{
    for (guint i = 0; i < n; i++) {
        if (ids[i] == id) {
            return TRUE;
        }
    }
    return FALSE;
}

/* The stories of the first posts that only one side has. */
static void
tell_stories(const Checker *checker, const Pager *pager, const GArray *a,
             const GArray *b)
{
    guint told = 0;
    const gint64 *others = (const gint64 *)(gconstpointer)b->data;
    for (guint i = 0; i < a->len && told < 3; i++) {
        gint64 id = g_array_index(a, gint64, i);
        if (!id_among(others, b->len, id)) {
            model_explain(checker->model, pager->user, id,
                          checker->node->trouble);
            told++;
        }
    }
}

static gboolean
differ(Checker *checker, const Pager *pager, const char *what,
       const PageSeen *page, Slice slice)
{
    GString *out = checker->node->trouble;
    const Node *node = checker->node;
    g_autoptr(GArray) want = g_array_new(FALSE, FALSE, sizeof(gint64));
    g_autoptr(GArray) have = g_array_new(FALSE, FALSE, sizeof(gint64));
    for (guint i = 0; i < slice.n; i++) {
        gint64 id = want_at(checker, slice.first + i)->id;
        g_array_append_val(want, id);
    }
    for (guint i = 0; page != NULL && i < page->entries->len; i++) {
        gint64 id = g_array_index(page->entries, SeenEntry, i).id;
        g_array_append_val(have, id);
    }
    g_string_append_printf(
        out, "%s of %" G_GINT64_FORMAT ", %u from %" G_GINT64_FORMAT ": %s",
        pager->kind == CURSOR_DASHBOARD ? "dashboard" : "timeline", pager->user,
        pager->limit, pager->from, what);
    g_string_append(out, "\n  applied:");
    for (guint i = 0; i < node->partitions; i++) {
        g_string_append_printf(out, " %" G_GUINT64_FORMAT, node->disk->high[i]);
    }
    tell_ids(out, "model", (const gint64 *)(gconstpointer)want->data,
             want->len);
    tell_ids(out, "page", (const gint64 *)(gconstpointer)have->data, have->len);
    g_string_append_c(out, '\n');
    tell_stories(checker, pager, want, have);
    tell_stories(checker, pager, have, want);
    return FALSE;
}

/* ---- comparing ---- */

static gboolean
same(WireBytes a, WireBytes b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

static gboolean
entry_same(const ModelEntry *want, const SeenEntry *have)
{
    return want->id == have->id && same(want->post, have->post) &&
           same(want->parent, have->parent) &&
           same(want->original, have->original);
}

/* The id of a cursor; -1: it is not a good one. */
static gint64
cursor_id(const Pager *pager, WireBytes text)
{
    gint64 id;
    return cursor_read(text, pager->kind, (UserId){pager->user}, &id) ==
                   CURSOR_GOOD
               ? id
               : -1;
}

static gboolean
cursors_right(const Pager *pager, const PageSeen *page)
{
    guint n = page->entries->len;
    gint64 older = pager->from;
    gint64 newer = pager->from;
    if (n == 0 && pager->from == G_MAXINT64) {
        return TRUE; /* nothing, asked from nowhere */
    }
    if (n > 0) {
        newer = g_array_index(page->entries, SeenEntry, 0).id;
        older = g_array_index(page->entries, SeenEntry, n - 1).id;
    }
    return cursor_id(pager, page->older) == older &&
           cursor_id(pager, page->newer) == newer;
}

static const char *
compare(Checker *checker, const Pager *pager, const PageSeen *page, Slice slice)
{
    const Node *node = checker->node;
    if (page->entries->len != slice.n) {
        return "another number of posts";
    }
    for (guint i = 0; i < slice.n; i++) {
        const SeenEntry *have = &g_array_index(page->entries, SeenEntry, i);
        if (!entry_same(want_at(checker, slice.first + i), have)) {
            return "another post, or other bytes";
        }
    }
    if (page->end != slice.end) {
        return "another end";
    }
    if (!cursors_right(pager, page)) {
        return "a wrong cursor";
    }
    if (page->as_of != model_as_of(checker->model, node->disk->high)) {
        return "a wrong as_of";
    }
    if (!page->complete) {
        return "it says that it is incomplete";
    }
    return page->stale == node->stopped ? NULL
                                        : "it is wrong about being stale";
}

/* What can be said of a node that repeats: in order, and nothing too much. */
static const char *
compare_loosely(Checker *checker, const PageSeen *page)
{
    guint at = 0;
    for (guint i = 0; i < page->entries->len; i++) {
        const SeenEntry *have = &g_array_index(page->entries, SeenEntry, i);
        while (at < checker->want->len &&
               !entry_same(want_at(checker, at), have)) {
            at++;
        }
        if (at++ == checker->want->len) {
            return "a post too much, or out of order";
        }
    }
    return NULL;
}

/* The model's list, unless it is the one of the last question. */
static void
checker_want(Checker *checker, const Pager *pager)
{
    const guint64 *at = checker->node->disk->high;
    gsize bytes = sizeof checker->cached_at;
    if (checker->cached_kind == pager->kind &&
        checker->cached_user == pager->user &&
        memcmp(checker->cached_at, at, bytes) == 0) {
        return;
    }
    model_list(checker->model, pager->kind == CURSOR_DASHBOARD, pager->user, at,
               checker->want);
    checker->cached_kind = pager->kind;
    checker->cached_user = pager->user;
    memcpy(checker->cached_at, at, bytes);
}

static void
checker_note(Checker *checker, const PageSeen *page)
{
    checker->pages++;
    checker->posts += page->entries->len;
    for (guint i = 0; i < page->entries->len; i++) {
        gint64 id = g_array_index(page->entries, SeenEntry, i).id;
        checker->digest =
            (checker->digest ^ (guint64)id) * G_GUINT64_CONSTANT(0x100000001b3);
    }
    checker->digest += (guint64)page->end;
}

static void
pager_advance(Pager *pager, const PageSeen *page, gboolean older)
{
    gint64 id = cursor_id(pager, older ? page->older : page->newer);
    pager->from = id >= 0 ? id : pager->from;
    pager->end = page->end;
}

/* A page could not be had: right where a read was made to fail. */
static gboolean
check_refused(Checker *checker, const Pager *pager)
{
    if (node_note_read_fault(checker->node)) {
        return TRUE;
    }
    return differ(checker, pager, "it is refused", NULL, (Slice){0});
}

gboolean
check_page(Checker *checker, Pager *pager, gboolean older)
{
    Node *node = checker->node;
    PageQuery query = {
        pager->kind, {pager->user}, older, pager->from, pager->limit};
    GByteArray *bytes = g_byte_array_new();
    if (!page_write(node->state, &query, bytes)) {
        g_byte_array_unref(bytes);
        return check_refused(checker, pager);
    }
    g_auto(PageSeen) page = {0};
    if (!page_seen_read(bytes, &page)) {
        return differ(checker, pager, "it is malformed", NULL, (Slice){0});
    }
    checker_want(checker, pager);
    Slice slice = slice_of(checker, pager, older);
    const char *what;
    if (node_is_exact(node)) {
        what = compare(checker, pager, &page, slice);
    } else {
        checker->loose++;
        what = compare_loosely(checker, &page);
    }
    if (what != NULL) {
        return differ(checker, pager, what, &page, slice);
    }
    node_note_read_fault(node);
    checker_note(checker, &page);
    pager_advance(pager, &page, older);
    return TRUE;
}

gboolean
check_list(Checker *checker, CursorKind kind, gint64 user, guint limit)
{
    Pager pager = {kind, user, limit, G_MAXINT64, END_MORE};
    while (pager.end == END_MORE) {
        if (!check_page(checker, &pager, TRUE)) {
            return FALSE;
        }
    }
    /* Another size, so that pages begin at other places on the way up. */
    pager.limit = MIN(limit * 2 + 1, PAGE_LIMIT_MAX);
    pager.end = END_MORE;
    while (pager.end == END_MORE && pager.from != G_MAXINT64) {
        if (!check_page(checker, &pager, FALSE)) {
            return FALSE;
        }
    }
    return TRUE;
}

static const char *
compare_posts(const Checker *checker, const gint64 *ids, guint n,
              const GByteArray *bytes)
{
    g_autoptr(GArray) found = g_array_new(FALSE, FALSE, sizeof(WireBytes));
    g_autoptr(GArray) missing = g_array_new(FALSE, FALSE, sizeof(gint64));
    guint at_found = 0;
    guint at_missing = 0;
    if (!posts_seen_read(bytes, found, missing) ||
        found->len + missing->len != n) {
        return "malformed, or not so many as were asked for";
    }
    for (guint i = 0; i < n; i++) {
        WireBytes want =
            model_get(checker->model, ids[i], checker->node->disk->high);
        if (want.len == 0) {
            if (at_missing == missing->len ||
                g_array_index(missing, gint64, at_missing++) != ids[i]) {
                return "a post that is not, or is deleted, is not missing";
            }
        } else if (at_found == found->len ||
                   !same(g_array_index(found, WireBytes, at_found++), want)) {
            return "a post is not found, or has other bytes";
        }
    }
    return NULL;
}

gboolean
check_posts(Checker *checker, const gint64 *ids, guint n)
{
    Node *node = checker->node;
    Pager nobody = {CURSOR_TIMELINE, 0, n, 0, 0};
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    if (!page_write_posts(node->state, ids, n, NULL, bytes)) {
        return check_refused(checker, &nobody);
    }
    const char *what = compare_posts(checker, ids, n, bytes);
    if (what != NULL) {
        g_string_append_printf(node->trouble, "posts by id: %s", what);
        tell_ids(node->trouble, "asked", ids, n);
    }
    node_note_read_fault(node);
    checker->pages++;
    return what == NULL;
}
