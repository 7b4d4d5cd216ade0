/*
 * reply.c - answers
 *
 * A handler ends its request with exactly one of these. A result is the
 * request's own method and seqid, one field, a stop. The refusals write the
 * exception structs of types.thrift; their field ids are at home here and in
 * the IDL, and the unit tests read them back with the generated code.
 */
#include "thrift/reply.h"

/* Room for a refusal, so that most answers allocate once. */
#define REPLY_BYTES_FIRST 256

void
reply_write_invalid(GByteArray *out, const char *field, const char *reason,
                    gint64 limit)
{
    wire_field_string(out, 1, field);
    wire_field_string(out, 2, reason);
    if (limit >= 0) {
        wire_field_i64(out, 3, limit);
    }
    wire_write_stop(out);
}

void
reply_write_unavailable(GByteArray *out, const char *reason,
                        gint retry_after_ms)
{
    wire_field_string(out, 1, reason);
    wire_field_i32(out, 2, retry_after_ms);
    wire_write_stop(out);
}

GByteArray *
reply_begin(const Request *request)
{
    const Frame *frame = request_frame(request);
    GByteArray *message = g_byte_array_sized_new(REPLY_BYTES_FIRST);

    frame_begin(message, FRAME_REPLY, frame->method, frame->seqid);
    return message;
}

/* A result up to inside the exception struct. */
static GByteArray *
begin_refusal(const Request *request, ReplyField field)
{
    GByteArray *message = reply_begin(request);

    wire_write_field(message, WIRE_STRUCT, (gint16)field);
    return message;
}

void
reply_send(Request *request, GByteArray *message)
{
    wire_write_stop(message);
    request_reply(request, message);
}

void
reply_void(Request *request)
{
    reply_send(request, reply_begin(request));
}

void
reply_invalid(Request *request, const char *field, const char *reason,
              gint64 limit)
{
    GByteArray *message = begin_refusal(request, REPLY_INVALID);

    reply_write_invalid(message, field, reason, limit);
    reply_send(request, message);
}

void
reply_not_homed(Request *request, guint cell, gint64 epoch)
{
    GByteArray *message = begin_refusal(request, REPLY_NOT_HOMED);

    wire_field_i32(message, 1, (gint32)cell);
    wire_field_i64(message, 2, epoch);
    wire_write_stop(message);
    reply_send(request, message);
}

void
reply_overloaded(Request *request, gint retry_after_ms)
{
    reply_overloaded_by(request, NULL, retry_after_ms);
}

void
reply_overloaded_by(Request *request, const char *reason, gint retry_after_ms)
{
    GByteArray *message = begin_refusal(request, REPLY_OVERLOADED);

    wire_field_i32(message, 1, retry_after_ms);
    if (reason != NULL) {
        wire_field_string(message, 2, reason);
    }
    wire_write_stop(message);
    reply_send(request, message);
}

void
reply_deadline(Request *request, const char *reason)
{
    GByteArray *message = begin_refusal(request, REPLY_DEADLINE);

    wire_field_string(message, 1, reason);
    wire_write_stop(message);
    reply_send(request, message);
}

void
reply_unavailable(Request *request, const char *reason, gint retry_after_ms)
{
    GByteArray *message = begin_refusal(request, REPLY_UNAVAILABLE);

    reply_write_unavailable(message, reason, retry_after_ms);
    reply_send(request, message);
}

void
reply_not_found(Request *request, const char *what)
{
    GByteArray *message = begin_refusal(request, REPLY_NOT_FOUND);

    wire_field_string(message, 1, what);
    wire_write_stop(message);
    reply_send(request, message);
}

void
reply_denied(Request *request, const char *reason)
{
    GByteArray *message = begin_refusal(request, REPLY_DENIED);

    wire_field_string(message, 1, reason);
    wire_write_stop(message);
    reply_send(request, message);
}
