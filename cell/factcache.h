/*
 * factcache.h - facts that pages ask for, kept in memory over commits
 *
 * A row of RocksDB costs 2 to 5 us even when it is in memory, a page asks for
 * dozens. Here a fact is a hash look-up. It is exact, not "fresh enough": a
 * fact is given to a cut only if it is what the cut's snapshot says.
 *
 * How that is known. Commits are counted. A fact was read at a snapshot that
 * has at least commit c; a reader has a snapshot with at least commit r. The
 * writer keeps, for what hashes alike, the number of the last commit that
 * changed it, x, and writes it down before that commit. If x is not above c,
 * the fact is as it was at x, x being in the one who read it; if it is not
 * above r, x is in the reader's snapshot too, and nothing has changed between
 * both: the fact is given. Else the store is asked. The reader looks for x
 * after it has found the fact, so that a fact of a later commit never passes
 * for an older one.
 *
 * What is kept is chosen by S3-FIFO (Yang and others, "FIFO queues are all
 * you need for cache eviction", SOSP 2023): what is asked for once leaves by
 * a small queue, so that a scan of old pages does not wash out what is hot.
 *
 * Thread: any, but for what says otherwise.
 */
#pragma once

#include "cell/key.h"

typedef struct FactCache FactCache;

typedef enum FactKind {
    FACT_POST,    /* by post: its bytes, and whether it was deleted */
    FACT_FOLLOWS, /* by user: whom the user follows */
    FACT_INBOX,   /* by user: where the inbox's rows end */
} FactKind;

/* A fact, or what was read to become one; counted references. */
typedef struct CachedFact CachedFact;

/* About what is asked, and when. */
typedef struct FactQuery {
    FactKind kind;
    gint64 id;       /* of a user or post, by kind */
    guint64 commits; /* that the reader's snapshot has, at least */
} FactQuery;

/**
 * factcache_new() - an empty cache
 *
 * @bytes: of facts kept, their headers included; 0: keep nothing.
 * Owns:   the caller frees, when no reader is left.
 */
FactCache *factcache_new(gsize bytes);
void factcache_free(FactCache *cache);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(FactCache, factcache_free)

/** factcache_prefetch() - begin to bring in what factcache_get() looks at. */
void factcache_prefetch(const FactCache *cache, FactKind kind, gint64 id);

/** factcache_prefetch_fact() - go on with that, once factcache_prefetch() has
 * had its time. */
void factcache_prefetch_fact(const FactCache *cache, FactKind kind, gint64 id);

/** factcache_get() - a reference to the fact; NULL: ask the store. */
CachedFact *factcache_get(FactCache *cache, const FactQuery *query);

/**
 * factcache_put() - keep what was read from the snapshot
 *
 * @head, @body: the fact's bytes, one after the other; copied.
 * Effect: a reference to it, whether it was kept or not.
 */
CachedFact *factcache_put(FactCache *cache, const FactQuery *query,
                          WireBytes head, WireBytes body);

/** cachedfact_bytes() - the fact, aligned to 8 bytes; borrowed. */
WireBytes cachedfact_bytes(const CachedFact *fact);

/** cachedfact_unref() - let go of it; NULL is fine. */
void cachedfact_unref(CachedFact *fact);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CachedFact, cachedfact_unref)

/**
 * factcache_changes() - the next commit writes or deletes the row @key
 *
 * Thread: the apply thread.
 */
void factcache_changes(FactCache *cache, Key key);

/**
 * factcache_commits() - commit number @commits is about to be made
 *
 * Effect: what factcache_changes() was told since the last call counts as
 *         changed by it. Thread: the apply thread.
 */
void factcache_commits(FactCache *cache, guint64 commits);

/** factcache_bytes() - of the facts kept now. */
gsize factcache_bytes(FactCache *cache);
