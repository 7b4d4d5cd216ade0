/**
 * The gateway: writes, which are in the log, on all in-sync replicas, once they
 * are acknowledged; and reading the log. The same events come as a stream over
 * HTTP: GET /v1/stream (firehose/README.md).
 */
include "types.thrift"
include "cell.thrift"
namespace c_glib Comb
namespace py comb.firehose

/** What became of one event. */
struct PublishResult {
  1: types.EventId id;                          /** given by the caller or by the gateway */
  2: optional types.Position position;          /** where the log has it, for RequestContext.at_least; absent: not taken */
  3: optional types.InvalidRequest refused;     /** the event is wrong */
  4: optional types.Unavailable failed;         /** the log did not take it: may be tried again, with the id above */
}

/** Which events of the log, and from where on. */
struct FetchRequest {
  /**
   * "now" (the default): what comes from now on. "earliest": the first that is
   * kept. Else a time: in every partition the first event whose log time is at
   * or after it, exactly. Milliseconds since 1970; ISO 8601 with a zone
   * ("2026-01-31T12:00:00Z"); or a duration back ("PT1H30M", "P7D").
   */
  1: optional string since;
  /**
   * Instead of since. From an earlier fetch or stream: what comes after it, no
   * event lost or repeated. From a PublishResult: from that event on, and in
   * the other partitions from its time on.
   */
  2: optional types.Position position;
  /** Where events may have been that the log no longer keeps, begin with what is left; else that is refused. */
  3: optional bool or_earliest;
  4: optional list<i32> kinds;      /** values of EventKind; absent: all */
  5: optional list<i64> authors;    /** who acts, at most FETCH_AUTHORS_MAX; absent: everybody */
  6: optional i32 max_events;       /** 1 to FETCH_EVENTS_MAX; default FETCH_EVENTS_DEFAULT */
  7: optional i32 wait_ms;          /** at the end of the log, how long to wait for an event; default 0, at most what the deadline leaves */
  /**
   * Begin where this consumer has committed; since is for partitions where it
   * has committed nothing. Not with position.
   */
  8: optional string client_id;
}

/** A record of the log. */
struct LoggedEvent {
  1: i32 partition;
  2: i64 offset;
  3: i64 logged_ms;                 /** when the log took it; never goes back within a partition */
  4: types.Position position;       /** fetching from here gives what comes after it */
  5: optional types.Event event;
  6: optional string undecodable;   /** instead of event: why it is none. Given whatever the filter */
}

struct FetchResult {
  1: list<LoggedEvent> events;      /** in the order of offsets within each partition */
  2: types.Position position;       /** to fetch from next; moves on over events that the filter left out */
  3: bool at_end;                   /** all that the log had when the call came has been looked at */
}

/** What a partition holds. */
struct PartitionBounds {
  1: i32 partition;
  2: i64 first_offset;              /** the first that is kept */
  3: i64 end_offset;                /** the one that comes next */
  4: optional i64 first_ms;         /** log times of the first and the last; absent where there are none */
  5: optional i64 last_ms;
}

/** Another place for a consumer: one of to, position, shift_by. */
struct RewindRequest {
  1: string client_id;
  2: optional string to;            /** a word of FetchRequest.since: "earliest", "latest", a time, a duration back */
  3: optional types.Position position; /** of FetchRequest.position */
  4: optional i64 shift_by;         /** so many events from where it is, in each partition; stops at what is kept */
  5: optional bool dry_run;         /** say what would be done */
  6: optional bool or_earliest;     /** as in FetchRequest */
}

/** What rewind does to a partition. */
struct PlaceChange {
  1: i32 partition;
  2: optional i64 old_offset;       /** what would have come next; absent: nothing was committed */
  3: i64 new_offset;
}

/** How far a consumer is behind in a partition. */
struct PartitionLag {
  1: i32 partition;
  2: i64 end_offset;
  3: optional i64 committed_offset; /** what comes next; absent, as are the next two: nothing was committed */
  4: optional i64 events;           /** that are to come */
  5: optional i64 behind_ms;        /** since the log took the first of them; 0 where there are none */
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

  /**
   * Events from a place on. Keeps nothing: whoever asks remembers the position.
   * Answers at once with what there is, at most max_events (fewer where they
   * are large: some 4 MiB); at the end of the log it waits up to wait_ms for
   * the first event. An empty answer that is not at_end is possible where the
   * filter lets little through: fetch on from its position.
   */
  FetchResult fetch(2: FetchRequest request, 15: types.RequestContext ctx)
    throws (1: types.InvalidRequest invalid, 3: types.Overloaded overloaded,
            4: types.DeadlineExceeded deadline, 5: types.Unavailable unavailable,
            7: types.PermissionDenied denied),

  /** The partitions of the log, by number. Finding the times costs some 100 questions to the log each. */
  list<PartitionBounds> getPartitions(15: types.RequestContext ctx)
    throws (1: types.InvalidRequest invalid, 3: types.Overloaded overloaded,
            4: types.DeadlineExceeded deadline, 5: types.Unavailable unavailable,
            7: types.PermissionDenied denied),

  /**
   * Notes where consumer client_id goes on: what fetch, a stream or a rewind
   * gave. At least once: commit what has had its effect. Over Kafka these are
   * the offsets of the consumer group of that name. Where its streams share the
   * partitions (group=1): at the gateway that serves the stream, for partitions
   * that the stream still has; else Unavailable, and nothing is committed.
   */
  void commit(2: string client_id, 3: types.Position position, 15: types.RequestContext ctx)
    throws (1: types.InvalidRequest invalid, 3: types.Overloaded overloaded,
            4: types.DeadlineExceeded deadline, 5: types.Unavailable unavailable,
            7: types.PermissionDenied denied),

  /** Moves a consumer to another place; a partition each, by number. It takes effect when the consumer begins anew. */
  list<PlaceChange> rewind(2: RewindRequest request, 15: types.RequestContext ctx)
    throws (1: types.InvalidRequest invalid, 3: types.Overloaded overloaded,
            4: types.DeadlineExceeded deadline, 5: types.Unavailable unavailable,
            7: types.PermissionDenied denied),

  /** How far a consumer is behind, by partition. As dear as getPartitions. */
  list<PartitionLag> getLag(2: string client_id, 15: types.RequestContext ctx)
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
