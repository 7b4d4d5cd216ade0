/*
 * page.h - one page: walked, decided, hydrated, written
 *
 * A candidate id becomes an entry when the facts of the cut say so: the post
 * is there, the reader follows its author (dashboard) or it is the author's
 * own (timeline), its author has not deleted it, and the post that it answers
 * or reblogs is known. What does not pass is left out and the page refilled.
 *
 * Thread: any serving thread.
 */
#pragma once

#include "cell/cursor.h"
#include "cell/state.h"

/* Candidates looked at for one page; then it says that it is incomplete. */
#define PAGE_CANDIDATES_MAX 20000

/* Bytes of posts in a page; a page of large ones ends before its limit, so that
   it fits a frame (FRAME_BYTES_MAX). */
#define PAGE_BYTES_MAX (8 << 20)

typedef struct PageQuery {
    CursorKind kind; /* dashboard or timeline */
    UserId user;     /* the reader, or the author */
    gboolean older;  /* FALSE: newer */
    gint64 from;     /* exclusive; G_MAXINT64 for the newest page */
    guint limit;     /* 1 to PAGE_LIMIT_MAX */
} PageQuery;

/**
 * page_write() - append the struct Page of dashboard.thrift to @out
 *
 * Effect: FALSE where the store is damaged; @out is then not to be used.
 */
gboolean page_write(State *state, const PageQuery *query, GByteArray *out);

/**
 * page_write_late() - likewise, for a call that waited in vain (waits.h)
 *
 * @late: why, for Page.stale; NULL: it did not.
 */
gboolean page_write_late(State *state, const PageQuery *query, const char *late,
                         GByteArray *out);

/**
 * page_write_posts() - append the struct Posts: those of @n @ids that are
 * there and not deleted, and the ids of the others
 *
 * @late: as for page_write_late().
 */
gboolean page_write_posts(State *state, const gint64 *ids, gsize n,
                          const char *late, GByteArray *out);
