#include "cell/lookup.h"

#include "cell/chunks.h"
#include "cell/facts.h"
#include "cell/ids.h"
#include "cell/inbox.h"
#include "ops/kit/ensure.h"

#include <string.h>

static FactQuery
lookup_query(const Cut *cut, FactKind kind, gint64 id)
{
    return (FactQuery){kind, id, cut->commits};
}

static WireBytes
bytes_of(const void *data, gsize len)
{
    return (WireBytes){data, len};
}

/* A fact that was asked for: found or not is counted. */
static CachedFact *
lookup_cached(const Cut *cut, const FactQuery *query)
{
    CachedFact *fact = factcache_get(cut->state->cache, query);
    state_add(cut->state,
              fact != NULL ? METRIC_CACHE_HITS : METRIC_CACHE_MISSES, 1);
    return fact;
}

/* ---- posts ---- */

const PostFact *
post_fact(const CachedFact *fact)
{
    return (const PostFact *)(gconstpointer)cachedfact_bytes(fact).data;
}

WireBytes
post_fact_bytes(const CachedFact *fact)
{
    WireBytes bytes = cachedfact_bytes(fact);
    return bytes_of(bytes.data + sizeof(PostFact),
                    bytes.len - sizeof(PostFact));
}

void
lookup_prefetch(const Cut *cut, const gint64 *posts, gsize n)
{
    for (gsize i = 0; i < n; i++) {
        factcache_prefetch(cut->state->cache, FACT_POST, posts[i]);
    }
    for (gsize i = 0; i < n; i++) {
        factcache_prefetch_fact(cut->state->cache, FACT_POST, posts[i]);
    }
}

StoreOutcome
lookup_post(const Cut *cut, PostId post, CachedFact **ret_fact)
{
    State *state = cut->state;
    FactQuery query = lookup_query(cut, FACT_POST, post.v);
    *ret_fact = lookup_cached(cut, &query);
    if (*ret_fact != NULL) {
        return STORE_FOUND;
    }
    g_auto(StoreValue) value = {0};
    StoreOutcome outcome =
        store_get(state->store, cut->snapshot, key_post(post), &value);
    if (outcome != STORE_FOUND) {
        return outcome;
    }
    Post read;
    if (!post_decode(value.bytes, &read)) {
        return STORE_FAILED;
    }
    StoreOutcome deleted =
        fact_deleted(state->store, cut->snapshot, post, read.author);
    if (deleted == STORE_FAILED) {
        return STORE_FAILED;
    }
    PostFact head = {read.author.v, read.reply_to.v, read.reblog_of.v,
                     deleted == STORE_FOUND};
    WireBytes body = head.deleted ? bytes_of(NULL, 0) : value.bytes;
    *ret_fact =
        factcache_put(state->cache, &query, bytes_of(&head, sizeof head), body);
    return STORE_FOUND;
}

/* ---- follows ---- */

void
follows_init(Follows *follows, const Cut *cut, UserId user)
{
    *follows = (Follows){.cut = cut, .user = user};
    edge_reader_init(&follows->reader, cut->state->store, cut->snapshot, user);
}

void
follows_clear(Follows *follows)
{
    cachedfact_unref(follows->fact);
    edge_reader_clear(&follows->reader);
}

/* That there are too many is a fact, too: of one byte, where others are of
   eight each. */
static gboolean
follows_too_many(const CachedFact *fact)
{
    return cachedfact_bytes(fact).len == 1;
}

/* Read all that the user follows, unless they are too many: a fact of those
   would be large, and its making would cost more than some pages ask. */
static StoreOutcome
follows_read(Follows *follows, const FactQuery *query)
{
    gint64 authors[INBOX_FOLLOWS_MAX + 1];
    gsize max = inbox_tuning(follows->cut->state->inbox)->follows_max;
    gsize n = 0;
    UserId author;
    StoreOutcome outcome = STORE_FOUND;
    while (n <= max && (outcome = edge_reader_next(&follows->reader,
                                                   &author)) == STORE_FOUND) {
        authors[n++] = author.v;
    }
    if (outcome == STORE_FAILED) {
        return STORE_FAILED;
    }
    gsize len = n <= max ? n * sizeof *authors : 1;
    follows->fact = factcache_put(follows->cut->state->cache, query,
                                  bytes_of(authors, len), bytes_of(NULL, 0));
    return STORE_FOUND;
}

static gboolean
follows_has(const CachedFact *fact, gint64 author)
{
    WireBytes bytes = cachedfact_bytes(fact);
    const gint64 *authors = (const gint64 *)(gconstpointer)bytes.data;
    gsize n = bytes.len / sizeof *authors;
    gsize at = ids_lower_bound(authors, n, author);
    return at < n && authors[at] == author;
}

static StoreOutcome
follows_need(Follows *follows)
{
    if (follows->fact != NULL) {
        return STORE_FOUND;
    }
    FactQuery query = lookup_query(follows->cut, FACT_FOLLOWS, follows->user.v);
    follows->fact = lookup_cached(follows->cut, &query);
    return follows->fact != NULL ? STORE_FOUND : follows_read(follows, &query);
}

StoreOutcome
follows_are_many(Follows *follows)
{
    if (follows_need(follows) == STORE_FAILED) {
        return STORE_FAILED;
    }
    return follows_too_many(follows->fact) ? STORE_FOUND : STORE_MISSING;
}

StoreOutcome
follows_author(Follows *follows, UserId author)
{
    if (follows_need(follows) == STORE_FAILED) {
        return STORE_FAILED;
    }
    if (follows->author != author.v) {
        StoreOutcome outcome =
            follows_too_many(follows->fact)
                ? edge_reader_follows(&follows->reader, author)
            : follows_has(follows->fact, author.v) ? STORE_FOUND
                                                   : STORE_MISSING;
        if (outcome == STORE_FAILED) {
            return STORE_FAILED;
        }
        follows->author = author.v;
        follows->follows = outcome == STORE_FOUND;
    }
    return follows->follows ? STORE_FOUND : STORE_MISSING;
}

/* ---- inboxes ---- */

/* The greatest id in the user's chunks. */
static StoreOutcome
inbox_read_last(const Cut *cut, UserId user, gint64 *ret_last)
{
    g_autoptr(StoreIter) iter =
        store_iter_new(cut->state->store, cut->snapshot);
    Chunk chunk;
    store_iter_seek_back(iter, key_chunk(user, (PostId){G_MAXINT64}));
    StoreOutcome outcome = chunks_under(iter, user, &chunk);
    *ret_last = outcome == STORE_FOUND ? chunk.ids[chunk.n - 1] : 0;
    return outcome == STORE_FAILED ? STORE_FAILED : STORE_FOUND;
}

StoreOutcome
lookup_inbox(const Cut *cut, UserId user, InboxEnds *ret_ends)
{
    State *state = cut->state;
    FactQuery query = lookup_query(cut, FACT_INBOX, user.v);
    g_autoptr(CachedFact) fact = lookup_cached(cut, &query);
    if (fact != NULL) {
        WireBytes bytes = cachedfact_bytes(fact);
        ensure(bytes.len == sizeof *ret_ends);
        memcpy(ret_ends, bytes.data, sizeof *ret_ends);
        return STORE_FOUND;
    }
    if (inbox_read_floor(state->store, cut->snapshot, user, &ret_ends->floor) !=
            STORE_FOUND ||
        inbox_read_last(cut, user, &ret_ends->last) != STORE_FOUND) {
        return STORE_FAILED;
    }
    fact =
        factcache_put(state->cache, &query,
                      bytes_of(ret_ends, sizeof *ret_ends), bytes_of(NULL, 0));
    return STORE_FOUND;
}
