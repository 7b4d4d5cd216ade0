/*
 * edges.h - whom homed users follow: packed rows, joined, read and scanned
 *
 * Rows 'f' (edgerow.h). An edge is a fact like others (facts.h): the newer
 * event id wins, of one id with both meanings the follow; an unfollow stays as
 * an entry, so that an older follow that comes late changes nothing.
 *
 * What holds: the rows of a user cover all followees without a gap and without
 * overlap, and each edge is in the row that covers it.
 */
#pragma once

#include "cell/edgerow.h"
#include "cell/facts.h"

/* ---- writing: the apply thread ---- */

typedef struct Edges Edges;

/**
 * edges_new() - no row is open
 *
 * Owns: borrows @store; the caller frees.
 */
Edges *edges_new(Store *store);
void edges_free(Edges *edges);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Edges, edges_free)

/**
 * edges_join() - join a FOLLOW or UNFOLLOW event
 *
 * Effect: *ret_was tells whether the edge was there before. The change is in
 *         an open row: staged when another follower comes, or by
 *         edges_stage(). Edges of one follower in a row cost no store access.
 * Fails:  FACT_FAILED: a row is damaged or gone.
 */
FactOutcome edges_join(Edges *edges, StoreBatch *batch, const Event *event,
                       gboolean *ret_was);

/**
 * edges_stage() - put what is changed and not yet staged into @batch
 *
 * Effect: due before each commit; the rows stay open after it.
 */
void edges_stage(Edges *edges, StoreBatch *batch);

/* ---- reading: anybody ---- */

/* Whom one user follows, at one moment. In the caller's memory. */
typedef struct EdgeReader {
    Store *store;                  /* borrowed */
    const StoreSnapshot *snapshot; /* borrowed */
    UserId user;
    StoreOutcome state;    /* of @head: STORE_MISSING with @asked: no rows */
    gboolean asked;        /* the store was asked for @head */
    gboolean other;        /* @row is a further row, not the first */
    StoreValue head_value; /* pins @head */
    EdgeRow head;          /* the user's first row */
    StoreIter *iter;       /* owned; pins @row; NULL before it is needed */
    EdgeRow row;           /* the further row read last */
    gint64 walk_from;      /* edge_reader_next() goes on here; 0: not begun */
    gboolean walk_ended;
} EdgeReader;

/**
 * edge_reader_init() - begin to read; the store is asked later
 *
 * @snapshot: NULL reads the newest; only where nobody writes meanwhile.
 */
void edge_reader_init(EdgeReader *reader, Store *store,
                      const StoreSnapshot *snapshot, UserId user);

/** edge_reader_clear() - let go of its rows; before the snapshot's release. */
void edge_reader_clear(EdgeReader *reader);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(EdgeReader, edge_reader_clear)

/**
 * edge_reader_follows() - whether the user follows @author
 *
 * Effect: STORE_FOUND: yes; STORE_MISSING: no; STORE_FAILED also where a row
 *         is damaged or gone.
 */
StoreOutcome edge_reader_follows(EdgeReader *reader, UserId author);

/**
 * edge_reader_next() - the next author followed, ascending
 *
 * Effect: STORE_MISSING at the end; STORE_FAILED as above.
 */
StoreOutcome edge_reader_next(EdgeReader *reader, UserId *ret_author);

/** EdgeScanFunc - @n authors, at least one, that @follower follows. */
typedef void (*EdgeScanFunc)(UserId follower, const UserId *followees, guint n,
                             gpointer user_data);

/**
 * edges_scan() - all edges that say following, user after user, ascending
 *
 * Fails: COMB_ERROR_CORRUPT: a row is damaged or gone; names the user.
 */
gboolean edges_scan(Store *store, EdgeScanFunc func, gpointer user_data,
                    GError **error);
