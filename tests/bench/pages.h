/*
 * pages.h - pages as page_write() gives them, and the ids in them
 */
#pragma once

#include "cell/page.h"
#include "tests/bench/world.h"

typedef struct Pages {
    State *state;      /* borrowed */
    GByteArray *bytes; /* the newest page; owned */
    GArray *ids;       /* gint64, of pages_ids(); owned */
    gint64 older;      /* the place of its cursor to older posts */
    gboolean more;     /* there are older ones */
} Pages;

/** pages_init() - a reader of @state. */
void pages_init(Pages *pages, State *state);
void pages_clear(Pages *pages);

/**
 * pages_read() - write one page: the part that is timed
 *
 * @from:   exclusive; G_MAXINT64 for the newest.
 * Effect:  ends the process where the store is damaged.
 */
void pages_read(Pages *pages, UserId user, gint64 from, guint limit);

/** pages_ids() - the ids of that page, newest first, in @ids; and its cursor.
 */
void pages_ids(Pages *pages, UserId user);

/**
 * pages_inbox() - the whole dashboard between two ids, by cursors
 *
 * @after:  exclusive. @upto: inclusive.
 * @out:    gint64, newest first; appended to.
 */
void pages_inbox(Pages *pages, UserId user, gint64 after, gint64 upto,
                 GArray *out);
