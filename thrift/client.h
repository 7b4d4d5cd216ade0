/*
 * client.h - a connection for the generated c_glib clients
 *
 * The generated clients want a ThriftProtocol; this gives one over a socket
 * with deadlines, that reads and writes whole frames in linear time, and
 * mends c_glib's leaks and first-use races (client_init()).
 *
 *     client_init();
 *     g_autoptr(Client) client = client_open("127.0.0.1", 9100, 5000, &error);
 *     DashboardIf *dashboard = g_object_new(COMB_TYPE_DASHBOARD_CLIENT,
 *         "input_protocol", client_protocol(client),
 *         "output_protocol", client_protocol(client), NULL);
 *
 * Thread: one at a time for a client.
 */
#pragma once

#include "thrift/tls.h"

#include <glib.h>
#include <thrift/c_glib/protocol/thrift_protocol.h>

typedef struct Client Client;

/** client_init() - once per process, before the first client. */
void client_init(void);

/**
 * client_open() - connect
 *
 * @timeout_ms: for connecting, and for each frame sent or received.
 * Fails: COMB_ERROR_IO, NULL.
 */
Client *client_open(const char *host, guint16 port, guint timeout_ms,
                    GError **error);

/**
 * client_open_tls() - connect, over TLS
 *
 * @tls:  a client's; NULL: in plain text. Sessions outlive it.
 * @host: the certificate must be for it.
 * Effect: the handshake has @timeout_ms too. The process must ignore SIGPIPE:
 *         OpenSSL cannot be told to.
 * Fails:  COMB_ERROR_IO with the reason, NULL. A server that does not like our
 *         certificate says so after the handshake: with the first answer.
 */
Client *client_open_tls(Tls *tls, const char *host, guint16 port,
                        guint timeout_ms, GError **error);

/** client_protocol() - for the generated clients; borrowed. */
ThriftProtocol *client_protocol(Client *client);

/** client_close() - close and free; generated clients on it go before. */
void client_close(Client *client);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Client, client_close)
