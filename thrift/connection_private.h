/*
 * connection_private.h - what the three files of a connection share (private)
 *
 *   connection.c      its life, and what it holds
 *   connection_in.c   from bytes that arrive to calls
 *   connection_out.c  from answered calls to the kernel
 *
 * Thread: the worker's.
 */
#pragma once

#include "thrift/connection.h"
#include "thrift/recvbuf.h"
#include "thrift/sendqueue.h"
#include "thrift/tls_stream.h"

#include <event2/event.h>

struct Connection {
    Worker *worker;              /* whose thread serves it */
    int fd;                      /* -1: closed, its last calls are open */
    RecvBuf in;                  /* received, not yet a request */
    SendQueue out;               /* answers the kernel has not taken */
    struct event *readable;      /* pending while calls may come */
    struct event *writable;      /* pending while the kernel takes no more */
    struct event *stall;         /* pending while a frame is unfinished */
    gboolean reading;            /* @readable is pending */
    gboolean stalling;           /* @stall is */
    gboolean blocked;            /* @writable is, for @out */
    gboolean ready;              /* in worker->ready */
    TAILQ_HEAD(, Request) calls; /* oldest first */
    guint n_calls;               /* in @calls */
    guint n_held;                /* of them */
    gboolean ended;              /* the peer has finished sending */
    gboolean sending;            /* counted in worker->busy for @out */
    gsize large;                 /* bytes of open calls that are large */
    gsize waiting;               /* of answers, behind a call that has none */
    gsize held;                  /* bytes that are counted as held */
    TlsStream *tls;              /* NULL: plain text */
    gboolean shaking;            /* its handshake is not over */
    gboolean half_sent;          /* a record is: TLS must not read */
    gboolean reread;             /* TLS reads on once it can write */
    gboolean rewrite;            /* TLS writes on once it can read */
    TAILQ_ENTRY(Connection) in_worker; /* worker->connections */
    TAILQ_ENTRY(Connection) in_ready;  /* worker->ready */
};

/* ---- connection.c ---- */

/** connection_count() - counts what it holds, or does not hold any more. */
void connection_count(Connection *connection);

/** connection_is_unfair() - whether @len bytes of one are too many, as others'
 * are. */
gboolean connection_is_unfair(const Connection *connection, gsize len);

/** connection_put_on() - adds @request to its connection's open calls. */
void connection_put_on(Request *request);

/** connection_take_off() - takes it off them, wherever it waits. */
void connection_take_off(Request *request);

/** connection_end_call() - takes it off and frees it. */
void connection_end_call(Request *request);

/** connection_set_sending() - whether it has answers to send. */
void connection_set_sending(Connection *connection, gboolean sending);

/** connection_set_ready() - whether it is on the worker's list of those. */
void connection_set_ready(Connection *connection, gboolean ready);

/** connection_free_if_over() - a closed one whose last call has ended. */
void connection_free_if_over(Connection *connection);

/* Each of these may free it; calls that are being served keep it. The reason
   is logged with the peer. */
void connection_close(Connection *connection);
void connection_close_for(Connection *connection, const char *reason);

/** connection_reset_for() - of a peer that does not read: what the kernel holds
 * for it goes, too. */
void connection_reset_for(Connection *connection, const char *reason);

/** connection_close_failed() - the peer has gone, which is not worth a word, or
 * TLS has failed. */
void connection_close_failed(Connection *connection);

/* ---- connection_in.c ---- */

/** connection_set_reading() - whether to wait for bytes. */
void connection_set_reading(Connection *connection, gboolean reading);

/**
 * connection_watch() - waits for more bytes, or not
 *
 * @new_frame: what is unfinished now was not so before: it has its time.
 */
void connection_watch(Connection *connection, gboolean new_frame);

/**
 * connection_advance() - takes in what has arrived, as far as bounds allow
 *
 * Effect: what is kept, or @fresh where nothing is, of which it keeps the rest.
 *         May free the connection.
 */
void connection_advance(Connection *connection, WireBytes fresh);

/* With TLS; may free it. */
void connection_read_record(Connection *connection);
void connection_shake(Connection *connection);

/* Callbacks of the connection's events, which is their last argument. */
void connection_on_readable(evutil_socket_t fd, short what, void *user_data);
void connection_on_stall(evutil_socket_t fd, short what, void *user_data);

/* ---- connection_out.c ---- */

/** connection_on_writable() - callback, as above. */
void connection_on_writable(evutil_socket_t fd, short what, void *user_data);
