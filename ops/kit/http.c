/*
 * http.c - what our HTTP ports have in common
 */
#include "ops/kit/http.h"

#include "ops/kit/ensure.h"
#include "ops/kit/error.h"

#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>

#define REQUEST_BODY_BYTES_MAX 1024
#define SILENCE_SECONDS_MAX 5

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
http_bind(struct evhttp *http, const char *name, const char *host,
          guint16 *port, GError **error)
{
    struct evhttp_bound_socket *bound;

    errno = 0;
    bound = evhttp_bind_socket_with_handle(http, host, *port);
    if (bound == NULL) {
        g_set_error(error, COMB_ERROR, COMB_ERROR_IO,
                    "%s port: cannot listen on %s:%u: %s", name, host, *port,
                    errno != 0 ? g_strerror(errno) : "not an address of ours");
        return FALSE;
    }
    *port = bound_port(bound);
    return TRUE;
}
