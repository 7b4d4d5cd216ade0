/*
 * router.h - passes calls through to the cell that is the user's home
 *
 * Holds no data. A frame is forwarded as it is, with another seqid; the reply
 * likewise. One retry, on a fresh map, after NotHomed; a cell that does not
 * answer costs its own users an Unavailable and nobody else anything.
 * Timelines and posts go to any cell.
 */
#pragma once

#include "ops/kit/metrics.h"
#include "ops/kit/status.h"
#include "router/mapfeed.h"
#include "thrift/tls.h"

typedef struct Router Router;

typedef struct RouterOptions {
    const char *host;
    guint16 port; /* 0: any free one */
    guint threads;
    guint connections_max;    /* more are closed at once; 0: 10,000 */
    guint queue_ms;           /* see ServerOptions */
    guint cell_timeout_ms;    /* a cell's answer is waited for so long */
    guint cell_in_flight_max; /* calls at one cell per thread; beyond:
                                 Overloaded */
    Tls *tls;       /* borrowed, outlives it; NULL: callers use plain text */
    Tls *cell_tls;  /* likewise, of a client: for connections to cells */
    Status *status; /* where it adds itself; borrowed, not read after
                       router_stop(); NULL: nowhere */
} RouterOptions;

/**
 * router_start() - serve
 *
 * @feed, @metrics: borrowed, outlive the router; its metrics must not be
 *        asked for after router_stop().
 * Effect: calls are answered Unavailable until @feed has a map.
 * Fails: COMB_ERROR_SETTING (address) or COMB_ERROR_IO (socket), NULL. It is
 *        a bug to call it before daemon_begin().
 */
Router *router_start(const RouterOptions *options, MapFeed *feed,
                     Metrics *metrics, GError **error);

/** router_port() - the port it listens on. Thread: any. */
guint16 router_port(const Router *router);

/**
 * router_stop() - drain, stop, free
 *
 * Effect: calls in progress get the time that a cell has to answer.
 */
void router_stop(Router *router);
