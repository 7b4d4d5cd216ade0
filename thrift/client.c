/*
 * client.c - connecting, and mending c_glib
 *
 * client_init() does at one moment what c_glib leaves to chance. A generated
 * type is registered by its first use, without a lock, so that two threads
 * that use it first at the same time may both do so: every type is used here.
 * And the finalizers of generated structs free their fields and forget
 * GObject's own, which loses memory with every object: each is replaced by
 * one that calls both. The list of types is made from the generated headers
 * by the build (client_types.inc) and cannot be out of date.
 *
 * client_open() tries each address that the name has until one connects or
 * the time is over. A client of client_new() does the same when a call is sent
 * and there is no connection, with pauses between attempts that double for as
 * long as no answer has come: a server that takes connections and drops them
 * is not stormed either.
 */
#include "thrift/client.h"

#include "ops/kit/error.h"
#include "thrift/client_transport.h"

#include <comb_cell.h>
#include <comb_dashboard.h>
#include <comb_firehose.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <thrift/c_glib/thrift_application_exception.h>
#include <unistd.h>

#define BACKOFF_FIRST_MS 50
#define BACKOFF_LAST_MS 2000

struct Client {
    ClientTransport *transport; /* owned */
    ClientProtocol *protocol;   /* owned; refers to the transport */
    char *host;                 /* owned; NULL: of client_open() */
    guint16 port;               /* and the next, of client_new() */
    guint connect_ms;
    Tls *tls;           /* borrowed; NULL: plain text */
    guint attempts;     /* to connect, since an answer came */
    gint64 retry_at_us; /* no attempt before */
    guint64 answers;    /* of the transport, when that was last looked at */
};

static GType (*const generated_types[])(void) = {
#include "client_types.inc"
};

typedef void (*Finalizer)(GObject *object);

/* ---- mending ---- */

static GQuark
finalizer_quark(void)
{
    return g_quark_from_static_string("comb-client-finalizer");
}

static Finalizer
gobject_finalizer(void)
{
    return G_OBJECT_CLASS(g_type_class_peek(G_TYPE_OBJECT))->finalize;
}

/* The class's own finalizer, then GObject's. */
static void
finalize_both(GObject *object)
{
    gpointer own = g_type_get_qdata(G_OBJECT_TYPE(object), finalizer_quark());

    ((Finalizer)own)(object);
    gobject_finalizer()(object);
}

/* Its classes are never unloaded, and keep their reference. */
static void
mend_type(GType type)
{
    GObjectClass *class = g_type_class_ref(type);

    if (class->finalize != gobject_finalizer() &&
        class->finalize != finalize_both) {
        g_type_set_qdata(type, finalizer_quark(), (gpointer) class->finalize);
        class->finalize = finalize_both;
    }
}

void
client_init(void)
{
    g_type_class_ref(G_TYPE_OBJECT);
    mend_type(THRIFT_TYPE_APPLICATION_EXCEPTION);
    g_type_class_ref(client_transport_get_type());
    g_type_class_ref(client_protocol_get_type());
    for (gsize i = 0; i < G_N_ELEMENTS(generated_types); i++) {
        GType type = generated_types[i]();

        if (g_type_is_a(type, THRIFT_TYPE_STRUCT)) {
            mend_type(type);
        } else if (G_TYPE_IS_CLASSED(type)) {
            g_type_class_ref(type);
        }
    }
}

/* ---- connecting ---- */

/* 0, or an errno. */
static int
finish_connect(int fd, gint64 deadline_us)
{
    struct pollfd waiting = {.fd = fd, .events = POLLOUT};
    socklen_t len = sizeof(int);
    int failed = 0;
    int ready;

    do {
        gint64 left_ms = (deadline_us - g_get_monotonic_time() + 999) / 1000;

        ready = poll(&waiting, 1, (int)CLAMP(left_ms, 0, G_MAXINT));
    } while (ready < 0 && errno == EINTR);
    if (ready == 0) {
        return ETIMEDOUT;
    }
    if (ready < 0 || getsockopt(fd, SOL_SOCKET, SO_ERROR, &failed, &len) != 0) {
        return errno;
    }
    return failed;
}

/* A connected socket, or -1 and *ret_failed, an errno. */
static int
connect_one(const struct addrinfo *address, gint64 deadline_us, int *ret_failed)
{
    int fd = socket(address->ai_family,
                    SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int failed = 0;
    int on = 1;

    if (fd < 0) {
        *ret_failed = errno;
        return -1;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (connect(fd, address->ai_addr, address->ai_addrlen) != 0) {
        failed = errno == EINPROGRESS ? finish_connect(fd, deadline_us) : errno;
    }
    if (failed != 0) {
        *ret_failed = failed;
        close(fd);
        return -1;
    }
    return fd;
}

static int
connect_any(const struct addrinfo *address, gint64 deadline_us, int *ret_failed)
{
    int fd = -1;

    for (; address != NULL && fd < 0; address = address->ai_next) {
        fd = connect_one(address, deadline_us, ret_failed);
    }
    return fd;
}

static int
connect_host(const char *host, guint16 port, gint64 deadline_us, GError **error)
{
    struct addrinfo hints = {.ai_flags = AI_NUMERICSERV,
                             .ai_socktype = SOCK_STREAM};
    struct addrinfo *addresses;
    char service[8];
    int failed, fd;

    g_snprintf(service, sizeof(service), "%u", port);
    failed = getaddrinfo(host, service, &hints, &addresses);
    if (failed != 0) {
        g_set_error(error, COMB_ERROR, COMB_ERROR_IO, "cannot find %s: %s",
                    host, gai_strerror(failed));
        return -1;
    }
    fd = connect_any(addresses, deadline_us, &failed);
    freeaddrinfo(addresses);
    if (fd < 0) {
        g_set_error(error, COMB_ERROR, COMB_ERROR_IO,
                    "cannot connect to %s port %u: %s", host, port,
                    g_strerror(failed));
    }
    return fd;
}

Client *
client_open(const char *host, guint16 port, guint timeout_ms, GError **error)
{
    return client_open_tls(NULL, host, port, timeout_ms, error);
}

Client *
client_open_tls(Tls *tls, const char *host, guint16 port, guint timeout_ms,
                GError **error)
{
    gint64 deadline_us = g_get_monotonic_time() + (gint64)timeout_ms * 1000;
    int fd = connect_host(host, port, deadline_us, error);
    Client *client;

    if (fd < 0) {
        return NULL;
    }
    client = g_new0(Client, 1);
    client->transport = client_transport_new(fd, timeout_ms);
    client->protocol = client_protocol_new(client->transport);
    if (tls != NULL &&
        !client_transport_shake(client->transport,
                                tls_stream_new(tls, fd, host), error)) {
        client_close(client);
        return NULL;
    }
    return client;
}

ThriftProtocol *
client_protocol(Client *client)
{
    return THRIFT_PROTOCOL(client->protocol);
}

/* ---- connecting anew ---- */

/* An answer ends what is remembered of failures. */
static void
forget_failures(Client *client)
{
    guint64 answers = client_transport_answers(client->transport);

    if (answers != client->answers) {
        client->answers = answers;
        client->attempts = 0;
        client->retry_at_us = 0;
    }
}

guint
client_retry_ms(Client *client)
{
    gint64 left_us;

    forget_failures(client);
    left_us = client->retry_at_us - g_get_monotonic_time();
    return left_us > 0 ? (guint)((left_us + 999) / 1000) : 0;
}

/* The pause after this attempt, should it be in vain; not the same for all who
   were cut off together. */
static void
note_attempt(Client *client)
{
    guint doublings = MIN(client->attempts, 10);
    gint ms = MIN(BACKOFF_FIRST_MS << doublings, BACKOFF_LAST_MS);
    gint pause_ms = ms / 2 + g_random_int_range(0, ms / 2 + 1);

    client->attempts++;
    client->retry_at_us = g_get_monotonic_time() + (gint64)pause_ms * 1000;
}

static gboolean
reopen(gpointer user_data, GError **error)
{
    Client *client = user_data;
    gint64 deadline_us =
        g_get_monotonic_time() + (gint64)client->connect_ms * 1000;
    guint wait_ms = client_retry_ms(client);
    int fd;

    if (wait_ms > 0) {
        g_set_error(error, COMB_ERROR, COMB_ERROR_UNREACHABLE,
                    "%s port %u did not answer; it is tried again in %u ms",
                    client->host, client->port, wait_ms);
        return FALSE;
    }
    note_attempt(client);
    deadline_us =
        MIN(deadline_us, client_transport_deadline_us(client->transport));
    fd = connect_host(client->host, client->port, deadline_us, error);
    if (fd < 0) {
        return FALSE;
    }
    client_transport_adopt(client->transport, fd);
    return client->tls == NULL ||
           client_transport_shake(client->transport,
                                  tls_stream_new(client->tls, fd, client->host),
                                  error);
}

Client *
client_new(const ClientOptions *options)
{
    Client *client = g_new0(Client, 1);

    client->host = g_strdup(options->host);
    client->port = options->port;
    client->connect_ms = options->connect_ms;
    client->tls = options->tls;
    client->transport = client_transport_new(-1, options->call_ms);
    client->protocol = client_protocol_new(client->transport);
    client_set_call_ms(client, options->call_ms);
    client_transport_set_reopen(client->transport, reopen, client);
    return client;
}

void
client_set_call_ms(Client *client, guint call_ms)
{
    client_transport_set_call_ms(client->transport, call_ms);
}

void
client_close(Client *client)
{
    g_object_unref(client->protocol);
    g_object_unref(client->transport);
    g_free(client->host);
    g_free(client);
}
