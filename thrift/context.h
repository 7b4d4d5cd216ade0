/*
 * context.h - the RequestContext that goes with every call (argument 15)
 */
#pragma once

#include "thrift/reply.h"

#define CONTEXT_FIELD 15
#define CONTEXT_DEADLINE_MS_DEFAULT 5000
#define CONTEXT_DEADLINE_MS_MAX 600000
#define CONTEXT_CALLER_BYTES_MAX 64

typedef struct Context {
    WireBytes caller;   /* borrowed from the frame; may be empty */
    gint64 deadline_us; /* g_get_monotonic_time() scale */
    gint64 last_id;     /* 0: none */
    WireBytes at_least; /* list<binary> as it came, borrowed; empty: none */
} Context;

/** context_caller() - who asks, borrowed; empty where not said. */
WireBytes context_caller(const Frame *frame);

/**
 * context_read() - read and check the call's context
 *
 * Effect: TRUE, or FALSE after the request was answered: InvalidRequest
 *         (ctx.deadline_ms, ctx.caller, ctx.last_id) or DeadlineExceeded
 *         where it has passed already.
 */
gboolean context_read(Request *request, Context *ret_context);
