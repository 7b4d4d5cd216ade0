/*
 * connection.h - one peer of the server, and its calls (private)
 *
 * Thread: everything here belongs to the connection's worker, but for a
 * request's @reply, which whoever answers hands over through the worker's
 * mailbox.
 */
#pragma once

#include "thrift/callqueue.h"
#include "thrift/server.h"

typedef struct Worker Worker;
typedef struct Connection Connection;

/* How far a call has come. */
typedef enum CallStage {
    CALL_NEW,      /* being taken in */
    CALL_WAITING,  /* in its lane */
    CALL_HELD,     /* its turn came, but earlier answers are not read */
    CALL_SERVED,   /* its handler was called; the reply may be there */
    CALL_ANSWERED, /* the worker has seen the reply */
} CallStage;

struct Request {
    Connection *connection; /* outlives its requests */
    Frame frame;            /* borrows from @bytes */
    gsize len;              /* of @bytes */
    gint64 received_us;     /* when it was whole */
    GByteArray *reply;      /* owned; NULL until request_reply() */
    CallStage stage;
    TAILQ_ENTRY(Request) in_order; /* the connection's calls, or answers */
    CallLane *lane;                /* where it waits, or waited */
    TAILQ_ENTRY(Request) in_lane;  /* @lane's calls */
    STAILQ_ENTRY(Request) in_mail; /* the worker's mailbox */
    guint8 bytes[];                /* the message */
};

/**
 * request_new() - a call from a whole message
 *
 * Owns:  copies @message.
 * Fails: NULL and *ret_fault, the words for the log, where it is no call.
 */
Request *request_new(Connection *connection, WireBytes message,
                     const char **ret_fault);

/** request_serve() - call the method's handler, or answer that there is none.
 */
void request_serve(Request *request, Worker *worker);

/**
 * request_begin() - let a call wait for its turn, or refuse it
 *
 * Effect: served by the worker's next turns; answered at once where it would
 *         wait longer than options->queue_ms.
 */
void request_begin(Request *request, Worker *worker);

/** request_free() - free it, answered or not. */
void request_free(Request *request);

/**
 * connection_open() - serve a peer on @worker
 *
 * Owns: takes @fd, non-blocking; the worker's list owns the connection.
 */
void connection_open(Worker *worker, int fd);

/**
 * connection_answered() - @request has its reply: send what is in order
 *
 * Owns: takes the request; a closed connection goes with its last one.
 */
void connection_answered(Request *request);

/**
 * connection_serves() - whether the peer reads its answers
 *
 * Effect: FALSE: @request is held, and waits again once they are read.
 */
gboolean connection_serves(Request *request);

/** connection_hurry() - send answers now, if there are. May free it. */
void connection_hurry(Connection *connection);

/** connection_send() - give the kernel what it takes. May free it. */
void connection_send(Connection *connection);

/** connection_quiet() - read no more calls (the worker is draining). */
void connection_quiet(Connection *connection);

/** connection_free() - close, and free it with all its requests. */
void connection_free(Connection *connection);

/** connection_next() - the one after it in the worker's list, or NULL. */
Connection *connection_next(const Connection *connection);

/** connection_identity() - who its certificate names; NULL: nobody. Borrowed.
 */
const char *connection_identity(const Connection *connection);

/** connection_worker() - its worker. Thread: any, while a request is open. */
Worker *connection_worker(const Connection *connection);
