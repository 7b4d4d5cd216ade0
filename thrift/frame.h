/*
 * frame.h - one message, looked over before anything in it is believed
 *
 * A frame is scanned whole: header, every declared size against the bytes
 * that are there, depth, and no byte left over. What passes can be read
 * without surprises; what does not closes its connection. The scan notes
 * where the top-level fields are, so that a router reads the user (argument
 * 1) and a server its arguments without decoding the rest.
 */
#pragma once

#include "thrift/wire.h"

/* The highest field id noted. */
#define FRAME_FIELD_MAX 15
#define FRAME_METHOD_BYTES_MAX 64

typedef enum FrameKind {
    FRAME_CALL = 1,
    FRAME_REPLY = 2,
    FRAME_EXCEPTION = 3,
} FrameKind;

typedef enum FrameOutcome {
    FRAME_OK,
    FRAME_NOT_THRIFT, /* no strict binary header */
    FRAME_BAD_HEADER, /* message type or method name */
    FRAME_BAD_BODY,   /* sizes, depth, types, or bytes left over */
} FrameOutcome;

typedef struct FrameField {
    WireType type;   /* WIRE_STOP: absent */
    WireBytes value; /* the encoded value, borrowed */
} FrameField;

typedef struct Frame {
    FrameKind kind;
    WireBytes method;
    gint32 seqid;
    gsize seqid_at; /* where in the message the 4 bytes of the seqid are */
    FrameField field[FRAME_FIELD_MAX + 1]; /* by id; of args or result */
} Frame;

/**
 * frame_scan() - look a message over
 *
 * @data:  the message without its length prefix; borrowed by *ret_frame.
 * Effect: *ret_frame is of use where FRAME_OK only.
 */
FrameOutcome frame_scan(const void *data, gsize len, Frame *ret_frame);

/**
 * frame_begin() - write a message's header, up to its struct's first field
 *
 * Effect: appended to @out; the caller writes fields (wire.h) and the stop.
 */
void frame_begin(GByteArray *out, FrameKind kind, WireBytes method,
                 gint32 seqid);

/** frame_i64() - field @id as an i64; @fallback where absent or of another
 * type. */
gint64 frame_i64(const Frame *frame, guint id, gint64 fallback);

/** frame_i32() - likewise for i32 and enums. */
gint32 frame_i32(const Frame *frame, guint id, gint32 fallback);

/**
 * frame_struct() - a reader on field @id, a struct
 *
 * Effect: TRUE and a reader before its first field, or FALSE where the field
 *         is absent or no struct.
 */
gboolean frame_struct(const Frame *frame, guint id, WireReader *ret_reader);
