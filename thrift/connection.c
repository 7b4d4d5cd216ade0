/*
 * connection.c - one peer of the server
 *
 * The life of a call: bytes arrive in @in; a whole frame is copied out into a
 * Request of its own, so that the handler may keep it; the frame is scanned.
 * The request waits in @calls, in order of arrival, and in its caller's lane
 * until its turn comes (callqueue.h): then the method is found and the handler
 * called. When it is answered, and every call before it, its reply moves to
 * @out by reference and goes to the kernel.
 *
 * All output is sent from the writable event, which an answer activates: the
 * answers of one round of the loop leave in one system call, and nothing is
 * closed or read on under a handler's feet. The same event, having sent,
 * looks at @in again, for bytes that a bound had held back.
 *
 * Bounds: a connection is not read while it has in_flight_max calls open,
 * while SERVER_OUTPUT_BYTES_MAX of answers wait, or while the server drains.
 * Nor is a call served while so many bytes wait.
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
#include "thrift/tls_stream.h"
#include "thrift/worker.h"

#include <errno.h>
#include <event2/buffer.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define PREFIX_BYTES sizeof(guint32)
#define READ_BYTES_MIN ((gsize)16 << 10)
#define READ_BYTES_MAX ((gsize)256 << 10)
#define SEND_PIECES_MAX 64

struct Connection {
    Worker *worker;              /* whose thread serves it */
    int fd;                      /* -1: closed, its last calls are open */
    struct evbuffer *in;         /* received, not yet a request */
    struct evbuffer *out;        /* answers the kernel has not taken */
    struct event *readable;      /* pending while calls may come */
    struct event *writable;      /* pending or active while @out has bytes */
    struct event *stall;         /* pending while a frame is unfinished */
    TAILQ_HEAD(, Request) calls; /* oldest first */
    guint n_calls;               /* in @calls */
    guint n_held;                /* of them */
    gboolean ended;              /* the peer has finished sending */
    gboolean sending;            /* counted in worker->busy for @out */
    TlsStream *tls;              /* NULL: plain text */
    gboolean shaking;            /* its handshake is not over */
    gboolean half_sent;          /* a record is: TLS must not read */
    gboolean reread;             /* TLS reads on once it can write */
    gboolean rewrite;            /* TLS writes on once it can read */
    TAILQ_ENTRY(Connection) in_worker; /* worker->connections */
};

/* Takes it off its connection and frees it. */
static void
end_call(Request *request)
{
    Connection *connection = request->connection;

    if (request->stage == CALL_WAITING) {
        callqueue_remove(&connection->worker->queue, request);
    }
    connection->n_held -= request->stage == CALL_HELD ? 1 : 0;
    TAILQ_REMOVE(&connection->calls, request, in_order);
    connection->n_calls--;
    connection->worker->busy--;
    request_free(request);
}

/* ---- closing ---- */

static void
free_if_over(Connection *connection)
{
    if (connection->n_calls > 0) {
        return;
    }
    TAILQ_REMOVE(&connection->worker->connections, connection, in_worker);
    g_free(connection);
}

static void
set_sending(Connection *connection, gboolean sending)
{
    if (connection->sending != sending) {
        connection->sending = sending;
        connection->worker->busy += sending ? 1 : -1;
    }
}

/* May free the connection. Only calls that are being served stay. */
static void
connection_close(Connection *connection)
{
    Request *request, *next;

    event_free(connection->readable);
    event_free(connection->writable);
    event_free(connection->stall);
    evbuffer_free(connection->in);
    evbuffer_free(connection->out);
    g_clear_pointer(&connection->tls, tls_stream_free);
    close(connection->fd);
    connection->fd = -1;
    set_sending(connection, FALSE);
    connection->worker->counters->connections--;
    for (request = TAILQ_FIRST(&connection->calls); request != NULL;
         request = next) {
        next = TAILQ_NEXT(request, in_order);
        if (request->stage != CALL_SERVED) {
            end_call(request);
        }
    }
    free_if_over(connection);
}

static void
close_for(Connection *connection, const char *reason)
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

/* The peer has gone, which is not worth a word, or TLS has failed. */
static void
close_failed(Connection *connection)
{
    if (connection->tls != NULL && tls_stream_is_broken(connection->tls)) {
        connection->worker->counters->tls_faults++;
        close_for(connection, tls_stream_why(connection->tls));
    } else {
        connection_close(connection);
    }
}

/* ---- sending ---- */

/* The first bytes of @out, at most a record's; copied into @room where they
   are not in one piece. */
static const guint8 *
next_record(Connection *connection, guint8 *room, gsize *ret_len)
{
    gsize len = MIN(evbuffer_get_length(connection->out), TLS_RECORD_BYTES);
    struct evbuffer_iovec first = {0};

    *ret_len = len;
    evbuffer_peek(connection->out, (ev_ssize_t)len, NULL, &first, 1);
    if (first.iov_len >= len) {
        return first.iov_base;
    }
    evbuffer_copyout(connection->out, room, len);
    return room;
}

/* As send_output(). */
static gboolean
send_records(Connection *connection)
{
    guint8 room[TLS_RECORD_BYTES];

    connection->half_sent = FALSE;
    connection->rewrite = FALSE;
    while (evbuffer_get_length(connection->out) > 0) {
        gsize len, sent = 0;
        const guint8 *data = next_record(connection, room, &len);
        TlsOutcome outcome =
            tls_stream_write(connection->tls, data, len, &sent);

        if (outcome != TLS_DONE) {
            connection->half_sent = TRUE;
            connection->rewrite = outcome == TLS_WANTS_READ;
            return outcome == TLS_WANTS_WRITE || outcome == TLS_WANTS_READ;
        }
        evbuffer_drain(connection->out, sent);
    }
    return TRUE;
}

/* Gives the kernel what it takes. FALSE: the peer has gone. */
static gboolean
send_output(Connection *connection)
{
    struct evbuffer_iovec pieces[SEND_PIECES_MAX];

    if (connection->tls != NULL) {
        return send_records(connection);
    }

    while (evbuffer_get_length(connection->out) > 0) {
        int n =
            evbuffer_peek(connection->out, -1, NULL, pieces, SEND_PIECES_MAX);
        struct msghdr header = {.msg_iov = pieces,
                                .msg_iovlen = (gsize)MIN(n, SEND_PIECES_MAX)};
        gssize sent = sendmsg(connection->fd, &header, MSG_NOSIGNAL);

        if (sent < 0) {
            return errno == EAGAIN || errno == EINTR;
        }
        evbuffer_drain(connection->out, (gsize)sent);
    }
    return TRUE;
}

static void
free_reply(const void *data, size_t len, void *user_data)
{
    (void)data;
    (void)len;
    g_byte_array_unref(user_data);
}

/* Moves the reply to the output and frees the request. */
static void
put_reply(Connection *connection, Request *request)
{
    GByteArray *reply = g_steal_pointer(&request->reply);
    guint32 prefix = GUINT32_TO_BE(reply->len);

    set_sending(connection, TRUE);
    ensure(evbuffer_add(connection->out, &prefix, sizeof(prefix)) == 0);
    ensure(evbuffer_add_reference(connection->out, reply->data, reply->len,
                                  free_reply, reply) == 0);
    end_call(request);
}

void
connection_answered(Request *request)
{
    Connection *connection = request->connection;
    Request *first;

    request->stage = CALL_ANSWERED;
    if (connection->fd < 0) {
        end_call(request);
        free_if_over(connection);
        return;
    }
    while ((first = TAILQ_FIRST(&connection->calls)) != NULL &&
           first->stage == CALL_ANSWERED) {
        put_reply(connection, first);
    }
    if (connection->sending &&
        !event_pending(connection->writable, EV_WRITE, NULL)) {
        event_active(connection->writable, EV_WRITE, 0);
    }
}

/* ---- calls ---- */

/* Takes @bytes, a whole message. NULL, or why it closes the connection. */
static const char *
take_call(Connection *connection, GByteArray *bytes)
{
    const char *fault = NULL;
    Request *request = request_new(connection, bytes, &fault);

    if (request == NULL) {
        return fault;
    }
    TAILQ_INSERT_TAIL(&connection->calls, request, in_order);
    connection->n_calls++;
    connection->worker->busy++;
    request_begin(request, connection->worker);
    return NULL;
}

/* The length of the frame that begins @in; FALSE: its prefix is not there. */
static gboolean
peek_length(const Connection *connection, gsize *ret_len)
{
    guint32 prefix;

    if (evbuffer_copyout(connection->in, &prefix, PREFIX_BYTES) <
        (ev_ssize_t)PREFIX_BYTES) {
        return FALSE;
    }
    *ret_len = GUINT32_FROM_BE(prefix);
    return TRUE;
}

/* The next whole message, for the caller to own; NULL: none yet, or a fault. */
static GByteArray *
take_message(Connection *connection, const char **ret_fault)
{
    GByteArray *bytes;
    gsize len;

    if (!peek_length(connection, &len)) {
        return NULL;
    }
    if (len > connection->worker->options->frame_bytes_max) {
        *ret_fault = "frame longer than the limit, or not framed Thrift";
        return NULL;
    }
    if (evbuffer_get_length(connection->in) < PREFIX_BYTES + len) {
        return NULL;
    }
    bytes = g_byte_array_sized_new((guint)len);
    g_byte_array_set_size(bytes, (guint)len);
    evbuffer_drain(connection->in, PREFIX_BYTES);
    evbuffer_remove(connection->in, bytes->data, len);
    return bytes;
}

static gboolean
may_read(const Connection *connection)
{
    const Worker *worker = connection->worker;

    return !connection->ended && !worker->draining && !connection->half_sent &&
           connection->n_calls < worker->options->in_flight_max &&
           evbuffer_get_length(connection->out) < SERVER_OUTPUT_BYTES_MAX;
}

/* Whether a frame has begun to arrive. */
static gboolean
is_midway(const Connection *connection)
{
    return evbuffer_get_length(connection->in) > 0 ||
           (connection->tls != NULL && tls_stream_is_midway(connection->tls));
}

/* Waits for more bytes, or not; a frame once begun has its time. */
static void
watch(Connection *connection, gboolean new_frame)
{
    gboolean reading = may_read(connection);

    if (reading || connection->rewrite) {
        event_add(connection->readable, NULL);
    } else {
        event_del(connection->readable);
    }
    if (!connection->rewrite && (!reading || !is_midway(connection))) {
        event_del(connection->stall);
    } else if (new_frame ||
               !event_pending(connection->stall, EV_TIMEOUT, NULL)) {
        event_add(connection->stall, &connection->worker->stall);
    }
}

gboolean
connection_serves(Request *request)
{
    Connection *connection = request->connection;

    if (evbuffer_get_length(connection->out) < SERVER_OUTPUT_BYTES_MAX) {
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
        evbuffer_get_length(connection->out) >= SERVER_OUTPUT_BYTES_MAX) {
        return;
    }
    now_ns = callqueue_now();
    TAILQ_FOREACH(request, &connection->calls, in_order)
    {
        if (request->stage == CALL_HELD) {
            callqueue_put(&worker->queue, request->lane, request, now_ns);
        }
    }
    connection->n_held = 0;
    worker_wake_turn(worker);
}

/* Takes in what has arrived, as far as bounds allow. May free the connection.
 */
static void
advance(Connection *connection)
{
    const char *fault = NULL;
    gboolean taken = FALSE;
    GByteArray *message;

    while (fault == NULL && may_read(connection) &&
           (message = take_message(connection, &fault)) != NULL) {
        fault = take_call(connection, message);
        taken = TRUE;
    }
    if (fault != NULL) {
        connection->worker->counters->bad_frames++;
        close_for(connection, fault);
    } else if (connection->ended && connection->n_calls == 0 &&
               !connection->sending) {
        connection_close(connection);
    } else {
        watch(connection, taken);
    }
}

/* ---- events ---- */

/* Like read(2). A long frame is read in larger pieces. */
static gssize
receive(Connection *connection)
{
    struct evbuffer_iovec room[2];
    gsize want = 0;
    gssize got;
    int n;

    if (peek_length(connection, &want)) {
        want = want + PREFIX_BYTES - evbuffer_get_length(connection->in);
    }
    want = CLAMP(want, READ_BYTES_MIN, READ_BYTES_MAX);
    n = evbuffer_reserve_space(connection->in, (ev_ssize_t)want, room, 2);
    ensure(n > 0);
    got = readv(connection->fd, room, n);
    if (got <= 0) {
        return got;
    }
    room[0].iov_len = MIN(room[0].iov_len, (gsize)got);
    if (n == 2) {
        room[1].iov_len = (gsize)got - room[0].iov_len;
    }
    ensure(evbuffer_commit_space(connection->in, room, n) == 0);
    return got;
}

/* One record, as a read takes no more than has come: an end that follows it
   is seen after its calls have been taken. */
static TlsOutcome
receive_record(Connection *connection)
{
    struct evbuffer_iovec room;
    TlsOutcome outcome;
    int n = evbuffer_reserve_space(connection->in, (ev_ssize_t)TLS_RECORD_BYTES,
                                   &room, 1);

    ensure(n == 1);
    outcome = tls_stream_read(connection->tls, room.iov_base, room.iov_len,
                              &room.iov_len);
    ensure(evbuffer_commit_space(connection->in, &room, 1) == 0);
    return outcome;
}

/* May free the connection. */
static void
read_record(Connection *connection)
{
    TlsOutcome outcome = receive_record(connection);

    if (outcome == TLS_CUT || outcome == TLS_BROKEN) {
        close_failed(connection);
        return;
    }
    connection->ended = outcome == TLS_ENDED;
    connection->reread = outcome == TLS_WANTS_WRITE;
    if (connection->reread) {
        event_add(connection->writable, &connection->worker->stall);
    }
    advance(connection);
}

/* Gets on with the handshake. May free the connection. */
static void
shake(Connection *connection)
{
    switch (tls_stream_shake(connection->tls)) {
    case TLS_DONE:
        connection->shaking = FALSE;
        event_del(connection->writable);
        advance(connection);
        break;
    case TLS_WANTS_READ:
        event_del(connection->writable);
        event_add(connection->readable, NULL);
        break;
    case TLS_WANTS_WRITE:
        event_del(connection->readable);
        event_add(connection->writable, NULL);
        break;
    case TLS_ENDED:
    case TLS_CUT:
    case TLS_BROKEN:
        close_failed(connection);
        break;
    }
}

/* TRUE: what there was to do, TLS has done. */
static gboolean
read_tls(Connection *connection)
{
    if (connection->tls == NULL) {
        return FALSE;
    }
    if (connection->shaking) {
        shake(connection);
    } else if (connection->rewrite) {
        event_active(connection->writable, EV_WRITE, 0);
    } else {
        read_record(connection);
    }
    return TRUE;
}

static void
on_readable(evutil_socket_t fd, short what, void *user_data)
{
    Connection *connection = user_data;
    gssize got;

    (void)fd;
    (void)what;
    if (read_tls(connection)) {
        return;
    }
    got = receive(connection);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (got < 0) {
        connection_close(connection);
        return;
    }
    connection->ended = got == 0;
    advance(connection);
}

static void
on_writable(evutil_socket_t fd, short what, void *user_data)
{
    Connection *connection = user_data;

    (void)fd;
    if ((what & EV_TIMEOUT) != 0) {
        connection->worker->counters->stalled++;
        close_for(connection, "answers not read in time");
        return;
    }
    if (connection->shaking) {
        shake(connection);
        return;
    }
    if (!send_output(connection)) {
        close_failed(connection);
        return;
    }
    if (evbuffer_get_length(connection->out) == 0) {
        set_sending(connection, FALSE);
    } else if (!connection->rewrite) {
        event_add(connection->writable, &connection->worker->stall);
    }
    release_held(connection);
    if (connection->reread && !connection->half_sent) {
        read_record(connection);
    } else {
        advance(connection);
    }
}

static void
on_stall(evutil_socket_t fd, short what, void *user_data)
{
    Connection *connection = user_data;

    (void)fd;
    (void)what;
    connection->worker->counters->stalled++;
    close_for(connection, connection->shaking ? "handshake not finished in time"
                                              : "frame not finished in time");
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
    connection->in = evbuffer_new();
    connection->out = evbuffer_new();
    connection->readable = event_new(worker->base, fd, EV_READ | EV_PERSIST,
                                     on_readable, connection);
    connection->writable =
        event_new(worker->base, fd, EV_WRITE, on_writable, connection);
    connection->stall = event_new(worker->base, -1, 0, on_stall, connection);
    ensure(connection->in != NULL && connection->out != NULL);
    ensure(connection->readable != NULL && connection->writable != NULL);
    ensure(connection->stall != NULL);
    TAILQ_INIT(&connection->calls);
    TAILQ_INSERT_TAIL(&worker->connections, connection, in_worker);
    if (worker->options->tls != NULL) {
        connection->tls = tls_stream_new(worker->options->tls, fd, NULL);
        connection->shaking = TRUE;
        event_add(connection->readable, NULL);
        event_add(connection->stall, &worker->stall);
    } else {
        watch(connection, FALSE);
    }
}

void
connection_quiet(Connection *connection)
{
    if (connection->fd >= 0) {
        watch(connection, FALSE);
    }
}

void
connection_free(Connection *connection)
{
    Request *request, *next;

    for (request = TAILQ_FIRST(&connection->calls); request != NULL;
         request = next) {
        next = TAILQ_NEXT(request, in_order);
        end_call(request);
    }
    if (connection->fd >= 0) {
        connection_close(connection);
    } else {
        free_if_over(connection);
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
