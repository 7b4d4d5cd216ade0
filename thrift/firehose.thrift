/** Writes: the gateway. What it acknowledges is in the log, on all in-sync replicas. */
include "types.thrift"
include "cell.thrift"
namespace c_glib Comb
namespace py comb.firehose

/** What became of one event. */
struct PublishResult {
  1: types.EventId id;                          /** given by the caller or by the gateway */
  2: optional types.Position position;          /** where the log has it; absent: not taken */
  3: optional types.InvalidRequest refused;     /** the event is wrong */
  4: optional types.Unavailable failed;         /** the log did not take it: may be tried again, with the id above */
}

service Firehose {
  /**
   * At most BATCH_EVENTS_MAX events. One bad event is refused by itself; the
   * others are taken. A result for each event, in order. Idempotent for events
   * that bring their id.
   */
  list<PublishResult> publish(2: list<types.Event> events, 15: types.RequestContext ctx)
    throws (1: types.InvalidRequest invalid, 3: types.Overloaded overloaded,
            4: types.DeadlineExceeded deadline, 5: types.Unavailable unavailable,
            7: types.PermissionDenied denied),

  /**
   * The friendly forms: one event each, refused by InvalidRequest. All are
   * idempotent where the caller gives event_id (from nextIds); without, each
   * call is a new event, which for all but createPost changes nothing twice.
   */
  PublishResult createPost(1: types.UserId user, 2: types.Post post, 4: types.EventId event_id, 15: types.RequestContext ctx)
    throws (1: types.InvalidRequest invalid, 3: types.Overloaded overloaded,
            4: types.DeadlineExceeded deadline, 5: types.Unavailable unavailable,
            7: types.PermissionDenied denied),
  PublishResult editPost(1: types.UserId user, 2: types.Post post, 3: types.PostId post_id, 4: types.EventId event_id, 15: types.RequestContext ctx)
    throws (1: types.InvalidRequest invalid, 3: types.Overloaded overloaded,
            4: types.DeadlineExceeded deadline, 5: types.Unavailable unavailable,
            7: types.PermissionDenied denied),
  PublishResult deletePost(1: types.UserId user, 3: types.PostId post_id, 4: types.EventId event_id, 15: types.RequestContext ctx)
    throws (1: types.InvalidRequest invalid, 3: types.Overloaded overloaded,
            4: types.DeadlineExceeded deadline, 5: types.Unavailable unavailable,
            7: types.PermissionDenied denied),
  PublishResult follow(1: types.UserId user, 3: types.UserId target, 4: types.EventId event_id, 15: types.RequestContext ctx)
    throws (1: types.InvalidRequest invalid, 3: types.Overloaded overloaded,
            4: types.DeadlineExceeded deadline, 5: types.Unavailable unavailable,
            7: types.PermissionDenied denied),
  PublishResult unfollow(1: types.UserId user, 3: types.UserId target, 4: types.EventId event_id, 15: types.RequestContext ctx)
    throws (1: types.InvalidRequest invalid, 3: types.Overloaded overloaded,
            4: types.DeadlineExceeded deadline, 5: types.Unavailable unavailable,
            7: types.PermissionDenied denied),
  PublishResult like(1: types.UserId user, 3: types.PostId post_id, 4: types.EventId event_id, 15: types.RequestContext ctx)
    throws (1: types.InvalidRequest invalid, 3: types.Overloaded overloaded,
            4: types.DeadlineExceeded deadline, 5: types.Unavailable unavailable,
            7: types.PermissionDenied denied),
  PublishResult unlike(1: types.UserId user, 3: types.PostId post_id, 4: types.EventId event_id, 15: types.RequestContext ctx)
    throws (1: types.InvalidRequest invalid, 3: types.Overloaded overloaded,
            4: types.DeadlineExceeded deadline, 5: types.Unavailable unavailable,
            7: types.PermissionDenied denied),
  PublishResult block(1: types.UserId user, 3: types.UserId target, 4: types.EventId event_id, 15: types.RequestContext ctx)
    throws (1: types.InvalidRequest invalid, 3: types.Overloaded overloaded,
            4: types.DeadlineExceeded deadline, 5: types.Unavailable unavailable,
            7: types.PermissionDenied denied),
  PublishResult unblock(1: types.UserId user, 3: types.UserId target, 4: types.EventId event_id, 15: types.RequestContext ctx)
    throws (1: types.InvalidRequest invalid, 3: types.Overloaded overloaded,
            4: types.DeadlineExceeded deadline, 5: types.Unavailable unavailable,
            7: types.PermissionDenied denied),
  PublishResult mute(1: types.UserId user, 3: types.UserId target, 4: types.EventId event_id, 15: types.RequestContext ctx)
    throws (1: types.InvalidRequest invalid, 3: types.Overloaded overloaded,
            4: types.DeadlineExceeded deadline, 5: types.Unavailable unavailable,
            7: types.PermissionDenied denied),
  PublishResult unmute(1: types.UserId user, 3: types.UserId target, 4: types.EventId event_id, 15: types.RequestContext ctx)
    throws (1: types.InvalidRequest invalid, 3: types.Overloaded overloaded,
            4: types.DeadlineExceeded deadline, 5: types.Unavailable unavailable,
            7: types.PermissionDenied denied),
  PublishResult markRead(1: types.UserId user, 3: types.PostId post_id, 4: types.EventId event_id, 15: types.RequestContext ctx)
    throws (1: types.InvalidRequest invalid, 3: types.Overloaded overloaded,
            4: types.DeadlineExceeded deadline, 5: types.Unavailable unavailable,
            7: types.PermissionDenied denied),
  PublishResult deleteUser(1: types.UserId user, 4: types.EventId event_id, 15: types.RequestContext ctx)
    throws (1: types.InvalidRequest invalid, 3: types.Overloaded overloaded,
            4: types.DeadlineExceeded deadline, 5: types.Unavailable unavailable,
            7: types.PermissionDenied denied),

  /** 1 to IDS_MAX fresh ids, ascending, greater than ctx.last_id and than every id this gateway gave before. */
  list<i64> nextIds(2: i32 count, 15: types.RequestContext ctx)
    throws (1: types.InvalidRequest invalid, 3: types.Overloaded overloaded,
            4: types.DeadlineExceeded deadline, 5: types.Unavailable unavailable,
            7: types.PermissionDenied denied),

  /** The newest cell map; NotFound before the first. */
  cell.CellMap getCellMap(15: types.RequestContext ctx)
    throws (1: types.InvalidRequest invalid, 3: types.Overloaded overloaded,
            4: types.DeadlineExceeded deadline, 5: types.Unavailable unavailable,
            6: types.NotFound not_found, 7: types.PermissionDenied denied),

  /**
   * Publishes a map. Its epoch must be the newest one's plus one (1 for the
   * first), its ranges cover every slot once. Answers the epoch.
   */
  i64 setCellMap(2: cell.CellMap cell_map, 15: types.RequestContext ctx)
    throws (1: types.InvalidRequest invalid, 3: types.Overloaded overloaded,
            4: types.DeadlineExceeded deadline, 5: types.Unavailable unavailable,
            7: types.PermissionDenied denied),
}
