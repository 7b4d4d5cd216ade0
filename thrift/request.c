/*
 * request.c - one call
 *
 * A request owns the bytes of its message and the scan of them, so that what
 * a handler borrows from them stays until it answers, whatever becomes of the
 * connection. What is no well-formed call never becomes a request.
 */
#include "ops/kit/logger.h"
#include "thrift/connection.h"
#include "thrift/reply.h"
#include "thrift/worker.h"

#include <string.h>

const Frame *
request_frame(const Request *request)
{
    return &request->frame;
}

WireBytes
request_bytes(const Request *request)
{
    return (WireBytes){request->bytes, request->len};
}

gint64
request_received_us(const Request *request)
{
    return request->received_us;
}

struct event_base *
request_base(const Request *request)
{
    return connection_worker(request->connection)->base;
}

guint
request_thread(const Request *request)
{
    return connection_worker(request->connection)->number;
}

/* NULL where @bytes is a whole call, else what is wrong with it. */
static const char *
scan_call(const Request *request, Frame *ret_frame)
{
    switch (frame_scan(request->bytes, request->len, ret_frame)) {
    case FRAME_OK:
        return ret_frame->kind == FRAME_CALL ? NULL : "not a call";
    case FRAME_NOT_THRIFT:
        return "not strict binary Thrift";
    case FRAME_BAD_HEADER:
        return "bad message header";
    case FRAME_BAD_BODY:
        return "bad message body";
    }
    return "bad message";
}

Request *
request_new(Connection *connection, WireBytes message, const char **ret_fault)
{
    Request *request = g_malloc(sizeof(*request) + message.len);
    const char *fault;

    memset(request, 0, sizeof(*request));
    memcpy(request->bytes, message.data, message.len);
    request->len = message.len;
    request->connection = connection;
    request->received_us = g_get_monotonic_time();
    fault = scan_call(request, &request->frame);
    if (fault != NULL) {
        request_free(request);
        *ret_fault = fault;
        return NULL;
    }
    return request;
}

/* Few and short: a walk costs less than a hash of the name would. */
static const ServerMethod *
find_method(const ServerMethod *methods, WireBytes name)
{
    for (; methods->name != NULL; methods++) {
        if (strlen(methods->name) == name.len &&
            memcmp(methods->name, name.data, name.len) == 0) {
            return methods;
        }
    }
    return NULL;
}

/* Thrift's own exception: TApplicationException{1: message, 2: type}. */
static void
reply_unknown_method(Request *request)
{
    const gint32 unknown_method = 1;
    const Frame *frame = &request->frame;
    GByteArray *message = g_byte_array_new();

    frame_begin(message, FRAME_EXCEPTION, frame->method, frame->seqid);
    wire_field_string(message, 1, "unknown method");
    wire_field_i32(message, 2, unknown_method);
    wire_write_stop(message);
    request_reply(request, message);
}

static void
deny(Request *request, const char *method)
{
    const char *identity = connection_identity(request->connection);
    g_autofree char *who =
        logger_quote(identity != NULL ? identity : "a nameless certificate");
    g_autofree char *reason =
        g_strdup_printf("%s may not call %s", who, method);

    logger_warn("thrift.server", "call denied", "identity=%s method=%s", who,
                method);
    reply_denied(request, reason);
}

void
request_serve(Request *request, Worker *worker)
{
    const ServerOptions *options = worker->options;
    const ServerMethod *method =
        find_method(options->methods, request->frame.method);

    worker->counters->calls++;
    if (method == NULL) {
        worker->counters->unknown_methods++;
        reply_unknown_method(request);
        return;
    }
    if (options->tls != NULL &&
        !tls_may_call(options->tls, connection_identity(request->connection),
                      method->name)) {
        worker->counters->denied++;
        deny(request, method->name);
        return;
    }
    method->handler(request, options->user_data);
}

void
request_begin(Request *request, Worker *worker)
{
    CallQueue *queue = &worker->queue;
    CallLane *lane = callqueue_lane(queue, &request->frame);
    gint64 now_ns = request->received_us * 1000;
    guint retry_ms = callqueue_refuses(queue, lane, now_ns);

    if (retry_ms != 0) {
        worker->counters->calls++;
        worker->counters->overloaded++;
        reply_overloaded(request, (gint)retry_ms);
        return;
    }
    callqueue_put(queue, lane, request, now_ns);
    worker_wake_turn(worker);
}

void
request_free(Request *request)
{
    if (request->reply != NULL) {
        g_byte_array_unref(request->reply);
    }
    g_free(request);
}
