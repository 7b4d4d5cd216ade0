/*
 * test_tls.c - the server over TLS, against peers of every kind
 *
 * What a connection promises whatever it runs over is in test_server.c and
 * test_server_bounds.c, which are run over TLS as well. Here is what only TLS
 * has: who is let in, handshakes, records, certificates that are replaced,
 * and who may call what.
 */
#include "tests/kit/tmpdir.h"
#include "tests/unit/certs.h"
#include "tests/unit/echo.h"
#include "tests/unit/peer.h"
#include "tests/unit/tls_peer.h"
#include "thrift/reply.h"

#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define HOUR_S 3600
#define DENIED 7

typedef struct Fixture {
    char *dir; /* of certificates */
    Tls *tls;
    EchoServer echo;
    guint16 port;
} Fixture;

static void
write_file(const char *dir, const char *name, const char *kind,
           const char *text)
{
    g_autofree char *path = certs_path(dir, name, kind);

    g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

/* A server of certificate "server" that wants callers of "ca"; @allow: the
   text of its table, or NULL: none. */
static void
set_up_with(Fixture *f, const char *allow, const ServerOptions *wanted)
{
    g_autoptr(GError) error = NULL;
    ServerOptions options;

    memset(f, 0, sizeof *f);
    f->dir = tmpdir_new();
    certs_make_all(f->dir);
    g_auto(TlsFiles) files = certs_files(f->dir, "server", "ca");
    if (allow != NULL) {
        write_file(f->dir, "table", "allow", allow);
        files.allow = certs_path(f->dir, "table", "allow");
    }
    g_assert_true(tls_open(TLS_SERVER, &files, &f->tls, &error));
    g_assert_no_error(error);
    options = echo_options(&f->echo);
    if (wanted != NULL) {
        options.stall_ms = wanted->stall_ms;
        options.methods =
            wanted->methods != NULL ? wanted->methods : options.methods;
    }
    options.tls = f->tls;
    f->port = echo_start_with(&f->echo, &options);
}

static void
set_up(Fixture *f)
{
    set_up_with(f, NULL, NULL);
}

static void
tear_down(Fixture *f)
{
    echo_stop(&f->echo);
    tls_close(f->tls);
    tmpdir_free(f->dir);
}

static void
wait_faults(Fixture *f, guint64 n)
{
    for (int i = 0; i < 5000 && echo_stats(&f->echo).tls_faults < n; i++) {
        g_usleep(1000);
    }
    g_assert_cmpuint(echo_stats(&f->echo).tls_faults, ==, n);
}

/* ---- who is let in ---- */

/* @name's peer gets no answer. */
static void
assert_refused(Fixture *f, const char *name)
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
    Fixture f;
    TlsPeer *good;

    set_up(&f);
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
    tear_down(&f);
}

/* Without a CA anybody may call, certificate or not. */
static void
test_anybody(void)
{
    Fixture f;
    TlsPeer *peer;
    Tls *open = NULL;
    g_autoptr(GError) error = NULL;

    set_up(&f);
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
    tear_down(&f);
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
    Fixture f;

    set_up(&f);
    for (gsize i = 0; i < G_N_ELEMENTS(table); i++) {
        TlsPeer *peer = tls_peer_open(f.port, f.dir, "client");

        SSL_set_security_level(peer->session, 0);
        SSL_set_min_proto_version(peer->session, table[i].version);
        SSL_set_max_proto_version(peer->session, table[i].version);
        g_assert_cmpint(tls_peer_shake(peer), ==, table[i].good);
        g_assert_true(!table[i].good || tls_peer_echo(peer, 1));
        tls_peer_close(peer);
    }
    tear_down(&f);
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
    Fixture f;
    TlsPeer *good;
    int bad;

    set_up(&f);
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
    tear_down(&f);
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
    Fixture f;
    TlsPeer *peer;
    int result;

    set_up(&f);
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
    tear_down(&f);
}

/* Keys may be renewed at any time, by who wants an answer to it too. */
static void
test_key_update(void)
{
    Fixture f;
    TlsPeer *peer;

    set_up(&f);
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
    tear_down(&f);
}

/* Renegotiation, which TLS 1.2 has, is refused; the connection goes on. */
static void
test_renegotiation(void)
{
    Fixture f;
    TlsPeer *peer;

    set_up(&f);
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
    tear_down(&f);
}

/* Nobody comes back on an old session: each connection proves itself. */
static void
test_no_resumption(void)
{
    Fixture f;
    TlsPeer *peer;

    set_up(&f);
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
    tear_down(&f);
}

/* ---- stalls ---- */

/* Handshakes not begun, half-way, and records not finished are cut off by the
   stall timer, while others are served. */
static void
test_stall(void)
{
    static const ServerOptions quick = {.stall_ms = 300};
    Fixture f;
    TlsPeer *half, *header, *body, *good;
    GByteArray *bytes;
    int silent;

    set_up_with(&f, NULL, &quick);
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
    tear_down(&f);
}

/* A peer between two records may stay, also where the last was no data. */
static void
test_idle(void)
{
    static const ServerOptions quick = {.stall_ms = 100};
    Fixture f;
    TlsPeer *peer;

    set_up_with(&f, NULL, &quick);
    peer = tls_peer_good(f.port, f.dir, "client");
    SSL_key_update(peer->session, SSL_KEY_UPDATE_REQUESTED);
    SSL_do_handshake(peer->session);
    tls_peer_flush(peer);
    g_usleep(400000);
    g_assert_true(tls_peer_echo(peer, 1));
    g_assert_cmpuint(echo_stats(&f.echo).stalled, ==, 0);
    tls_peer_close(peer);
    tear_down(&f);
}

/* ---- replacing certificates ---- */

static char *
serial_now(Fixture *f)
{
    TlsPeer *peer = tls_peer_good(f->port, f->dir, "client");
    char *serial = tls_peer_serial(peer);

    g_assert_true(tls_peer_echo(peer, 1));
    tls_peer_close(peer);
    return serial;
}

static void
new_server_certificate(Fixture *f)
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
    Fixture f;
    TlsPeer *old;
    g_autofree char *first = NULL, *before = NULL, *after = NULL;

    set_up(&f);
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
    tear_down(&f);
}

/* A CA that is taken away lets nobody new in. */
static void
test_reload_ca(void)
{
    Fixture f;
    TlsPeer *old;
    g_autofree char *ca = NULL, *other = NULL, *text = NULL;

    set_up(&f);
    old = tls_peer_good(f.port, f.dir, "client");
    ca = certs_path(f.dir, "ca", "pem");
    other = certs_path(f.dir, "other-ca", "pem");
    g_assert_true(g_file_get_contents(other, &text, NULL, NULL));
    write_file(f.dir, "ca", "pem", text);
    tls_reload(f.tls);
    TlsPeer *peer = tls_peer_open(f.port, f.dir, "client");
    SSL_set_verify(peer->session, SSL_VERIFY_NONE, NULL);
    g_assert_false(tls_peer_shake(peer) && tls_peer_echo(peer, 1));
    tls_peer_close(peer);
    g_assert_true(tls_peer_echo(old, 1));
    tls_peer_close(old);
    tear_down(&f);
}

/* Puts something into one file of the server's and reloads. */
static void
reload_bad(Fixture *f, const char *name, const char *kind, const char *text)
{
    g_autofree char *path = certs_path(f->dir, name, kind);
    g_autofree char *good = NULL;

    g_assert_true(g_file_get_contents(path, &good, NULL, NULL));
    if (text != NULL) {
        write_file(f->dir, name, kind, text);
    } else {
        g_assert_cmpint(unlink(path), ==, 0);
    }
    tls_reload(f->tls);
    write_file(f->dir, name, kind, good);
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
    Fixture f;

    set_up(&f);
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
    write_file(f.dir, "server", "key", key);
    reload_bad(&f, "server", "pem", old);
    after = serial_now(&f);
    g_assert_cmpstr(before, ==, after);
    tear_down(&f);
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
    return tls_peer_field(peer, DENIED) == WIRE_STOP;
}

static void
set_up_table(Fixture *f, const char *table)
{
    static const ServerOptions options = {.methods = real_methods};

    set_up_with(f, table, &options);
}

/* A certificate calls what its line says, and nothing else. */
static void
test_table(void)
{
    Fixture f;
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
    tear_down(&f);
}

/* Without a table every certificate of the CA calls everything. */
static void
test_no_table(void)
{
    Fixture f;
    TlsPeer *peer;

    set_up_table(&f, NULL);
    peer = tls_peer_good(f.port, f.dir, "client");
    g_assert_true(may_call(peer, "setCellMap"));
    tls_peer_close(peer);
    tear_down(&f);
}

/* A right that is taken away is gone on open connections too; a bad table
   changes nothing. */
static void
test_table_reload(void)
{
    Fixture f;
    TlsPeer *peer;

    set_up_table(&f, "[client]\nCell=status\n");
    peer = tls_peer_good(f.port, f.dir, "client");
    g_assert_true(may_call(peer, "status"));
    write_file(f.dir, "table", "allow", "[client]\nDashboard=getPosts\n");
    g_assert_true(may_call(peer, "status"));
    tls_reload(f.tls);
    g_assert_false(may_call(peer, "status"));
    g_assert_true(may_call(peer, "getPosts"));
    write_file(f.dir, "table", "allow", "[client]\nDashboard=everything\n");
    tls_reload(f.tls);
    g_assert_true(may_call(peer, "getPosts"));
    tls_peer_close(peer);
    tear_down(&f);
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
        Fixture f;

        set_up_table(&f, rows);
        wish.name = "one";
        wish.issuer = "ca";
        certs_make(f.dir, &wish);
        peer = tls_peer_good(f.port, f.dir, "one");
        g_assert_cmpint(may_call(peer, "checkpoint"), ==,
                        table[i].identity != NULL);
        g_assert_false(may_call(peer, "status"));
        tls_peer_close(peer);
        tear_down(&f);
    }
}

/* ---- all at once ---- */

#define CALLERS 4

typedef struct Caller {
    const Fixture *f;
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
    Fixture f;

    set_up(&f);
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
    tear_down(&f);
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
    g_test_add_func("/tls/renegotiation", test_renegotiation);
    g_test_add_func("/tls/no-resumption", test_no_resumption);
    g_test_add_func("/tls/stall", test_stall);
    g_test_add_func("/tls/idle", test_idle);
    g_test_add_func("/tls/reload", test_reload);
    g_test_add_func("/tls/reload-ca", test_reload_ca);
    g_test_add_func("/tls/reload-bad", test_reload_bad);
    g_test_add_func("/tls/table", test_table);
    g_test_add_func("/tls/no-table", test_no_table);
    g_test_add_func("/tls/table-reload", test_table_reload);
    g_test_add_func("/tls/identity", test_identity);
    g_test_add_func("/tls/reload-under-load", test_reload_under_load);
    return g_test_run();
}
