/*
 * connection_out.c - from answered calls to the kernel
 *
 * Answers leave in the order of their calls, all that a turn has brought with
 * one system call; with TLS, record by record.
 */
#include "thrift/callstats.h"
#include "thrift/connection_private.h"
#include "thrift/worker.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define SEND_PIECES_MAX 64

/* ---- answers ---- */

/* Memory of those that are not sent. */
static gsize
answer_bytes(const Connection *connection)
{
    return connection->out.held + connection->waiting;
}

/* Not while much is unsent; but what others wait for must go on. */
static gboolean
may_serve(const Connection *connection, const Request *request)
{
    gsize unsent = connection->out.bytes;

    if (request != TAILQ_FIRST(&connection->calls)) {
        unsent += connection->waiting;
    }
    return unsent < SERVER_OUTPUT_BYTES_MAX;
}

/* What is sent is counted then. What is not may be too much for us to keep, and
   connection_send() is where a connection is closed for that. */
static gboolean
must_send(Connection *connection)
{
    if (connection->sending && !connection->blocked) {
        return !connection->reread;
    }
    connection_count(connection);
    return connection_is_unfair(connection, answer_bytes(connection));
}

void
connection_answered(Request *request)
{
    Connection *connection = request->connection;
    Request *first;

    /* What was refused took no time of its handler's. */
    if (request->stage == CALL_SERVED) {
        callstats_answered(connection->worker->counters->by_method,
                           connection->worker->number, &request->frame,
                           request->received_us);
    }
    request->stage = CALL_ANSWERED;
    connection->waiting += request->reply->len;
    if (connection->fd < 0) {
        connection_end_call(request);
        connection_free_if_over(connection);
        return;
    }
    while ((first = TAILQ_FIRST(&connection->calls)) != NULL &&
           first->stage == CALL_ANSWERED) {
        connection_take_off(first);
        connection_set_sending(connection, TRUE);
        sendqueue_put(&connection->out, first);
    }
    if (must_send(connection)) {
        connection_set_ready(connection, TRUE);
        worker_wake_send(connection->worker);
    }
}

gboolean
connection_serves(Request *request)
{
    Connection *connection = request->connection;

    if (may_serve(connection, request)) {
        request->stage = CALL_SERVED;
        return TRUE;
    }
    request->stage = CALL_HELD;
    connection->n_held++;
    return FALSE;
}

/* What was held waits again, at the end of its lane. */
static void
release_held(Connection *connection)
{
    Worker *worker = connection->worker;
    gint64 now_ns;
    Request *request;

    if (connection->n_held == 0 ||
        connection->out.bytes >= SERVER_OUTPUT_BYTES_MAX) {
        return;
    }
    now_ns = callqueue_now();
    for (request = TAILQ_FIRST(&connection->calls); request != NULL;
         request = TAILQ_NEXT(request, in_order)) {
        if (request->stage == CALL_HELD && may_serve(connection, request)) {
            connection->n_held--;
            callqueue_put(&worker->queue, request->lane, request, now_ns);
        }
    }
    worker_wake_turn(worker);
}

/* ---- sending ---- */

/* As send_output(). */
static gboolean
send_records(Connection *connection)
{
    guint8 record[TLS_RECORD_BYTES];

    connection->half_sent = FALSE;
    connection->rewrite = FALSE;
    while (connection->out.bytes > 0) {
        gsize len = sendqueue_copy(&connection->out, record, sizeof(record));
        gsize sent = 0;
        TlsOutcome outcome =
            tls_stream_write(connection->tls, record, len, &sent);

        if (outcome != TLS_DONE) {
            connection->half_sent = TRUE;
            connection->rewrite = outcome == TLS_WANTS_READ;
            return outcome == TLS_WANTS_WRITE || outcome == TLS_WANTS_READ;
        }
        sendqueue_drain(&connection->out, sent);
    }
    return TRUE;
}

/* Gives the kernel what it takes. FALSE: the peer has gone. */
static gboolean
send_output(Connection *connection)
{
    struct iovec pieces[SEND_PIECES_MAX];
    const Worker *worker = connection->worker;
    SendRoom room = {worker->room, WORKER_ROOM_BYTES};

    if (connection->tls != NULL) {
        return send_records(connection);
    }
    while (connection->out.bytes > 0) {
        struct msghdr header = {.msg_iov = pieces};
        gssize sent;

        header.msg_iovlen =
            sendqueue_peek(&connection->out, room, pieces, SEND_PIECES_MAX);
        sent = sendmsg(connection->fd, &header, MSG_NOSIGNAL);
        if (sent < 0) {
            return errno == EAGAIN || errno == EINTR;
        }
        sendqueue_drain(&connection->out, (gsize)sent);
    }
    return TRUE;
}

void
connection_send(Connection *connection)
{
    connection_set_ready(connection, FALSE);
    connection->blocked = FALSE;
    if (!send_output(connection)) {
        connection_close_failed(connection);
        return;
    }
    connection_count(connection);
    if (connection_is_unfair(connection, answer_bytes(connection))) {
        connection_reset_for(connection,
                             "too many bytes of unread answers in all");
        return;
    }
    if (connection->out.bytes == 0) {
        connection_set_sending(connection, FALSE);
    } else if (!connection->rewrite) {
        connection->blocked = TRUE;
        event_add(connection->writable, &connection->worker->stall);
    }
    release_held(connection);
    if (connection->reread && !connection->half_sent) {
        connection_read_record(connection);
    } else {
        connection_advance(connection, (WireBytes){NULL, 0});
    }
}

void
connection_hurry(Connection *connection)
{
    if (connection->ready) {
        connection_send(connection);
    }
}

void
connection_on_writable(evutil_socket_t fd, short what, void *user_data)
{
    Connection *connection = user_data;

    (void)fd;
    if ((what & EV_TIMEOUT) != 0) {
        connection->worker->counters->stalled++;
        connection_reset_for(connection, "answers not read in time");
    } else if (connection->shaking) {
        connection_shake(connection);
    } else {
        connection_send(connection);
    }
}
