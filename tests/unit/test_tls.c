/*
 * test_tls.c - the server over TLS, against peers of every kind
 *
 * What a connection promises whatever it runs over is in test_server.c and
 * test_server_bounds.c, which are run over TLS as well. Here is what only TLS
 * has: who is let in, handshakes, records. Certificates that are replaced, and
 * who may call what, are in test_tls_reload.c.
 */
#include "tests/unit/certs.h"
#include "tests/unit/peer.h"
#include "tests/unit/tls_peer.h"
#include "tests/unit/tls_server.h"

#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define HOUR_S 3600

static void
wait_faults(TlsServer *f, guint64 n)
{
    for (int i = 0; i < 5000 && echo_stats(&f->echo).tls_faults < n; i++) {
        g_usleep(1000);
    }
    g_assert_cmpuint(echo_stats(&f->echo).tls_faults, ==, n);
}

/* ---- who is let in ---- */

/* @name's peer gets no answer. */
static void
assert_refused(TlsServer *f, const char *name)
{
    TlsPeer *peer = tls_peer_open(f->port, f->dir, name);

    /* With TLS 1.3 the peer is through before the server has seen its
       certificate, and hears of it later. */
    g_assert_false(tls_peer_shake(peer) && tls_peer_echo(peer, 1));
    tls_peer_close(peer);
}

/* Only a certificate of the CA, in its time, for its use, opens the door. */
static void
test_refused(void)
{
    static const CertWish bad[] = {
        {.name = "expired",
         .issuer = "ca",
         .cn = "client",
         .from_s = -2 * HOUR_S,
         .until_s = -HOUR_S},
        {.name = "early",
         .issuer = "ca",
         .cn = "client",
         .from_s = HOUR_S,
         .until_s = 2 * HOUR_S},
        {.name = "for-servers",
         .issuer = "ca",
         .cn = "client",
         .usage = "serverAuth"},
        {.name = "of-a-client", .issuer = "client", .cn = "mallory"},
    };
    TlsServer f;
    TlsPeer *good;

    tls_server_start(&f, NULL, NULL);
    good = tls_peer_good(f.port, f.dir, "client");
    for (gsize i = 0; i < G_N_ELEMENTS(bad); i++) {
        certs_make(f.dir, &bad[i]);
        assert_refused(&f, bad[i].name);
        wait_faults(&f, i + 1);
    }
    assert_refused(&f, "stranger");
    assert_refused(&f, NULL);
    wait_faults(&f, G_N_ELEMENTS(bad) + 2);
    g_assert_true(tls_peer_echo(good, 1));
    g_assert_cmpuint(echo_stats(&f.echo).calls, ==, 1);
    tls_peer_close(good);
    tls_server_stop(&f);
}

/* Without a CA anybody may call, certificate or not. */
static void
test_anybody(void)
{
    TlsServer f;
    TlsPeer *peer;
    Tls *open = NULL;
    g_autoptr(GError) error = NULL;

    tls_server_start(&f, NULL, NULL);
    g_auto(TlsFiles) files = certs_files(f.dir, "server", NULL);
    g_assert_true(tls_open(TLS_SERVER, &files, &open, &error));
    server_stop(f.echo.server);
    ServerOptions options = echo_options(&f.echo);
    options.tls = open;
    f.echo.server = server_start(&options, &error);
    g_assert_no_error(error);
    peer = tls_peer_good(server_port(f.echo.server), f.dir, NULL);
    g_assert_true(tls_peer_echo(peer, 1));
    tls_peer_close(peer);
    tls_server_stop(&f);
    tls_close(open);
}

/* Old versions of TLS are refused; 1.2 and 1.3 do. */
static void
test_versions(void)
{
    static const struct {
        int version;
        gboolean good;
    } table[] = {{TLS1_VERSION, FALSE},
                 {TLS1_1_VERSION, FALSE},
                 {TLS1_2_VERSION, TRUE},
                 {TLS1_3_VERSION, TRUE}};
    TlsServer f;

    tls_server_start(&f, NULL, NULL);
    for (gsize i = 0; i < G_N_ELEMENTS(table); i++) {
        TlsPeer *peer = tls_peer_open(f.port, f.dir, "client");

        SSL_set_security_level(peer->session, 0);
        SSL_set_min_proto_version(peer->session, table[i].version);
        SSL_set_max_proto_version(peer->session, table[i].version);
        g_assert_cmpint(tls_peer_shake(peer), ==, table[i].good);
        g_assert_true(!table[i].good || tls_peer_echo(peer, 1));
        tls_peer_close(peer);
    }
    tls_server_stop(&f);
}

/* What is no TLS is closed, counted, and disturbs nobody. */
static void
test_plain_text(void)
{
    static const char *const table[] = {
        "GET / HTTP/1.1\r\nHost: comb\r\n\r\n",
        "\xff\xff\xff\xff\xff\xff\xff\xff",
        "\x16\x03\x01\x7f\xff\x01\x01\x01\x01\x01\x01\x01",
    };
    TlsServer f;
    TlsPeer *good;
    int bad;

    tls_server_start(&f, NULL, NULL);
    good = tls_peer_good(f.port, f.dir, "client");
    for (gsize i = 0; i < G_N_ELEMENTS(table); i++) {
        bad = peer_connect(f.port);
        peer_send_raw(bad, table[i], strlen(table[i]));
        shutdown(bad, SHUT_WR);
        while (read(bad, &(char){0}, 1) == 1) {
        }
        close(bad);
        wait_faults(&f, i + 1);
    }
    bad = peer_connect(f.port);
    peer_send(bad, peer_call("echo", 1, 1));
    while (read(bad, &(char){0}, 1) == 1) {
    }
    close(bad);
    wait_faults(&f, G_N_ELEMENTS(table) + 1);
    g_assert_true(tls_peer_echo(good, 1));
    tls_peer_close(good);
    tls_server_stop(&f);
}

/* ---- handshakes and records ---- */

static void
drip(TlsPeer *peer, GByteArray *bytes)
{
    for (guint i = 0; i < bytes->len; i++) {
        peer_send_raw(peer->fd, bytes->data + i, 1);
        g_usleep(i % 16 == 0 ? 300 : 0);
    }
    g_byte_array_unref(bytes);
}

/* Handshake and records may come byte by byte, and calls across records. */
static void
test_bytewise(void)
{
    TlsServer f;
    TlsPeer *peer;
    int result;

    tls_server_start(&f, NULL, NULL);
    peer = tls_peer_open(f.port, f.dir, "client");
    while ((result = SSL_do_handshake(peer->session)) != 1) {
        guint8 data[4096];
        gssize got;

        drip(peer, tls_peer_take(peer));
        got = recv(peer->fd, data, sizeof data, 0);
        g_assert_cmpint(got, >, 0);
        BIO_write(peer->arrived, data, (int)got);
    }
    for (gint32 i = 1; i <= 3; i++) {
        GByteArray *call = peer_call("echo", i, i);

        for (guint at = 0; at < call->len; at++) {
            SSL_write(peer->session, call->data + at, 1);
        }
        g_byte_array_unref(call);
    }
    drip(peer, tls_peer_take(peer));
    for (gint32 i = 1; i <= 3; i++) {
        g_assert_cmpint(tls_peer_field(peer, 0), ==, WIRE_I64);
    }
    tls_peer_close(peer);
    tls_server_stop(&f);
}

/* Keys may be renewed at any time, by who wants an answer to it too. */
static void
test_key_update(void)
{
    TlsServer f;
    TlsPeer *peer;

    tls_server_start(&f, NULL, NULL);
    peer = tls_peer_good(f.port, f.dir, "client");
    for (gint32 i = 1; i <= 20; i++) {
        g_assert_cmpint(
            SSL_key_update(peer->session, i % 2 == 0
                                              ? SSL_KEY_UPDATE_REQUESTED
                                              : SSL_KEY_UPDATE_NOT_REQUESTED),
            ==, 1);
        g_assert_true(tls_peer_echo(peer, i));
    }
    tls_peer_close(peer);
    tls_server_stop(&f);
}

/* Also while the server waits to send: it has to write what it owes, and then
   with which keys, in the right order. */
static void
test_key_update_blocked(void)
{
    enum { ROUNDS = 12, BLOB = 600000 };
    TlsServer f;
    TlsPeer *peer;

    tls_server_start(&f, NULL, NULL);
    peer = tls_peer_good(f.port, f.dir, "client");
    for (gint32 i = 0; i < ROUNDS; i++) {
        tls_peer_send(peer, peer_call("blob", 2 * i, BLOB));
        SSL_key_update(peer->session, SSL_KEY_UPDATE_REQUESTED);
        SSL_do_handshake(peer->session);
        tls_peer_send(peer, peer_call("echo", 2 * i + 1, i));
        g_usleep(5000);
    }
    for (gint32 i = 0; i < ROUNDS; i++) {
        g_assert_cmpint(tls_peer_field(peer, 0), ==, WIRE_BINARY);
        g_assert_cmpint(tls_peer_field(peer, 0), ==, WIRE_I64);
    }
    g_assert_cmpuint(echo_stats(&f.echo).tls_faults, ==, 0);
    tls_peer_close(peer);
    tls_server_stop(&f);
}

/* Renegotiation, which TLS 1.2 has, is refused; the connection goes on. */
static void
test_renegotiation(void)
{
    TlsServer f;
    TlsPeer *peer;

    tls_server_start(&f, NULL, NULL);
    peer = tls_peer_open(f.port, f.dir, "client");
    SSL_set_max_proto_version(peer->session, TLS1_2_VERSION);
    g_assert_true(tls_peer_shake(peer));
    SSL_renegotiate(peer->session);
    g_assert_cmpint(SSL_do_handshake(peer->session), !=, 1);
    tls_peer_flush(peer);
    g_assert_false(tls_peer_shake(peer));
    tls_peer_close(peer);
    peer = tls_peer_good(f.port, f.dir, "client");
    g_assert_true(tls_peer_echo(peer, 1));
    tls_peer_close(peer);
    tls_server_stop(&f);
}

/* Nobody comes back on an old session: each connection proves itself. */
static void
test_no_resumption(void)
{
    TlsServer f;
    TlsPeer *peer;

    tls_server_start(&f, NULL, NULL);
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        SSL_SESSION *old;

        peer = tls_peer_open(f.port, f.dir, "client");
        SSL_set_max_proto_version(peer->session, version);
        g_assert_true(tls_peer_shake(peer) && tls_peer_echo(peer, 1));
        old = SSL_get1_session(peer->session);
        /* A session that was cut off would not be tried again. */
        SSL_set_shutdown(peer->session,
                         SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
        tls_peer_close(peer);
        peer = tls_peer_open(f.port, f.dir, "client");
        SSL_set_max_proto_version(peer->session, version);
        SSL_set_session(peer->session, old);
        g_assert_true(tls_peer_shake(peer));
        g_assert_false(SSL_session_reused(peer->session));
        tls_peer_close(peer);
        SSL_SESSION_free(old);
    }
    tls_server_stop(&f);
}

/* ---- stalls ---- */

/* Handshakes not begun, half-way, and records not finished are cut off by the
   stall timer, while others are served. */
static void
test_stall(void)
{
    static const ServerOptions quick = {.stall_ms = 300};
    TlsServer f;
    TlsPeer *half, *header, *body, *good;
    GByteArray *bytes;
    int silent;

    tls_server_start(&f, NULL, &quick);
    good = tls_peer_good(f.port, f.dir, "client");
    silent = peer_connect(f.port);
    half = tls_peer_open(f.port, f.dir, "client");
    SSL_do_handshake(half->session);
    bytes = tls_peer_take(half);
    peer_send_raw(half->fd, bytes->data, bytes->len / 2);
    g_byte_array_unref(bytes);
    header = tls_peer_good(f.port, f.dir, "client");
    body = tls_peer_good(f.port, f.dir, "client");
    tls_peer_write(body, peer_call("echo", 1, 1));
    bytes = tls_peer_take(body);
    peer_send_raw(header->fd, "\x17\x03\x03\x10\x00", 5);
    peer_send_raw(body->fd, bytes->data, bytes->len - 1);
    g_byte_array_unref(bytes);
    for (gint32 i = 1; i <= 20; i++) {
        g_assert_true(tls_peer_echo(good, i));
        g_usleep(50000);
    }
    peer_expect_closed(silent);
    peer_expect_closed(half->fd);
    g_assert_null(tls_peer_receive(header));
    g_assert_null(tls_peer_receive(body));
    g_assert_cmpuint(echo_stats(&f.echo).stalled, ==, 4);
    close(silent);
    tls_peer_close(half);
    tls_peer_close(header);
    tls_peer_close(body);
    tls_peer_close(good);
    tls_server_stop(&f);
}

/* A peer between two records may stay, also where the last was no data. */
static void
test_idle(void)
{
    static const ServerOptions quick = {.stall_ms = 100};
    TlsServer f;
    TlsPeer *peer;

    tls_server_start(&f, NULL, &quick);
    peer = tls_peer_good(f.port, f.dir, "client");
    SSL_key_update(peer->session, SSL_KEY_UPDATE_REQUESTED);
    SSL_do_handshake(peer->session);
    tls_peer_flush(peer);
    g_usleep(400000);
    g_assert_true(tls_peer_echo(peer, 1));
    g_assert_cmpuint(echo_stats(&f.echo).stalled, ==, 0);
    tls_peer_close(peer);
    tls_server_stop(&f);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_assert_true(signal(SIGPIPE, SIG_IGN) != SIG_ERR);
    g_test_add_func("/tls/refused", test_refused);
    g_test_add_func("/tls/anybody", test_anybody);
    g_test_add_func("/tls/versions", test_versions);
    g_test_add_func("/tls/plain-text", test_plain_text);
    g_test_add_func("/tls/bytewise", test_bytewise);
    g_test_add_func("/tls/key-update", test_key_update);
    g_test_add_func("/tls/key-update-blocked", test_key_update_blocked);
    g_test_add_func("/tls/renegotiation", test_renegotiation);
    g_test_add_func("/tls/no-resumption", test_no_resumption);
    g_test_add_func("/tls/stall", test_stall);
    g_test_add_func("/tls/idle", test_idle);
    return g_test_run();
}
