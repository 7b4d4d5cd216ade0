/*
 * server.h - a framed Thrift server on libevent
 *
 * One event base a thread. A connection belongs to the thread that accepted
 * it. Calls of one connection may be pipelined and are answered in order; a
 * handler may answer later and from any thread. Everything is bounded:
 * connections, bytes in a frame, calls in flight on a connection (beyond
 * that it is not read). A frame that does not scan (frame.h) closes its
 * connection, no other; an unknown method is answered with Thrift's
 * TApplicationException.
 *
 * With a Tls a connection begins with its handshake, within stall_ms, and
 * goes on as without; a call that the table does not allow to whom the
 * certificate names is answered with PermissionDenied.
 */
#pragma once

#include "ops/kit/calls.h"
#include "thrift/frame.h"
#include "thrift/tls.h"

#include <event2/event.h>

typedef struct Server Server;

/* A call in progress: from the handler's call to request_reply(). */
typedef struct Request Request;

#define SERVER_STALL_MS_DEFAULT 30000
/* With it refusals under lasting overload reach the caller within 5 ms. */
#define SERVER_QUEUE_MS_DEFAULT 3

/* Bytes of answers that a peer may leave unread before it is not read. */
#define SERVER_OUTPUT_BYTES_MAX (1 << 20)

#define SERVER_HELD_BYTES_MAX_DEFAULT (G_GINT64_CONSTANT(256) << 20)

/* What a connection may always have of that. */
#define SERVER_FAIR_BYTES ((gsize)64 << 10)

typedef void (*ServerHandler)(Request *request, gpointer user_data);

typedef struct ServerMethod {
    const char *name;
    ServerHandler handler;
} ServerMethod;

typedef struct ServerOptions {
    const char *host;            /* a numeric address */
    guint16 port;                /* 0: any free one */
    guint threads;               /* 1 or more */
    guint connections_max;       /* more are closed at once */
    gsize frame_bytes_max;       /* FRAME_BYTES_MAX of limits.h, or less */
    guint in_flight_max;         /* calls of one connection */
    guint stall_ms;              /* a peer that leaves a frame unfinished or
                                    answers unread for so long is closed;
                                    0: SERVER_STALL_MS_DEFAULT */
    guint queue_ms;              /* a call that would wait longer for its
                                    thread is refused, unless it is of a
                                    burst; 0: SERVER_QUEUE_MS_DEFAULT */
    gint64 held_bytes_max;       /* unfinished frames, calls in progress and
                                    unsent answers of all connections: beyond,
                                    one with more than SERVER_FAIR_BYTES
                                    unfinished or unsent is closed; 0:
                                    SERVER_HELD_BYTES_MAX_DEFAULT */
    Tls *tls;                    /* borrowed, outlives the server; NULL: plain
                                    text */
    const ServerMethod *methods; /* static; ends with a NULL name */
    gpointer user_data;          /* for every handler; outlives the server */
    const char *patient;         /* the method whose callers may ask it to wait
                                    for something; NULL: none */
} ServerOptions;

/**
 * server_start() - listen, and serve on threads of its own
 *
 * Owns:   the caller owns the server; server_stop() ends it.
 * Fails:  COMB_ERROR_SETTING (address) or COMB_ERROR_IO (socket), NULL.
 */
Server *server_start(const ServerOptions *options, GError **error);

/** server_port() - the port it listens on. */
guint16 server_port(const Server *server);

/**
 * server_drain() - take no new connection or call; wait for calls in progress
 *
 * Effect: TRUE when every call was answered and every answer handed to the
 *         kernel; FALSE if not within @timeout_ms. New peers are refused,
 *         frames not begun to be served stay unread, from now on.
 * Thread: not from a handler.
 */
gboolean server_drain(Server *server, guint timeout_ms);

/**
 * server_stop() - close every connection, join the threads, free
 *
 * Effect: the caller made sure that nothing else will call request_reply()
 *         on one of its requests: server_drain(), or what answers is stopped.
 */
void server_stop(Server *server);

typedef struct ServerStats {
    guint64 accepted;
    guint64 refused;    /* at connections_max */
    guint64 bad_frames; /* closed for */
    guint64 stalled;    /* closed for: stall_ms */
    guint64 calls;
    guint64 unknown_methods;
    guint64 tls_faults; /* closed for: no TLS, no or a wrong certificate */
    guint64 denied;     /* calls, by the table of who may call what */
    guint64 overloaded; /* calls refused: they would have waited for long */
    guint connections;  /* now */
} ServerStats;

/** server_stats() - counters since start. Thread: any. */
void server_stats(Server *server, ServerStats *ret_stats);

/** server_calls() - what its calls cost; borrowed, until server_stop(). */
Calls *server_calls(Server *server);

/** server_connections_max() - how many it takes: options and descriptors. */
guint server_connections_max(const Server *server);

/** request_frame() - the call, valid until request_reply(). */
const Frame *request_frame(const Request *request);

/** request_bytes() - the whole message, without length prefix; likewise. */
WireBytes request_bytes(const Request *request);

/** request_received_us() - g_get_monotonic_time() when the frame was whole. */
gint64 request_received_us(const Request *request);

/** request_base() - the event base of its thread, for timers and sockets. */
struct event_base *request_base(const Request *request);

/** request_thread() - its thread's number, 0 to threads-1. */
guint request_thread(const Request *request);

/**
 * request_reply() - answer and end the request
 *
 * Owns:   takes @message: a whole Thrift message without length prefix, as
 *         reply.h builds it. A connection that has gone is fine.
 * Thread: any; once.
 */
void request_reply(Request *request, GByteArray *message);
