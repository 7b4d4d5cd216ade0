/*
 * server.c - listening, and the threads
 *
 * The first thread accepts and deals the sockets out in turn, itself
 * included. Not one listener a thread with SO_REUSEPORT: the kernel spreads
 * those by a hash, so that the few long connections of a router may all land
 * on one thread, and a second daemon started by mistake on the same port
 * would silently get half of the calls instead of an error.
 *
 * The end has three steps. server_drain(): the listener closes, no further
 * call is read, calls in progress are answered and the answers sent.
 * server_stop(): each thread ends its loop; then, with no thread left,
 * everything is freed, calls never answered included.
 *
 * Out of file descriptors, accepting pauses for a moment instead of spinning:
 * the peers wait in the kernel's queue.
 */
#include "thrift/server.h"

#include "ops/kit/ensure.h"
#include "ops/kit/error.h"
#include "ops/kit/logger.h"
#include "thrift/callstats.h"
#include "thrift/worker.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define ACCEPT_BACKLOG 512
#define ACCEPT_ROUND_MAX 64
#define ACCEPT_PAUSE_US 100000
#define DRAIN_POLL_US 1000

struct Server {
    ServerOptions options; /* the caller's; host is not kept */
    ServerCounters counters;
    guint16 port;     /* bound, also where options.port is 0 */
    int fd_max;       /* sockets from here on are refused */
    guint next;       /* who gets the next socket; the first thread's */
    guint started;    /* workers with a thread */
    gint64 told_us;   /* when it was last told that accepting pauses */
    Worker workers[]; /* options.threads */
};

/* ---- accepting: on the first thread ---- */

static void
on_accept_again(evutil_socket_t fd, short what, void *user_data)
{
    Server *server = user_data;
    struct event *acceptable = server->workers[0].acceptable;

    (void)fd;
    (void)what;
    if (acceptable != NULL) {
        event_add(acceptable, NULL);
    }
}

/* Three quarters of the descriptors are for connections, or all but 512. */
static int
descriptors_for_connections(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur > G_MAXINT) {
        return G_MAXINT;
    }
    return (int)(limit.rlim_cur - MIN(limit.rlim_cur / 4, 512));
}

static void
pause_accepting(Server *server, int why)
{
    const struct timeval pause = {0, ACCEPT_PAUSE_US};
    Worker *first = &server->workers[0];
    gint64 now_us = g_get_monotonic_time();

    if (server->told_us == 0 || now_us - server->told_us >= G_USEC_PER_SEC) {
        server->told_us = now_us;
        logger_warn("thrift.server", "cannot accept", "port=%u errno=%d",
                    server->port, why);
    }
    event_del(first->acceptable);
    event_base_once(first->base, -1, EV_TIMEOUT, on_accept_again, server,
                    &pause);
}

static void
deal_out(Server *server, int fd)
{
    ServerCounters *counters = &server->counters;

    /* Descriptors are given lowest first: above fd_max they run out, and the
       store needs some to go on writing. */
    if (counters->connections >= server->options.connections_max ||
        fd >= server->fd_max) {
        counters->refused++;
        close(fd);
        logger_warn("thrift.server", "connection refused",
                    "port=%u connections_max=%u descriptor=%d fd_max=%d",
                    server->port, server->options.connections_max, fd,
                    server->fd_max);
        return;
    }
    counters->accepted++;
    counters->connections++;
    worker_adopt(&server->workers[server->next], fd);
    server->next = (server->next + 1) % server->options.threads;
}

static void
on_acceptable(evutil_socket_t listen_fd, short what, void *user_data)
{
    Server *server = user_data;

    (void)what;
    for (int i = 0; i < ACCEPT_ROUND_MAX; i++) {
        int fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (fd >= 0) {
            deal_out(server, fd);
        } else if (errno == EAGAIN) {
            return;
        } else if (errno != ECONNABORTED && errno != EINTR) {
            pause_accepting(server, errno);
            return;
        }
    }
}

/* ---- starting ---- */

static int
bind_and_listen(const struct addrinfo *address)
{
    int on = 1;
    int fd = socket(address->ai_family,
                    SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0) {
        return -1;
    }
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(fd, address->ai_addr, address->ai_addrlen) != 0 ||
        listen(fd, ACCEPT_BACKLOG) != 0) {
        int why = errno;

        close(fd);
        errno = why;
        return -1;
    }
    return fd;
}

/* A listening socket, or -1 and *error. */
static int
open_listener(const char *host, guint16 port, GError **error)
{
    struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV,
                             .ai_socktype = SOCK_STREAM};
    struct addrinfo *address;
    char service[8];
    int fd;

    g_snprintf(service, sizeof(service), "%u", port);
    if (getaddrinfo(host, service, &hints, &address) != 0) {
        g_set_error(error, COMB_ERROR, COMB_ERROR_SETTING,
                    "not a numeric address: %s", host);
        return -1;
    }
    fd = bind_and_listen(address);
    if (fd < 0) {
        g_set_error(error, COMB_ERROR, COMB_ERROR_IO,
                    "cannot listen on %s port %u: %s", host, port,
                    g_strerror(errno));
    }
    freeaddrinfo(address);
    return fd;
}

static guint16
bound_port(int fd)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } address;
    socklen_t len = sizeof(address);

    ensure(getsockname(fd, &address.any, &len) == 0);
    return g_ntohs(address.any.sa_family == AF_INET6 ? address.v6.sin6_port
                                                     : address.v4.sin_port);
}

static gboolean
start_workers(Server *server, GError **error)
{
    while (server->started < server->options.threads) {
        if (!worker_start(&server->workers[server->started], error)) {
            return FALSE;
        }
        server->started++;
    }
    return TRUE;
}

Server *
server_start(const ServerOptions *options, GError **error)
{
    Server *server;
    int fd;

    ensure(options->threads >= 1 && options->in_flight_max >= 1);
    ensure(options->frame_bytes_max >= 1 && options->methods != NULL);
    fd = open_listener(options->host, options->port, error);
    if (fd < 0) {
        return NULL;
    }
    server = g_malloc0(sizeof(*server) + options->threads * sizeof(Worker));
    server->options = *options;
    server->options.host = NULL;
    server->counters.by_method = callstats_new(options);
    server->fd_max = descriptors_for_connections();
    if (options->stall_ms == 0) {
        server->options.stall_ms = SERVER_STALL_MS_DEFAULT;
    }
    if (options->queue_ms == 0) {
        server->options.queue_ms = SERVER_QUEUE_MS_DEFAULT;
    }
    if (options->held_bytes_max == 0) {
        server->options.held_bytes_max = SERVER_HELD_BYTES_MAX_DEFAULT;
    }
    server->port = bound_port(fd);
    for (guint i = 0; i < options->threads; i++) {
        worker_init(&server->workers[i], i, &server->options,
                    &server->counters);
    }
    worker_listen(&server->workers[0], fd, on_acceptable, server);
    if (!start_workers(server, error)) {
        server_stop(server);
        return NULL;
    }
    return server;
}

guint16
server_port(const Server *server)
{
    return server->port;
}

/* ---- ending ---- */

static gboolean
is_drained(Server *server)
{
    for (guint i = 0; i < server->options.threads; i++) {
        if (!server->workers[i].drained || server->workers[i].busy != 0) {
            return FALSE;
        }
    }
    return TRUE;
}

gboolean
server_drain(Server *server, guint timeout_ms)
{
    gint64 deadline_us = g_get_monotonic_time() + (gint64)timeout_ms * 1000;

    for (guint i = 0; i < server->options.threads; i++) {
        worker_drain(&server->workers[i]);
    }
    while (!is_drained(server)) {
        if (g_get_monotonic_time() >= deadline_us) {
            return FALSE;
        }
        g_usleep(DRAIN_POLL_US);
    }
    return TRUE;
}

void
server_stop(Server *server)
{
    for (guint i = 0; i < server->started; i++) {
        worker_stop(&server->workers[i]);
    }
    for (guint i = 0; i < server->options.threads; i++) {
        worker_clear(&server->workers[i]);
    }
    calls_free(server->counters.by_method);
    g_free(server);
}

void
server_stats(Server *server, ServerStats *ret_stats)
{
    const ServerCounters *counters = &server->counters;

    *ret_stats = (ServerStats){
        .accepted = counters->accepted,
        .refused = counters->refused,
        .bad_frames = counters->bad_frames,
        .stalled = counters->stalled,
        .calls = counters->calls,
        .unknown_methods = counters->unknown_methods,
        .tls_faults = counters->tls_faults,
        .denied = counters->denied,
        .overloaded = counters->overloaded,
        .connections = counters->connections,
    };
}

Calls *
server_calls(Server *server)
{
    return server->counters.by_method;
}

guint
server_connections_max(const Server *server)
{
    return MIN(server->options.connections_max, (guint)server->fd_max);
}
