/*
 * test_client.c - generated clients over our transport
 *
 * Against our server where it should work, and against a socket of the test
 * where the other end is slow, gone or hostile: the answer is put there
 * before the call, so that no second thread is needed.
 */
#include "ops/kit/error.h"
#include "tests/unit/peer.h"
#include "thrift/client.h"
#include "thrift/limits.h"
#include "thrift/reply.h"

#include <comb_dashboard.h>
#include <pthread.h>
#include <string.h>
#include <thrift/c_glib/thrift_application_exception.h>
#include <unistd.h>

/* Answers the ids asked for as missing. */
static void
on_get_posts(Request *request, gpointer user_data)
{
    const FrameField *ids = &request_frame(request)->field[2];
    GByteArray *message = reply_begin(request);

    (void)user_data;
    wire_write_field(message, WIRE_STRUCT, 0);
    wire_write_field(message, WIRE_LIST, 1);
    wire_write_list(message, WIRE_STRUCT, 0);
    wire_write_field(message, WIRE_LIST, 2);
    g_byte_array_append(message, ids->value.data, (guint)ids->value.len);
    wire_write_stop(message);
    reply_send(request, message);
}

static Server *
start_server(void)
{
    static const ServerMethod methods[] = {
        {"getPosts", on_get_posts},
        {NULL, NULL},
    };
    const ServerOptions options = {
        .host = "127.0.0.1",
        .threads = 2,
        .connections_max = 16,
        .frame_bytes_max = FRAME_BYTES_MAX,
        .in_flight_max = 64,
        .queue_ms = 60000, /* a loaded machine is not what this is about */
        .methods = methods,
    };
    g_autoptr(GError) error = NULL;
    Server *server = server_start(&options, &error);

    g_assert_no_error(error);
    return server;
}

typedef struct Fixture {
    Client *client;
    CombDashboardIf *dashboard;
} Fixture;

static void
open_client(Fixture *f, guint16 port, guint timeout_ms)
{
    g_autoptr(GError) error = NULL;

    f->client = client_open("localhost", port, timeout_ms, &error);
    g_assert_no_error(error);
    f->dashboard = g_object_new(COMB_TYPE_DASHBOARD_CLIENT, "input_protocol",
                                client_protocol(f->client), "output_protocol",
                                client_protocol(f->client), NULL);
}

static void
close_client(Fixture *f)
{
    g_object_unref(f->dashboard);
    client_close(f->client);
}

static gboolean
send_get_posts(Fixture *f, guint n, gint64 id, GError **error)
{
    g_autoptr(GArray) ids = g_array_new(FALSE, FALSE, sizeof(gint64));
    CombRequestContext *ctx = g_object_new(COMB_TYPE_REQUEST_CONTEXT, NULL);
    gboolean sent;

    for (guint i = 0; i < n; i++) {
        g_array_append_val(ids, id);
    }
    sent = comb_dashboard_client_send_get_posts(f->dashboard, ids, ctx, error);
    g_object_unref(ctx);
    return sent;
}

/* The number of missing ids, or -1 and *error; *ret_first is the first. */
static gint
receive_posts(Fixture *f, gint64 *ret_first, GError **error)
{
    CombPosts *posts = g_object_new(COMB_TYPE_POSTS, NULL);
    CombInvalidRequest *invalid = NULL;
    CombOverloaded *overloaded = NULL;
    CombDeadlineExceeded *deadline = NULL;
    CombUnavailable *unavailable = NULL;
    CombPermissionDenied *denied = NULL;
    gint n = -1;

    if (comb_dashboard_client_recv_get_posts(f->dashboard, &posts, &invalid,
                                             &overloaded, &deadline,
                                             &unavailable, &denied, error)) {
        n = (gint)posts->missing->len;
        *ret_first = n > 0 ? g_array_index(posts->missing, gint64, 0) : 0;
    }
    g_clear_object(&posts);
    return n;
}

static gint
get_posts(Fixture *f, guint n, gint64 id, GError **error)
{
    gint64 first;

    return send_get_posts(f, n, id, error) ? receive_posts(f, &first, error)
                                           : -1;
}

/* A call goes there and its answer comes back. */
static void
test_call(void)
{
    Server *server = start_server();
    g_autoptr(GError) error = NULL;
    Fixture f;

    open_client(&f, server_port(server), 5000);
    g_assert_cmpint(get_posts(&f, 3, 1, &error), ==, 3);
    g_assert_no_error(error);
    close_client(&f);
    server_stop(server);
}

/* Many calls may be sent before the first answer is read. */
static void
test_pipelined(void)
{
    Server *server = start_server();
    g_autoptr(GError) error = NULL;
    Fixture f;

    open_client(&f, server_port(server), 5000);
    for (gint64 i = 0; i < 200; i++) {
        g_assert_true(send_get_posts(&f, 1, i, &error));
    }
    for (gint64 i = 0; i < 200; i++) {
        gint64 first = -1;

        g_assert_cmpint(receive_posts(&f, &first, &error), ==, 1);
        g_assert_cmpint(first, ==, i);
    }
    close_client(&f);
    server_stop(server);
}

static void *
run_caller(void *user_data)
{
    Server *server = user_data;
    g_autoptr(GError) error = NULL;
    Fixture f;

    open_client(&f, server_port(server), 5000);
    for (int i = 0; i < 50; i++) {
        g_assert_cmpint(get_posts(&f, 10, i, &error), ==, 10);
    }
    close_client(&f);
    return NULL;
}

/* Clients of several threads do not disturb each other. */
static void
test_threads(void)
{
    Server *server = start_server();
    pthread_t threads[4];

    for (gsize i = 0; i < G_N_ELEMENTS(threads); i++) {
        pthread_create(&threads[i], NULL, run_caller, server);
    }
    for (gsize i = 0; i < G_N_ELEMENTS(threads); i++) {
        pthread_join(threads[i], NULL);
    }
    server_stop(server);
}

/* A call longer than a frame may be is refused here; the next one works. */
static void
test_too_long(void)
{
    Server *server = start_server();
    g_autoptr(GError) too_long = NULL;
    g_autoptr(GError) error = NULL;
    Fixture f;

    open_client(&f, server_port(server), 5000);
    g_assert_cmpint(get_posts(&f, FRAME_BYTES_MAX / 8, 1, &too_long), ==, -1);
    g_assert_error(too_long, COMB_ERROR, COMB_ERROR_INPUT);
    g_assert_cmpint(get_posts(&f, 1, 1, &error), ==, 1);
    g_assert_no_error(error);
    close_client(&f);
    server_stop(server);
}

/* Nobody listens, or nobody has that name: an error, not a client. */
static void
test_no_peer(void)
{
    g_autoptr(GError) refused = NULL;
    g_autoptr(GError) unknown = NULL;
    guint16 port;

    close(peer_listen(&port));
    g_assert_null(client_open("127.0.0.1", port, 1000, &refused));
    g_assert_error(refused, COMB_ERROR, COMB_ERROR_IO);
    g_assert_null(client_open("no such host", port, 1000, &unknown));
    g_assert_error(unknown, COMB_ERROR, COMB_ERROR_IO);
}

/* ---- the test is the other end ---- */

/* Connects @f and gives the other end's socket. */
static int
open_pair(Fixture *f, guint timeout_ms)
{
    guint16 port;
    int listener = peer_listen(&port);
    int fd;

    open_client(f, port, timeout_ms);
    fd = accept(listener, NULL, NULL);
    g_assert_cmpint(fd, >=, 0);
    close(listener);
    return fd;
}

static void
assert_call_fails(Fixture *f, CombError code)
{
    g_autoptr(GError) error = NULL;

    g_assert_cmpint(get_posts(f, 1, 1, &error), ==, -1);
    g_assert_error(error, COMB_ERROR, (gint)code);
}

/* A peer that does not answer costs the time-out; then the client is done. */
static void
test_timeout(void)
{
    Fixture f;
    int fd = open_pair(&f, 50);
    gint64 start_us = g_get_monotonic_time();

    assert_call_fails(&f, COMB_ERROR_IO);
    g_assert_cmpint(g_get_monotonic_time() - start_us, >=, 50000);
    start_us = g_get_monotonic_time();
    assert_call_fails(&f, COMB_ERROR_IO);
    g_assert_cmpint(g_get_monotonic_time() - start_us, <, 50000);
    close(fd);
    close_client(&f);
}

/* A peer that sends a byte now and then does not put the time-out off. */
static void *
run_dripper(void *user_data)
{
    const int *fd = user_data;

    peer_send_raw(*fd, "\0\0\1\0", 4);
    for (int i = 0; i < 20; i++) {
        peer_send_raw(*fd, "\x80", 1);
        g_usleep(20000);
    }
    return NULL;
}

static void
test_dripping(void)
{
    Fixture f;
    int fd = open_pair(&f, 100);
    gint64 start_us = g_get_monotonic_time();
    pthread_t thread;

    pthread_create(&thread, NULL, run_dripper, &fd);
    assert_call_fails(&f, COMB_ERROR_IO);
    g_assert_cmpint(g_get_monotonic_time() - start_us, <, 350000);
    pthread_join(thread, NULL);
    close(fd);
    close_client(&f);
}

/* A peer that does not read costs the time-out, too. */
static void
test_not_read(void)
{
    Fixture f;
    int fd = open_pair(&f, 100);
    g_autoptr(GError) error = NULL;

    while (send_get_posts(&f, 100000, 1, &error)) {
        g_assert_no_error(error);
    }
    g_assert_error(error, COMB_ERROR, COMB_ERROR_IO);
    close(fd);
    close_client(&f);
}

/* A peer that has gone is an error, also for later calls; no signal kills. */
static void
test_closed(void)
{
    Fixture f;

    close(open_pair(&f, 5000));
    assert_call_fails(&f, COMB_ERROR_IO);
    assert_call_fails(&f, COMB_ERROR_IO);
    close_client(&f);
}

/* An answer that is no reply is an error; the connection is given up. */
static void
test_hostile_frames(void)
{
    static const struct {
        const char *bytes;
        gsize len;
    } table[] = {
        {"HTTP/1.1 400 Bad Request\r\n\r\n", 28},
        {"\x7f\xff\xff\xff", 4},
        {"\0\0\0\0", 4},
        {"\0\0\0\4abcd", 8},
        /* a call; a struct without end; a name longer than the frame */
        {"\0\0\0\x15\x80\1\0\1\0\0\0\x08getPosts\0\0\0\0\0", 25},
        {"\0\0\0\x15\x80\1\0\2\0\0\0\x08getPosts\0\0\0\0\x0c", 25},
        {"\0\0\0\x15\x80\1\0\2\x7f\0\0\x08getPosts\0\0\0\0\0", 25},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(table); i++) {
        Fixture f;
        int fd = open_pair(&f, 5000);

        g_test_message("row %zu", i);
        peer_send_raw(fd, table[i].bytes, table[i].len);
        assert_call_fails(&f, COMB_ERROR_CORRUPT);
        assert_call_fails(&f, COMB_ERROR_IO);
        close(fd);
        close_client(&f);
    }
}

static GByteArray *
begin_answer(const char *method)
{
    GByteArray *message = g_byte_array_new();
    WireBytes name = {(const guint8 *)method, strlen(method)};

    frame_begin(message, FRAME_REPLY, name, 0);
    return message;
}

/* An answer whose field 0 is Posts with field 1 a list<byte> of @bytes. */
static GByteArray *
answer_with_found(const void *bytes, guint len, guint32 n)
{
    GByteArray *message = begin_answer("getPosts");

    wire_write_field(message, WIRE_STRUCT, 0);
    wire_write_field(message, WIRE_LIST, 1);
    wire_write_list(message, WIRE_BYTE, n);
    g_byte_array_append(message, bytes, len);
    wire_write_stop(message);
    wire_write_stop(message);
    return peer_frame(message);
}

/* A list of bytes that, read as the posts expected, nests without end. */
static void
test_hostile_depth(void)
{
    enum { DEPTH = 300000 };
    g_autoptr(GByteArray) bomb = g_byte_array_new();
    Fixture f;
    int fd = open_pair(&f, 5000);

    for (int i = 0; i < DEPTH; i++) {
        wire_write_field(bomb, WIRE_STRUCT, 99);
    }
    peer_send(fd, answer_with_found(bomb->data, bomb->len, bomb->len));
    assert_call_fails(&f, COMB_ERROR_CORRUPT);
    close(fd);
    close_client(&f);
}

/* A list of bytes that, read as posts, announces a string of 2 GB. */
static void
test_hostile_size(void)
{
    static const char bytes[] = "\x0b\0\4\x7f\xff\xff\xff\0";
    Fixture f;
    int fd = open_pair(&f, 5000);

    peer_send(fd, answer_with_found(bytes, sizeof(bytes), sizeof(bytes)));
    assert_call_fails(&f, COMB_ERROR_CORRUPT);
    close(fd);
    close_client(&f);
}

/* A list of bytes that, read as posts, has a body twice: c_glib frees wrongly.
 */
static void
test_hostile_twice(void)
{
    g_autoptr(GByteArray) post = g_byte_array_new();
    Fixture f;
    int fd = open_pair(&f, 5000);

    wire_field_string(post, 4, "body");
    wire_field_string(post, 4, "body");
    wire_write_stop(post);
    peer_send(fd, answer_with_found(post->data, post->len, post->len));
    assert_call_fails(&f, COMB_ERROR_CORRUPT);
    close(fd);
    close_client(&f);
}

/* Scalars of another size than expected: the list is not left where it ends. */
static void
test_hostile_elements(void)
{
    GByteArray *message = begin_answer("getPosts");
    Fixture f;
    int fd = open_pair(&f, 5000);

    wire_write_field(message, WIRE_STRUCT, 0);
    wire_write_field(message, WIRE_LIST, 2);
    wire_write_list(message, WIRE_BYTE, 1);
    g_byte_array_append(message, (const guint8 *)"\1", 1);
    wire_field_i64(message, 9, 0);
    wire_write_stop(message);
    wire_write_stop(message);
    peer_send(fd, peer_frame(message));
    assert_call_fails(&f, COMB_ERROR_CORRUPT);
    close(fd);
    close_client(&f);
}

/* An answer to another method is an error of that call only. */
static void
test_wrong_method(void)
{
    Fixture f;
    int fd = open_pair(&f, 5000);
    GByteArray *wrong = begin_answer("getTimeline");
    GByteArray *right = begin_answer("getPosts");
    g_autoptr(GError) error = NULL;

    wire_write_stop(wrong);
    peer_send(fd, peer_frame(wrong));
    g_assert_cmpint(get_posts(&f, 1, 1, &error), ==, -1);
    g_assert_error(error, THRIFT_APPLICATION_EXCEPTION_ERROR,
                   THRIFT_APPLICATION_EXCEPTION_ERROR_WRONG_METHOD_NAME);
    g_clear_error(&error);
    wire_write_field(right, WIRE_STRUCT, 0);
    wire_write_stop(right);
    wire_write_stop(right);
    peer_send(fd, peer_frame(right));
    g_assert_cmpint(get_posts(&f, 1, 1, &error), ==, 0);
    close(fd);
    close_client(&f);
}

/* A method that the server lacks is Thrift's unknown method. */
static void
test_unknown_method(void)
{
    Server *server = start_server();
    CombPage *page = g_object_new(COMB_TYPE_PAGE, NULL);
    CombPageRequest *wanted = g_object_new(COMB_TYPE_PAGE_REQUEST, NULL);
    CombRequestContext *ctx = g_object_new(COMB_TYPE_REQUEST_CONTEXT, NULL);
    CombInvalidRequest *invalid = NULL;
    CombOverloaded *overloaded = NULL;
    CombDeadlineExceeded *deadline = NULL;
    CombUnavailable *unavailable = NULL;
    CombPermissionDenied *denied = NULL;
    g_autoptr(GError) error = NULL;
    Fixture f;

    open_client(&f, server_port(server), 5000);
    g_assert_false(comb_dashboard_client_get_timeline(
        f.dashboard, &page, 1, wanted, ctx, &invalid, &overloaded, &deadline,
        &unavailable, &denied, &error));
    g_assert_error(error, THRIFT_APPLICATION_EXCEPTION_ERROR,
                   THRIFT_APPLICATION_EXCEPTION_ERROR_UNKNOWN_METHOD);
    g_object_unref(page);
    g_object_unref(wanted);
    g_object_unref(ctx);
    close_client(&f);
    server_stop(server);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    client_init();
    g_test_add_func("/client/call", test_call);
    g_test_add_func("/client/pipelined", test_pipelined);
    g_test_add_func("/client/threads", test_threads);
    g_test_add_func("/client/too-long", test_too_long);
    g_test_add_func("/client/no-peer", test_no_peer);
    g_test_add_func("/client/timeout", test_timeout);
    g_test_add_func("/client/dripping", test_dripping);
    g_test_add_func("/client/not-read", test_not_read);
    g_test_add_func("/client/closed", test_closed);
    g_test_add_func("/client/hostile-frames", test_hostile_frames);
    g_test_add_func("/client/hostile-depth", test_hostile_depth);
    g_test_add_func("/client/hostile-size", test_hostile_size);
    g_test_add_func("/client/hostile-twice", test_hostile_twice);
    g_test_add_func("/client/hostile-elements", test_hostile_elements);
    g_test_add_func("/client/wrong-method", test_wrong_method);
    g_test_add_func("/client/unknown-method", test_unknown_method);
    return g_test_run();
}
