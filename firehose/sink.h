/*
 * sink.h - one HTTP response, written to a socket that may be slow
 *
 * What the socket does not take is waited for, in the caller's thread: that
 * is the whole back pressure of a stream. Nothing is kept here; what is under
 * way is what the kernel has for the connection, which it bounds.
 *
 * Thread: one.
 */
#pragma once

#include <glib.h>
#include <stdatomic.h>

typedef struct Sink {
    int fd;                     /* a non-blocking socket, borrowed */
    gboolean chunked;           /* HTTP/1.1; else up to the close */
    guint stall_ms;             /* taking nothing for so long is too slow */
    _Atomic gboolean *stopping; /* borrowed: the daemon stops */
} Sink;

typedef enum SinkOutcome {
    SINK_SENT,
    SINK_GONE,    /* the other side has closed, or the daemon stops and it
                     did not take the rest in a second */
    SINK_STALLED, /* it took nothing for stall_ms */
} SinkOutcome;

/** sink_begin() - the status line and headers of a stream of @type. */
SinkOutcome sink_begin(Sink *sink, const char *type);

/** sink_send() - @text as one chunk. */
SinkOutcome sink_send(Sink *sink, const GString *text);

/** sink_end() - the response is whole. */
SinkOutcome sink_end(Sink *sink);

/**
 * sink_refuse() - a whole response of its own, instead of a stream
 *
 * @status: "400 Bad Request". @json: the body.
 */
SinkOutcome sink_refuse(Sink *sink, const char *status, const GString *json);

/** sink_is_open() - whether the other side is still there; does not wait. */
gboolean sink_is_open(const Sink *sink);
