/*
 * event.h - the event: what the firehose carries, checked and in one form
 *
 * Decoding borrows: an Event points into the record. The nested post of an
 * event in the log is a whole Thrift struct Post, stored and served as the
 * bytes it is. Every check that can be made without state is made here, by
 * the gateway before it logs and by the cell before it applies (I8).
 * Format: struct Event of thrift/types.thrift, version 1.
 */
#pragma once

#include "firehose/log.h"
#include "thrift/id.h"
#include "thrift/limits.h"
#include "thrift/wire.h"

#define EVENT_VERSION 1

/* Of one encoded event without its seal: twice a full body, so that fields we
   do not know yet have room and no record of the log is large. */
#define EVENT_BYTES_MAX 131072

typedef enum EventKind {
    EVENT_POST = 1,
    EVENT_EDIT = 2,
    EVENT_DELETE = 3,
    EVENT_FOLLOW = 4,
    EVENT_UNFOLLOW = 5,
    EVENT_LIKE = 6,
    EVENT_UNLIKE = 7,
    EVENT_BLOCK = 8,
    EVENT_UNBLOCK = 9,
    EVENT_MUTE = 10,
    EVENT_UNMUTE = 11,
    EVENT_READ_MARK = 12,
    EVENT_DELETE_USER = 13,
} EventKind;

#define EVENT_KIND_MAX EVENT_DELETE_USER

/* Field ids of struct Event. */
typedef enum EventField {
    EVENT_FIELD_VERSION = 1,
    EVENT_FIELD_ID = 2,
    EVENT_FIELD_KIND = 3,
    EVENT_FIELD_USER = 4,
    EVENT_FIELD_TARGET_USER = 5,
    EVENT_FIELD_TARGET_POST = 6,
    EVENT_FIELD_POST = 7,
    EVENT_FIELD_SEAL = 8, /* seal.h; always the last */
} EventField;

typedef enum PostKind {
    POST_TEXT = 1,
    POST_KIND_MAX = 8, /* POST_ANSWER; see types.thrift */
} PostKind;

/* A post, borrowed from its encoding. Ids are 0 where absent. */
typedef struct Post {
    PostId id;
    UserId author;
    gint32 kind;
    WireBytes body;
    WireBytes tags; /* the encoded elements, without the list's header */
    guint n_tags;
    PostId reply_to;
    PostId reblog_of;
} Post;

/* Which of a producer's records this is. */
typedef struct Seal {
    gint64 producer; /* 0: there is no seal */
    gint64 sequence; /* dense from 0 for each producer and partition */
} Seal;

typedef struct Event {
    EventId id;
    EventKind kind;
    UserId user;
    UserId target_user;   /* 0 where the kind has none */
    PostId target_post;   /* likewise */
    Post post;            /* EVENT_POST and EVENT_EDIT */
    WireBytes post_bytes; /* the encoded Post, with its stop byte */
    WireBytes bytes;      /* the whole encoded event */
    WireBytes seal_bytes; /* the encoded Seal; data is NULL where absent */
    Seal seal;            /* of an event in the log */
} Event;

/* Why an event is refused: names for InvalidRequest. */
typedef struct EventFault {
    const char *field;  /* static: "event.post.tags" */
    const char *reason; /* static */
    gint64 limit;       /* -1: none */
} EventFault;

/**
 * event_decode() - read and check an event from the log
 *
 * @data:  exactly one encoded struct Event.
 * Effect: TRUE and *ret_event, or FALSE and *ret_fault. Id, user, and what
 *         the kind needs must be there and within limits; a post's id and
 *         author must be the event's id and user; a seal must be right.
 */
gboolean event_decode(const void *data, gsize len, Event *ret_event,
                      EventFault *ret_fault);

/**
 * event_of_record() - the event of a record of the log
 *
 * @partitions: of the log.
 * Effect: as event_decode(); FALSE, too, where the record is not in the
 *         partition of the event's user: all that one user does is in one
 *         partition's order, and every consumer refuses the same records.
 */
gboolean event_of_record(const LogRecord *record, guint partitions,
                         Event *ret_event, EventFault *ret_fault);

/**
 * event_stamp() - turn what a client sent into what is logged
 *
 * @in:    an encoded struct Event from a client: id, version and the post's
 *         id and author may be absent or must agree.
 * @id:    the id to give where the client gave none.
 * @out:   the encoding for the log is appended; unknown fields are kept, a
 *         seal is left out.
 * Effect: TRUE, *ret_event decoded from the bytes in @out (valid until @out
 *         changes); FALSE, @out unchanged and *ret_fault set.
 */
gboolean event_stamp(WireBytes in, EventId id, GByteArray *out,
                     Event *ret_event, EventFault *ret_fault);

/**
 * event_peek_id() - the id in an encoded event from a client
 *
 * Effect: as it was sent, unchecked; 0 where it is absent or not to be read.
 */
gint64 event_peek_id(WireBytes in);

/**
 * post_decode() - read a stored post
 *
 * Effect: TRUE and *ret_post, borrowed from @bytes; FALSE where it is no
 *         well-formed Post.
 */
gboolean post_decode(WireBytes bytes, Post *ret_post);

/** event_kind_name() - "post", "follow", ... or NULL for an unknown kind. */
const char *event_kind_name(gint32 kind);
