/** Reads: the same service on a cell and on the router. */
include "types.thrift"
namespace c_glib Comb
namespace py comb.dashboard

enum Direction {
  OLDER = 1,
  NEWER = 2,
}

struct PageRequest {
  1: optional string cursor;             /** from a Page of the same user and call; absent: the newest */
  2: optional i32 limit;                 /** 1 to PAGE_LIMIT_MAX; absent: PAGE_LIMIT_DEFAULT; fewer are given beyond 8 MiB */
  3: optional Direction direction;       /** absent: OLDER; NEWER wants a cursor */
}

enum PageEnd {
  MORE = 1,                /** there is more in this direction */
  NOTHING_NEWER_YET = 2,   /** NEWER: nothing above the cursor; what arrives late, with a lesser id, is found by reading from the newest again */
  END_OF_INBOX = 3,        /** OLDER: there is nothing older */
}

enum Reason {
  FOLLOWED = 1,            /** the reader follows the author */
  AUTHORED = 2,            /** a timeline: the author's own */
}

/** A field may not be called "parent": c_glib would declare it twice. */
struct Entry {
  1: types.Post post;
  2: Reason reason;
  3: optional types.Post parent_post;    /** of a reply, unless deleted */
  4: optional types.Post original_post;  /** of a reblog, unless deleted */
}

/** Newest first, whatever the direction. */
struct Page {
  1: list<Entry> entries;
  2: optional string older;              /** the cursor below the last entry; without entries: where the page began */
  3: optional string newer;              /** the cursor above the first entry; likewise */
  4: PageEnd page_end;
  5: bool complete;                      /** false: the cell gave up early; follow the cursor for the rest */
  6: types.EventId as_of;                /** the newest event id the page takes into account */
  7: i64 lag_ms;                         /** how far the cell was behind the log */
  8: optional string stale;              /** why the page is older than it should be: the cell has stopped applying, or ctx.at_least was not reached in time */
}

struct Posts {
  1: list<types.Post> found;             /** in the order asked for */
  2: list<i64> missing;                  /** unknown or deleted */
  3: optional string stale;              /** as in Page */
}

service Dashboard {
  /**
   * The posts of the authors the user follows now, newest first, less what is
   * deleted. A user nobody has heard of has an empty dashboard, not an error.
   */
  Page getDashboard(1: types.UserId user, 2: PageRequest page, 15: types.RequestContext ctx)
    throws (1: types.InvalidRequest invalid, 2: types.NotHomed not_homed, 3: types.Overloaded overloaded,
            4: types.DeadlineExceeded deadline, 5: types.Unavailable unavailable,
            7: types.PermissionDenied denied),

  /** One author's posts; any cell can answer. */
  Page getTimeline(1: types.UserId author, 2: PageRequest page, 15: types.RequestContext ctx)
    throws (1: types.InvalidRequest invalid, 3: types.Overloaded overloaded,
            4: types.DeadlineExceeded deadline, 5: types.Unavailable unavailable,
            7: types.PermissionDenied denied),

  /** At most POSTS_MAX posts by id; any cell can answer. */
  Posts getPosts(2: list<i64> posts, 15: types.RequestContext ctx)
    throws (1: types.InvalidRequest invalid, 3: types.Overloaded overloaded,
            4: types.DeadlineExceeded deadline, 5: types.Unavailable unavailable,
            7: types.PermissionDenied denied),
}
