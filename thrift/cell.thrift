/** Cells as operators and routers see them. */
include "types.thrift"
namespace c_glib Comb
namespace py comb.cell

struct CellEntry {
  1: i32 cell;                          /** 0 to 4095 */
  2: string host;
  3: i32 port;                          /** of its Dashboard and Cell services */
}

/** Slots first to last, both included, live in cell. */
struct SlotRange {
  1: i32 first;
  2: i32 last;
  3: i32 cell;
}

/**
 * Which cell is a user's home: the override if there is one, else the range
 * that holds the user's slot (types.SLOTS). Record "cellmap" of topic
 * comb.control.v1.
 */
struct CellMap {
  1: i64 epoch;                         /** from 1, one more each time */
  2: list<CellEntry> cells;
  3: list<SlotRange> ranges;            /** ascending, covering every slot */
  4: optional map<i64, i32> overrides;  /** by user */
}

struct PartitionStatus {
  1: i32 partition;
  2: i64 applied;                       /** the next offset to apply */
  3: i64 log_end;                           /** the next offset the log will give */
}

struct CellStatus {
  1: i32 cell;
  2: string version;
  3: i64 epoch;
  4: i64 users;                         /** homed users with an inbox */
  5: i64 edges;                         /** follows of homed users */
  6: i64 posts_applied;                 /** since start, as are the next two */
  7: i64 deliveries;
  8: map<string, i64> events;           /** applied, by kind */
  9: i64 quarantined;                   /** records kept aside, ever */
  10: list<PartitionStatus> partitions;
  11: i64 lag_ms;
  12: optional string stopped;          /** why applying has stopped, if it has */
  13: i64 uptime_ms;
  14: map<string, i64> kept;            /** events kept for later, ever, by kind */
}

/** A record of the log that is no event; firehose/format.md says which are none. */
struct QuarantinedRecord {
  1: i32 partition;
  2: i64 offset;
  3: i64 logged_ms;                     /** when the log took it */
  4: string reason;                     /** the field and what is wrong with it */
  5: i64 size;                          /** bytes of its value; all are kept */
  6: binary head;                       /** the first of them, at most 64 */
}

service Cell {
  CellStatus status(15: types.RequestContext ctx)
    throws (1: types.InvalidRequest invalid, 3: types.Overloaded overloaded,
            4: types.DeadlineExceeded deadline, 5: types.Unavailable unavailable,
            7: types.PermissionDenied denied),

  /** Writes a tail checkpoint now; answers when it is on disk. */
  void checkpoint(15: types.RequestContext ctx)
    throws (1: types.InvalidRequest invalid, 3: types.Overloaded overloaded,
            4: types.DeadlineExceeded deadline, 5: types.Unavailable unavailable,
            7: types.PermissionDenied denied),

  /**
   * The newest records that the cell has set aside, 1 to QUARANTINE_MAX, newest
   * first by the log's time, then by partition and offset from the greatest.
   * The same in every cell that has applied the same. Reads only; Unavailable
   * where the store is damaged.
   */
  list<QuarantinedRecord> listQuarantine(2: i32 count, 15: types.RequestContext ctx)
    throws (1: types.InvalidRequest invalid, 3: types.Overloaded overloaded,
            4: types.DeadlineExceeded deadline, 5: types.Unavailable unavailable,
            7: types.PermissionDenied denied),
}
