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
 * Nor is a call served while so many bytes wait.
 *
 * What all connections hold is counted: thousands of peers that each begin a
 * frame of 16 MiB, or leave an answer unread, each within their own bounds, are
 * too many together. Beyond held_bytes_max whoever has a large share unfinished
 * is closed; small calls pass, and are not even counted.
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
#include "thrift/callstats.h"
#include "thrift/recvbuf.h"
#include "thrift/sendqueue.h"
#include "thrift/tls_stream.h"
#include "thrift/worker.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define PREFIX_BYTES sizeof(guint32)
#define READ_BYTES_MIN ((gsize)16 << 10)
#define READ_BYTES_MAX ((gsize)256 << 10)
#define SEND_PIECES_MAX 64
/* Smaller calls are not worth counting, as there are in_flight_max at most. */
#define LARGE_CALL_BYTES ((gsize)4 << 10)

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
    gsize held;                  /* bytes that are counted as held */
    TlsStream *tls;              /* NULL: plain text */
    gboolean shaking;            /* its handshake is not over */
    gboolean half_sent;          /* a record is: TLS must not read */
    gboolean reread;             /* TLS reads on once it can write */
    gboolean rewrite;            /* TLS writes on once it can read */
    TAILQ_ENTRY(Connection) in_worker; /* worker->connections */
    TAILQ_ENTRY(Connection) in_ready;  /* worker->ready */
};

/* A call's part in @large. */
static gsize
large_bytes(const Request *request)
{
    return request->len > LARGE_CALL_BYTES ? request->len : 0;
}

/* Counts what it holds, or does not hold any more. */
static void
count_held(Connection *connection)
{
    gsize held =
        connection->in.size + connection->out.bytes + connection->large;

    if (held != connection->held) {
        connection->worker->counters->held_bytes +=
            (gint64)held - (gint64)connection->held;
        connection->held = held;
    }
}

/* Whether @len bytes of one connection are too many, as others' are. */
static gboolean
is_unfair(const Connection *connection, gsize len)
{
    const Worker *worker = connection->worker;

    return len > SERVER_FAIR_BYTES &&
           worker->counters->held_bytes > worker->options->held_bytes_max;
}

/* Takes it off its connection's open calls. */
static void
take_off(Request *request)
{
    Connection *connection = request->connection;

    if (request->stage == CALL_WAITING) {
        callqueue_remove(&connection->worker->queue, request);
    }
    connection->n_held -= request->stage == CALL_HELD ? 1 : 0;
    TAILQ_REMOVE(&connection->calls, request, in_order);
    connection->n_calls--;
    connection->large -= large_bytes(request);
    connection->worker->busy--;
}

/* Takes it off its connection and frees it. */
static void
end_call(Request *request)
{
    take_off(request);
    request_free(request);
}

/* ---- closing ---- */

static void
free_if_over(Connection *connection)
{
    count_held(connection);
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

static void
set_ready(Connection *connection, gboolean ready)
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

/* May free the connection. Only calls that are being served stay. */
static void
connection_close(Connection *connection)
{
    Request *request, *next;

    event_free(connection->readable);
    event_free(connection->writable);
    event_free(connection->stall);
    recvbuf_drop(&connection->in, recvbuf_bytes(&connection->in).len);
    sendqueue_clear(&connection->out);
    set_ready(connection, FALSE);
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

/* Of a peer that does not read: what the kernel holds for it goes, too. */
static void
reset_for(Connection *connection, const char *reason)
{
    const struct linger none = {.l_onoff = 1, .l_linger = 0};

    setsockopt(connection->fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
    close_for(connection, reason);
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
    if (connection->fd < 0) {
        end_call(request);
        free_if_over(connection);
        return;
    }
    while ((first = TAILQ_FIRST(&connection->calls)) != NULL &&
           first->stage == CALL_ANSWERED) {
        take_off(first);
        set_sending(connection, TRUE);
        sendqueue_put(&connection->out, first);
    }
    if (connection->sending && !connection->blocked && !connection->reread) {
        set_ready(connection, TRUE);
        worker_wake_send(connection->worker);
    }
}

/* ---- calls ---- */

/* Takes @message. NULL, or why it closes the connection. */
static const char *
take_call(Connection *connection, WireBytes message)
{
    const char *fault = NULL;
    Request *request = request_new(connection, message, &fault);

    if (request == NULL) {
        return fault;
    }
    TAILQ_INSERT_TAIL(&connection->calls, request, in_order);
    connection->n_calls++;
    connection->large += large_bytes(request);
    connection->worker->busy++;
    request_begin(request, connection->worker);
    return NULL;
}

/* The length of the frame that begins @bytes; FALSE: its prefix is not there.
 */
static gboolean
peek_length(WireBytes bytes, gsize *ret_len)
{
    guint32 prefix;

    if (bytes.len < PREFIX_BYTES) {
        return FALSE;
    }
    memcpy(&prefix, bytes.data, PREFIX_BYTES);
    *ret_len = GUINT32_FROM_BE(prefix);
    return TRUE;
}

static gboolean
may_read(const Connection *connection)
{
    const Worker *worker = connection->worker;

    return !connection->ended && !worker->draining && !connection->half_sent &&
           connection->n_calls < worker->options->in_flight_max &&
           connection->out.bytes < SERVER_OUTPUT_BYTES_MAX;
}

/* Whether a frame has begun to arrive. */
static gboolean
is_midway(const Connection *connection)
{
    return connection->in.data != NULL ||
           (connection->tls != NULL && tls_stream_is_midway(connection->tls));
}

static void
set_reading(Connection *connection, gboolean reading)
{
    if (connection->reading == reading) {
        return;
    }
    connection->reading = reading;
    if (reading) {
        event_add(connection->readable, NULL);
    } else {
        event_del(connection->readable);
    }
}

/* Waits for more bytes, or not; a frame once begun has its time. */
static void
watch(Connection *connection, gboolean new_frame)
{
    gboolean reading = may_read(connection);
    gboolean stalling =
        connection->rewrite || (reading && is_midway(connection));

    set_reading(connection, reading || connection->rewrite);
    if (stalling && (new_frame || !connection->stalling)) {
        event_add(connection->stall, &connection->worker->stall);
    } else if (!stalling && connection->stalling) {
        event_del(connection->stall);
    }
    connection->stalling = stalling;
}

gboolean
connection_serves(Request *request)
{
    Connection *connection = request->connection;

    if (connection->out.bytes < SERVER_OUTPUT_BYTES_MAX) {
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
        if (request->stage == CALL_HELD) {
            callqueue_put(&worker->queue, request->lane, request, now_ns);
        }
    }
    connection->n_held = 0;
    worker_wake_turn(worker);
}

/* Takes calls from @bytes, as far as bounds allow; how many bytes of them.
 *ret_fault: what is wrong with those that follow. */
static gsize
take_calls(Connection *connection, WireBytes bytes, const char **ret_fault)
{
    WireBytes left = bytes;
    gsize len;

    while (*ret_fault == NULL && may_read(connection) &&
           peek_length(left, &len)) {
        if (len > connection->worker->options->frame_bytes_max) {
            *ret_fault = "frame longer than the limit, or not framed Thrift";
            break;
        }
        if (left.len < PREFIX_BYTES + len) {
            break;
        }
        *ret_fault =
            take_call(connection, (WireBytes){left.data + PREFIX_BYTES, len});
        left.data += PREFIX_BYTES + len;
        left.len -= PREFIX_BYTES + len;
    }
    return bytes.len - left.len;
}

/*
 * Takes in what has arrived, as far as bounds allow: what is kept in @in, or
 * @fresh where nothing is, of which it keeps the rest. May free the connection.
 */
static void
advance(Connection *connection, WireBytes fresh)
{
    RecvBuf *in = &connection->in;
    const char *fault = NULL;
    gsize taken;

    if (in->data != NULL) {
        taken = take_calls(connection, recvbuf_bytes(in), &fault);
        recvbuf_drop(in, taken);
    } else {
        taken = take_calls(connection, fresh, &fault);
        if (taken < fresh.len) {
            gsize rest = fresh.len - taken;

            memcpy(recvbuf_space(in, rest), fresh.data + taken, rest);
            recvbuf_added(in, rest);
        }
    }
    count_held(connection);
    if (fault != NULL) {
        connection->worker->counters->bad_frames++;
        close_for(connection, fault);
    } else if (connection->ended && connection->n_calls == 0 &&
               !connection->sending) {
        connection_close(connection);
    } else if (is_unfair(connection, recvbuf_bytes(in).len)) {
        close_for(connection, "too many bytes of unfinished frames in all");
    } else {
        watch(connection, taken > 0);
    }
}

/* ---- events ---- */

/* Where the next bytes go: behind those of an unfinished frame, more of a long
   one at once; else the worker's room, so that idle peers need none. */
static guint8 *
receive_room(Connection *connection, gsize *ret_len)
{
    WireBytes have = recvbuf_bytes(&connection->in);
    gsize want = 0;

    if (have.len == 0) {
        *ret_len = WORKER_ROOM_BYTES;
        return connection->worker->room;
    }
    if (peek_length(have, &want)) {
        want = want + PREFIX_BYTES - MIN(have.len, want);
    }
    *ret_len = CLAMP(want, READ_BYTES_MIN, READ_BYTES_MAX);
    return recvbuf_space(&connection->in, *ret_len);
}

/* @len bytes came to the room. May free the connection. */
static void
received(Connection *connection, const guint8 *room, gsize len)
{
    WireBytes fresh = {room, len};

    if (connection->in.data != NULL) {
        recvbuf_added(&connection->in, len);
        fresh.len = 0;
    }
    advance(connection, fresh);
}

/* May free the connection. */
static void
read_record(Connection *connection)
{
    gsize len, got = 0;
    guint8 *room = receive_room(connection, &len);
    /* A read takes no more than has come: an end that follows it is seen after
       its calls have been taken. */
    TlsOutcome outcome = tls_stream_read(connection->tls, room, len, &got);

    if (outcome == TLS_CUT || outcome == TLS_BROKEN) {
        close_failed(connection);
        return;
    }
    connection->ended = outcome == TLS_ENDED;
    connection->reread = outcome == TLS_WANTS_WRITE;
    if (connection->reread) {
        event_add(connection->writable, &connection->worker->stall);
    }
    received(connection, room, got);
}

/* Gets on with the handshake. May free the connection. */
static void
shake(Connection *connection)
{
    switch (tls_stream_shake(connection->tls)) {
    case TLS_DONE:
        connection->shaking = FALSE;
        event_del(connection->writable);
        advance(connection, (WireBytes){NULL, 0});
        break;
    case TLS_WANTS_READ:
        event_del(connection->writable);
        set_reading(connection, TRUE);
        break;
    case TLS_WANTS_WRITE:
        set_reading(connection, FALSE);
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
    guint8 *room;
    gsize len;
    gssize got;

    (void)fd;
    (void)what;
    if (read_tls(connection)) {
        return;
    }
    room = receive_room(connection, &len);
    got = recv(connection->fd, room, len, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (got < 0) {
        connection_close(connection);
        return;
    }
    connection->ended = got == 0;
    received(connection, room, (gsize)got);
}

void
connection_send(Connection *connection)
{
    set_ready(connection, FALSE);
    connection->blocked = FALSE;
    if (!send_output(connection)) {
        close_failed(connection);
        return;
    }
    count_held(connection);
    if (is_unfair(connection, connection->out.bytes)) {
        reset_for(connection, "too many bytes of unread answers in all");
        return;
    }
    if (connection->out.bytes == 0) {
        set_sending(connection, FALSE);
    } else if (!connection->rewrite) {
        connection->blocked = TRUE;
        event_add(connection->writable, &connection->worker->stall);
    }
    release_held(connection);
    if (connection->reread && !connection->half_sent) {
        read_record(connection);
    } else {
        advance(connection, (WireBytes){NULL, 0});
    }
}

void
connection_hurry(Connection *connection)
{
    if (connection->ready) {
        connection_send(connection);
    }
}

static void
on_writable(evutil_socket_t fd, short what, void *user_data)
{
    Connection *connection = user_data;

    (void)fd;
    if ((what & EV_TIMEOUT) != 0) {
        connection->worker->counters->stalled++;
        reset_for(connection, "answers not read in time");
    } else if (connection->shaking) {
        shake(connection);
    } else {
        connection_send(connection);
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
    sendqueue_init(&connection->out);
    connection->readable = event_new(worker->base, fd, EV_READ | EV_PERSIST,
                                     on_readable, connection);
    connection->writable =
        event_new(worker->base, fd, EV_WRITE, on_writable, connection);
    connection->stall = event_new(worker->base, -1, 0, on_stall, connection);
    ensure(connection->readable != NULL && connection->writable != NULL);
    ensure(connection->stall != NULL);
    TAILQ_INIT(&connection->calls);
    TAILQ_INSERT_TAIL(&worker->connections, connection, in_worker);
    if (worker->options->tls != NULL) {
        connection->tls = tls_stream_new(worker->options->tls, fd, NULL);
        connection->shaking = TRUE;
        set_reading(connection, TRUE);
        connection->stalling = TRUE;
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
