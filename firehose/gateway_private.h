/*
 * gateway_private.h - what the gateway's files share
 *
 *   gateway.c   start and stop, the method table, nextIds, metrics
 *   publish.c   a batch of events from the call to the answer
 *   forms.c     createPost, follow, ...: one event each
 *   mapcalls.c  getCellMap, setCellMap
 *   blockingcall.h  what a call that waits for the log is: the next two
 *   consume.c   fetch (ask.h reads what it asks for)
 *   placecalls.c    getPartitions; commit, rewind, getLag
 */
#pragma once

#include "firehose/event.h"
#include "firehose/gateway.h"
#include "firehose/idclock.h"
#include "firehose/log_ends.h"
#include "firehose/members.h"
#include "firehose/sealer.h"
#include "firehose/shelf.h"
#include "firehose/streams.h"
#include "thrift/context.h"

#include <pthread.h>

/* What callers that are refused for load are told. */
#define GATEWAY_RETRY_MS 250

/* Indexes of the metrics; the table is in gateway.c. */
typedef enum GatewayMetric {
    GATEWAY_PUBLISHED, /* and one more for each further kind */
    GATEWAY_REFUSED = GATEWAY_PUBLISHED + EVENT_KIND_MAX,
    GATEWAY_FAILED,
    GATEWAY_BYTES,
    GATEWAY_LATE,
    GATEWAY_OVERLOADED,
    GATEWAY_CALLS,
    GATEWAY_BAD_FRAMES,
    GATEWAY_CONNECTIONS,
    GATEWAY_PENDING_BYTES,
    GATEWAY_IDS_AHEAD,
    GATEWAY_TLS_FAULTS,
    GATEWAY_DENIED,
    GATEWAY_SHED,
    GATEWAY_FETCHED,
    GATEWAY_FETCHES,
    GATEWAY_METRICS, /* how many */
} GatewayMetric;

struct Gateway {
    Server *server;
    Log *firehose; /* borrowed, as are the next two */
    Log *control;
    MapFeed *feed;
    Streams *streams;
    Members *members; /* of groups, that the streams are */
    LogEnds *ends;    /* for the status page; NULL: there is none */
    Shelf *shelf;     /* of taps that fetches may go on with */
    Sealer *sealer;
    IdClock *clock;
    guint32 check; /* of positions in the firehose */
    gsize pending_bytes_max;
    _Atomic gsize pending_bytes;     /* appended, not yet acknowledged */
    _Atomic gsize *lane_bytes;       /* of these, by lane (publish.c) */
    gint64 retention_ms;             /* what the firehose promises to keep */
    _Atomic guint consuming;         /* calls that read the log now */
    _Atomic gboolean log_failed;     /* the log takes nothing more */
    _Atomic gboolean stopping;       /* gateway_stop() has begun */
    pthread_mutex_t mutex;           /* guards the next three */
    pthread_cond_t idle;             /* pending_calls came to 0 */
    guint pending_calls;             /* that the log will call back for */
    gboolean map_pending;            /* a setCellMap is among them */
    Metric metrics[GATEWAY_METRICS]; /* as registered */
};

/** gateway_call_begin() - the gateway must outlive this call's last step. */
void gateway_call_begin(Gateway *gateway);

/** gateway_call_end() - that was it. Thread: any. */
void gateway_call_end(Gateway *gateway);

/**
 * gateway_ids() - @count fresh ids for a call
 *
 * Effect: TRUE and the first (idclock.h), or FALSE after the request was
 *         answered.
 */
gboolean gateway_ids(Gateway *gateway, Request *request, const Context *context,
                     guint count, gint64 *ret_first);

/* How the events of a call are answered. */
typedef enum PublishAnswer {
    PUBLISH_LIST, /* publish: a result for each event */
    PUBLISH_ONE,  /* a friendly form: a result or an exception */
} PublishAnswer;

/**
 * publish_events() - check, log and answer
 *
 * @events: encoded, from the client; @n is 1 for PUBLISH_ONE. Borrowed for
 *          the call.
 */
void publish_events(Gateway *gateway, Request *request, const Context *context,
                    PublishAnswer answer, const WireBytes *events, guint n);

/** publish_call() - the handler of publish. */
void publish_call(Request *request, gpointer user_data);

/** form_call() - the handler of every friendly form. */
void form_call(Request *request, gpointer user_data);

/**
 * form_field() - an event's field as a friendly form's callers know it
 *
 * Effect: "post.body" for "event.post.body"; borrowed from @field.
 */
const char *form_field(const char *field);

/** fetch_call() - the handler of fetch. */
void fetch_call(Request *request, gpointer user_data);

/** partitions_call() - the handler of getPartitions. */
void partitions_call(Request *request, gpointer user_data);

/** commit_call() - the handler of commit. */
void commit_call(Request *request, gpointer user_data);

/** rewind_call() - the handler of rewind. */
void rewind_call(Request *request, gpointer user_data);

/** lag_call() - the handler of getLag. */
void lag_call(Request *request, gpointer user_data);

/** mapcalls_get() - the handler of getCellMap. */
void mapcalls_get(Request *request, gpointer user_data);

/** mapcalls_set() - the handler of setCellMap. */
void mapcalls_set(Request *request, gpointer user_data);
