/*
 * http.h - what our HTTP ports have in common, on libevent's evhttp
 */
#pragma once

#include <event2/http.h>
#include <glib.h>

/**
 * http_limit() - bound what a client may send
 *
 * Effect: a request has @headers_max bytes of headers and 1 KiB of body at
 *         most, and 5 seconds to arrive; every method that libevent knows
 *         comes to the callbacks, so that the 405 is ours and not its 501.
 */
void http_limit(struct evhttp *http, gssize headers_max);

/**
 * http_bind() - listen
 *
 * @name: of the port, for the error. @host: an address or name of ours.
 * @port: 0: any free one; the one that was bound is in *@port then.
 * Fails: COMB_ERROR_IO, FALSE.
 */
gboolean http_bind(struct evhttp *http, const char *name, const char *host,
                   guint16 *port, GError **error);
