/*
 * The page is cut (cut.h), then walked (walk.h) from the cursor until it has
 * its entries and knows whether one more would follow. Posts are held where
 * they lie in the cache and spliced into the answer as the bytes they are.
 * Newer pages are walked upwards and turned round, so that a page is always
 * newest first.
 *
 * The page gives up after PAGE_CANDIDATES_MAX ids that were not to be shown, or
 * where the walk does, and says so (complete = false); its cursor stands where
 * the walk stopped, so following it makes progress.
 */
#include "cell/page.h"

#include "cell/ids.h"
#include "cell/lookup.h"
#include "cell/walk.h"

/* Values of dashboard.thrift. */
#define PAGE_MORE 1
#define PAGE_NOTHING_NEWER_YET 2
#define PAGE_END_OF_INBOX 3
#define REASON_FOLLOWED 1
#define REASON_AUTHORED 2
/* More than what stands around the posts of an entry, or of a page. */
#define PAGE_AROUND_BYTES 128u

typedef struct Entry {
    PostId id;
    CachedFact *post;     /* owned, all three */
    CachedFact *parent;   /* of a reply; NULL where deleted or none */
    CachedFact *original; /* of a reblog; likewise */
} Entry;

typedef struct Page {
    const PageQuery *query;
    const char *late; /* why ctx.at_least is not in it; NULL: it is */
    Cut cut;
    Follows follows;               /* the reader's */
    Entry entries[PAGE_LIMIT_MAX]; /* in order of the walk */
    guint n;
    gsize bytes;       /* of posts in the entries */
    gboolean more;     /* a further entry follows */
    gboolean complete; /* the walk was not given up */
    guint looked;      /* candidates */
    gint64 walked_to;  /* where the next page begins: the last entry; where
                          there is none, the bound, or the last id looked
                          at if the walk was given up */
} Page;

static void
entry_clear(Entry *entry)
{
    cachedfact_unref(entry->post);
    cachedfact_unref(entry->parent);
    cachedfact_unref(entry->original);
}

static gsize
entry_fact_bytes(const CachedFact *fact)
{
    return fact != NULL ? post_fact_bytes(fact).len : 0;
}

static gsize
entry_bytes(const Entry *entry)
{
    return entry_fact_bytes(entry->post) + entry_fact_bytes(entry->parent) +
           entry_fact_bytes(entry->original);
}

/* The post @id stands on, and whether it may be shown with it; NULL where
   there is none or it is deleted. */
static StoreOutcome
page_get_basis(const Page *page, gint64 id, CachedFact **ret_post)
{
    if (id == 0) {
        return STORE_FOUND;
    }
    StoreOutcome outcome = lookup_post(&page->cut, (PostId){id}, ret_post);
    if (outcome == STORE_FOUND && post_fact(*ret_post)->deleted) {
        g_clear_pointer(ret_post, cachedfact_unref);
    }
    return outcome;
}

/* Whether the reader may see posts of @author. */
static StoreOutcome
page_may_see(Page *page, UserId author)
{
    const PageQuery *query = page->query;
    if (query->kind == CURSOR_TIMELINE) {
        return author.v == query->user.v ? STORE_FOUND : STORE_MISSING;
    }
    return follows_author(&page->follows, author);
}

/* Decide on one candidate: STORE_FOUND makes it an entry. */
static StoreOutcome
page_admit(Page *page, PostId id, Entry *entry)
{
    StoreOutcome outcome = lookup_post(&page->cut, id, &entry->post);
    if (outcome != STORE_FOUND) {
        return outcome;
    }
    const PostFact *post = post_fact(entry->post);
    if (post->deleted) {
        return STORE_MISSING;
    }
    outcome = page_may_see(page, (UserId){post->author});
    if (outcome == STORE_FOUND) {
        outcome = page_get_basis(page, post->reply_to, &entry->parent);
    }
    if (outcome == STORE_FOUND) {
        outcome = page_get_basis(page, post->reblog_of, &entry->original);
    }
    return outcome;
}

/* What an older page most likely shows: the newest of the cut's ids. */
static void
page_prefetch(const Page *page)
{
    const Cut *cut = &page->cut;
    const PageQuery *query = page->query;
    if (query->older && cut->n_ids > 0) {
        gsize end = ids_lower_bound(cut->ids, cut->n_ids, query->from);
        gsize n = MIN(end, query->limit);
        lookup_prefetch(cut, cut->ids + end - n, n);
    }
}

/* Fill the page. FALSE: the store is damaged. */
static gboolean
page_fill(Page *page)
{
    const PageQuery *query = page->query;
    WalkKind kind =
        query->kind == CURSOR_DASHBOARD ? WALK_INBOX : WALK_TIMELINE;
    page_prefetch(page);
    g_autoptr(Walk) walk =
        walk_new(&page->cut, kind, query->user, query->older, query->from);
    gint64 last = query->from;
    for (; page->looked < PAGE_CANDIDATES_MAX; page->looked++) {
        Entry entry = {0};
        StoreOutcome outcome = walk_next(walk, &entry.id);
        if (outcome == STORE_MISSING && walk_gave_up(walk)) {
            break;
        }
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
page_write_struct(GByteArray *out, gint16 field, const CachedFact *post)
{
    if (post != NULL) {
        WireBytes bytes = post_fact_bytes(post);
        wire_write_field(out, WIRE_STRUCT, field);
        g_byte_array_append(out, bytes.data, (guint)bytes.len);
    }
}

static void
page_write_entry(GByteArray *out, const Page *page, const Entry *entry)
{
    gboolean dashboard = page->query->kind == CURSOR_DASHBOARD;
    page_write_struct(out, 1, entry->post);
    wire_field_i32(out, 2, dashboard ? REASON_FOLLOWED : REASON_AUTHORED);
    page_write_struct(out, 3, entry->parent);
    page_write_struct(out, 4, entry->original);
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

/* Room for the whole page at once: it would be copied each time it doubles. */
static void
page_reserve(GByteArray *out, const Page *page)
{
    guint len = out->len;
    gsize around = (page->n + 1) * PAGE_AROUND_BYTES;
    g_byte_array_set_size(out, len + (guint)(page->bytes + around));
    g_byte_array_set_size(out, len);
}

/* Field @field, why all of it is older than it should be, if it is. */
static void
page_write_stale(GByteArray *out, gint16 field, const Page *page)
{
    const char *stopped = state_stopped(page->cut.state);
    const char *stale = stopped != NULL ? stopped : page->late;
    if (stale != NULL) {
        wire_field_string(out, field, stale);
    }
}

static void
page_write_all(GByteArray *out, const Page *page)
{
    page_reserve(out, page);
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
    page_write_stale(out, 8, page);
    wire_write_stop(out);
}

gboolean
page_write(State *state, const PageQuery *query, GByteArray *out)
{
    return page_write_late(state, query, NULL, out);
}

gboolean
page_write_late(State *state, const PageQuery *query, const char *late,
                GByteArray *out)
{
    Page page = {.query = query,
                 .late = late,
                 .complete = TRUE,
                 .walked_to = query->from};
    UserId reader = query->kind == CURSOR_DASHBOARD ? query->user : (UserId){0};
    cut_open(state, reader, &page.cut);
    follows_init(&page.follows, &page.cut, query->user);
    gboolean good = page_fill(&page);
    if (good) {
        page_write_all(out, &page);
    }
    state_add(state, METRIC_PAGES, 1);
    state_add(state, METRIC_PAGE_CANDIDATES, page.looked);
    for (guint i = 0; i < page.n; i++) {
        entry_clear(&page.entries[i]);
    }
    follows_clear(&page.follows);
    cut_close(&page.cut);
    return good;
}

gboolean
page_write_posts(State *state, const gint64 *ids, gsize n, const char *late,
                 GByteArray *out)
{
    static const PageQuery query = {.kind = CURSOR_TIMELINE};
    Page page = {.query = &query, .late = late};
    g_autoptr(GByteArray) found = g_byte_array_new();
    g_autoptr(GByteArray) missing = g_byte_array_new();
    guint32 n_found = 0;
    gboolean good = TRUE;
    cut_open(state, (UserId){0}, &page.cut);
    for (gsize i = 0; i < n && good; i++) {
        g_autoptr(CachedFact) post = NULL;
        good = page_get_basis(&page, ids[i], &post) != STORE_FAILED;
        if (post != NULL) {
            WireBytes bytes = post_fact_bytes(post);
            g_byte_array_append(found, bytes.data, (guint)bytes.len);
            n_found++;
        } else {
            wire_write_i64(missing, ids[i]);
        }
    }
    wire_write_field(out, WIRE_LIST, 1);
    wire_write_list(out, WIRE_STRUCT, n_found);
    g_byte_array_append(out, found->data, found->len);
    wire_write_field(out, WIRE_LIST, 2);
    wire_write_list(out, WIRE_I64, (guint32)n - n_found);
    g_byte_array_append(out, missing->data, missing->len);
    page_write_stale(out, 3, &page);
    wire_write_stop(out);
    cut_close(&page.cut);
    return good;
}
