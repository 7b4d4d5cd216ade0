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

/* What client_new() is told. */
typedef struct ClientOptions {
    const char *host; /* a name or a numeric address; copied */
    guint16 port;
    guint connect_ms; /* for an attempt to connect, TLS included */
    guint call_ms;    /* for a whole call, see client_set_call_ms() */
    Tls *tls;         /* a client's, outlives it; NULL: plain text */
} ClientOptions;

/**
 * client_new() - a client that connects when a call is sent
 *
 * Effect: and connects anew when one is sent and the connection is gone. A
 *         call that was sent when it broke fails and is not sent again: only
 *         the caller knows whether that does harm. After an attempt in vain
 *         calls fail at once for a while, 50 ms doubling to 2 s, until an
 *         answer comes. Looking up a name is not bounded by our deadlines.
 *         SIGPIPE: as with client_open_tls().
 */
Client *client_new(const ClientOptions *options);

/**
 * client_set_call_ms() - how long the next calls may take
 *
 * Effect: from where one is written to where its answer is there, connecting
 *         included. The connection is given up where it takes longer.
 */
void client_set_call_ms(Client *client, guint call_ms);

/** client_retry_ms() - for how long calls will fail at once; 0: they will not.
 */
guint client_retry_ms(Client *client);

/** client_protocol() - for the generated clients; borrowed. */
ThriftProtocol *client_protocol(Client *client);

/** client_close() - close and free; generated clients on it go before. */
void client_close(Client *client);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Client, client_close)
