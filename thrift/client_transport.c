/*
 * client_transport.c - whole frames over a socket, for c_glib
 *
 * A generated client writes a message piece by piece into @out, then flushes:
 * the frame goes out at once, with its length in front. To read, the protocol
 * asks for the next frame when a message begins; every piece is then copied
 * from memory, in linear time, and a read past the frame's end is an error.
 * Several messages may be sent before the first is received.
 *
 * Each frame sent or received has a deadline of its own, or a whole call has
 * one. After any failure of the socket, or a frame that is not what it should
 * be, the two sides no longer agree on what comes next, so the socket is
 * closed. Then every later call fails at once, or, where there is a way to
 * connect anew, the next one that is sent does so; an answer that was awaited
 * when the socket was lost is told as lost, and never mistaken for another's.
 * A socket that the peer has closed between two calls is found out before the
 * next is sent. A message given up half-written, or half-read by a decoder
 * that did not like it, costs that message only.
 *
 * With TLS the same loops run over a TlsStream in place of the socket. Which
 * direction of the socket is then waited for is for TLS to say.
 */
#include "thrift/client_transport.h"

#include "ops/kit/ensure.h"
#include "ops/kit/error.h"
#include "thrift/frame.h"
#include "thrift/limits.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PREFIX_BYTES sizeof(guint32)

struct _ClientTransport {
    ThriftTransport parent_instance;
    int fd;                  /* -1 once closed */
    TlsStream *tls;          /* owned; NULL: plain text, or closed */
    guint timeout_ms;        /* per frame, or where by_call per call */
    gboolean by_call;        /* timeout_ms is of a whole call */
    gint64 call_deadline_us; /* of the message begun last, where by_call */
    ClientReopen reopen;     /* NULL: what is closed stays closed */
    gpointer reopen_data;    /* for it */
    guint awaited;           /* answers, on the socket that is open */
    guint lost;              /* answers, with a socket, that are asked for */
    guint64 answers;         /* received, ever */
    GByteArray *out;         /* room for the prefix, then what was written */
    GByteArray *in;          /* the frame that is read */
    gsize in_at;             /* read so far */
};

G_DEFINE_TYPE(ClientTransport, client_transport, THRIFT_TYPE_TRANSPORT)

/* ---- the socket ---- */

static void
close_socket(ClientTransport *self)
{
    g_clear_pointer(&self->tls, tls_stream_free);
    if (self->fd >= 0) {
        close(self->fd);
        self->fd = -1;
    }
    self->lost += self->awaited;
    self->awaited = 0;
}

/* Closes, sets *error, and is FALSE. */
static gboolean
give_up(ClientTransport *self, CombError code, const char *why, GError **error)
{
    close_socket(self);
    g_set_error_literal(error, COMB_ERROR, (gint)code, why);
    return FALSE;
}

static gint64
frame_deadline(const ClientTransport *self)
{
    if (self->by_call) {
        return self->call_deadline_us;
    }
    return g_get_monotonic_time() + (gint64)self->timeout_ms * 1000;
}

/* Waits until the socket can be read or written, or @deadline_us. */
static gboolean
wait_for(ClientTransport *self, short events, gint64 deadline_us,
         GError **error)
{
    struct pollfd waiting = {.fd = self->fd, .events = events};
    gint64 left_ms = (deadline_us - g_get_monotonic_time() + 999) / 1000;
    int ready;

    if (left_ms <= 0) {
        return give_up(self, COMB_ERROR_IO, "timed out", error);
    }
    ready = poll(&waiting, 1, (int)MIN(left_ms, G_MAXINT));
    if (ready < 0 && errno != EINTR) {
        return give_up(self, COMB_ERROR_IO, g_strerror(errno), error);
    }
    return TRUE;
}

/* What TLS has not done yet: waits for it, or gives up. */
static gboolean
wait_for_tls(ClientTransport *self, TlsOutcome outcome, gint64 deadline_us,
             GError **error)
{
    g_autofree char *why = NULL;

    switch (outcome) {
    case TLS_DONE:
        return TRUE;
    case TLS_WANTS_READ:
        return wait_for(self, POLLIN, deadline_us, error);
    case TLS_WANTS_WRITE:
        return wait_for(self, POLLOUT, deadline_us, error);
    case TLS_ENDED:
        return give_up(self, COMB_ERROR_IO, "the peer has closed", error);
    case TLS_CUT:
        return give_up(self, COMB_ERROR_IO, tls_stream_why(self->tls), error);
    case TLS_BROKEN:
        break;
    }
    why = g_strdup_printf("TLS: %s", tls_stream_why(self->tls));
    return give_up(self, COMB_ERROR_IO, why, error);
}

static gboolean
send_all_tls(ClientTransport *self, const guint8 *data, gsize len,
             GError **error)
{
    gint64 deadline_us = frame_deadline(self);

    while (len > 0) {
        gsize sent = 0;
        TlsOutcome outcome = tls_stream_write(self->tls, data, len, &sent);

        if (!wait_for_tls(self, outcome, deadline_us, error)) {
            return FALSE;
        }
        data += sent;
        len -= sent;
    }
    return TRUE;
}

static gboolean
receive_all_tls(ClientTransport *self, guint8 *data, gsize len,
                gint64 deadline_us, GError **error)
{
    while (len > 0) {
        gsize got = 0;
        TlsOutcome outcome = tls_stream_read(self->tls, data, len, &got);

        if (!wait_for_tls(self, outcome, deadline_us, error)) {
            return FALSE;
        }
        data += got;
        len -= got;
    }
    return TRUE;
}

gboolean
client_transport_shake(ClientTransport *self, TlsStream *stream, GError **error)
{
    gint64 deadline_us = frame_deadline(self);
    TlsOutcome outcome;

    self->tls = stream;
    do {
        outcome = tls_stream_shake(stream);
        if (!wait_for_tls(self, outcome, deadline_us, error)) {
            return FALSE;
        }
    } while (outcome != TLS_DONE);
    return TRUE;
}

static gboolean
send_all(ClientTransport *self, const guint8 *data, gsize len, GError **error)
{
    gint64 deadline_us = frame_deadline(self);

    if (self->tls != NULL) {
        return send_all_tls(self, data, len, error);
    }
    while (len > 0) {
        gssize sent = send(self->fd, data, len, MSG_NOSIGNAL);

        if (sent >= 0) {
            data += sent;
            len -= (gsize)sent;
        } else if (errno != EAGAIN && errno != EINTR) {
            return give_up(self, COMB_ERROR_IO, g_strerror(errno), error);
        } else if (!wait_for(self, POLLOUT, deadline_us, error)) {
            return FALSE;
        }
    }
    return TRUE;
}

static gboolean
receive_all(ClientTransport *self, guint8 *data, gsize len, gint64 deadline_us,
            GError **error)
{
    if (self->tls != NULL) {
        return receive_all_tls(self, data, len, deadline_us, error);
    }
    while (len > 0) {
        gssize got = recv(self->fd, data, len, 0);

        if (got > 0) {
            data += got;
            len -= (gsize)got;
        } else if (got == 0) {
            return give_up(self, COMB_ERROR_IO, "the peer has closed", error);
        } else if (errno != EAGAIN && errno != EINTR) {
            return give_up(self, COMB_ERROR_IO, g_strerror(errno), error);
        } else if (!wait_for(self, POLLIN, deadline_us, error)) {
            return FALSE;
        }
    }
    return TRUE;
}

static gboolean
check_open(const ClientTransport *self, GError **error)
{
    if (self->fd < 0) {
        g_set_error_literal(error, COMB_ERROR, COMB_ERROR_IO,
                            "the connection is closed");
        return FALSE;
    }
    return TRUE;
}

/* ---- connecting anew ---- */

/* Whether the peer has hung up, or says what nobody has asked for, between two
   calls. TLS may say things of its own. */
static gboolean
is_stale(const ClientTransport *self)
{
    struct pollfd now = {.fd = self->fd, .events = POLLIN | POLLRDHUP};

    if (self->awaited > 0 || poll(&now, 1, 0) <= 0) {
        return FALSE;
    }
    return self->tls == NULL ||
           (now.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
}

static gboolean
make_open(ClientTransport *self, GError **error)
{
    if (self->reopen == NULL) {
        return check_open(self, error);
    }
    if (self->lost > 0) {
        g_set_error_literal(error, COMB_ERROR, COMB_ERROR_IO,
                            "answers were lost with the connection; receive "
                            "them first");
        return FALSE;
    }
    if (self->fd >= 0 && is_stale(self)) {
        close_socket(self);
    }
    return self->fd >= 0 || self->reopen(self->reopen_data, error);
}

/* ---- frames ---- */

static void
forget_out(ClientTransport *self)
{
    g_byte_array_set_size(self->out, PREFIX_BYTES);
}

void
client_transport_begin(ClientTransport *self)
{
    forget_out(self);
    self->call_deadline_us =
        g_get_monotonic_time() + (gint64)self->timeout_ms * 1000;
}

static gboolean
check_reply(ClientTransport *self, GError **error)
{
    Frame frame;

    if (frame_scan(self->in->data, self->in->len, &frame) != FRAME_OK ||
        frame.kind == FRAME_CALL) {
        return give_up(self, COMB_ERROR_CORRUPT,
                       "the answer is no well-formed Thrift reply", error);
    }
    return TRUE;
}

gboolean
client_transport_receive(ClientTransport *self, GError **error)
{
    gint64 deadline_us = frame_deadline(self);
    guint32 len;

    self->in_at = 0;
    g_byte_array_set_size(self->in, 0);
    if (self->lost > 0) {
        self->lost--;
        g_set_error_literal(error, COMB_ERROR, COMB_ERROR_IO,
                            "the answer was lost with the connection");
        return FALSE;
    }
    if (self->awaited > 0) {
        self->awaited--;
    }
    if (!check_open(self, error) ||
        !receive_all(self, (guint8 *)&len, sizeof(len), deadline_us, error)) {
        return FALSE;
    }
    len = GUINT32_FROM_BE(len);
    if (len > FRAME_BYTES_MAX) {
        return give_up(self, COMB_ERROR_CORRUPT,
                       "the answer's frame is longer than the limit", error);
    }
    g_byte_array_set_size(self->in, len);
    if (!receive_all(self, self->in->data, len, deadline_us, error) ||
        !check_reply(self, error)) {
        return FALSE;
    }
    self->answers++;
    return TRUE;
}

WireBytes
client_transport_rest(const ClientTransport *self)
{
    return (WireBytes){self->in->data + self->in_at,
                       self->in->len - self->in_at};
}

/* ---- ThriftTransport ---- */

static gboolean
transport_is_open(ThriftTransport *transport)
{
    return CLIENT_TRANSPORT(transport)->fd >= 0;
}

static gboolean
transport_peek(ThriftTransport *transport, GError **error)
{
    return check_open(CLIENT_TRANSPORT(transport), error);
}

static gboolean
transport_open(ThriftTransport *transport, GError **error)
{
    return check_open(CLIENT_TRANSPORT(transport), error);
}

static gboolean
transport_close(ThriftTransport *transport, GError **error)
{
    (void)error;
    close_socket(CLIENT_TRANSPORT(transport));
    return TRUE;
}

static gboolean
transport_end(ThriftTransport *transport, GError **error)
{
    (void)transport;
    (void)error;
    return TRUE;
}

/* c_glib asks before it allocates: what is announced must be there. */
static gboolean
transport_check_available(ThriftTransport *transport, glong bytes,
                          GError **error)
{
    const ClientTransport *self = CLIENT_TRANSPORT(transport);

    if (bytes < 0 || (gsize)bytes > self->in->len - self->in_at) {
        g_set_error_literal(error, COMB_ERROR, COMB_ERROR_CORRUPT,
                            "the answer ends too early");
        return FALSE;
    }
    return TRUE;
}

static gint32
transport_read(ThriftTransport *transport, gpointer buf, guint32 len,
               GError **error)
{
    ClientTransport *self = CLIENT_TRANSPORT(transport);

    if (!transport_check_available(transport, (glong)len, error)) {
        return -1;
    }
    memcpy(buf, self->in->data + self->in_at, len);
    self->in_at += len;
    return (gint32)len;
}

static gboolean
transport_write(ThriftTransport *transport, const gpointer buf,
                const guint32 len, GError **error)
{
    ClientTransport *self = CLIENT_TRANSPORT(transport);

    if (len > FRAME_BYTES_MAX + PREFIX_BYTES - self->out->len) {
        g_set_error_literal(error, COMB_ERROR, COMB_ERROR_INPUT,
                            "the call is longer than a frame may be");
        return FALSE;
    }
    g_byte_array_append(self->out, buf, len);
    return TRUE;
}

static gboolean
transport_flush(ThriftTransport *transport, GError **error)
{
    ClientTransport *self = CLIENT_TRANSPORT(transport);
    guint32 prefix = GUINT32_TO_BE(self->out->len - (guint32)PREFIX_BYTES);
    gboolean sent;

    memcpy(self->out->data, &prefix, sizeof(prefix));
    sent = make_open(self, error) &&
           send_all(self, self->out->data, self->out->len, error);
    forget_out(self);
    self->awaited += sent ? 1 : 0;
    return sent;
}

/* The bookkeeping of c_glib's own transports: ours is the frame's end. */
static gboolean
transport_ignore_size(ThriftTransport *transport, glong size, GError **error)
{
    (void)transport;
    (void)size;
    (void)error;
    return TRUE;
}

static void
transport_finalize(GObject *object)
{
    ClientTransport *self = CLIENT_TRANSPORT(object);

    close_socket(self);
    g_byte_array_unref(self->out);
    g_byte_array_unref(self->in);
    G_OBJECT_CLASS(client_transport_parent_class)->finalize(object);
}

static void
client_transport_class_init(ClientTransportClass *class)
{
    ThriftTransportClass *transport = THRIFT_TRANSPORT_CLASS(class);

    G_OBJECT_CLASS(class)->finalize = transport_finalize;
    transport->is_open = transport_is_open;
    transport->peek = transport_peek;
    transport->open = transport_open;
    transport->close = transport_close;
    transport->read = transport_read;
    transport->read_all = transport_read;
    transport->read_end = transport_end;
    transport->write = transport_write;
    transport->write_end = transport_end;
    transport->flush = transport_flush;
    transport->checkReadBytesAvailable = transport_check_available;
    transport->updateKnownMessageSize = transport_ignore_size;
    transport->resetConsumedMessageSize = transport_ignore_size;
    transport->countConsumedMessageBytes = transport_ignore_size;
}

static void
client_transport_init(ClientTransport *self)
{
    self->fd = -1;
    self->out = g_byte_array_new();
    self->in = g_byte_array_new();
    forget_out(self);
}

ClientTransport *
client_transport_new(int fd, guint timeout_ms)
{
    ClientTransport *self = g_object_new(client_transport_get_type(), NULL);

    self->fd = fd;
    self->timeout_ms = timeout_ms;
    return self;
}

void
client_transport_adopt(ClientTransport *self, int fd)
{
    ensure(self->fd < 0);
    self->fd = fd;
}

void
client_transport_set_reopen(ClientTransport *self, ClientReopen reopen,
                            gpointer user_data)
{
    self->reopen = reopen;
    self->reopen_data = user_data;
}

void
client_transport_set_call_ms(ClientTransport *self, guint call_ms)
{
    self->timeout_ms = call_ms;
    self->by_call = TRUE;
}

gint64
client_transport_deadline_us(const ClientTransport *self)
{
    return frame_deadline(self);
}

guint64
client_transport_answers(const ClientTransport *self)
{
    return self->answers;
}
