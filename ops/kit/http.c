/*
 * http.c - what our HTTP ports have in common
 *
 * libevent's evhttp accepts whatever comes: a flood of connections takes every
 * descriptor of the process, the store's with them, and then accept() fails
 * and is tried again without a pause, with a line to standard error each time.
 * So accepting pauses before that: evhttp asks us for a bufferevent for each
 * connection that it has accepted, and where descriptors are short then, the
 * listener is disabled until they are not. Connections that say nothing end
 * after SILENCE_SECONDS_MAX, so that is soon; those that say a byte now and
 * then can keep others from this port, and from no other.
 *
 * How short they are a duplicate of the listener tells: the kernel gives the
 * lowest number that is free.
 */
#include "ops/kit/http.h"

#include "ops/kit/ensure.h"
#include "ops/kit/error.h"
#include "ops/kit/logger.h"

#include <errno.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define REQUEST_BODY_BYTES_MAX 1024
#define SILENCE_SECONDS_MAX 5
#define PAUSE_US 100000

void
http_limit(struct evhttp *http, gssize headers_max)
{
    evhttp_set_max_headers_size(http, headers_max);
    evhttp_set_max_body_size(http, REQUEST_BODY_BYTES_MAX);
    evhttp_set_timeout(http, SILENCE_SECONDS_MAX);
    evhttp_set_allowed_methods(
        http, EVHTTP_REQ_GET | EVHTTP_REQ_POST | EVHTTP_REQ_HEAD |
                  EVHTTP_REQ_PUT | EVHTTP_REQ_DELETE | EVHTTP_REQ_OPTIONS |
                  EVHTTP_REQ_TRACE | EVHTTP_REQ_CONNECT | EVHTTP_REQ_PATCH);
}

/* ---- accepting ---- */

/* Of all descriptors a @share-th, or @most, is kept free. Connections of the
   Thrift servers leave a quarter, or 512 (thrift/server.c). */
static const struct {
    const char *name;
    rlim_t share;
    rlim_t most;
} ports[] = {
    [HTTP_PUBLIC] = {"http", 2, 4608},
    [HTTP_ADMIN] = {"admin", 8, 256},
};

static gboolean
is_short(const HttpGate *gate)
{
    int free_one = dup(evconnlistener_get_fd(gate->listener));
    rlim_t share = ports[gate->whose].share;
    rlim_t most = ports[gate->whose].most;
    struct rlimit limit;

    if (free_one < 0) {
        return TRUE;
    }
    close(free_one);
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
        return FALSE;
    }
    return (rlim_t)free_one >=
           limit.rlim_cur - MIN(limit.rlim_cur / share, most);
}

static void
pause_then(struct evconnlistener *listener, event_callback_fn again, void *arg)
{
    const struct timeval pause = {0, PAUSE_US};

    evconnlistener_disable(listener);
    ensure(event_base_once(evconnlistener_get_base(listener), -1, EV_TIMEOUT,
                           again, arg, &pause) == 0);
}

static void
on_again(evutil_socket_t fd, short what, void *user_data)
{
    HttpGate *gate = user_data;

    (void)fd;
    (void)what;
    if (is_short(gate)) {
        pause_then(gate->listener, on_again, gate);
    } else {
        evconnlistener_enable(gate->listener);
    }
}

/* evhttp wants a bufferevent; NULL: it is to make one itself. */
static struct bufferevent *
on_accepted(struct event_base *base, void *user_data)
{
    HttpGate *gate = user_data;

    if (is_short(gate)) {
        logger_warn("http", "no descriptor to spare, accepts no more for now",
                    "port=%s", ports[gate->whose].name);
        pause_then(gate->listener, on_again, gate);
    }
    return gate->patience != NULL ? patience_accepted(gate->patience, base)
                                  : NULL;
}

static void
on_enable(evutil_socket_t fd, short what, void *listener)
{
    (void)fd;
    (void)what;
    evconnlistener_enable(listener);
}

/* accept() has failed: others may have taken the last descriptors. */
static void
on_error(struct evconnlistener *listener, void *http)
{
    (void)http;
    pause_then(listener, on_enable, listener);
}

/* ---- listening ---- */

static guint16
bound_port(struct evhttp_bound_socket *bound)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } addr = {0};
    socklen_t len = sizeof addr;
    int fd = evhttp_bound_socket_get_fd(bound);

    ensure(getsockname(fd, &addr.any, &len) == 0);
    return ntohs(addr.any.sa_family == AF_INET6 ? addr.v6.sin6_port
                                                : addr.v4.sin_port);
}

gboolean
http_bind(struct evhttp *http, HttpGate *gate, const char *host, guint16 *port,
          GError **error)
{
    struct evhttp_bound_socket *bound;

    errno = 0;
    bound = evhttp_bind_socket_with_handle(http, host, *port);
    if (bound == NULL) {
        g_set_error(error, COMB_ERROR, COMB_ERROR_IO,
                    "%s port: cannot listen on %s:%u: %s",
                    ports[gate->whose].name, host, *port,
                    errno != 0 ? g_strerror(errno) : "not an address of ours");
        return FALSE;
    }
    gate->listener = evhttp_bound_socket_get_listener(bound);
    evconnlistener_set_error_cb(gate->listener, on_error);
    evhttp_set_bevcb(http, on_accepted, gate);
    *port = bound_port(bound);
    return TRUE;
}
