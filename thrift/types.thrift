/**
 * Comb's public vocabulary: ids, events, pages, refusals.
 *
 * Rules of evolution: field ids are never reused or retyped, new fields are
 * optional, unknown fields survive. Where a call is routed by a user (or
 * author), that is argument 1, and nothing else ever is; the RequestContext is
 * argument 15; exceptions are numbered alike everywhere (1 invalid, 2 not_homed,
 * 3 overloaded, 4 deadline, 5 unavailable, 6 not_found, 7 denied), so that a
 * router can read a call and answer it without decoding it.
 */
namespace c_glib Comb
namespace py comb.types

/** Posts asked for at once. */
const i32 PAGE_LIMIT_DEFAULT = 20
const i32 PAGE_LIMIT_MAX = 100
/** Ids in one getPosts. */
const i32 POSTS_MAX = 100
/** Bytes in a post's body. */
const i32 BODY_BYTES_MAX = 65536
/** Tags on a post, and bytes of UTF-8 in each. */
const i32 TAGS_MAX = 30
const i32 TAG_BYTES_MAX = 140
/** Events in one publish. */
const i32 BATCH_EVENTS_MAX = 1000
/** Ids in one nextIds. */
const i32 IDS_MAX = 10000
/** Events in one fetch, and users in its filter. */
const i32 FETCH_EVENTS_DEFAULT = 100
const i32 FETCH_EVENTS_MAX = 1000
const i32 FETCH_AUTHORS_MAX = 1000
/** Letters, digits and . _ - in the name of a consumer. */
const i32 CLIENT_ID_BYTES_MAX = 100
/** Positions in one at_least, and how long a cell waits for them at most. */
const i32 AT_LEAST_MAX = 1000
const i32 AT_LEAST_WAIT_MS_MAX = 10000
/** Records in one listQuarantine. */
const i32 QUARANTINE_MAX = 100
/** Bytes in one frame, both ways; a router takes calls, which are reads, up to 65536. */
const i32 FRAME_BYTES_MAX = 16777216
/** Slots of the cell map: slot = XXH64(user id as 8 little-endian bytes, seed 0) mod SLOTS. */
const i32 SLOTS = 4096

/**
 * A user: any number from 1 to 2^63-1 that the product chose. Inside lists and
 * maps ids are written i64: for a typedef there, the C generator makes code
 * that frees a GArray as a GPtrArray.
 */
typedef i64 UserId
/**
 * A post or an event: time-ordered, unique, from 1 to 2^63-1.
 * Bits, high to low: 42 milliseconds since 1970, 13 sequence, 8 node.
 * A post's id is the id of the event that brought it.
 */
typedef i64 PostId
typedef i64 EventId

enum PostKind {
  TEXT = 1,    /** the body is UTF-8 */
  PHOTO = 2,   /** from here on the body is opaque to Comb */
  QUOTE = 3,
  LINK = 4,
  CHAT = 5,
  AUDIO = 6,
  VIDEO = 7,
  ANSWER = 8,
}

/**
 * A post, in the form in which it is logged, stored and served. The gateway
 * sets id and author; a client leaves them out or gives them equal.
 */
struct Post {
  1: optional PostId id;
  2: optional UserId author;
  3: optional PostKind kind;
  4: optional binary body;           /** at most BODY_BYTES_MAX */
  5: optional list<string> tags;     /** at most TAGS_MAX, UTF-8, not empty */
  6: optional PostId reply_to;       /** the parent; the post is shown once its parent is known */
  7: optional PostId reblog_of;      /** the original; likewise */
}

enum EventKind {
  POST = 1,         /** user writes post */
  EDIT = 2,         /** user replaces the content of target_post by post */
  DELETE = 3,       /** user deletes target_post, own posts only */
  FOLLOW = 4,       /** user follows target_user */
  UNFOLLOW = 5,
  LIKE = 6,         /** user likes target_post */
  UNLIKE = 7,
  BLOCK = 8,        /** user blocks target_user */
  UNBLOCK = 9,
  MUTE = 10,        /** user mutes target_user */
  UNMUTE = 11,
  READ_MARK = 12,   /** user has read up to and including target_post */
  DELETE_USER = 13, /** user leaves, with all that is theirs */
}

/**
 * Who logged an event, which of theirs it is, and whether it is whole: see
 * firehose/format.md.
 */
struct Seal {
  1: optional i64 producer;          /** a gateway, from its start or a failed append on; above 0 */
  2: optional i64 sequence;          /** dense from 0 for each producer and partition, in the order of the log */
  3: optional i64 check;             /** XXH64, seed 0, of all bytes of the event before this field */
}

/**
 * What happened. The value of a record of topic comb.firehose.v1, and what
 * publish takes. State is a function of the set of events: an event may come
 * twice, late or out of order, and of two that set one fact the newer id wins.
 */
struct Event {
  1: optional i32 version;           /** of this struct, 1; absent means 1 */
  2: optional EventId id;            /** absent or 0: the gateway gives one. Given: publishing again changes nothing */
  3: optional EventKind kind;
  4: optional UserId user;           /** who acts; the record's key */
  5: optional UserId target_user;    /** FOLLOW to UNMUTE: whom */
  6: optional PostId target_post;    /** EDIT, DELETE, LIKE, UNLIKE, READ_MARK: which */
  7: optional Post post;             /** POST, EDIT: the content */
  8: optional Seal seal;             /** in the log, put there by the gateway: the last field. A client's is replaced */
}

/** A place in the log; opaque. An event is applied where the applied position is at or past its own. */
typedef binary Position

/** Goes with every call. */
struct RequestContext {
  1: optional string caller;         /** who asks, for logs and fairness: at most 64 bytes */
  2: optional i32 deadline_ms;       /** how long the answer is of use, 1 to 600000; default 5000 */
  3: optional string traceparent;    /** W3C trace context, passed on */
  4: optional EventId last_id;       /** the newest id the caller saw: ids given in this call are greater */
  /**
   * Read your own writes. The service Dashboard answers once its cell has
   * applied the events of these positions: what publish gave, of as many
   * events as you like up to AT_LEAST_MAX, or what fetch or the event stream
   * gave, which means all that came before it. A page of a cell that gets
   * there in time takes them into account; one that does not by the deadline,
   * or in AT_LEAST_WAIT_MS_MAX, says so in stale. What is no position of this
   * log, or 2^32 events ahead of the cell, is refused. Calls behind it on the
   * same connection are answered after it. Other services pass over it.
   */
  5: optional list<binary> at_least;
}

/** The request is wrong and will be wrong again. */
exception InvalidRequest {
  1: string field;                   /** which, for example "page.limit" */
  2: string reason;
  3: optional i64 limit;             /** the bound that was crossed, where there is one */
}

/** This cell is not the user's home. A router looks at its map again; a client of a router never sees it. */
exception NotHomed {
  1: i32 cell;                       /** who answers */
  2: i64 epoch;                      /** the map the answer is from */
}

/** Too much at once; nothing was done. */
exception Overloaded {
  1: i32 retry_after_ms;
  /** What there is too much of; may be absent. */
  2: string reason;
}

/** The deadline passed. A publish may or may not have been taken: give the events ids and ask again. */
exception DeadlineExceeded {
  1: string reason;
}

/** A part that is needed does not answer; nothing was done unless the reason says so. */
exception Unavailable {
  1: string reason;
  2: i32 retry_after_ms;
}

exception NotFound {
  1: string what;
}

/** Whoever the connection's certificate names may not call this method; nothing was done. */
exception PermissionDenied {
  1: string reason;                  /** who, and what */
}
