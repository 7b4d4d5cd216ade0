/*
 * query.h - what a GET /v1/stream asks for
 *
 * | parameter   | value                                             | else |
 * | since       | now, earliest, a time or a duration back (place.h) | now |
 * | position    | of a line, or of a published event                |      |
 * | client_id   | begin where this consumer has committed; since is for |
 * |             | partitions where it has committed nothing         |      |
 * | group       | 1: all streams of this client_id share the partitions | 0 |
 * | or_earliest | 1: where events are gone, begin with what is left | 0    |
 * | until       | a time: ends before the first event of then       |      |
 * | follow      | 0: ends at the end of the log at the start        | 1    |
 * | kinds       | post,follow,...                                   | all  |
 * | authors     | ID,ID: who acts; at most TAP_AUTHORS_MAX         | all  |
 * | limit       | ends after so many lines                          |      |
 * | format      | ndjson, sse                                       | by Accept
 * |
 *
 * The header Last-Event-ID stands above since, position and client_id.
 */
#pragma once

#include "firehose/place.h"
#include "firehose/tap.h"

typedef enum QueryFormat {
    QUERY_NDJSON, /* a line of JSON an event */
    QUERY_SSE,    /* text/event-stream */
} QueryFormat;

typedef struct QueryInput {
    const char *text;   /* after the question mark; NULL: nothing */
    const char *accept; /* the headers; NULL: absent */
    const char *last_event_id;
    gint64 now_ms; /* the clock */
} QueryInput;

typedef struct Query {
    Place place;             /* its position and client are below */
    const char *place_field; /* what said it: for refusals; static */
    char *position;          /* owned; NULL: none */
    char *client;            /* owned; NULL: none */
    gboolean group;          /* shares the partitions with that client's others;
                                the place is where it begins for want of one */
    TapOptions tap;          /* its authors are owned */
    gint64 limit;            /* G_MAXINT64: none */
    QueryFormat format;
} Query;

/* Why a query is refused. */
typedef struct QueryFault {
    char field[40];     /* a parameter's name; of an unknown one its begin */
    const char *reason; /* static */
    gint64 limit;       /* -1: none */
} QueryFault;

/**
 * query_parse() - read it
 *
 * Effect: TRUE and *ret_query, to be cleared; or FALSE and *ret_fault.
 */
gboolean query_parse(const QueryInput *input, Query *ret_query,
                     QueryFault *ret_fault);

/** query_clear() - free what it holds. */
void query_clear(Query *query);
