/*
 * connection.c - one peer of the server
 *
 * The life of a call: bytes arrive in the worker's room, or in @in behind those
 * of an unfinished frame; a whole frame is copied out into a
 * Request of its own, so that the handler may keep it; the frame is scanned.
 * The request waits in @calls, in order of arrival, and in its caller's lane
 * until its turn comes (callqueue.h): then the method is found and the handler
 * called. When it is answered, and every call before it, its reply moves to
 * @out by reference and goes to the kernel.
 *
 * Output is sent when the worker's turn is over (connection_send()): the
 * answers of a turn leave in one system call, and nothing is closed or read on
 * under a handler's feet. Having sent, it looks at @in again, for bytes that a
 * bound had held back.
 *
 * Bounds: a connection is not read while it has in_flight_max calls open,
 * while SERVER_OUTPUT_BYTES_MAX of answers wait, or while the server drains.
 * Nor is a call served while so many bytes wait, be it only for the answer of
 * an earlier call; but the oldest is, as that is what they wait for.
 *
 * What all connections hold is counted: thousands of peers that each begin a
 * frame of 16 MiB, or leave an answer unread, each within their own bounds, are
 * too many together. Beyond held_bytes_max whoever has a large share unfinished
 * is closed; small calls pass, and are not even counted. An answer counts as a
 * whole, and with its call, until its last byte is sent: so long it is there,
 * however much of it the kernel has taken.
 *
 * Failure modes: a frame that is too long or does not scan closes the
 * connection, because where the next one begins is unknown; so does a frame
 * not finished, or an answer not read, within stall_ms. Answers not sent by
 * then are lost, like those of any cut connection. A peer that has finished
 * sending gets its answers and is closed then. A closed connection lives on,
 * without socket, until its last open call is answered.
 *
 * With TLS a handshake comes first, which the stall timer bounds as a whole.
 * Then only the two places change that touch the socket: bytes are read record
 * by record, and what is sent is copied into pieces of a record. Either
 * may wait for the other direction of the socket: see @reread and @rewrite.
 * Nothing is read while a record is half sent: a peer's wish for new keys would
 * make OpenSSL answer it in the middle of that record, and fail.
 */
#include "thrift/connection.h"

#include "ops/kit/ensure.h"
#include "ops/kit/logger.h"
#include "thrift/connection_private.h"
#include "thrift/worker.h"

#include <netdb.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

/* Smaller calls are not worth counting, as there are in_flight_max at most. */
#define LARGE_CALL_BYTES ((gsize)4 << 10)

/* ---- what it holds ---- */

/* A call's part in @large. */
static gsize
large_bytes(const Request *request)
{
    return request->len > LARGE_CALL_BYTES ? request->len : 0;
}

void
connection_count(Connection *connection)
{
    gsize held = connection->in.size + connection->out.held +
                 connection->large + connection->waiting;

    if (held != connection->held) {
        connection->worker->counters->held_bytes +=
            (gint64)held - (gint64)connection->held;
        connection->held = held;
    }
}

gboolean
connection_is_unfair(const Connection *connection, gsize len)
{
    const Worker *worker = connection->worker;

    return len > SERVER_FAIR_BYTES &&
           worker->counters->held_bytes > worker->options->held_bytes_max;
}

void
connection_put_on(Request *request)
{
    Connection *connection = request->connection;

    TAILQ_INSERT_TAIL(&connection->calls, request, in_order);
    connection->n_calls++;
    connection->large += large_bytes(request);
    connection->worker->busy++;
}

void
connection_take_off(Request *request)
{
    Connection *connection = request->connection;

    if (request->stage == CALL_WAITING) {
        callqueue_remove(&connection->worker->queue, request);
    }
    connection->n_held -= request->stage == CALL_HELD ? 1 : 0;
    if (request->stage == CALL_ANSWERED) {
        connection->waiting -= request->reply->len;
    }
    TAILQ_REMOVE(&connection->calls, request, in_order);
    connection->n_calls--;
    connection->large -= large_bytes(request);
    connection->worker->busy--;
}

void
connection_end_call(Request *request)
{
    connection_take_off(request);
    request_free(request);
}

void
connection_set_sending(Connection *connection, gboolean sending)
{
    if (connection->sending != sending) {
        connection->sending = sending;
        connection->worker->busy += sending ? 1 : -1;
    }
}

void
connection_set_ready(Connection *connection, gboolean ready)
{
    if (connection->ready == ready) {
        return;
    }
    connection->ready = ready;
    if (ready) {
        TAILQ_INSERT_TAIL(&connection->worker->ready, connection, in_ready);
    } else {
        TAILQ_REMOVE(&connection->worker->ready, connection, in_ready);
    }
}

/* ---- closing ---- */

void
connection_free_if_over(Connection *connection)
{
    connection_count(connection);
    if (connection->n_calls > 0) {
        return;
    }
    TAILQ_REMOVE(&connection->worker->connections, connection, in_worker);
    g_free(connection);
}

void
connection_close(Connection *connection)
{
    Request *request, *next;

    event_free(connection->readable);
    event_free(connection->writable);
    event_free(connection->stall);
    recvbuf_drop(&connection->in, recvbuf_bytes(&connection->in).len);
    sendqueue_clear(&connection->out);
    connection_set_ready(connection, FALSE);
    g_clear_pointer(&connection->tls, tls_stream_free);
    close(connection->fd);
    connection->fd = -1;
    connection_set_sending(connection, FALSE);
    connection->worker->counters->connections--;
    for (request = TAILQ_FIRST(&connection->calls); request != NULL;
         request = next) {
        next = TAILQ_NEXT(request, in_order);
        if (request->stage != CALL_SERVED) {
            connection_end_call(request);
        }
    }
    connection_free_if_over(connection);
}

void
connection_close_for(Connection *connection, const char *reason)
{
    struct sockaddr_storage address;
    socklen_t len = sizeof(address);
    char host[NI_MAXHOST] = "unknown", port[NI_MAXSERV] = "0";

    if (getpeername(connection->fd, (struct sockaddr *)&address, &len) == 0) {
        getnameinfo((struct sockaddr *)&address, len, host, sizeof(host), port,
                    sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV);
    }
    logger_warn("thrift.server", "connection closed",
                "reason=\"%s\" peer=%s port=%s", reason, host, port);
    connection_close(connection);
}

void
connection_reset_for(Connection *connection, const char *reason)
{
    const struct linger none = {.l_onoff = 1, .l_linger = 0};

    setsockopt(connection->fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
    connection_close_for(connection, reason);
}

void
connection_close_failed(Connection *connection)
{
    if (connection->tls != NULL && tls_stream_is_broken(connection->tls)) {
        connection->worker->counters->tls_faults++;
        connection_close_for(connection, tls_stream_why(connection->tls));
    } else {
        connection_close(connection);
    }
}

/* ---- for the worker ---- */

void
connection_open(Worker *worker, int fd)
{
    Connection *connection = g_new0(Connection, 1);
    int on = 1;

    /* Answers are whole frames: waiting for more to send only delays. */
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    /* An idle peer may stay for ever, but not one that has lost power. */
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    connection->worker = worker;
    connection->fd = fd;
    sendqueue_init(&connection->out);
    connection->readable = event_new(worker->base, fd, EV_READ | EV_PERSIST,
                                     connection_on_readable, connection);
    connection->writable = event_new(worker->base, fd, EV_WRITE,
                                     connection_on_writable, connection);
    connection->stall =
        event_new(worker->base, -1, 0, connection_on_stall, connection);
    ensure(connection->readable != NULL && connection->writable != NULL);
    ensure(connection->stall != NULL);
    TAILQ_INIT(&connection->calls);
    TAILQ_INSERT_TAIL(&worker->connections, connection, in_worker);
    if (worker->options->tls != NULL) {
        connection->tls = tls_stream_new(worker->options->tls, fd, NULL);
        connection->shaking = TRUE;
        connection_set_reading(connection, TRUE);
        connection->stalling = TRUE;
        event_add(connection->stall, &worker->stall);
    } else {
        connection_watch(connection, FALSE);
    }
}

void
connection_quiet(Connection *connection)
{
    if (connection->fd >= 0) {
        connection_watch(connection, FALSE);
    }
}

void
connection_free(Connection *connection)
{
    Request *request, *next;

    for (request = TAILQ_FIRST(&connection->calls); request != NULL;
         request = next) {
        next = TAILQ_NEXT(request, in_order);
        connection_end_call(request);
    }
    if (connection->fd >= 0) {
        connection_close(connection);
    } else {
        connection_free_if_over(connection);
    }
}

Connection *
connection_next(const Connection *connection)
{
    return TAILQ_NEXT(connection, in_worker);
}

const char *
connection_identity(const Connection *connection)
{
    return connection->tls != NULL ? tls_stream_identity(connection->tls)
                                   : NULL;
}

Worker *
connection_worker(const Connection *connection)
{
    return connection->worker;
}
