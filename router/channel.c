/*
 * channel.c - frames to and from one address
 *
 *     naming --> connecting --> shaking --> open
 *        \            \             \         \---> over, and lost() is told
 *
 * One buffer takes what comes; whole frames are given out from where they lie,
 * and the begun one moves to the front. What goes out is gathered in another
 * and sent when the turn's callbacks are through: an event that is made active
 * comes after those that are active already.
 *
 * With TLS either direction may wait for the other: see @reread and @rewrite.
 * Nothing is read while a record is half sent, as in thrift/connection.c.
 */
#include "router/channel.h"

#include "ops/kit/ensure.h"
#include "thrift/tls_stream.h"

#include <errno.h>
#include <event2/util.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PREFIX_BYTES sizeof(guint32)
/* Some ten pages at a time; more only while a longer frame comes. */
#define IN_BYTES ((gsize)128 << 10)

typedef enum ChannelStage {
    CHANNEL_NAMING,
    CHANNEL_CONNECTING,
    CHANNEL_SHAKING,
    CHANNEL_OPEN,
    CHANNEL_OVER,
} ChannelStage;

/* A look-up of the name. It outlives a channel that is freed meanwhile. */
typedef struct Lookup {
    Channel *channel; /* NULL: nobody asks any more */
    struct evdns_getaddrinfo_request *request;
} Lookup;

struct Channel {
    ChannelOptions options;
    char *host; /* options.host */
    ChannelStage stage;
    gboolean was_open;
    gboolean busy;  /* in its own callbacks: memory is freed after them */
    gboolean freed; /* channel_free() was called meanwhile */
    Lookup *lookup; /* NAMING */
    int fd;         /* -1: none yet, or closed */
    struct event *readable;
    struct event *writable;
    struct event *turn; /* active while something is to be done soon */
    gboolean reading;   /* @readable is pending */
    gboolean writing;   /* @writable is */
    char *failure;      /* why it could not even be begun; told in the turn */
    guint8 *in;         /* @in_size bytes, @in_len of them received */
    gsize in_size, in_len;
    GByteArray *out; /* from @out_sent on the kernel has not taken */
    gsize out_sent;
    gboolean blocked; /* the kernel takes no more just now */
    TlsStream *tls;   /* NULL: plain text */
    gboolean reread;  /* TLS reads on once it can write */
    gboolean rewrite; /* TLS writes on once it can read */
};

/* ---- the end ---- */

static void
close_all(Channel *channel)
{
    channel->stage = CHANNEL_OVER;
    if (channel->lookup != NULL) {
        channel->lookup->channel = NULL;
        if (channel->lookup->request != NULL) {
            evdns_getaddrinfo_cancel(channel->lookup->request);
        }
        channel->lookup = NULL;
    }
    g_clear_pointer(&channel->readable, event_free);
    g_clear_pointer(&channel->writable, event_free);
    g_clear_pointer(&channel->tls, tls_stream_free);
    if (channel->fd >= 0) {
        close(channel->fd);
        channel->fd = -1;
    }
}

static void
memory_free(Channel *channel)
{
    event_free(channel->turn);
    g_byte_array_unref(channel->out);
    g_free(channel->in);
    g_free(channel->failure);
    g_free(channel->host);
    g_free(channel);
}

void
channel_free(Channel *channel)
{
    close_all(channel);
    channel->freed = TRUE;
    if (!channel->busy) {
        memory_free(channel);
    }
}

/* Before and after whatever may call the owner. */
static void
enter(Channel *channel)
{
    channel->busy = TRUE;
}

static void
leave(Channel *channel)
{
    channel->busy = FALSE;
    if (channel->freed) {
        memory_free(channel);
    }
}

/* @detail: or NULL. */
static void
lose(Channel *channel, const char *detail)
{
    const char *what = channel->stage == CHANNEL_OPEN ? "closed the connection"
                                                      : "cannot be reached";
    g_autofree char *why = detail != NULL
                               ? g_strdup_printf("%s: %s", what, detail)
                               : g_strdup(what);

    close_all(channel);
    channel->options.lost(channel->options.user_data, why);
}

/* ---- events ---- */

static void
set_pending(struct event *event, gboolean *pending, gboolean wanted)
{
    if (*pending == wanted) {
        return;
    }
    *pending = wanted;
    if (wanted) {
        event_add(event, NULL);
    } else {
        event_del(event);
    }
}

/* While open: waits for what can be done next. */
static void
watch(Channel *channel)
{
    gboolean may_read = !channel->blocked || channel->tls == NULL;

    set_pending(channel->readable, &channel->reading,
                (may_read && !channel->reread) || channel->rewrite);
    set_pending(channel->writable, &channel->writing,
                (channel->blocked && !channel->rewrite) || channel->reread);
}

/* ---- sending ---- */

/* Gives the kernel what it takes. FALSE: the connection is lost. */
static gboolean
send_plain(Channel *channel)
{
    while (channel_unsent(channel) > 0) {
        gssize sent = send(channel->fd, channel->out->data + channel->out_sent,
                           channel_unsent(channel), MSG_NOSIGNAL);
        if (sent < 0 && (errno == EAGAIN || errno == EINTR)) {
            channel->blocked = TRUE;
            return TRUE;
        }
        if (sent < 0) {
            lose(channel, NULL);
            return FALSE;
        }
        channel->out_sent += (gsize)sent;
    }
    return TRUE;
}

/* A stream that will do no more. */
static void
lose_tls(Channel *channel)
{
    g_autofree char *detail = NULL;

    if (tls_stream_is_broken(channel->tls)) {
        detail = g_strdup_printf("TLS: %s", tls_stream_why(channel->tls));
    }
    lose(channel, detail);
}

static gboolean
send_tls(Channel *channel)
{
    channel->rewrite = FALSE;
    while (channel_unsent(channel) > 0) {
        gsize len = MIN(channel_unsent(channel), TLS_RECORD_BYTES), sent = 0;
        TlsOutcome outcome = tls_stream_write(
            channel->tls, channel->out->data + channel->out_sent, len, &sent);
        if (outcome == TLS_WANTS_READ || outcome == TLS_WANTS_WRITE) {
            channel->blocked = TRUE;
            channel->rewrite = outcome == TLS_WANTS_READ;
            return TRUE;
        }
        if (outcome != TLS_DONE) {
            lose_tls(channel);
            return FALSE;
        }
        channel->out_sent += sent;
    }
    return TRUE;
}

static gboolean
send_output(Channel *channel)
{
    gboolean alive;

    channel->blocked = FALSE;
    alive = channel->tls != NULL ? send_tls(channel) : send_plain(channel);
    if (alive && channel_unsent(channel) == 0) {
        g_byte_array_set_size(channel->out, 0);
        channel->out_sent = 0;
    }
    return alive;
}

/* Else what is put waits for an event. */
static gboolean
may_send(const Channel *channel)
{
    return channel->stage == CHANNEL_OPEN && !channel->blocked &&
           !channel->reread;
}

gsize
channel_unsent(const Channel *channel)
{
    return channel->out->len - channel->out_sent;
}

guint8 *
channel_put(Channel *channel, gsize len)
{
    guint32 prefix = g_htonl((guint32)len);
    GByteArray *out = channel->out;

    /* What the kernel has taken in part is moved only when that is cheap. */
    if (channel->out_sent > out->len / 2) {
        g_byte_array_remove_range(out, 0, (guint)channel->out_sent);
        channel->out_sent = 0;
    }
    g_byte_array_append(out, (const guint8 *)&prefix, PREFIX_BYTES);
    g_byte_array_set_size(out, out->len + (guint)len);
    if (may_send(channel)) {
        event_active(channel->turn, EV_TIMEOUT, 0);
    }
    return out->data + out->len - len;
}

/* ---- receiving ---- */

/* Gives out the whole frames in @in; what is left moves to the front. */
static void
give_frames(Channel *channel)
{
    gsize at = 0, want = 0;

    while (channel->stage == CHANNEL_OPEN &&
           channel->in_len - at >= PREFIX_BYTES) {
        guint32 prefix;
        WireBytes frame = {channel->in + at + PREFIX_BYTES, 0};

        memcpy(&prefix, channel->in + at, PREFIX_BYTES);
        want = g_ntohl(prefix);
        if (want == 0 || want > channel->options.frame_bytes_max) {
            set_pending(channel->readable, &channel->reading, FALSE);
            channel->options.received(channel->options.user_data, frame);
            return;
        }
        want += PREFIX_BYTES;
        if (channel->in_len - at < want) {
            break;
        }
        frame.len = want - PREFIX_BYTES;
        at += want;
        want = 0;
        channel->options.received(channel->options.user_data, frame);
    }
    channel->in_len -= at;
    memmove(channel->in, channel->in + at, channel->in_len);
    want = MAX(want, IN_BYTES);
    if (want > channel->in_size ||
        (channel->in_len == 0 && want < channel->in_size)) {
        channel->in = g_realloc(channel->in, want);
        channel->in_size = want;
    }
}

static void
receive_tls(Channel *channel)
{
    gsize got = 0;
    TlsOutcome outcome;

    /* A whole record, so that nothing is left in the stream. */
    if (channel->in_size - channel->in_len < TLS_RECORD_BYTES) {
        channel->in_size = channel->in_len + TLS_RECORD_BYTES;
        channel->in = g_realloc(channel->in, channel->in_size);
    }
    outcome = tls_stream_read(channel->tls, channel->in + channel->in_len,
                              TLS_RECORD_BYTES, &got);
    channel->reread = outcome == TLS_WANTS_WRITE;
    if (outcome == TLS_ENDED) {
        lose(channel, NULL);
    } else if (outcome == TLS_CUT || outcome == TLS_BROKEN) {
        lose_tls(channel);
    } else if (got > 0) {
        channel->in_len += got;
        give_frames(channel);
    }
}

static void
receive_plain(Channel *channel)
{
    gssize got = recv(channel->fd, channel->in + channel->in_len,
                      channel->in_size - channel->in_len, 0);

    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (got <= 0) {
        lose(channel, NULL);
        return;
    }
    channel->in_len += (gsize)got;
    give_frames(channel);
}

static void
transfer(Channel *channel, short what)
{
    gboolean send = (what & EV_READ) != 0 ? channel->rewrite : !channel->reread;

    if (!send) {
        if (channel->tls != NULL) {
            receive_tls(channel);
        } else {
            receive_plain(channel);
        }
    }
    if (send || may_send(channel)) {
        send_output(channel);
    }
    if (channel->stage == CHANNEL_OPEN) {
        watch(channel);
    }
}

/* ---- connecting ---- */

static void
opened(Channel *channel)
{
    channel->stage = CHANNEL_OPEN;
    channel->was_open = TRUE;
    if (send_output(channel)) {
        watch(channel);
    }
}

static void
shake(Channel *channel)
{
    TlsOutcome outcome = tls_stream_shake(channel->tls);

    if (outcome == TLS_DONE) {
        opened(channel);
    } else if (outcome == TLS_WANTS_READ || outcome == TLS_WANTS_WRITE) {
        set_pending(channel->readable, &channel->reading,
                    outcome == TLS_WANTS_READ);
        set_pending(channel->writable, &channel->writing,
                    outcome == TLS_WANTS_WRITE);
    } else {
        lose_tls(channel);
    }
}

static void
connected(Channel *channel)
{
    int failed = 0, on = 1;
    socklen_t len = sizeof failed;

    getsockopt(channel->fd, SOL_SOCKET, SO_ERROR, &failed, &len);
    if (failed != 0) {
        lose(channel, g_strerror(failed));
        return;
    }
    setsockopt(channel->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (channel->options.tls == NULL) {
        opened(channel);
        return;
    }
    channel->stage = CHANNEL_SHAKING;
    channel->tls =
        tls_stream_new(channel->options.tls, channel->fd, channel->host);
    shake(channel);
}

static void
on_ready(evutil_socket_t fd, short what, void *user_data)
{
    Channel *channel = user_data;

    (void)fd;
    enter(channel);
    if (channel->stage == CHANNEL_CONNECTING) {
        connected(channel);
    } else if (channel->stage == CHANNEL_SHAKING) {
        shake(channel);
    } else {
        transfer(channel, what);
    }
    leave(channel);
}

/* Fails in the next turn, as the owner is not to be called now. */
static void
fail_later(Channel *channel, const char *why)
{
    channel->failure = g_strdup(why);
    event_active(channel->turn, EV_TIMEOUT, 0);
}

static void
connect_to(Channel *channel, const struct sockaddr *address, socklen_t len)
{
    struct event_base *base = channel->options.base;

    channel->stage = CHANNEL_CONNECTING;
    channel->fd = socket(address->sa_family,
                         SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (channel->fd < 0 ||
        (connect(channel->fd, address, len) != 0 && errno != EINPROGRESS)) {
        fail_later(channel, g_strerror(errno));
        return;
    }
    channel->readable =
        event_new(base, channel->fd, EV_READ | EV_PERSIST, on_ready, channel);
    channel->writable =
        event_new(base, channel->fd, EV_WRITE | EV_PERSIST, on_ready, channel);
    ensure(channel->readable != NULL && channel->writable != NULL);
    set_pending(channel->writable, &channel->writing, TRUE);
}

/* From within evdns_getaddrinfo() too. */
static void
on_address(int failed, struct evutil_addrinfo *found, void *user_data)
{
    Lookup *lookup = user_data;
    Channel *channel = lookup->channel;

    if (channel != NULL) {
        channel->lookup = NULL;
        if (failed != 0) {
            fail_later(channel, evutil_gai_strerror(failed));
        } else {
            connect_to(channel, found->ai_addr, (socklen_t)found->ai_addrlen);
        }
    }
    if (found != NULL) {
        evutil_freeaddrinfo(found);
    }
    g_free(lookup);
}

static void
look_up(Channel *channel)
{
    /* Only the first address is tried: IPv4, as cells listen. */
    const struct evutil_addrinfo hints = {
        .ai_family = strchr(channel->host, ':') != NULL ? AF_INET6 : AF_INET,
        .ai_socktype = SOCK_STREAM,
        .ai_protocol = IPPROTO_TCP,
    };
    g_autofree char *port = g_strdup_printf("%u", channel->options.port);
    struct evdns_getaddrinfo_request *request;
    Lookup *lookup = g_new0(Lookup, 1);

    lookup->channel = channel;
    channel->lookup = lookup;
    request = evdns_getaddrinfo(channel->options.dns, channel->host, port,
                                &hints, on_address, lookup);
    /* NULL: on_address() has been called, and the look-up is over. */
    if (request != NULL) {
        lookup->request = request;
    }
}

static void
on_turn(evutil_socket_t fd, short what, void *user_data)
{
    Channel *channel = user_data;

    (void)fd;
    (void)what;
    enter(channel);
    if (channel->failure != NULL) {
        lose(channel, channel->failure);
    } else if (may_send(channel) && send_output(channel)) {
        watch(channel);
    }
    leave(channel);
}

Channel *
channel_open(const ChannelOptions *options)
{
    Channel *channel = g_new0(Channel, 1);

    channel->options = *options;
    channel->host = g_strdup(options->host);
    channel->fd = -1;
    channel->turn = event_new(options->base, -1, 0, on_turn, channel);
    ensure(channel->turn != NULL);
    channel->in_size = IN_BYTES;
    channel->in = g_malloc(channel->in_size);
    channel->out = g_byte_array_new();
    look_up(channel);
    return channel;
}

gboolean
channel_was_open(const Channel *channel)
{
    return channel->was_open;
}
