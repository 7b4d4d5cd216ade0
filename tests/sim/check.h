/*
 * check.h - pages of a node, held against the model's
 *
 * A page must be exactly the page of the model at what the node has applied:
 * entries, their bytes, their order, the end, both cursors, as_of. A node
 * that repeats what its facts already have shows no more than the model.
 */
#pragma once

#include "cell/page.h"
#include "tests/sim/model.h"
#include "tests/sim/node.h"

/* Somebody who pages on and on; keeps a cursor, also over crashes. */
typedef struct Pager {
    CursorKind kind;
    gint64 user;
    guint limit;
    gint64 from; /* of the cursor; G_MAXINT64: from the newest */
    gint32 end;  /* of the last page */
} Pager;

typedef struct Checker {
    const Model *model;     /* borrowed */
    Node *node;             /* asked; borrowed; told of differences */
    GArray *want;           /* ModelEntry: scratch, the whole list */
    guint64 pages;          /* compared in all */
    guint64 posts;          /* in them */
    guint64 loose;          /* of the pages, those of a node that repeats */
    guint64 digest;         /* of all that was seen */
    CursorKind cached_kind; /* what @want is of: 0, nothing */
    gint64 cached_user;
    guint64 cached_at[DISK_PARTITIONS_MAX];
} Checker;

/** checker_init() - nothing seen yet. */
void checker_init(Checker *checker, const Model *model);
void checker_clear(Checker *checker);

/**
 * check_page() - read the pager's next page in a direction
 *
 * Effect: FALSE where it differs: see Node.trouble. The pager goes on to the
 *         page's cursor.
 */
gboolean check_page(Checker *checker, Pager *pager, gboolean older);

/** check_list() - a whole list, down to its end and up again. */
gboolean check_list(Checker *checker, CursorKind kind, gint64 user,
                    guint limit);

/** check_posts() - posts by id. */
gboolean check_posts(Checker *checker, const gint64 *ids, guint n);
