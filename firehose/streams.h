/*
 * streams.h - the HTTP port of the gateway: GET /v1/stream
 *
 * HTTP/1.1, chunked; what may be asked is in query.h, how an event looks in
 * line.h. A bad query is 400 with {field, reason, limit}, a stream too many
 * 503, another path 404, another method than GET 405.
 *
 * Threads: one runs libevent's evhttp: it accepts, reads requests and refuses
 * what is wrong in itself. Each stream has a thread of its own, which reads
 * the log, waits for it and for the client, and writes the socket directly;
 * evhttp keeps away from a connection that a stream has. A log reader is a
 * blocking thing of one thread, so a pool would have to multiplex readers that
 * offer nothing to wait on; and as reading stops while the socket is full,
 * there is no queue between two threads to bound. STREAMS_MAX bounds the
 * threads.
 */
#pragma once

#include "firehose/members.h"
#include "firehose/place.h"
#include "ops/kit/metrics.h"

#define STREAMS_MAX 64
#define STREAMS_STALL_MS 30000

typedef struct Streams Streams;

typedef struct StreamsOptions {
    const char *host;
    guint16 port;      /* 0: any free one */
    PlaceLog log;      /* its log is borrowed */
    Members *members;  /* borrowed; where streams that share are told */
    Metrics *metrics;  /* borrowed, not read after streams_stop() */
    guint streams_max; /* 0: STREAMS_MAX */
    guint stall_ms;    /* a client that takes nothing for so long is cut off;
                          0: STREAMS_STALL_MS */
} StreamsOptions;

/**
 * streams_start() - listen and stream
 *
 * Owns:   the caller owns the result; streams_stop() ends it.
 * Thread: after daemon_begin(), which libevent needs to be told of threads.
 * Fails:  COMB_ERROR_IO, NULL.
 */
Streams *streams_start(const StreamsOptions *options, GError **error);

/** streams_port() - the port it listens on. */
guint16 streams_port(const Streams *streams);

/**
 * streams_stop() - end every stream with a last line, join all threads, free
 *
 * Effect: within seconds; where a stream just begins and the log does not
 *         answer, within the log's own time-out. NULL is fine. The log is of
 *         no more use to it then.
 */
void streams_stop(Streams *streams);
