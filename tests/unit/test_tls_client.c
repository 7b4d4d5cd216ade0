/*
 * test_tls_client.c - the C client over TLS: whom it believes
 */
#include "tests/kit/tmpdir.h"
#include "tests/unit/certs.h"
#include "tests/unit/peer.h"
#include "thrift/client.h"
#include "thrift/limits.h"
#include "thrift/reply.h"

#include <comb_cell.h>
#include <comb_firehose.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#define BIG ((gsize)3 << 20)

typedef struct Fixture {
    char *dir; /* of certificates */
    Tls *server_tls;
    Tls *tls; /* of clients: certificate "client", CA "ca" */
    Server *server;
    guint16 port;
} Fixture;

static void
on_checkpoint(Request *request, gpointer user_data)
{
    (void)user_data;
    reply_void(request);
}

/* A long answer, of as many bytes as the call has. */
static void
on_publish(Request *request, gpointer user_data)
{
    g_autofree char *text = g_strnfill(request_bytes(request).len, 'x');

    (void)user_data;
    reply_invalid(request, "events", text, -1);
}

static Tls *
open_tls(const Fixture *f, TlsRole role, const char *name, const char *ca)
{
    g_autoptr(GError) error = NULL;
    g_auto(TlsFiles) files = certs_files(f->dir, name, ca);
    Tls *tls = NULL;

    tls_open(role, &files, &tls, &error);
    g_assert_no_error(error);
    return tls;
}

/* A server that shows "server"; made before where @wish is NULL. */
static void
set_up(Fixture *f, const CertWish *wish)
{
    static const ServerMethod methods[] = {
        {"checkpoint", on_checkpoint}, {"publish", on_publish}, {NULL, NULL}};
    g_autoptr(GError) error = NULL;

    f->dir = tmpdir_new();
    certs_make_all(f->dir);
    if (wish != NULL) {
        certs_make(f->dir, wish);
    }
    f->server_tls = open_tls(f, TLS_SERVER, "server", "ca");
    f->tls = open_tls(f, TLS_CLIENT, "client", "ca");
    const ServerOptions options = {
        .host = "127.0.0.1",
        .threads = 1,
        .connections_max = 16,
        .frame_bytes_max = FRAME_BYTES_MAX,
        .in_flight_max = 16,
        .queue_ms = 60000,
        .tls = f->server_tls,
        .methods = methods,
    };
    f->server = server_start(&options, &error);
    g_assert_no_error(error);
    f->port = server_port(f->server);
}

static void
tear_down(Fixture *f)
{
    server_stop(f->server);
    tls_close(f->server_tls);
    tls_close(f->tls);
    tmpdir_free(f->dir);
}

/* What a call fails with; NULL: it does not. */
static char *
call(Client *client)
{
    g_autoptr(GError) error = NULL;
    CombRequestContext *ctx = g_object_new(COMB_TYPE_REQUEST_CONTEXT, NULL);
    CombCellIf *cell = g_object_new(COMB_TYPE_CELL_CLIENT, "input_protocol",
                                    client_protocol(client), "output_protocol",
                                    client_protocol(client), NULL);
    CombInvalidRequest *invalid = NULL;
    CombOverloaded *overloaded = NULL;
    CombDeadlineExceeded *deadline = NULL;
    CombUnavailable *unavailable = NULL;
    CombPermissionDenied *denied = NULL;

    comb_cell_client_checkpoint(cell, ctx, &invalid, &overloaded, &deadline,
                                &unavailable, &denied, &error);
    g_object_unref(cell);
    g_object_unref(ctx);
    return error != NULL ? g_strdup(error->message) : NULL;
}

/* What connecting and calling fails with; NULL: it does not. */
static char *
try_call(Tls *tls, const char *host, guint16 port)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(Client) client = client_open_tls(tls, host, port, 2000, &error);

    return client == NULL ? g_strdup(error->message) : call(client);
}

static void
assert_fails(Tls *tls, const char *host, guint16 port, const char *words)
{
    g_autofree char *failure = try_call(tls, host, port);

    g_assert_nonnull(failure);
    g_test_message("%s", failure);
    g_assert_nonnull(strstr(failure, words));
}

/* A server is believed for the names and addresses in its certificate. */
static void
test_right(void)
{
    Fixture f;
    g_autofree char *by_name = NULL, *by_address = NULL;

    set_up(&f, NULL);
    by_name = try_call(f.tls, "localhost", f.port);
    by_address = try_call(f.tls, "127.0.0.1", f.port);
    g_assert_cmpstr(by_name, ==, NULL);
    g_assert_cmpstr(by_address, ==, NULL);
    tear_down(&f);
}

/* And for no others: not for a common name either. */
static void
test_wrong_name(void)
{
    static const CertWish elsewhere = {.name = "server",
                                       .issuer = "ca",
                                       .cn = "localhost",
                                       .san = "DNS:elsewhere.example.org"};
    static const CertWish bare = {
        .name = "server", .issuer = "ca", .cn = "localhost"};
    Fixture f;

    set_up(&f, &elsewhere);
    assert_fails(f.tls, "localhost", f.port, "hostname mismatch");
    assert_fails(f.tls, "127.0.0.1", f.port, "IP address mismatch");
    tear_down(&f);
    set_up(&f, &bare);
    assert_fails(f.tls, "localhost", f.port, "hostname mismatch");
    tear_down(&f);
}

/* A server of another CA, of a client's certificate, or whose time is over. */
static void
test_wrong_server(void)
{
    static const CertWish short_lived = {
        .name = "server", .issuer = "ca", .san = "DNS:localhost", .until_s = 2};
    static const CertWish for_clients = {.name = "server",
                                         .issuer = "ca",
                                         .san = "DNS:localhost",
                                         .usage = "clientAuth"};
    Fixture f;
    Tls *other;

    set_up(&f, &short_lived);
    other = open_tls(&f, TLS_CLIENT, "client", "other-ca");
    assert_fails(other, "localhost", f.port, "unable to get local issuer");
    tls_close(other);
    g_usleep(3 * G_USEC_PER_SEC);
    assert_fails(f.tls, "localhost", f.port, "certificate has expired");
    tear_down(&f);
    set_up(&f, &for_clients);
    assert_fails(f.tls, "localhost", f.port, "unsuitable certificate purpose");
    tear_down(&f);
}

/* Who shows no certificate, or a stranger's, learns why. */
static void
test_wrong_client(void)
{
    Fixture f;
    Tls *none, *stranger;

    set_up(&f, NULL);
    none = open_tls(&f, TLS_CLIENT, NULL, "ca");
    stranger = open_tls(&f, TLS_CLIENT, "stranger", "ca");
    assert_fails(none, "localhost", f.port, "certificate required");
    assert_fails(stranger, "localhost", f.port, "unknown ca");
    tls_close(none);
    tls_close(stranger);
    tear_down(&f);
}

/* TLS to a plain port and plain text to a TLS port fail at once. */
static void
test_mixed_up(void)
{
    Fixture f;
    Server *server;
    g_autoptr(GError) error = NULL;
    const ServerMethod methods[] = {{"checkpoint", on_checkpoint},
                                    {NULL, NULL}};
    const ServerOptions options = {.host = "127.0.0.1",
                                   .threads = 1,
                                   .connections_max = 16,
                                   .frame_bytes_max = FRAME_BYTES_MAX,
                                   .in_flight_max = 16,
                                   .queue_ms = 60000,
                                   .methods = methods};
    gint64 begin_us = g_get_monotonic_time();

    set_up(&f, NULL);
    server = server_start(&options, &error);
    g_assert_no_error(error);
    assert_fails(f.tls, "localhost", server_port(server), "closed");
    assert_fails(NULL, "localhost", f.port, "");
    g_assert_cmpint(g_get_monotonic_time() - begin_us, <, G_USEC_PER_SEC);
    server_stop(server);
    tear_down(&f);
}

/* A server that says nothing is given up in time. */
static void
test_silent(void)
{
    Fixture f;
    guint16 port;
    int fd = peer_listen(&port);

    set_up(&f, NULL);
    assert_fails(f.tls, "127.0.0.1", port, "timed out");
    close(fd);
    tear_down(&f);
}

/* Frames of many records, both ways. */
static void
test_large(void)
{
    Fixture f;
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) events =
        g_ptr_array_new_with_free_func(g_object_unref);
    g_autoptr(GPtrArray) results =
        g_ptr_array_new_with_free_func(g_object_unref);
    CombEvent *event = g_object_new(COMB_TYPE_EVENT, NULL);
    CombPost *post = event->post;
    CombRequestContext *ctx = g_object_new(COMB_TYPE_REQUEST_CONTEXT, NULL);
    CombInvalidRequest *invalid = NULL;
    CombOverloaded *overloaded = NULL;
    CombDeadlineExceeded *deadline = NULL;
    CombUnavailable *unavailable = NULL;
    CombPermissionDenied *denied = NULL;

    set_up(&f, NULL);
    Client *client = client_open_tls(f.tls, "localhost", f.port, 20000, &error);
    g_assert_no_error(error);
    CombFirehoseIf *firehose = g_object_new(
        COMB_TYPE_FIREHOSE_CLIENT, "input_protocol", client_protocol(client),
        "output_protocol", client_protocol(client), NULL);
    post->body = g_byte_array_new();
    g_byte_array_set_size(post->body, BIG);
    memset(post->body->data, 'y', BIG);
    post->__isset_body = TRUE;
    event->__isset_post = TRUE;
    g_ptr_array_add(events, event);
    g_assert_false(comb_firehose_client_publish(
        firehose, &results, events, ctx, &invalid, &overloaded, &deadline,
        &unavailable, &denied, &error));
    g_assert_nonnull(invalid);
    g_assert_cmpuint(strlen(invalid->reason), >, BIG);
    g_object_unref(invalid);
    g_object_unref(firehose);
    g_object_unref(ctx);
    client_close(client);
    tear_down(&f);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_assert_true(signal(SIGPIPE, SIG_IGN) != SIG_ERR);
    client_init();
    g_test_add_func("/tls-client/right", test_right);
    g_test_add_func("/tls-client/wrong-name", test_wrong_name);
    g_test_add_func("/tls-client/wrong-server", test_wrong_server);
    g_test_add_func("/tls-client/wrong-client", test_wrong_client);
    g_test_add_func("/tls-client/mixed-up", test_mixed_up);
    g_test_add_func("/tls-client/silent", test_silent);
    g_test_add_func("/tls-client/large", test_large);
    return g_test_run();
}
