/*
 * page_seen.h - what a page says, read by code of the test's own
 */
#pragma once

#include "cell/cursor.h"

typedef struct SeenEntry {
    gint64 id;
    WireBytes post; /* ranges of the page */
    WireBytes parent;
    WireBytes original;
} SeenEntry;

typedef struct PageSeen {
    GByteArray *bytes; /* the struct Page; owned */
    GArray *entries;   /* SeenEntry, in the page's order; owned */
    WireBytes older;   /* cursor; empty where absent */
    WireBytes newer;   /* likewise */
    gint32 end;        /* PageEnd of dashboard.thrift */
    gboolean complete;
    gint64 as_of;
    gboolean stale; /* it says that the cell has stopped */
} PageSeen;

/** page_seen_read() - FALSE: it is no well-formed Page. Owns: takes @bytes. */
gboolean page_seen_read(GByteArray *bytes, PageSeen *ret_page);
void page_seen_clear(PageSeen *page);

/**
 * posts_seen_read() - the struct Posts: found and missing
 *
 * @found:   of WireBytes, ranges of @bytes.
 * @missing: of gint64.
 * Effect:   FALSE: it is not well-formed.
 */
gboolean posts_seen_read(const GByteArray *bytes, GArray *found,
                         GArray *missing);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(PageSeen, page_seen_clear)
