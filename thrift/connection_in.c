/*
 * connection_in.c - from bytes that arrive to calls
 *
 * One read takes what has come, into the worker's room, or behind the bytes of
 * an unfinished frame; whole frames in it become requests as far as bounds
 * allow. With TLS a read is a record.
 */
#include "thrift/connection_private.h"
#include "thrift/worker.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#define PREFIX_BYTES sizeof(guint32)
#define READ_BYTES_MIN ((gsize)16 << 10)
#define READ_BYTES_MAX ((gsize)256 << 10)

/* ---- what to wait for ---- */

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

void
connection_set_reading(Connection *connection, gboolean reading)
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

void
connection_watch(Connection *connection, gboolean new_frame)
{
    gboolean reading = may_read(connection);
    gboolean stalling =
        connection->rewrite || (reading && is_midway(connection));

    connection_set_reading(connection, reading || connection->rewrite);
    if (stalling && (new_frame || !connection->stalling)) {
        event_add(connection->stall, &connection->worker->stall);
    } else if (!stalling && connection->stalling) {
        event_del(connection->stall);
    }
    connection->stalling = stalling;
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
    connection_put_on(request);
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

void
connection_advance(Connection *connection, WireBytes fresh)
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
    connection_count(connection);
    if (fault != NULL) {
        connection->worker->counters->bad_frames++;
        connection_close_for(connection, fault);
    } else if (connection->ended && connection->n_calls == 0 &&
               !connection->sending) {
        connection_close(connection);
    } else if (connection_is_unfair(connection, recvbuf_bytes(in).len)) {
        connection_close_for(connection,
                             "too many bytes of unfinished frames in all");
    } else {
        connection_watch(connection, taken > 0);
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
    connection_advance(connection, fresh);
}

void
connection_read_record(Connection *connection)
{
    gsize len, got = 0;
    guint8 *room = receive_room(connection, &len);
    /* A read takes no more than has come: an end that follows it is seen after
       its calls have been taken. */
    TlsOutcome outcome = tls_stream_read(connection->tls, room, len, &got);

    if (outcome == TLS_CUT || outcome == TLS_BROKEN) {
        connection_close_failed(connection);
        return;
    }
    connection->ended = outcome == TLS_ENDED;
    connection->reread = outcome == TLS_WANTS_WRITE;
    if (connection->reread) {
        event_add(connection->writable, &connection->worker->stall);
    }
    received(connection, room, got);
}

void
connection_shake(Connection *connection)
{
    switch (tls_stream_shake(connection->tls)) {
    case TLS_DONE:
        connection->shaking = FALSE;
        event_del(connection->writable);
        connection_advance(connection, (WireBytes){NULL, 0});
        break;
    case TLS_WANTS_READ:
        event_del(connection->writable);
        connection_set_reading(connection, TRUE);
        break;
    case TLS_WANTS_WRITE:
        connection_set_reading(connection, FALSE);
        event_add(connection->writable, NULL);
        break;
    case TLS_ENDED:
    case TLS_CUT:
    case TLS_BROKEN:
        connection_close_failed(connection);
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
        connection_shake(connection);
    } else if (connection->rewrite) {
        event_active(connection->writable, EV_WRITE, 0);
    } else {
        connection_read_record(connection);
    }
    return TRUE;
}

void
connection_on_readable(evutil_socket_t fd, short what, void *user_data)
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
connection_on_stall(evutil_socket_t fd, short what, void *user_data)
{
    Connection *connection = user_data;

    (void)fd;
    (void)what;
    connection->worker->counters->stalled++;
    connection_close_for(connection, connection->shaking
                                         ? "handshake not finished in time"
                                         : "frame not finished in time");
}
