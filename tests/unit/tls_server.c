/*
 * tls_server.c - an echo server over TLS, with a directory of certificates
 */
#include "tests/unit/tls_server.h"

#include "tests/kit/tmpdir.h"
#include "tests/unit/certs.h"

#include <string.h>

void
tls_server_write(const TlsServer *server, const char *name, const char *kind,
                 const char *text)
{
    g_autofree char *path = certs_path(server->dir, name, kind);

    g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

void
tls_server_start(TlsServer *server, const char *allow,
                 const ServerOptions *wanted)
{
    g_autoptr(GError) error = NULL;
    ServerOptions options;

    memset(server, 0, sizeof *server);
    server->dir = tmpdir_new();
    certs_make_all(server->dir);
    g_auto(TlsFiles) files = certs_files(server->dir, "server", "ca");
    if (allow != NULL) {
        tls_server_write(server, "table", "allow", allow);
        files.allow = certs_path(server->dir, "table", "allow");
    }
    g_assert_true(tls_open(TLS_SERVER, &files, &server->tls, &error));
    g_assert_no_error(error);
    options = echo_options(&server->echo);
    if (wanted != NULL) {
        options.stall_ms = wanted->stall_ms;
        options.methods =
            wanted->methods != NULL ? wanted->methods : options.methods;
    }
    options.tls = server->tls;
    server->port = echo_start_with(&server->echo, &options);
}

void
tls_server_stop(TlsServer *server)
{
    echo_stop(&server->echo);
    tls_close(server->tls);
    tmpdir_free(server->dir);
}
