/*
 * Writing. Events arrive follower by follower in an import and as they come in
 * life. The rows of one follower that were touched are kept open, decoded;
 * they are encoded once for each commit, or when another follower comes. A
 * follower with one row costs one read and one write however many edges
 * arrive together; one with many rows, in whatever order they arrive, a read
 * and a write for each row.
 *
 * A row that is not open is found through the batch: an earlier event of the
 * same batch may have made or split it. The first row has a known key and is
 * asked for by it, which the store answers without a search for the many who
 * never followed; for the others the store looks for the row at or before.
 *
 * Failure modes. A row's range tells whether it is the right one, so that
 * where a row is gone its neighbour is found and does not fit. Where the first
 * is gone, there is none at or before; then any later one gives it away. All
 * of that is FACT_FAILED or STORE_FAILED, and nothing is written over it.
 */
#include "cell/edges.h"

#include "ops/kit/ensure.h"
#include "ops/kit/error.h"

#include <string.h>

/* Rows kept open: 16,000 edges of one follower. */
#define EDGES_OPEN_MAX 64

/* A full row splits here; at its end if it is the last one and grows there, so
   that rows that fill in order stay full. */
#define EDGES_SPLIT 128

typedef struct OpenRow {
    EdgeRow row;                     /* first, next, n */
    gboolean dirty;                  /* not staged yet */
    EdgeEntry entries[EDGE_ROW_MAX]; /* ascending */
} OpenRow;

struct Edges {
    Store *store;                    /* borrowed */
    UserId user;                     /* whose rows are open */
    guint n;                         /* of them */
    OpenRow *sorted[EDGES_OPEN_MAX]; /* by their first; into @rows */
    OpenRow rows[EDGES_OPEN_MAX];
};

Edges *
edges_new(Store *store)
{
    Edges *edges = g_new0(Edges, 1);
    edges->store = store;
    return edges;
}

void
edges_free(Edges *edges)
{
    g_free(edges);
}

void
edges_stage(Edges *edges, StoreBatch *batch)
{
    guint8 value[EDGE_ROW_BYTES_MAX];
    for (guint i = 0; i < edges->n; i++) {
        OpenRow *open = edges->sorted[i];
        if (open->dirty) {
            gsize len =
                edge_row_encode(edges->user, &open->row, open->entries, value);
            Key key = key_edges(edges->user, (UserId){open->row.first});
            store_batch_put(batch, key, value, len);
            open->dirty = FALSE;
        }
    }
}

/* The open row at or before @followee, as a place in @sorted; 0: none, else
   one more than the place. */
static guint
edges_place(const Edges *edges, gint64 followee)
{
    guint low = 0;
    guint high = edges->n;
    while (low < high) {
        guint middle = (low + high) / 2;
        if (edges->sorted[middle]->row.first <= followee) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* Add an empty row to the open ones. */
static OpenRow *
edges_add(Edges *edges, gint64 first, gint64 next)
{
    ensure(edges->n < EDGES_OPEN_MAX);
    OpenRow *open = &edges->rows[edges->n];
    guint at = edges_place(edges, first);
    memmove(edges->sorted + at + 1, edges->sorted + at,
            (edges->n - at) * sizeof edges->sorted[0]);
    edges->sorted[at] = open;
    edges->n++;
    open->row = (EdgeRow){.first = first, .next = next};
    open->dirty = FALSE;
    return open;
}

static OpenRow *
edges_add_decoded(Edges *edges, const EdgeRow *row)
{
    OpenRow *open = edges_add(edges, row->first, row->next);
    open->row.n = row->n;
    for (guint i = 0; i < row->n; i++) {
        open->entries[i] = edge_row_entry(row, i);
    }
    return open;
}

static gboolean
edges_key_is_of(WireBytes key, UserId user)
{
    return key_is(key, 'f', KEY_PAIR_BYTES) && key_i64(key, 1) == user.v;
}

static WireBytes
edges_key_bytes(const Key *key)
{
    return (WireBytes){key->data, key->len};
}

/* Open a user's first row, which may be a new one. */
static OpenRow *
edges_open_first(Edges *edges, StoreBatch *batch)
{
    g_auto(StoreValue) value = {0};
    g_auto(StoreValue) unused = {0};
    Key key = key_edges(edges->user, (UserId){0});
    Key found;
    EdgeRow row;
    switch (store_batch_get(batch, key, &value)) {
    case STORE_FAILED:
        return NULL;
    case STORE_FOUND:
        return edge_row_decode(edges_key_bytes(&key), value.bytes, &row)
                   ? edges_add_decoded(edges, &row)
                   : NULL;
    case STORE_MISSING:
        break;
    }
    StoreOutcome outcome = store_batch_seek(batch, key, &found, &unused);
    if (outcome == STORE_FAILED ||
        (outcome == STORE_FOUND &&
         edges_key_is_of(edges_key_bytes(&found), edges->user))) {
        return NULL;
    }
    return edges_add(edges, 0, 0);
}

/* Open a row that is not the first. */
static OpenRow *
edges_open_other(Edges *edges, StoreBatch *batch, gint64 followee)
{
    g_auto(StoreValue) value = {0};
    Key wanted = key_edges(edges->user, (UserId){followee});
    Key key;
    EdgeRow row;
    if (store_batch_seek_back(batch, wanted, &key, &value) != STORE_FOUND ||
        !edges_key_is_of(edges_key_bytes(&key), edges->user) ||
        !edge_row_decode(edges_key_bytes(&key), value.bytes, &row) ||
        !edge_row_covers(&row, followee)) {
        return NULL;
    }
    return edges_add_decoded(edges, &row);
}

/* The row for the edge to @followee; NULL: the rows are damaged. */
static OpenRow *
edges_open(Edges *edges, StoreBatch *batch, gint64 followee)
{
    /* Two may be added here, one by a split. */
    if (edges->n + 3 > EDGES_OPEN_MAX) {
        edges_stage(edges, batch);
        edges->n = 0;
    }
    guint place = edges_place(edges, followee);
    if (place > 0 &&
        edge_row_covers(&edges->sorted[place - 1]->row, followee)) {
        return edges->sorted[place - 1];
    }
    if (edges->n == 0 || edges->sorted[0]->row.first != 0) {
        OpenRow *first = edges_open_first(edges, batch);
        if (first == NULL || edge_row_covers(&first->row, followee)) {
            return first;
        }
    }
    return edges_open_other(edges, batch, followee);
}

/* Make room in a full row for an entry at @at; the row it goes into. */
static OpenRow *
edges_split(Edges *edges, OpenRow *open, guint *at, gint64 followee)
{
    gboolean grows = open->row.next == 0 && *at == EDGE_ROW_MAX;
    guint keep = grows ? EDGE_ROW_MAX : EDGES_SPLIT;
    gint64 first = grows ? followee : open->entries[keep].followee;
    OpenRow *upper = edges_add(edges, first, open->row.next);
    upper->row.n = EDGE_ROW_MAX - keep;
    memcpy(upper->entries, open->entries + keep,
           upper->row.n * sizeof upper->entries[0]);
    open->row.n = keep;
    open->row.next = first;
    open->dirty = TRUE;
    upper->dirty = TRUE;
    if (followee < first) {
        return open;
    }
    *at -= keep;
    return upper;
}

static void
edges_insert(Edges *edges, OpenRow *open, guint at, EdgeEntry entry)
{
    if (open->row.n == EDGE_ROW_MAX) {
        open = edges_split(edges, open, &at, entry.followee);
    }
    memmove(open->entries + at + 1, open->entries + at,
            (open->row.n - at) * sizeof open->entries[0]);
    open->entries[at] = entry;
    open->row.n++;
    open->dirty = TRUE;
}

static guint
open_row_find(const OpenRow *open, gint64 followee)
{
    guint low = 0;
    guint high = open->row.n;
    while (low < high) {
        guint middle = (low + high) / 2;
        if (open->entries[middle].followee < followee) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

FactOutcome
edges_join(Edges *edges, StoreBatch *batch, const Event *event,
           gboolean *ret_was)
{
    EdgeEntry new = {
        event->target_user.v,
        (guint64)event->id.v << 1 |
            (event->kind == EVENT_FOLLOW ? EDGE_WORD_FOLLOWS : 0),
    };
    if (edges->user.v != event->user.v) {
        edges_stage(edges, batch);
        edges->n = 0;
        edges->user = event->user;
    }
    OpenRow *open = edges_open(edges, batch, new.followee);
    if (open == NULL) {
        return FACT_FAILED;
    }
    guint at = open_row_find(open, new.followee);
    if (at == open->row.n || open->entries[at].followee != new.followee) {
        *ret_was = FALSE;
        edges_insert(edges, open, at, new);
        return FACT_SET;
    }
    EdgeEntry *old = &open->entries[at];
    *ret_was = (old->word & EDGE_WORD_FOLLOWS) != 0;
    if (new.word <= old->word) {
        return new.word == old->word ? FACT_AGAIN : FACT_OLDER;
    }
    old->word = new.word;
    open->dirty = TRUE;
    return FACT_SET;
}

/* ---- reading ---- */

void
edge_reader_init(EdgeReader *reader, Store *store,
                 const StoreSnapshot *snapshot, UserId user)
{
    *reader = (EdgeReader){.store = store, .snapshot = snapshot, .user = user};
}

void
edge_reader_clear(EdgeReader *reader)
{
    store_value_clear(&reader->head_value);
    g_clear_pointer(&reader->iter, store_iter_free);
}

static StoreIter *
edge_reader_iter(EdgeReader *reader)
{
    if (reader->iter == NULL) {
        reader->iter = store_iter_new(reader->store, reader->snapshot);
    }
    return reader->iter;
}

/* Read the first row; where there is none, there must be no other. */
static StoreOutcome
edge_reader_open(EdgeReader *reader)
{
    Key key = key_edges(reader->user, (UserId){0});
    WireBytes found = {key.data, key.len};
    StoreOutcome outcome =
        store_get(reader->store, reader->snapshot, key, &reader->head_value);
    if (outcome == STORE_FOUND) {
        return edge_row_decode(found, reader->head_value.bytes, &reader->head)
                   ? STORE_FOUND
                   : STORE_FAILED;
    }
    if (outcome == STORE_MISSING) {
        WireBytes unused;
        StoreIter *iter = edge_reader_iter(reader);
        store_iter_seek(iter, key);
        outcome = store_iter_get(iter, &found, &unused);
        if (outcome == STORE_FOUND) {
            return edges_key_is_of(found, reader->user) ? STORE_FAILED
                                                        : STORE_MISSING;
        }
    }
    return outcome;
}

/* The row that covers @author; STORE_MISSING: the user has no rows. */
static StoreOutcome
edge_reader_row(EdgeReader *reader, gint64 author, const EdgeRow **ret_row)
{
    if (!reader->asked) {
        reader->asked = TRUE;
        reader->state = edge_reader_open(reader);
    }
    if (reader->state != STORE_FOUND) {
        return reader->state;
    }
    if (edge_row_covers(&reader->head, author)) {
        *ret_row = &reader->head;
        return STORE_FOUND;
    }
    *ret_row = &reader->row;
    if (reader->other && edge_row_covers(&reader->row, author)) {
        return STORE_FOUND;
    }
    WireBytes key;
    WireBytes value;
    StoreIter *iter = edge_reader_iter(reader);
    store_iter_seek_back(iter, key_edges(reader->user, (UserId){author}));
    reader->other = store_iter_get(iter, &key, &value) == STORE_FOUND &&
                    edges_key_is_of(key, reader->user) &&
                    edge_row_decode(key, value, &reader->row) &&
                    edge_row_covers(&reader->row, author);
    return reader->other ? STORE_FOUND : STORE_FAILED;
}

StoreOutcome
edge_reader_follows(EdgeReader *reader, UserId author)
{
    const EdgeRow *row;
    StoreOutcome outcome = edge_reader_row(reader, author.v, &row);
    if (outcome != STORE_FOUND) {
        return outcome;
    }
    guint at = edge_row_find(row, author.v);
    if (at == row->n) {
        return STORE_MISSING;
    }
    EdgeEntry entry = edge_row_entry(row, at);
    gboolean follows =
        entry.followee == author.v && (entry.word & EDGE_WORD_FOLLOWS) != 0;
    return follows ? STORE_FOUND : STORE_MISSING;
}

StoreOutcome
edge_reader_next(EdgeReader *reader, UserId *ret_author)
{
    while (!reader->walk_ended) {
        const EdgeRow *row;
        StoreOutcome outcome = edge_reader_row(reader, reader->walk_from, &row);
        if (outcome != STORE_FOUND) {
            return outcome;
        }
        guint at = edge_row_find(row, reader->walk_from);
        for (; at < row->n; at++) {
            EdgeEntry entry = edge_row_entry(row, at);
            if ((entry.word & EDGE_WORD_FOLLOWS) != 0) {
                *ret_author = (UserId){entry.followee};
                reader->walk_ended = entry.followee == G_MAXINT64;
                reader->walk_from = entry.followee + !reader->walk_ended;
                return STORE_FOUND;
            }
        }
        reader->walk_ended = row->next == 0;
        reader->walk_from = row->next;
    }
    return STORE_MISSING;
}

/* ---- all of them ---- */

typedef struct EdgeScan {
    gint64 user;                    /* of the row before */
    gint64 next;                    /* it names; 0: another user's comes now */
    UserId followees[EDGE_ROW_MAX]; /* for the callback */
} EdgeScan;

static gboolean
edges_set_damaged(GError **error, gint64 user, const char *what)
{
    g_set_error(error, COMB_ERROR, COMB_ERROR_CORRUPT,
                "the follows of user %" G_GINT64_FORMAT " are damaged: %s",
                user, what);
    return FALSE;
}

/* One row: whether it is the one the chain wants, then whom it has. */
static gboolean
edge_scan_row(EdgeScan *scan, WireBytes key, WireBytes value, guint *ret_n,
              GError **error)
{
    gint64 user = key_i64(key, 1);
    EdgeRow row;
    if (scan->next != 0 && user != scan->user) {
        return edges_set_damaged(error, scan->user, "the last row is gone");
    }
    if (!edge_row_decode(key, value, &row)) {
        return edges_set_damaged(error, user, "a row fails its check");
    }
    if (row.first != scan->next) {
        return edges_set_damaged(error, user, "a row is gone");
    }
    guint n = 0;
    for (guint i = 0; i < row.n; i++) {
        EdgeEntry entry = edge_row_entry(&row, i);
        scan->followees[n] = (UserId){entry.followee};
        n += (entry.word & EDGE_WORD_FOLLOWS) != 0;
    }
    scan->user = user;
    scan->next = row.next;
    *ret_n = n;
    return TRUE;
}

gboolean
edges_scan(Store *store, EdgeScanFunc func, gpointer user_data, GError **error)
{
    g_autoptr(StoreIter) iter = store_iter_new(store, NULL);
    EdgeScan scan = {0};
    WireBytes key;
    WireBytes value;
    StoreOutcome outcome;
    for (store_iter_seek(iter, key_letter('f'));
         (outcome = store_iter_get(iter, &key, &value)) == STORE_FOUND &&
         key_is(key, 'f', KEY_PAIR_BYTES);
         store_iter_next(iter)) {
        guint n = 0;
        if (!edge_scan_row(&scan, key, value, &n, error)) {
            return FALSE;
        }
        if (n > 0) {
            func((UserId){scan.user}, scan.followees, n, user_data);
        }
    }
    if (outcome == STORE_FAILED) {
        g_set_error(error, COMB_ERROR, COMB_ERROR_CORRUPT,
                    "cannot read the follows after user %" G_GINT64_FORMAT
                    ": %s",
                    scan.user, store_failure(store));
        return FALSE;
    }
    return scan.next == 0 ||
           edges_set_damaged(error, scan.user, "the last row is gone");
}
