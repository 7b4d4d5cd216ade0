/*
 * Plain sockets below libevent's notice of readiness: answers are read into
 * one buffer and looked at where they lie. An evbuffer would cost a chain of
 * pieces and a copy to make each answer whole, which at 60,000 pages a second
 * is what the generator would then measure.
 */
#include "ops/combctl/bench_conn.h"

#include "ops/kit/ensure.h"
#include "ops/kit/error.h"
#include "thrift/limits.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define IN_BYTES (256 * 1024)
#define PREFIX_BYTES sizeof(gint32)
#define AGAIN_MS 100

typedef enum ConnState {
    CONN_DOWN,       /* waits to connect again */
    CONN_CONNECTING, /* the write event tells when it is done */
    CONN_UP,
} ConnState;

struct Conn {
    const ConnOptions *options; /* borrowed */
    ConnState state;
    int fd;                    /* -1 while down */
    struct event *read_event;  /* of this fd; NULL while down */
    struct event *write_event; /* added while output waits */
    struct event *again;       /* connects again */
    guint8 *in;                /* owned */
    gsize in_size;
    gsize in_len;    /* of it, bytes that are there */
    GByteArray *out; /* owned */
    gsize out_sent;  /* of it */
    gint32 seqid;    /* of the newest call */
    ConnCall *calls; /* a ring of options->depth; owned */
    guint first;     /* the oldest call's place in it */
    guint n;         /* calls under way */
};

gint64
clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (gint64)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* ---- breaking and coming back ---- */

static void
free_events(Conn *conn)
{
    g_clear_pointer(&conn->read_event, event_free);
    g_clear_pointer(&conn->write_event, event_free);
    if (conn->fd >= 0) {
        close(conn->fd);
        conn->fd = -1;
    }
}

static void
lose_calls(Conn *conn)
{
    const ConnEvents *events = &conn->options->events;
    for (; conn->n > 0; conn->n--) {
        events->lost(&conn->calls[conn->first], events->user_data);
        conn->first = (conn->first + 1) % conn->options->depth;
    }
}

static void
break_off(Conn *conn, const char *why)
{
    const ConnEvents *events = &conn->options->events;
    struct timeval wait = {.tv_usec = AGAIN_MS * 1000};
    free_events(conn);
    conn->state = CONN_DOWN;
    conn->in_len = 0;
    conn->out_sent = 0;
    g_byte_array_set_size(conn->out, 0);
    event_add(conn->again, &wait);
    lose_calls(conn);
    events->broke(why, events->user_data);
}

/* ---- reading ---- */

/* Room for the whole message that has begun, of @len bytes. */
static void
make_room(Conn *conn, gsize len)
{
    if (len > conn->in_size) {
        conn->in_size = len;
        conn->in = g_realloc(conn->in, len);
    }
}

/* One message; FALSE: the connection is of no more use. */
static gboolean
take_message(Conn *conn, WireBytes message)
{
    const ConnEvents *events = &conn->options->events;
    if (conn->n == 0) {
        return FALSE;
    }
    ConnCall call = conn->calls[conn->first];
    conn->first = (conn->first + 1) % conn->options->depth;
    conn->n--;
    return events->answered(&call, message, events->user_data);
}

/* All whole messages; NULL, or why the connection must be broken off. */
static const char *
take_messages(Conn *conn)
{
    gsize at = 0;
    while (conn->in_len - at >= PREFIX_BYTES) {
        guint32 len;
        memcpy(&len, conn->in + at, sizeof len);
        len = GUINT32_FROM_BE(len);
        if (len > FRAME_BYTES_MAX) {
            return "a frame that is too large";
        }
        if (conn->in_len - at - PREFIX_BYTES < len) {
            break;
        }
        WireBytes message = {conn->in + at + PREFIX_BYTES, len};
        if (!take_message(conn, message)) {
            return "an answer out of step";
        }
        at += PREFIX_BYTES + len;
    }
    conn->in_len -= at;
    memmove(conn->in, conn->in + at, conn->in_len);
    return NULL;
}

/* Bytes that the message which has begun needs, its prefix included. */
static gsize
bytes_wanted(const Conn *conn)
{
    guint32 len = 0;
    if (conn->in_len >= PREFIX_BYTES) {
        memcpy(&len, conn->in, sizeof len);
    }
    return PREFIX_BYTES + GUINT32_FROM_BE(len);
}

static void
on_readable(evutil_socket_t fd, short what, void *user_data)
{
    Conn *conn = user_data;
    const ConnEvents *events = &conn->options->events;
    (void)what;
    ssize_t got =
        recv(fd, conn->in + conn->in_len, conn->in_size - conn->in_len, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (got <= 0) {
        break_off(conn, got < 0 ? g_strerror(errno) : "closed by the peer");
        return;
    }
    conn->in_len += (gsize)got;
    const char *why = take_messages(conn);
    if (why != NULL) {
        break_off(conn, why);
        return;
    }
    make_room(conn, bytes_wanted(conn));
    events->ready(conn, events->user_data);
}

/* ---- connecting ---- */

static void
come_up(Conn *conn)
{
    const ConnEvents *events = &conn->options->events;
    int on = 1;
    (void)setsockopt(conn->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    conn->state = CONN_UP;
    event_add(conn->read_event, NULL);
    events->ready(conn, events->user_data);
}

static void
on_writable(evutil_socket_t fd, short what, void *user_data)
{
    Conn *conn = user_data;
    int fault = 0;
    socklen_t len = sizeof fault;
    (void)what;
    if (conn->state == CONN_UP) {
        conn_flush(conn);
        return;
    }
    (void)getsockopt(fd, SOL_SOCKET, SO_ERROR, &fault, &len);
    if (fault != 0) {
        break_off(conn, g_strerror(fault));
    } else {
        come_up(conn);
    }
}

static gboolean
make_socket(Conn *conn)
{
    const ConnOptions *options = conn->options;
    conn->fd =
        socket(options->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (conn->fd < 0) {
        return FALSE;
    }
    conn->read_event = event_new(options->base, conn->fd, EV_READ | EV_PERSIST,
                                 on_readable, conn);
    conn->write_event =
        event_new(options->base, conn->fd, EV_WRITE, on_writable, conn);
    return TRUE;
}

static int
dial(Conn *conn)
{
    const ConnOptions *options = conn->options;
    return connect(conn->fd,
                   (const struct sockaddr *)(const void *)&options->address,
                   options->address_len);
}

static void
on_again(evutil_socket_t fd, short what, void *user_data)
{
    Conn *conn = user_data;
    (void)fd;
    (void)what;
    if (!make_socket(conn) || evutil_make_socket_nonblocking(conn->fd) != 0) {
        break_off(conn, g_strerror(errno));
    } else if (dial(conn) == 0) {
        come_up(conn);
    } else if (errno == EINPROGRESS) {
        conn->state = CONN_CONNECTING;
        event_add(conn->write_event, NULL);
    } else {
        break_off(conn, g_strerror(errno));
    }
}

/* The first time: wait, so that an address that is wrong is told at once. */
static gboolean
connect_now(Conn *conn)
{
    guint ms = conn->options->timeout_ms;
    struct timeval limit = {.tv_sec = ms / 1000, .tv_usec = (ms % 1000) * 1000};
    if (!make_socket(conn)) {
        return FALSE;
    }
    (void)setsockopt(conn->fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    return dial(conn) == 0 && evutil_make_socket_nonblocking(conn->fd) == 0;
}

Conn *
conn_open(const ConnOptions *options, GError **error)
{
    Conn *conn = g_new0(Conn, 1);
    conn->options = options;
    conn->fd = -1;
    conn->in_size = IN_BYTES;
    conn->in = g_malloc(conn->in_size);
    conn->out = g_byte_array_new();
    conn->calls = g_new0(ConnCall, options->depth);
    conn->again = evtimer_new(options->base, on_again, conn);
    if (!connect_now(conn)) {
        g_set_error(error, COMB_ERROR, COMB_ERROR_UNREACHABLE, "%s",
                    errno == EINPROGRESS ? "no answer" : g_strerror(errno));
        conn_close(conn);
        return NULL;
    }
    come_up(conn);
    return conn;
}

void
conn_close(Conn *conn)
{
    lose_calls(conn);
    free_events(conn);
    event_free(conn->again);
    g_byte_array_unref(conn->out);
    g_free(conn->calls);
    g_free(conn->in);
    g_free(conn);
}

/* ---- calling ---- */

guint
conn_room(const Conn *conn)
{
    return conn->state == CONN_UP ? conn->options->depth - conn->n : 0;
}

guint
conn_in_flight(const Conn *conn)
{
    return conn->n;
}

void
conn_call(Conn *conn, BenchMethod method, const RequestPattern *pattern,
          const gint64 *ids, gint64 due_ns)
{
    guint depth = conn->options->depth;
    ensure(conn_room(conn) > 0);
    conn->seqid = conn->seqid == G_MAXINT32 ? 1 : conn->seqid + 1;
    conn->calls[(conn->first + conn->n) % depth] =
        (ConnCall){due_ns, clock_ns(), conn->seqid, method};
    conn->n++;
    request_write(pattern, conn->seqid, ids, conn->out);
}

/* An error is not told here: reading will meet it. */
void
conn_flush(Conn *conn)
{
    gsize left = conn->out->len - conn->out_sent;
    if (conn->state != CONN_UP || left == 0) {
        return;
    }
    ssize_t sent =
        send(conn->fd, conn->out->data + conn->out_sent, left, MSG_NOSIGNAL);
    if (sent > 0) {
        conn->out_sent += (gsize)sent;
    }
    if (conn->out_sent < conn->out->len && (sent >= 0 || errno == EAGAIN)) {
        event_add(conn->write_event, NULL);
        return;
    }
    conn->out_sent = 0;
    g_byte_array_set_size(conn->out, 0);
}
