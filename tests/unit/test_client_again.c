/*
 * test_client_again.c - the installed client: connections that come back
 *
 * Against our server, stopped and started again at the same port, and against
 * a listening socket of the test that takes connections and drops them. That
 * nothing leaks is what ASan says at the end.
 */
#include "ops/kit/error.h"
#include "tests/kit/tmpdir.h"
#include "tests/unit/certs.h"
#include "tests/unit/peer.h"
#include "thrift/client.h"
#include "thrift/comb/client.h"
#include "thrift/limits.h"
#include "thrift/reply.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define DEADLINE_MS 5000
#define GRACE_MS 500
#define THREADS 8

/* What the server has been asked. */
typedef struct Asked {
    _Atomic gint deadline_ms; /* of the last call */
    _Atomic gint at_least;    /* positions in it */
    _Atomic gint calls;
} Asked;

static void
note_context(const Frame *frame, Asked *asked)
{
    WireReader reader;
    WireField field;
    WireType type;

    asked->at_least = 0;
    g_assert_true(frame_struct(frame, 15, &reader));
    while (wire_read_field(&reader, &field)) {
        if (field.id == 2) {
            asked->deadline_ms = wire_read_i32(&reader);
        } else if (field.id == 5) {
            WireBytes list = wire_read_value(&reader, WIRE_LIST);
            WireReader inner;

            wire_reader_init(&inner, list.data, list.len);
            asked->at_least = (gint)wire_read_list(&inner, &type);
        } else {
            wire_skip(&reader, field.type);
        }
    }
}

/* Answers the ids asked for as missing; id 7 is refused. */
static void
on_get_posts(Request *request, gpointer user_data)
{
    const FrameField *ids = &request_frame(request)->field[2];
    Asked *asked = user_data;
    WireReader reader;
    WireType type;

    asked->calls++;
    note_context(request_frame(request), asked);
    wire_reader_init(&reader, ids->value.data, ids->value.len);
    if (wire_read_list(&reader, &type) == 1 && wire_read_i64(&reader) == 7) {
        reply_overloaded(request, 123);
        return;
    }
    GByteArray *message = reply_begin(request);
    wire_write_field(message, WIRE_STRUCT, 0);
    wire_write_field(message, WIRE_LIST, 1);
    wire_write_list(message, WIRE_STRUCT, 0);
    wire_write_field(message, WIRE_LIST, 2);
    g_byte_array_append(message, ids->value.data, (guint)ids->value.len);
    wire_write_stop(message);
    reply_send(request, message);
}

static Server *
start_server_tls(guint16 port, Asked *asked, Tls *tls)
{
    static const ServerMethod methods[] = {
        {"getPosts", on_get_posts},
        {NULL, NULL},
    };
    const ServerOptions options = {
        .host = "127.0.0.1",
        .port = port,
        .threads = 2,
        .connections_max = 64,
        .frame_bytes_max = FRAME_BYTES_MAX,
        .in_flight_max = 64,
        .queue_ms = 60000, /* a loaded machine is not what this is about */
        .tls = tls,
        .methods = methods,
        .user_data = asked,
    };
    g_autoptr(GError) error = NULL;
    Server *server = server_start(&options, &error);

    g_assert_no_error(error);
    return server;
}

static Server *
start_server(guint16 port, Asked *asked)
{
    return start_server_tls(port, asked, NULL);
}

static CombClient *
client_at(guint16 port)
{
    const CombClientOptions options = {
        .port = port, .connect_timeout_ms = 1000, .caller = "test"};
    g_autoptr(GError) error = NULL;
    CombClient *client = comb_client_new(&options, &error);

    g_assert_no_error(error);
    return client;
}

/* The missing id that comes back; -1 and *error, or what was thrown. */
static gint64
get_post(CombClient *client, CombRequestContext *context, gint64 id,
         CombRefusals *no, GError **error)
{
    g_autoptr(GArray) ids = g_array_new(FALSE, FALSE, sizeof(gint64));
    g_autoptr(CombPosts) posts = g_object_new(COMB_TYPE_POSTS, NULL);

    g_array_append_val(ids, id);
    if (!comb_dashboard_client_get_posts(
            comb_client_dashboard(client), &posts, ids, context, &no->invalid,
            &no->overloaded, &no->deadline, &no->unavailable, &no->denied,
            error)) {
        return -1;
    }
    return g_array_index(posts->missing, gint64, 0);
}

static void
assert_works(CombClient *client, gint64 id)
{
    g_auto(CombRefusals) no = {0};
    g_autoptr(GError) error = NULL;
    gint64 got = get_post(client, comb_client_begin(client, DEADLINE_MS), id,
                          &no, &error);

    g_assert_no_error(error);
    g_assert_cmpint(got, ==, id);
}

/* It fails, thrown nothing, with @words. */
static void
assert_fails(CombClient *client, guint deadline_ms, const char *words)
{
    g_auto(CombRefusals) no = {0};
    g_autoptr(GError) error = NULL;

    g_assert_cmpint(get_post(client, comb_client_begin(client, deadline_ms), 1,
                             &no, &error),
                    ==, -1);
    g_assert_nonnull(error);
    g_test_message("%s", error->message);
    g_assert_nonnull(strstr(error->message, words));
    g_assert_null(comb_refusals_explain(&no));
}

/* ---- our server ---- */

/* The first call connects; deadline and positions go with it. */
static void
test_call(void)
{
    Asked asked = {0};
    Server *server = start_server(0, &asked);
    g_autoptr(CombClient) client = client_at(server_port(server));
    g_autoptr(GByteArray) position = g_byte_array_new();
    g_auto(CombRefusals) no = {0};
    g_autoptr(GError) error = NULL;
    CombRequestContext *context = comb_client_begin(client, 1234);

    comb_client_read_after(context, position);
    comb_client_read_after(context, position);
    comb_client_read_after(context, NULL);
    g_assert_cmpint(get_post(client, context, 5, &no, &error), ==, 5);
    g_assert_cmpint(asked.deadline_ms, ==, 1234);
    g_assert_cmpint(asked.at_least, ==, 2);
    assert_works(client, 6);
    g_assert_cmpint(asked.at_least, ==, 0);
    server_stop(server);
}

/* What is thrown is told apart from trouble, and costs no connection. */
static void
test_thrown(void)
{
    Asked asked = {0};
    Server *server = start_server(0, &asked);
    g_autoptr(CombClient) client = client_at(server_port(server));
    g_auto(CombRefusals) no = {0};
    g_autoptr(GError) error = NULL;

    g_assert_cmpint(get_post(client, comb_client_begin(client, DEADLINE_MS), 7,
                             &no, &error),
                    ==, -1);
    g_autofree char *words = comb_refusals_explain(&no);
    g_assert_cmpstr(words, ==, "too much at once");
    g_assert_cmpint(comb_refusals_retry_ms(&no), ==, 123);
    g_assert_cmpuint(comb_client_retry_ms(client), ==, 0);
    assert_works(client, 8);
    server_stop(server);
}

/* A server that was away between two calls is not noticed; one that is away
   is, and is found again. */
static void
test_restart(void)
{
    Asked asked = {0};
    Server *server = start_server(0, &asked);
    guint16 port = server_port(server);
    g_autoptr(CombClient) client = client_at(port);

    for (gint64 i = 1; i < 6; i++) {
        assert_works(client, i);
        server_stop(server);
        server = start_server(port, &asked);
        assert_works(client, 10 + i);
    }
    server_stop(server);
    assert_fails(client, DEADLINE_MS, "cannot connect");
    server = start_server(port, &asked);
    g_usleep((gulong)comb_client_retry_ms(client) * 1000);
    assert_works(client, 20);
    server_stop(server);
}

static void *
run_first_use(void *user_data)
{
    const guint16 *port = user_data;
    g_autoptr(CombEvent) event = g_object_new(COMB_TYPE_EVENT, NULL);
    g_autoptr(CombClient) client = client_at(*port);

    g_assert_nonnull(event);
    for (gint64 i = 10; i < 60; i++) {
        assert_works(client, i);
    }
    return NULL;
}

/* Types are used first by many threads at once, and nobody called an init. */
static void
test_first_use(void)
{
    Asked asked = {0};
    Server *server = start_server(0, &asked);
    guint16 port = server_port(server);
    pthread_t threads[THREADS];

    for (guint i = 0; i < THREADS; i++) {
        pthread_create(&threads[i], NULL, run_first_use, &port);
    }
    for (guint i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    g_assert_cmpint(asked.calls, ==, THREADS * 50);
    server_stop(server);
}

/* ---- the test is the other end ---- */

/* Somebody who is not there is asked for seldom: after an attempt in vain
   calls fail at once, for longer and longer. */
static void
test_back_off(void)
{
    guint16 port;
    int listener = peer_listen(&port);
    g_autoptr(CombClient) client = client_at(port);
    guint longest_ms = 0;

    close(listener);
    for (guint i = 0; i < 5; i++) {
        assert_fails(client, DEADLINE_MS, "cannot connect");
        guint wait_ms = comb_client_retry_ms(client);
        g_assert_cmpuint(wait_ms, >, 0);
        g_assert_cmpuint(wait_ms, <=, 50u << i);
        longest_ms = MAX(longest_ms, wait_ms);
        if (wait_ms > 50) {
            assert_fails(client, DEADLINE_MS, "tried again in");
        }
        g_usleep((gulong)(wait_ms + 1) * 1000);
    }
    g_assert_cmpuint(longest_ms, >, 100);
}

typedef struct Dropper {
    int listener;
    _Atomic guint connections;
} Dropper;

static void *
run_dropper(void *user_data)
{
    Dropper *dropper = user_data;
    int fd;

    while ((fd = accept(dropper->listener, NULL, NULL)) >= 0) {
        dropper->connections++;
        close(fd);
    }
    return NULL;
}

/* Who takes connections and drops them is not stormed. */
static void
test_dropped(void)
{
    guint16 port;
    Dropper dropper = {.listener = peer_listen(&port)};
    g_autoptr(CombClient) client = client_at(port);
    gint64 end_us = g_get_monotonic_time() + 600 * 1000;
    guint calls = 0;
    pthread_t thread;

    pthread_create(&thread, NULL, run_dropper, &dropper);
    while (g_get_monotonic_time() < end_us) {
        g_auto(CombRefusals) no = {0};

        g_assert_cmpint(
            get_post(client, comb_client_begin(client, 1000), 1, &no, NULL), ==,
            -1);
        calls++;
        g_usleep(200);
    }
    shutdown(dropper.listener, SHUT_RDWR);
    pthread_join(thread, NULL);
    close(dropper.listener);
    g_test_message("%u connections, %u calls", dropper.connections, calls);
    g_assert_cmpuint(dropper.connections, >=, 2);
    g_assert_cmpuint(dropper.connections, <=, 8);
    g_assert_cmpuint(calls, >, 50);
}

/* A call as a whole has its deadline, however slowly its answer drips. */
static void *
run_dripper(void *user_data)
{
    const int *listener = user_data;
    int fd = accept(*listener, NULL, NULL);

    peer_send_raw(fd, "\0\0\1\0", 4);
    for (int i = 0; i < 80; i++) {
        peer_send_raw(fd, "\x80", 1);
        g_usleep(30000);
    }
    close(fd);
    return NULL;
}

static void
test_call_deadline(void)
{
    guint16 port;
    int listener = peer_listen(&port);
    g_autoptr(CombClient) client = client_at(port);
    pthread_t thread;

    pthread_create(&thread, NULL, run_dripper, &listener);
    gint64 begin_us = g_get_monotonic_time();
    assert_fails(client, 100, "timed out");
    gint64 took_ms = (g_get_monotonic_time() - begin_us) / 1000;
    g_assert_cmpint(took_ms, >=, 100 + GRACE_MS - 10);
    g_assert_cmpint(took_ms, <, 100 + GRACE_MS + 1500);
    pthread_join(thread, NULL);
    close(listener);
}

static gboolean
send_one(CombClient *client, gint64 id)
{
    g_autoptr(GArray) ids = g_array_new(FALSE, FALSE, sizeof(gint64));

    g_array_append_val(ids, id);
    return comb_dashboard_client_send_get_posts(
        comb_client_dashboard(client), ids,
        comb_client_begin(client, DEADLINE_MS), NULL);
}

static gint64
receive_one(CombClient *client)
{
    g_auto(CombRefusals) no = {0};
    g_autoptr(CombPosts) posts = g_object_new(COMB_TYPE_POSTS, NULL);

    if (!comb_dashboard_client_recv_get_posts(
            comb_client_dashboard(client), &posts, &no.invalid, &no.overloaded,
            &no.deadline, &no.unavailable, &no.denied, NULL)) {
        return -1;
    }
    return g_array_index(posts->missing, gint64, 0);
}

/* Answers that were awaited when the connection broke stay lost: no later
   call's answer is taken for theirs. */
static void
test_lost_answers(void)
{
    guint16 port;
    int listener = peer_listen(&port);
    g_autoptr(CombClient) client = client_at(port);

    g_assert_true(send_one(client, 1));
    g_assert_true(send_one(client, 2));
    g_assert_true(send_one(client, 3));
    close(accept(listener, NULL, NULL));
    close(listener);
    g_assert_cmpint(receive_one(client), ==, -1);
    g_usleep((gulong)(comb_client_retry_ms(client) + 1) * 1000);
    Asked asked = {0};
    Server *server = start_server(port, &asked);
    g_assert_false(send_one(client, 4));
    g_assert_cmpint(receive_one(client), ==, -1);
    g_assert_cmpint(receive_one(client), ==, -1);
    g_assert_true(send_one(client, 5));
    g_assert_true(send_one(client, 6));
    g_assert_cmpint(receive_one(client), ==, 5);
    g_assert_cmpint(receive_one(client), ==, 6);
    server_stop(server);
}

/* Over TLS it is the same: what TLS itself says between calls is no news. */
static void
test_tls(void)
{
    char *dir = tmpdir_new();
    Asked asked = {0};
    g_autoptr(GError) error = NULL;
    Tls *tls = NULL;

    certs_make_all(dir);
    g_auto(TlsFiles) server_files = certs_files(dir, "server", "ca");
    g_auto(TlsFiles) client_files = certs_files(dir, "client", "ca");
    tls_open(TLS_SERVER, &server_files, &tls, &error);
    g_assert_no_error(error);
    Server *server = start_server_tls(0, &asked, tls);
    guint16 port = server_port(server);
    const CombClientOptions options = {.port = port,
                                       .tls_ca = client_files.ca,
                                       .tls_cert = client_files.cert,
                                       .tls_key = client_files.key};
    signal(SIGPIPE, SIG_IGN);
    g_autoptr(CombClient) client = comb_client_new(&options, &error);
    g_assert_no_error(error);
    for (gint64 i = 1; i < 4; i++) {
        assert_works(client, i);
        g_usleep(10000);
        assert_works(client, 10 + i);
        server_stop(server);
        server = start_server_tls(port, &asked, tls);
    }
    server_stop(server);
    assert_fails(client, DEADLINE_MS, "cannot connect");
    tls_close(tls);
    tmpdir_free(dir);
}

/* TLS is not begun where a closed socket would kill the process. */
static void
test_tls_and_sigpipe(void)
{
    const CombClientOptions options = {.port = 1, .tls_ca = "/nonexistent"};
    g_autoptr(GError) first = NULL;
    g_autoptr(GError) second = NULL;

    signal(SIGPIPE, SIG_DFL);
    g_assert_null(comb_client_new(&options, &first));
    g_assert_nonnull(strstr(first->message, "SIGPIPE"));
    signal(SIGPIPE, SIG_IGN);
    g_assert_null(comb_client_new(&options, &second));
    g_assert_nonnull(strstr(second->message, "/nonexistent"));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/client_again/first_use", test_first_use);
    g_test_add_func("/client_again/call", test_call);
    g_test_add_func("/client_again/thrown", test_thrown);
    g_test_add_func("/client_again/restart", test_restart);
    g_test_add_func("/client_again/back_off", test_back_off);
    g_test_add_func("/client_again/dropped", test_dropped);
    g_test_add_func("/client_again/call_deadline", test_call_deadline);
    g_test_add_func("/client_again/lost_answers", test_lost_answers);
    g_test_add_func("/client_again/tls", test_tls);
    g_test_add_func("/client_again/tls_and_sigpipe", test_tls_and_sigpipe);
    return g_test_run();
}
