/*
 * echo.c - a server for tests, with handlers of every temper
 *
 * A held request crosses from the server's thread to the test's under the
 * lock, so that ThreadSanitizer sees how it was handed over.
 */
#include "tests/unit/echo.h"

#include "tests/unit/certs.h"
#include "tests/unit/tunnel.h"
#include "thrift/reply.h"

void
echo_reply(Request *request)
{
    GByteArray *message = reply_begin(request);

    wire_field_i64(message, 0, frame_i64(request_frame(request), 1, -1));
    reply_send(request, message);
}

static void
on_echo(Request *request, gpointer user_data)
{
    (void)user_data;
    echo_reply(request);
}

static void
on_hold(Request *request, gpointer user_data)
{
    EchoServer *echo = user_data;

    pthread_mutex_lock(&echo->lock);
    g_ptr_array_add(echo->held, request);
    pthread_cond_signal(&echo->changed);
    pthread_mutex_unlock(&echo->lock);
}

static void
on_blob(Request *request, gpointer user_data)
{
    gint64 size = frame_i64(request_frame(request), 1, 0);
    g_autofree guint8 *blob = g_malloc0((gsize)size);
    GByteArray *message = reply_begin(request);

    (void)user_data;
    wire_field_bytes(message, 0, blob, (gsize)size);
    reply_send(request, message);
}

static void
on_thread(Request *request, gpointer user_data)
{
    GByteArray *message = reply_begin(request);

    (void)user_data;
    wire_field_i64(message, 0, request_thread(request));
    reply_send(request, message);
}

static void
on_nap(Request *request, gpointer user_data)
{
    (void)user_data;
    g_usleep((gulong)frame_i64(request_frame(request), 1, 0));
    echo_reply(request);
}

static void
on_length(Request *request, gpointer user_data)
{
    GByteArray *message = reply_begin(request);

    (void)user_data;
    wire_field_i64(message, 0, (gint64)request_bytes(request).len);
    reply_send(request, message);
}

static const ServerMethod methods[] = {
    {"echo", on_echo},     {"hold", on_hold},     {"blob", on_blob},
    {"thread", on_thread}, {"length", on_length}, {"nap", on_nap},
    {NULL, NULL},
};

ServerOptions
echo_options(EchoServer *echo)
{
    return (ServerOptions){
        .host = "127.0.0.1",
        .threads = 2,
        .connections_max = 64,
        .frame_bytes_max = 4 << 20,
        .in_flight_max = 128,
        .queue_ms = 60000,
        .methods = methods,
        .user_data = echo,
    };
}

guint16
echo_start_with(EchoServer *echo, const ServerOptions *options)
{
    g_autoptr(GError) error = NULL;
    ServerOptions all = *options;

    echo->tls = NULL;
    if (tunnel_dir() != NULL) {
        g_auto(TlsFiles) files = certs_files(tunnel_dir(), "server", "ca");

        tls_open(TLS_SERVER, &files, &echo->tls, &error);
        g_assert_no_error(error);
        all.tls = echo->tls;
    }
    pthread_mutex_init(&echo->lock, NULL);
    pthread_cond_init(&echo->changed, NULL);
    echo->held = g_ptr_array_new();
    echo->server = server_start(&all, &error);
    g_assert_no_error(error);
    return server_port(echo->server);
}

guint16
echo_start(EchoServer *echo)
{
    ServerOptions options = echo_options(echo);

    return echo_start_with(echo, &options);
}

void
echo_stop(EchoServer *echo)
{
    server_stop(echo->server);
    tls_close(echo->tls);
    g_ptr_array_unref(echo->held);
    pthread_cond_destroy(&echo->changed);
    pthread_mutex_destroy(&echo->lock);
}

ServerStats
echo_stats(EchoServer *echo)
{
    ServerStats stats;

    server_stats(echo->server, &stats);
    return stats;
}

guint
echo_held(EchoServer *echo)
{
    guint n;

    pthread_mutex_lock(&echo->lock);
    n = echo->held->len;
    pthread_mutex_unlock(&echo->lock);
    return n;
}

Request *
echo_take(EchoServer *echo, gint64 argument)
{
    Request *found = NULL;

    pthread_mutex_lock(&echo->lock);
    while (found == NULL) {
        for (guint i = 0; i < echo->held->len && found == NULL; i++) {
            Request *request = g_ptr_array_index(echo->held, i);

            if (frame_i64(request_frame(request), 1, -1) == argument) {
                found = g_ptr_array_remove_index(echo->held, i);
            }
        }
        if (found == NULL) {
            pthread_cond_wait(&echo->changed, &echo->lock);
        }
    }
    pthread_mutex_unlock(&echo->lock);
    return found;
}

void
echo_answer(EchoServer *echo, gint64 argument)
{
    on_echo(echo_take(echo, argument), NULL);
}

void
echo_wait_connections(EchoServer *echo, guint n)
{
    for (int i = 0; i < 5000 && echo_stats(echo).connections != n; i++) {
        g_usleep(1000);
    }
    g_assert_cmpuint(echo_stats(echo).connections, ==, n);
}
