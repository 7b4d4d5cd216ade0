/*
 * stream.h - one stream of events to one HTTP client, from start to end
 *
 * stream_run() reads the log and writes the client's socket in turns, in its
 * caller's thread, and returns when the stream is over: the end that was asked
 * for is reached, the client has gone or takes nothing, the log's reader has
 * stopped, or the daemon stops. In the last two cases the last line says so
 * (kind "stopped", its reason and place); a client that takes nothing cannot
 * be told, and finds that the last chunk is missing.
 */
#pragma once

#include "firehose/members.h"
#include "firehose/query.h"
#include "firehose/sink.h"
#include "ops/kit/metrics.h"

/* Indexes of the metrics; the table is in streams.c. */
typedef enum StreamMetric {
    STREAM_OPEN,
    STREAM_STARTED,
    STREAM_REFUSED,
    STREAM_EVENTS,
    STREAM_UNDECODABLE,
    STREAM_BYTES,
    STREAM_CUT_OFF,
    STREAM_STOPPED,
    STREAM_METRICS, /* how many */
} StreamMetric;

typedef struct Stream {
    const PlaceLog *log; /* borrowed, as are the next three */
    Members *members;    /* where one that shares is told */
    Metric *metrics;     /* STREAM_METRICS of them */
    const Query *query;
    Sink sink;
} Stream;

/** stream_run() - the whole of it. Thread: waits for log and client. */
void stream_run(Stream *stream);
