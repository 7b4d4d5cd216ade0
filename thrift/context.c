/*
 * context.c - the RequestContext of a call
 *
 * Read once, at the handler's start. Everything in it is optional, and a
 * call without one gets the defaults: a client written by hand against an
 * older IDL still works. Fields of an unexpected type are passed over, as
 * every Thrift reader does.
 *
 * The deadline counts from when the frame was whole here, because clocks of
 * two machines cannot be compared. A call that has waited longer than its
 * caller does is answered and dropped before any work is done for it.
 */
#include "thrift/context.h"

/* As sent, before any check. */
typedef struct Sent {
    gint32 deadline_ms; /* the default where absent */
    WireBytes caller;
    gint64 last_id;
    WireBytes at_least;
} Sent;

static void
read_sent(const Frame *frame, Sent *ret_sent)
{
    WireReader reader;
    WireField field;

    *ret_sent = (Sent){.deadline_ms = CONTEXT_DEADLINE_MS_DEFAULT};
    if (!frame_struct(frame, CONTEXT_FIELD, &reader)) {
        return;
    }
    while (wire_read_field(&reader, &field)) {
        if (field.id == 1 && field.type == WIRE_BINARY) {
            ret_sent->caller = wire_read_bytes(&reader);
        } else if (field.id == 2 && field.type == WIRE_I32) {
            ret_sent->deadline_ms = wire_read_i32(&reader);
        } else if (field.id == 4 && field.type == WIRE_I64) {
            ret_sent->last_id = wire_read_i64(&reader);
        } else if (field.id == 5 && field.type == WIRE_LIST) {
            ret_sent->at_least = wire_read_value(&reader, WIRE_LIST);
        } else {
            wire_skip(&reader, field.type);
        }
    }
}

WireBytes
context_caller(const Frame *frame)
{
    WireReader reader;
    WireField field;

    if (frame_struct(frame, CONTEXT_FIELD, &reader)) {
        while (wire_read_field(&reader, &field)) {
            if (field.id == 1 && field.type == WIRE_BINARY) {
                return wire_read_bytes(&reader);
            }
            wire_skip(&reader, field.type);
        }
    }
    return (WireBytes){NULL, 0};
}

gboolean
context_read(Request *request, Context *ret_context)
{
    Sent sent;
    gint64 deadline_us;

    read_sent(request_frame(request), &sent);
    if (sent.deadline_ms < 1 || sent.deadline_ms > CONTEXT_DEADLINE_MS_MAX) {
        reply_invalid(request, "ctx.deadline_ms", "must be from 1 to the limit",
                      CONTEXT_DEADLINE_MS_MAX);
        return FALSE;
    }
    if (sent.caller.len > CONTEXT_CALLER_BYTES_MAX) {
        reply_invalid(request, "ctx.caller", "is longer than the limit",
                      CONTEXT_CALLER_BYTES_MAX);
        return FALSE;
    }
    if (sent.last_id < 0) {
        reply_invalid(request, "ctx.last_id", "must not be negative", -1);
        return FALSE;
    }
    deadline_us =
        request_received_us(request) + (gint64)sent.deadline_ms * 1000;
    if (g_get_monotonic_time() > deadline_us) {
        reply_deadline(request, "passed before the call was looked at");
        return FALSE;
    }
    *ret_context =
        (Context){sent.caller, deadline_us, sent.last_id, sent.at_least};
    return TRUE;
}
