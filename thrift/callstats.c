/*
 * callstats.c - see callstats.h
 */
#include "thrift/callstats.h"

#include "thrift/context.h"

#include <string.h>

#define USER_FIELD 1
#define CALLER_FIELD 1
#define TRACE_FIELD 3

Calls *
callstats_new(const ServerOptions *options)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    Calls *calls;

    for (const ServerMethod *it = options->methods; it->name != NULL; it++) {
        g_ptr_array_add(names, (gpointer)(gsize)it->name);
    }
    g_ptr_array_add(names, NULL);
    calls = calls_new((const char *const *)names->pdata, options->threads);
    if (options->patient != NULL) {
        calls_patient(calls, options->patient);
    }
    return calls;
}

/* Cut where it is longer than the room. */
static void
keep(char *room, gsize size, WireBytes text)
{
    gsize len = MIN(text.len, size - 1);

    memcpy(room, text.data, len);
    room[len] = '\0';
}

static void
keep_context(const Frame *frame, SlowCall *call)
{
    WireReader reader;
    WireField field;

    if (!frame_struct(frame, CONTEXT_FIELD, &reader)) {
        return;
    }
    while (wire_read_field(&reader, &field)) {
        if (field.id == CALLER_FIELD && field.type == WIRE_BINARY) {
            keep(call->caller, sizeof(call->caller), wire_read_bytes(&reader));
        } else if (field.id == TRACE_FIELD && field.type == WIRE_BINARY) {
            keep(call->trace, sizeof(call->trace), wire_read_bytes(&reader));
        } else {
            wire_skip(&reader, field.type);
        }
    }
}

void
callstats_answered(Calls *calls, guint thread, const Frame *frame,
                   gint64 received_us)
{
    SlowCall call;

    call.ended = g_get_monotonic_time();
    call.us = call.ended - received_us;
    call.user = frame_i64(frame, USER_FIELD, 0);
    call.method = calls_find(calls, frame->method.data, frame->method.len);
    if (calls_record(calls, thread, &call)) {
        call.wall_ms = g_get_real_time() / 1000;
        call.caller[0] = call.trace[0] = '\0';
        keep_context(frame, &call);
        calls_record_slow(calls, thread, &call);
    }
}
