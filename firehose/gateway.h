/*
 * gateway.h - the Firehose service: publish, the friendly forms, ids, the map;
 *             and streams of events over HTTP
 *
 * A call is decoded, each event checked and stamped (event.h), appended to
 * the log and answered when the log has it: asynchronously, so that a
 * thousand waiting callers cost no thread. Stateless but for the id clock
 * (idclock.h).
 */
#pragma once

#include "firehose/log.h"
#include "ops/kit/metrics.h"
#include "ops/kit/status.h"
#include "router/mapfeed.h"
#include "thrift/tls.h"

typedef struct Gateway Gateway;

typedef struct GatewayOptions {
    const char *host;
    guint16 port;      /* 0: any free one */
    guint16 http_port; /* of streams.h; likewise; not opened with @tls */
    guint threads;
    guint node;              /* 0 to ID_NODE_MAX; unique among gateways */
    const char *data_dir;    /* for the id clock */
    gsize pending_bytes_max; /* appended and not yet acknowledged; beyond, and
                                where one partition has as many as are left:
                                Overloaded */
    Tls *tls;                /* borrowed, outlives it; NULL: plain text */
    gint64 retention_ms;     /* what the firehose promises to keep */
    Status *status;          /* where it adds itself; borrowed, not read after
                                gateway_stop(); NULL: nowhere */
} GatewayOptions;

/**
 * gateway_start() - serve
 *
 * @firehose, @control, @feed, @metrics: borrowed, outlive the gateway; nobody
 *         reads @metrics after gateway_stop().
 * Thread: after daemon_begin(), which libevent needs to be told of threads.
 * Fails: COMB_ERROR_IO, COMB_ERROR_CORRUPT (id clock), NULL.
 */
Gateway *gateway_start(const GatewayOptions *options, Log *firehose,
                       Log *control, MapFeed *feed, Metrics *metrics,
                       GError **error);

/** gateway_port() - the port it listens on. */
guint16 gateway_port(const Gateway *gateway);

/**
 * gateway_http() - where the streams are, host:port; "off" with TLS
 *
 * Owns: the caller frees.
 */
char *gateway_http(const Gateway *gateway, const char *host);

/**
 * gateway_healthy() - NULL, or why it can publish no more until a restart
 *
 * Owns: the caller frees. Thread: any.
 */
char *gateway_healthy(const Gateway *gateway);

/**
 * gateway_publish_map() - append @map to the control topic and wait
 *
 * Effect: TRUE once the log has it; its epoch is the caller's business.
 * Thread: not a server's.
 * Fails:  COMB_ERROR_UNREACHABLE (no answer in time: it may still be taken),
 *         COMB_ERROR_IO.
 */
gboolean gateway_publish_map(Log *control, CellMap *map, guint timeout_ms,
                             GError **error);

/**
 * gateway_stop() - drain, stop, free
 *
 * Effect: waits for what the log still owes an answer to, at most its
 *         delivery timeout.
 */
void gateway_stop(Gateway *gateway);
