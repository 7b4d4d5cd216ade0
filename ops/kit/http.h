/*
 * http.h - what our HTTP ports have in common, on libevent's evhttp
 */
#pragma once

#include <event2/http.h>
#include <event2/listener.h>
#include <glib.h>

#include "ops/kit/patience.h"

/**
 * http_limit() - bound what a client may send
 *
 * Effect: a request has @headers_max bytes of headers and 1 KiB of body at
 *         most, and is not silent for 5 seconds; every method that libevent
 *         knows comes to the callbacks, so that the 405 is ours and not its
 *         501.
 */
void http_limit(struct evhttp *http, gssize headers_max);

/* Whose port it is. */
typedef enum HttpPort {
    HTTP_PUBLIC, /* "http": half of the descriptors is for others */
    HTTP_ADMIN,  /* "admin": an eighth; it answers when the others cannot */
} HttpPort;

/* A port's accepting; whoever binds the port owns it. */
typedef struct HttpGate {
    HttpPort whose;                  /* set by the owner */
    Patience *patience;              /* likewise, borrowed; NULL: none */
    struct evconnlistener *listener; /* evhttp's */
} HttpGate;

/**
 * http_bind() - listen
 *
 * @gate:  outlives @http.
 * @host:  an address or name of ours.
 * @port:  0: any free one; the one that was bound is in *@port then.
 * Effect: while the process has no descriptor to spare, peers wait in the
 *         kernel's queue.
 * Fails:  COMB_ERROR_IO, FALSE.
 */
gboolean http_bind(struct evhttp *http, HttpGate *gate, const char *host,
                   guint16 *port, GError **error);
