/*
 * The page is cut (cut.h), then walked (walk.h) from the cursor until it has
 * its entries and knows whether one more would follow. Posts are pinned where
 * they lie in the store and spliced into the answer as the bytes they are.
 * Newer pages are walked upwards and turned round, so that a page is always
 * newest first.
 *
 * The page gives up after PAGE_CANDIDATES_MAX ids that were not to be shown
 * and says so (complete = false); its cursor stands where the walk stopped,
 * so following it makes progress.
 */
#include "cell/page.h"

#include "cell/edges.h"
#include "cell/facts.h"
#include "cell/walk.h"

/* Values of dashboard.thrift. */
#define PAGE_MORE 1
#define PAGE_NOTHING_NEWER_YET 2
#define PAGE_END_OF_INBOX 3
#define REASON_FOLLOWED 1
#define REASON_AUTHORED 2

typedef struct Entry {
    PostId id;
    StoreValue post;     /* pinned */
    StoreValue parent;   /* of a reply; empty where deleted or none */
    StoreValue original; /* of a reblog; likewise */
} Entry;

typedef struct Page {
    const PageQuery *query;
    Cut cut;
    EdgeReader edges;              /* the reader's, of the cut */
    Entry entries[PAGE_LIMIT_MAX]; /* in order of the walk */
    guint n;
    gsize bytes;       /* of posts in the entries */
    gboolean more;     /* a further entry follows */
    gboolean complete; /* the walk was not given up */
    guint looked;      /* candidates */
    gint64 walked_to;  /* where the next page begins: the last entry; where
                          there is none, the bound, or the last id looked
                          at if the walk was given up */
    gint64 author;     /* whose edge @follows is about; 0: none yet */
    gboolean follows;
} Page;

static void
entry_clear(Entry *entry)
{
    store_value_clear(&entry->post);
    store_value_clear(&entry->parent);
    store_value_clear(&entry->original);
}

static gsize
entry_bytes(const Entry *entry)
{
    return entry->post.bytes.len + entry->parent.bytes.len +
           entry->original.bytes.len;
}

/* The post @id stands on, and whether it may be shown with it. */
static StoreOutcome
page_get_basis(Page *page, PostId id, StoreValue *ret_post)
{
    const Cut *cut = &page->cut;
    Store *store = cut->state->store;
    StoreOutcome outcome =
        store_get(store, cut->snapshot, key_post(id), ret_post);
    if (outcome != STORE_FOUND) {
        return outcome;
    }
    Post post;
    if (!post_decode(ret_post->bytes, &post)) {
        return STORE_FAILED;
    }
    StoreOutcome deleted = fact_deleted(store, cut->snapshot, id, post.author);
    if (deleted == STORE_FOUND) {
        store_value_clear(ret_post);
    }
    return deleted == STORE_FAILED ? STORE_FAILED : STORE_FOUND;
}

/* Whether the reader may see posts of @author; neighbours are often alike. */
static StoreOutcome
page_may_see(Page *page, UserId author)
{
    const PageQuery *query = page->query;
    if (query->kind == CURSOR_TIMELINE) {
        return author.v == query->user.v ? STORE_FOUND : STORE_MISSING;
    }
    if (page->author != author.v) {
        StoreOutcome outcome = edge_reader_follows(&page->edges, author);
        if (outcome == STORE_FAILED) {
            return STORE_FAILED;
        }
        page->author = author.v;
        page->follows = outcome == STORE_FOUND;
    }
    return page->follows ? STORE_FOUND : STORE_MISSING;
}

/* Decide on one candidate: STORE_FOUND makes it an entry. */
static StoreOutcome
page_admit(Page *page, PostId id, Entry *entry)
{
    const Cut *cut = &page->cut;
    Store *store = cut->state->store;
    StoreOutcome outcome =
        store_get(store, cut->snapshot, key_post(id), &entry->post);
    if (outcome != STORE_FOUND) {
        return outcome;
    }
    Post post;
    if (!post_decode(entry->post.bytes, &post)) {
        return STORE_FAILED;
    }
    outcome = page_may_see(page, post.author);
    if (outcome != STORE_FOUND) {
        return outcome;
    }
    outcome = fact_deleted(store, cut->snapshot, id, post.author);
    if (outcome != STORE_MISSING) {
        return outcome == STORE_FOUND ? STORE_MISSING : STORE_FAILED;
    }
    if (post.reply_to.v != 0) {
        outcome = page_get_basis(page, post.reply_to, &entry->parent);
        if (outcome != STORE_FOUND) {
            return outcome;
        }
    }
    if (post.reblog_of.v != 0) {
        return page_get_basis(page, post.reblog_of, &entry->original);
    }
    return STORE_FOUND;
}

/* Fill the page. FALSE: the store is damaged. */
static gboolean
page_fill(Page *page)
{
    const PageQuery *query = page->query;
    WalkKind kind =
        query->kind == CURSOR_DASHBOARD ? WALK_INBOX : WALK_TIMELINE;
    g_autoptr(Walk) walk =
        walk_new(&page->cut, kind, query->user, query->older, query->from);
    gint64 last = query->from;
    for (; page->looked < PAGE_CANDIDATES_MAX; page->looked++) {
        Entry entry = {0};
        StoreOutcome outcome = walk_next(walk, &entry.id);
        if (outcome != STORE_FOUND) {
            return outcome == STORE_MISSING;
        }
        outcome = page_admit(page, entry.id, &entry);
        gsize bytes = page->bytes + entry_bytes(&entry);
        gboolean fits =
            page->n == 0 || (page->n < query->limit && bytes <= PAGE_BYTES_MAX);
        if (outcome == STORE_FOUND && fits) {
            page->bytes = bytes;
            page->entries[page->n++] = entry;
            page->walked_to = entry.id.v;
            continue;
        }
        entry_clear(&entry);
        if (outcome == STORE_FOUND) {
            page->more = TRUE;
            return TRUE;
        }
        if (outcome == STORE_FAILED) {
            return FALSE;
        }
        last = entry.id.v;
    }
    page->walked_to = page->n > 0 ? page->walked_to : last;
    page->complete = FALSE;
    page->more = TRUE;
    return TRUE;
}

static void
page_write_struct(GByteArray *out, gint16 field, const StoreValue *value)
{
    if (value->bytes.len > 0) {
        wire_write_field(out, WIRE_STRUCT, field);
        g_byte_array_append(out, value->bytes.data, (guint)value->bytes.len);
    }
}

static void
page_write_entry(GByteArray *out, const Page *page, const Entry *entry)
{
    gboolean dashboard = page->query->kind == CURSOR_DASHBOARD;
    page_write_struct(out, 1, &entry->post);
    wire_field_i32(out, 2, dashboard ? REASON_FOLLOWED : REASON_AUTHORED);
    page_write_struct(out, 3, &entry->parent);
    page_write_struct(out, 4, &entry->original);
    wire_write_stop(out);
}

static void
page_write_cursor(GByteArray *out, const Page *page, gint16 field, gint64 id)
{
    char text[CURSOR_TEXT_BYTES + 1];
    cursor_write(page->query->kind, page->query->user, id, text);
    wire_field_bytes(out, field, text, CURSOR_TEXT_BYTES);
}

/* The two places a page can be left from: below its last entry, above its
   first; where it has none, where the walk began or was given up. */
static void
page_write_cursors(GByteArray *out, const Page *page)
{
    const PageQuery *query = page->query;
    gint64 first = page->n > 0 ? page->entries[0].id.v : query->from;
    gint64 last = page->walked_to;
    if (query->older) {
        page_write_cursor(out, page, 2, last);
        page_write_cursor(out, page, 3, first == G_MAXINT64 ? 0 : first);
    } else {
        page_write_cursor(out, page, 2, first);
        page_write_cursor(out, page, 3, last);
    }
}

static gint32
page_end(const Page *page)
{
    if (page->more) {
        return PAGE_MORE;
    }
    return page->query->older ? PAGE_END_OF_INBOX : PAGE_NOTHING_NEWER_YET;
}

static void
page_write_all(GByteArray *out, const Page *page)
{
    State *state = page->cut.state;
    wire_write_field(out, WIRE_LIST, 1);
    wire_write_list(out, WIRE_STRUCT, page->n);
    for (guint i = 0; i < page->n; i++) {
        guint at = page->query->older ? i : page->n - 1 - i;
        page_write_entry(out, page, &page->entries[at]);
    }
    page_write_cursors(out, page);
    wire_field_i32(out, 4, page_end(page));
    wire_field_bool(out, 5, page->complete);
    wire_field_i64(out, 6, page->cut.as_of);
    wire_field_i64(out, 7, page->cut.lag_ms);
    const char *stopped = state_stopped(state);
    if (stopped != NULL) {
        wire_field_string(out, 8, stopped);
    }
    wire_write_stop(out);
}

gboolean
page_write(State *state, const PageQuery *query, GByteArray *out)
{
    Page page = {.query = query, .complete = TRUE, .walked_to = query->from};
    UserId reader = query->kind == CURSOR_DASHBOARD ? query->user : (UserId){0};
    cut_open(state, reader, &page.cut);
    edge_reader_init(&page.edges, state->store, page.cut.snapshot, query->user);
    gboolean good = page_fill(&page);
    if (good) {
        page_write_all(out, &page);
    }
    state_add(state, METRIC_PAGES, 1);
    state_add(state, METRIC_PAGE_CANDIDATES, page.looked);
    for (guint i = 0; i < page.n; i++) {
        entry_clear(&page.entries[i]);
    }
    edge_reader_clear(&page.edges);
    cut_close(&page.cut);
    return good;
}

gboolean
page_write_posts(State *state, const gint64 *ids, gsize n, GByteArray *out)
{
    static const PageQuery query = {.kind = CURSOR_TIMELINE};
    Page page = {.query = &query};
    g_autoptr(GByteArray) found = g_byte_array_new();
    g_autoptr(GByteArray) missing = g_byte_array_new();
    guint32 n_found = 0;
    gboolean good = TRUE;
    cut_open(state, (UserId){0}, &page.cut);
    for (gsize i = 0; i < n && good; i++) {
        g_auto(StoreValue) post = {0};
        good = page_get_basis(&page, (PostId){ids[i]}, &post) != STORE_FAILED;
        if (post.bytes.len > 0) {
            g_byte_array_append(found, post.bytes.data, (guint)post.bytes.len);
            n_found++;
        } else {
            wire_write_i64(missing, ids[i]);
        }
    }
    cut_close(&page.cut);
    wire_write_field(out, WIRE_LIST, 1);
    wire_write_list(out, WIRE_STRUCT, n_found);
    g_byte_array_append(out, found->data, found->len);
    wire_write_field(out, WIRE_LIST, 2);
    wire_write_list(out, WIRE_I64, (guint32)n - n_found);
    g_byte_array_append(out, missing->data, missing->len);
    wire_write_stop(out);
    return good;
}
