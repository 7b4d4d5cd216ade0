/*
 * A connection's life: evhttp reads a request and calls answer_stream(). A
 * query that is wrong is answered there. Else the connection's bufferevent is
 * disabled, so that libevent does nothing with the socket any more, and a
 * thread runs the stream on it. When it is over the thread hands the
 * connection back through the event base, where it is closed and the thread
 * joined. So a connection is freed in one place, on evhttp's thread, outside
 * of evhttp's own calls.
 *
 * Stopping: new requests are refused and every stream is told; the loop runs
 * on until the last has come back.
 */
#include "firehose/streams.h"

#include "firehose/line.h"
#include "firehose/stream.h"
#include "ops/kit/ensure.h"
#include "ops/kit/http.h"
#include "ops/kit/logger.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/http_struct.h>
#include <event2/thread.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>

#define HEADERS_BYTES_MAX (64 * 1024)

/* A client machine that is gone without a word is noticed after a minute. */
#define PROBE_AFTER_S 30
#define PROBE_EVERY_S 10
#define PROBES 3

struct Streams {
    StreamsOptions options;    /* host is not kept */
    struct event_base *base;   /* the thread's, but for once and loopexit */
    struct evhttp *http;       /* the thread's while it runs */
    HttpGate gate;             /* of http */
    guint16 port;              /* the one that was bound */
    pthread_t thread;          /* runs the loop */
    gboolean running;          /* there is a thread to join */
    _Atomic gboolean stopping; /* streams_stop() has begun */
    pthread_mutex_t mutex;     /* guards n_open */
    pthread_cond_t idle;       /* n_open came to 0 */
    guint n_open;              /* streams that have not come back */
    Metric metrics[STREAM_METRICS];
};

/* A stream and its connection. */
typedef struct Served {
    Streams *streams;
    struct evhttp_connection *connection;
    Query query;
    Stream stream;
    pthread_t thread;
} Served;

/* Each Streams counts in a copy. */
static const Metric metrics_template[STREAM_METRICS] = {
    [STREAM_OPEN] = {"comb_stream_open", NULL, METRIC_GAUGE,
                     "Streams to HTTP clients now.", 0},
    [STREAM_STARTED] = {"comb_stream_started_total", NULL, METRIC_COUNTER,
                        "Streams that began.", 0},
    [STREAM_REFUSED] = {"comb_stream_refused_total", NULL, METRIC_COUNTER,
                        "Requests for a stream that were refused.", 0},
    [STREAM_EVENTS] = {"comb_stream_events_total", NULL, METRIC_COUNTER,
                       "Events written to streams.", 0},
    [STREAM_UNDECODABLE] = {"comb_stream_undecodable_total", NULL,
                            METRIC_COUNTER,
                            "Records told to streams as undecodable.", 0},
    [STREAM_BYTES] = {"comb_stream_bytes_total", NULL, METRIC_COUNTER,
                      "Bytes of lines sent to streams.", 0},
    [STREAM_CUT_OFF] = {"comb_stream_cut_off_total", NULL, METRIC_COUNTER,
                        "Streams cut off because the client took nothing.", 0},
    [STREAM_STOPPED] = {"comb_stream_stopped_total", NULL, METRIC_COUNTER,
                        "Streams ended by the log or by our stop.", 0},
};

/* ---- answers of evhttp's thread ---- */

static void
reply(struct evhttp_request *request, int code, const char *field,
      const char *reason, gint64 limit)
{
    struct evkeyvalq *headers = evhttp_request_get_output_headers(request);
    struct evbuffer *body = evhttp_request_get_output_buffer(request);
    g_autoptr(GString) json = g_string_new(NULL);

    line_write_fault(json, field, reason, limit);
    evhttp_add_header(headers, "Content-Type", "application/json");
    evhttp_add_header(headers, "Connection", "close");
    evbuffer_add(body, json->str, json->len);
    evhttp_send_reply(request, code, NULL, NULL);
}

static void
answer_other(struct evhttp_request *request, void *user_data)
{
    (void)user_data;
    reply(request, HTTP_NOTFOUND, NULL, "there is only /v1/stream", -1);
}

/* Takes one of the places for streams; FALSE: there is none. */
static gboolean
admit(Streams *streams)
{
    gboolean free_place;

    pthread_mutex_lock(&streams->mutex);
    free_place = !atomic_load(&streams->stopping) &&
                 streams->n_open < streams->options.streams_max;
    streams->n_open += free_place ? 1 : 0;
    metric_set(&streams->metrics[STREAM_OPEN], streams->n_open);
    pthread_mutex_unlock(&streams->mutex);
    return free_place;
}

static void
leave(Streams *streams)
{
    pthread_mutex_lock(&streams->mutex);
    streams->n_open--;
    metric_set(&streams->metrics[STREAM_OPEN], streams->n_open);
    if (streams->n_open == 0) {
        pthread_cond_signal(&streams->idle);
    }
    pthread_mutex_unlock(&streams->mutex);
}

/* ---- a stream's thread ---- */

/* On evhttp's thread: the stream is over. */
static void
take_back(evutil_socket_t fd, short what, void *user_data)
{
    Served *served = user_data;
    Streams *streams = served->streams;

    (void)fd;
    (void)what;
    ensure(pthread_join(served->thread, NULL) == 0);
    evhttp_connection_free(served->connection);
    query_clear(&served->query);
    g_free(served);
    leave(streams);
}

static void *
run_stream(void *user_data)
{
    const struct timeval now = {0, 0};
    Served *served = user_data;

    stream_run(&served->stream);
    ensure(event_base_once(served->streams->base, -1, EV_TIMEOUT, take_back,
                           served, &now) == 0);
    return NULL;
}

static void
probe_silent_peers(int fd)
{
    const int on = 1;
    const int after = PROBE_AFTER_S;
    const int every = PROBE_EVERY_S;
    const int probes = PROBES;

    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &after, sizeof after);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &every, sizeof every);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
}

/* TRUE: the socket and @query are the stream's from here on. FALSE: there is
   no thread for it. */
static gboolean
start_stream(Streams *streams, struct evhttp_request *request, Query *query)
{
    Served *served = g_new0(Served, 1);
    struct bufferevent *buffer;
    int failed;

    served->streams = streams;
    served->connection = evhttp_request_get_connection(request);
    served->query = *query;
    buffer = evhttp_connection_get_bufferevent(served->connection);
    bufferevent_disable(buffer, EV_READ | EV_WRITE);
    served->stream = (Stream){
        .log = &streams->options.log,
        .members = streams->options.members,
        .metrics = streams->metrics,
        .query = &served->query,
        .sink = {.fd = bufferevent_getfd(buffer),
                 .chunked = request->major > 1 || request->minor >= 1,
                 .stall_ms = streams->options.stall_ms,
                 .stopping = &streams->stopping},
    };
    probe_silent_peers(served->stream.sink.fd);
    failed = pthread_create(&served->thread, NULL, run_stream, served);
    if (failed != 0) {
        logger_warn("firehose.stream", "no thread for a stream", "errno=%d",
                    failed);
        bufferevent_enable(buffer, EV_READ | EV_WRITE);
        g_free(served);
    }
    return failed == 0;
}

/* Owns: takes @query. */
static void
reply_full(Streams *streams, struct evhttp_request *request, Query *query)
{
    query_clear(query);
    metric_add(&streams->metrics[STREAM_REFUSED], 1);
    evhttp_add_header(evhttp_request_get_output_headers(request), "Retry-After",
                      "1");
    reply(request, HTTP_SERVUNAVAIL, NULL, "there are too many streams",
          streams->options.streams_max);
}

static void
answer_stream(struct evhttp_request *request, void *user_data)
{
    struct evkeyvalq *headers = evhttp_request_get_input_headers(request);
    const QueryInput input = {
        .text = evhttp_uri_get_query(evhttp_request_get_evhttp_uri(request)),
        .accept = evhttp_find_header(headers, "Accept"),
        .last_event_id = evhttp_find_header(headers, "Last-Event-ID"),
        .now_ms = g_get_real_time() / 1000,
    };
    Streams *streams = user_data;
    QueryFault fault;
    Query query;

    if (evhttp_request_get_command(request) != EVHTTP_REQ_GET) {
        evhttp_add_header(evhttp_request_get_output_headers(request), "Allow",
                          "GET");
        reply(request, HTTP_BADMETHOD, NULL, "only GET", -1);
    } else if (!query_parse(&input, &query, &fault)) {
        metric_add(&streams->metrics[STREAM_REFUSED], 1);
        reply(request, HTTP_BADREQUEST, fault.field, fault.reason, fault.limit);
    } else if (!admit(streams)) {
        reply_full(streams, request, &query);
    } else if (!start_stream(streams, request, &query)) {
        leave(streams);
        reply_full(streams, request, &query);
    }
}

/* ---- start and stop ---- */

static void *
run_loop(void *user_data)
{
    Streams *streams = user_data;

    event_base_dispatch(streams->base);
    return NULL;
}

Streams *
streams_start(const StreamsOptions *options, GError **error)
{
    Streams *streams = g_new0(Streams, 1);
    StreamsOptions *kept = &streams->options;

    *kept = *options;
    kept->host = NULL;
    kept->streams_max =
        kept->streams_max != 0 ? kept->streams_max : STREAMS_MAX;
    kept->stall_ms = kept->stall_ms != 0 ? kept->stall_ms : STREAMS_STALL_MS;
    pthread_mutex_init(&streams->mutex, NULL);
    pthread_cond_init(&streams->idle, NULL);
    memcpy(streams->metrics, metrics_template, sizeof(metrics_template));
    streams->base = event_base_new();
    ensure(streams->base != NULL);
    ensure(evthread_make_base_notifiable(streams->base) == 0);
    streams->http = evhttp_new(streams->base);
    ensure(streams->http != NULL);
    http_limit(streams->http, HEADERS_BYTES_MAX);
    evhttp_set_cb(streams->http, "/v1/stream", answer_stream, streams);
    evhttp_set_gencb(streams->http, answer_other, streams);
    streams->port = options->port;
    streams->gate.whose = HTTP_PUBLIC;
    if (!http_bind(streams->http, &streams->gate, options->host, &streams->port,
                   error)) {
        streams_stop(streams);
        return NULL;
    }
    metrics_register(options->metrics, streams->metrics, STREAM_METRICS);
    ensure(pthread_create(&streams->thread, NULL, run_loop, streams) == 0);
    streams->running = TRUE;
    return streams;
}

guint16
streams_port(const Streams *streams)
{
    return streams->port;
}

static void
wait_for_streams(Streams *streams)
{
    pthread_mutex_lock(&streams->mutex);
    atomic_store(&streams->stopping, TRUE);
    while (streams->n_open > 0) {
        pthread_cond_wait(&streams->idle, &streams->mutex);
    }
    pthread_mutex_unlock(&streams->mutex);
}

void
streams_stop(Streams *streams)
{
    if (streams == NULL) {
        return;
    }
    if (streams->running) {
        wait_for_streams(streams);
        event_base_loopexit(streams->base, NULL);
        pthread_join(streams->thread, NULL);
    }
    evhttp_free(streams->http);
    event_base_free(streams->base);
    pthread_cond_destroy(&streams->idle);
    pthread_mutex_destroy(&streams->mutex);
    g_free(streams);
}
