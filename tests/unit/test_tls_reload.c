/*
 * test_tls_reload.c - certificates and tables replaced while a server serves,
 * and who may call what
 */
#include "tests/unit/certs.h"
#include "tests/unit/peer.h"
#include "tests/unit/tls_peer.h"
#include "tests/unit/tls_server.h"
#include "thrift/reply.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

#define HOUR_S 3600

/* ---- replacing certificates ---- */

static char *
serial_now(TlsServer *f)
{
    TlsPeer *peer = tls_peer_good(f->port, f->dir, "client");
    char *serial = tls_peer_serial(peer);

    g_assert_true(tls_peer_echo(peer, 1));
    tls_peer_close(peer);
    return serial;
}

static void
new_server_certificate(TlsServer *f)
{
    const CertWish wish = {.name = "server",
                           .issuer = "ca",
                           .cn = "server",
                           .san = "DNS:localhost,IP:127.0.0.1"};

    certs_make(f->dir, &wish);
}

/* New connections see the new certificate, old ones go on as they are. */
static void
test_reload(void)
{
    TlsServer f;
    TlsPeer *old;
    g_autofree char *first = NULL, *before = NULL, *after = NULL;

    tls_server_start(&f, NULL, NULL);
    old = tls_peer_good(f.port, f.dir, "client");
    first = serial_now(&f);
    new_server_certificate(&f);
    before = serial_now(&f);
    tls_reload(f.tls);
    after = serial_now(&f);
    g_assert_cmpstr(first, ==, before);
    g_assert_cmpstr(first, !=, after);
    g_assert_true(tls_peer_echo(old, 1));
    tls_peer_close(old);
    tls_server_stop(&f);
}

/* A CA that is taken away lets nobody new in. */
static void
test_reload_ca(void)
{
    TlsServer f;
    TlsPeer *old;
    g_autofree char *ca = NULL, *other = NULL, *text = NULL;

    tls_server_start(&f, NULL, NULL);
    old = tls_peer_good(f.port, f.dir, "client");
    ca = certs_path(f.dir, "ca", "pem");
    other = certs_path(f.dir, "other-ca", "pem");
    g_assert_true(g_file_get_contents(other, &text, NULL, NULL));
    tls_server_write(&f, "ca", "pem", text);
    tls_reload(f.tls);
    TlsPeer *peer = tls_peer_open(f.port, f.dir, "client");
    SSL_set_verify(peer->session, SSL_VERIFY_NONE, NULL);
    g_assert_false(tls_peer_shake(peer) && tls_peer_echo(peer, 1));
    tls_peer_close(peer);
    g_assert_true(tls_peer_echo(old, 1));
    tls_peer_close(old);
    tls_server_stop(&f);
}

/* Puts something into one file of the server's and reloads. */
static void
reload_bad(TlsServer *f, const char *name, const char *kind, const char *text)
{
    g_autofree char *path = certs_path(f->dir, name, kind);
    g_autofree char *good = NULL;

    g_assert_true(g_file_get_contents(path, &good, NULL, NULL));
    if (text != NULL) {
        tls_server_write(f, name, kind, text);
    } else {
        g_assert_cmpint(unlink(path), ==, 0);
    }
    tls_reload(f->tls);
    tls_server_write(f, name, kind, good);
}

/* Bad files, an expired certificate, a foreign key: the old ones stay. */
static void
reload_bad_files(void)
{
    const CertWish expired = {.name = "expired",
                              .issuer = "ca",
                              .from_s = -2 * HOUR_S,
                              .until_s = -HOUR_S};
    g_autofree char *before = NULL, *after = NULL, *old = NULL, *key = NULL;
    g_autofree char *foreign = NULL, *foreign_path = NULL, *old_path = NULL;
    TlsServer f;

    tls_server_start(&f, NULL, NULL);
    certs_make(f.dir, &expired);
    before = serial_now(&f);
    foreign_path = certs_path(f.dir, "client", "key");
    g_assert_true(g_file_get_contents(foreign_path, &foreign, NULL, NULL));
    old_path = certs_path(f.dir, "expired", "pem");
    g_assert_true(g_file_get_contents(old_path, &old, NULL, NULL));
    reload_bad(&f, "server", "pem", NULL);
    reload_bad(&f, "server", "pem", "no certificate");
    reload_bad(&f, "server", "key", foreign);
    reload_bad(&f, "server", "key", "");
    reload_bad(&f, "ca", "pem", "half a CA");
    g_clear_pointer(&key, g_free);
    g_autofree char *expired_key = certs_path(f.dir, "expired", "key");
    g_assert_true(g_file_get_contents(expired_key, &key, NULL, NULL));
    tls_server_write(&f, "server", "key", key);
    reload_bad(&f, "server", "pem", old);
    after = serial_now(&f);
    g_assert_cmpstr(before, ==, after);
    tls_server_stop(&f);
}

static void
test_reload_bad(void)
{
    if (g_test_subprocess()) {
        reload_bad_files();
        return;
    }
    g_test_trap_subprocess(NULL, 60 * G_USEC_PER_SEC, 0);
    g_test_trap_assert_passed();
    g_test_trap_assert_stderr("*crit thrift.tls new certificates refused, old "
                              "ones kept*server.pem: No such file*");
    g_test_trap_assert_stderr("*server.pem: no start line*");
    g_test_trap_assert_stderr("*server.key: key values mismatch*");
    g_test_trap_assert_stderr("*ca.pem: *");
    g_test_trap_assert_stderr("*server.pem: the certificate has expired*");
}

/* ---- who may call what ---- */

static void
answer(Request *request, gpointer user_data)
{
    (void)user_data;
    reply_void(request);
}

static const ServerMethod real_methods[] = {
    {"getPosts", answer}, {"status", answer},     {"checkpoint", answer},
    {"publish", answer},  {"setCellMap", answer}, {NULL, NULL},
};

/* Whether the peer's call of @method is let through. */
static gboolean
may_call(TlsPeer *peer, const char *method)
{
    tls_peer_send(peer, peer_call(method, 1, 1));
    return tls_peer_field(peer, REPLY_DENIED) == WIRE_STOP;
}

static void
set_up_table(TlsServer *f, const char *table)
{
    static const ServerOptions options = {.methods = real_methods};

    tls_server_start(f, table, &options);
}

/* A certificate calls what its line says, and nothing else. */
static void
test_table(void)
{
    TlsServer f;
    TlsPeer *peer;

    set_up_table(&f, "[client]\nDashboard=*\nCell=status\n"
                     "[somebody]\nFirehose=*\n");
    peer = tls_peer_good(f.port, f.dir, "client");
    g_assert_true(may_call(peer, "getPosts"));
    g_assert_true(may_call(peer, "status"));
    g_assert_false(may_call(peer, "checkpoint"));
    g_assert_false(may_call(peer, "publish"));
    g_assert_false(may_call(peer, "setCellMap"));
    g_assert_cmpuint(echo_stats(&f.echo).denied, ==, 3);
    g_assert_cmpuint(echo_stats(&f.echo).connections, ==, 1);
    tls_peer_close(peer);
    tls_server_stop(&f);
}

/* Without a table every certificate of the CA calls everything. */
static void
test_no_table(void)
{
    TlsServer f;
    TlsPeer *peer;

    set_up_table(&f, NULL);
    peer = tls_peer_good(f.port, f.dir, "client");
    g_assert_true(may_call(peer, "setCellMap"));
    tls_peer_close(peer);
    tls_server_stop(&f);
}

/* A right that is taken away is gone on open connections too; a bad table
   changes nothing. */
static void
test_table_reload(void)
{
    TlsServer f;
    TlsPeer *peer;

    set_up_table(&f, "[client]\nCell=status\n");
    peer = tls_peer_good(f.port, f.dir, "client");
    g_assert_true(may_call(peer, "status"));
    tls_server_write(&f, "table", "allow", "[client]\nDashboard=getPosts\n");
    g_assert_true(may_call(peer, "status"));
    tls_reload(f.tls);
    g_assert_false(may_call(peer, "status"));
    g_assert_true(may_call(peer, "getPosts"));
    tls_server_write(&f, "table", "allow", "[client]\nDashboard=everything\n");
    tls_reload(f.tls);
    g_assert_true(may_call(peer, "getPosts"));
    tls_peer_close(peer);
    tls_server_stop(&f);
}

/* A table in which each of these may ask for the status; @who for nothing
   but a checkpoint. */
static char *
table_without(const char *who)
{
    static const char *const all[] = {
        "web", "operator", "spiffe://example.org/a", "spiffe://example.org/b"};
    GString *rows = g_string_new(NULL);

    for (gsize i = 0; i < G_N_ELEMENTS(all); i++) {
        g_string_append_printf(rows, "[%s]\nCell=%s\n", all[i],
                               g_strcmp0(all[i], who) == 0 ? "checkpoint"
                                                           : "status");
    }
    return g_string_free(rows, FALSE);
}

/* Who a certificate names: its one URI, else its one common name. */
static void
test_identity(void)
{
    static const struct {
        CertWish wish;
        const char *identity; /* NULL: nobody */
    } table[] = {
        {{.cn = "web"}, "web"},
        {{.cn = "web", .san = "DNS:operator"}, "web"},
        {{.cn = "web", .san = "DNS:x,URI:spiffe://example.org/a"},
         "spiffe://example.org/a"},
        {{.san = "URI:spiffe://example.org/a"}, "spiffe://example.org/a"},
        {{.cn = "web",
          .san = "URI:spiffe://example.org/a,URI:spiffe://example.org/b"},
         NULL},
        {{.cn = "web|operator"}, NULL},
        {{.cn = NULL}, NULL},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(table); i++) {
        g_autofree char *rows = table_without(table[i].identity);
        CertWish wish = table[i].wish;
        TlsPeer *peer;
        TlsServer f;

        set_up_table(&f, rows);
        wish.name = "one";
        wish.issuer = "ca";
        certs_make(f.dir, &wish);
        peer = tls_peer_good(f.port, f.dir, "one");
        g_assert_cmpint(may_call(peer, "checkpoint"), ==,
                        table[i].identity != NULL);
        g_assert_false(may_call(peer, "status"));
        tls_peer_close(peer);
        tls_server_stop(&f);
    }
}

/* ---- all at once ---- */

#define CALLERS 4

typedef struct Caller {
    const TlsServer *f;
    _Atomic gboolean *stop;
    pthread_t thread;
    guint calls;
} Caller;

static void *
call_on(void *user_data)
{
    Caller *caller = user_data;
    TlsPeer *kept = tls_peer_good(caller->f->port, caller->f->dir, "client");
    gint32 n = 0;

    while (!*caller->stop) {
        TlsPeer *fresh =
            tls_peer_good(caller->f->port, caller->f->dir, "client");

        g_assert_true(tls_peer_echo(fresh, ++n));
        g_assert_true(tls_peer_echo(kept, ++n));
        tls_peer_close(fresh);
        caller->calls += 2;
    }
    tls_peer_close(kept);
    return NULL;
}

/* Callers see no error while certificates are replaced again and again. */
static void
test_reload_under_load(void)
{
    _Atomic gboolean stop = FALSE;
    Caller callers[CALLERS];
    TlsServer f;

    tls_server_start(&f, NULL, NULL);
    for (guint i = 0; i < CALLERS; i++) {
        callers[i] = (Caller){.f = &f, .stop = &stop};
        pthread_create(&callers[i].thread, NULL, call_on, &callers[i]);
    }
    for (guint i = 0; i < 20; i++) {
        new_server_certificate(&f);
        tls_reload(f.tls);
        g_usleep(30000);
    }
    stop = TRUE;
    for (guint i = 0; i < CALLERS; i++) {
        pthread_join(callers[i].thread, NULL);
        g_assert_cmpuint(callers[i].calls, >, 0);
    }
    g_assert_cmpuint(echo_stats(&f.echo).tls_faults, ==, 0);
    tls_server_stop(&f);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_assert_true(signal(SIGPIPE, SIG_IGN) != SIG_ERR);
    g_test_add_func("/tls-reload/reload", test_reload);
    g_test_add_func("/tls-reload/reload-ca", test_reload_ca);
    g_test_add_func("/tls-reload/reload-bad", test_reload_bad);
    g_test_add_func("/tls-table/table", test_table);
    g_test_add_func("/tls-table/no-table", test_no_table);
    g_test_add_func("/tls-table/table-reload", test_table_reload);
    g_test_add_func("/tls-table/identity", test_identity);
    g_test_add_func("/tls-reload/reload-under-load", test_reload_under_load);
    return g_test_run();
}
