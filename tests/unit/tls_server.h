/*
 * tls_server.h - an echo server over TLS, with a directory of certificates
 */
#pragma once

#include "tests/unit/echo.h"

typedef struct TlsServer {
    char *dir; /* of certificates: certs_make_all() */
    Tls *tls;
    EchoServer echo;
    guint16 port;
} TlsServer;

/**
 * tls_server_start() - certificate "server", callers of "ca"
 *
 * @allow:  the text of its table, DIR/table.allow; NULL: none.
 * @wanted: its stall_ms and methods are taken where given; or NULL.
 */
void tls_server_start(TlsServer *server, const char *allow,
                      const ServerOptions *wanted);

/** tls_server_stop() - stop and remove the directory. */
void tls_server_stop(TlsServer *server);

/** tls_server_write() - put @text into DIR/NAME.KIND. */
void tls_server_write(const TlsServer *server, const char *name,
                      const char *kind, const char *text);
