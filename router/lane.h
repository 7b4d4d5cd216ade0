/*
 * lane.h - what one server thread of the router knows (private)
 *
 * Its connections to the cells, the calls in progress, and where the next
 * call with a choice goes. Nothing is shared between lanes, so a call takes
 * no lock but the map's.
 */
#pragma once

#include "ops/kit/metrics.h"
#include "router/mapfeed.h"
#include "thrift/server.h"

typedef struct Lane Lane;

/* The router's metrics; the table is in router.c. */
typedef enum RouterMetric {
    ROUTER_DASHBOARDS,
    ROUTER_TIMELINES,
    ROUTER_POSTS,
    ROUTER_INVALID,
    ROUTER_OVERLOADED,
    ROUTER_DEADLINE,
    ROUTER_UNAVAILABLE,
    ROUTER_NOT_HOMED,
    ROUTER_MOVED_ON,
    ROUTER_RETRIES,
    ROUTER_RETRIES_REFUSED,
    ROUTER_SLOW,
    ROUTER_CONNECTS,
    ROUTER_LOST,
    ROUTER_BAD_REPLIES,
    ROUTER_LATE_REPLIES,
    ROUTER_MAP_EPOCH,
    ROUTER_CONNECTIONS,
    ROUTER_TLS_FAULTS,
    ROUTER_DENIED,
    ROUTER_SHED,
    ROUTER_METRICS,
} RouterMetric;

typedef struct LaneOptions {
    MapFeed *feed;   /* borrowed, as all here; outlives the lane */
    Metric *metrics; /* by RouterMetric */
    guint cell_timeout_ms;
    guint cell_in_flight_max;
    Tls *cell_tls; /* for connections to cells; NULL: plain text */
    guint (*callers)(gpointer user_data); /* connections of one thread */
    gpointer user_data;                   /* for it */
} LaneOptions;

/* How a method is routed. */
typedef struct LaneRoute {
    const char *user; /* the name of argument 1; NULL: it has none */
    gboolean home;    /* to that user's cell; else to any */
} LaneRoute;

/** lane_new() - no thread's yet. Owns: the caller; lane_free(). */
Lane *lane_new(const LaneOptions *options);

/**
 * lane_take() - route a call
 *
 * Effect: @request will be answered, now or later; @route is static.
 * Thread: the lane's: always the same.
 */
void lane_take(Lane *lane, Request *request, const LaneRoute *route);

/**
 * lane_end() - answer every call with Unavailable and close the connections
 *
 * Effect: when it returns the lane has nothing on its thread's event base.
 * Thread: any but the lane's; the server is drained and its threads run.
 */
void lane_end(Lane *lane);

/** lane_free() - after lane_end(). */
void lane_free(Lane *lane);
