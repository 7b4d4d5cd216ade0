/*
 * echo.h - a server for tests, with handlers of every temper
 *
 * "echo" answers at once with its argument 1; "hold" puts the request aside
 * until the test, another thread, answers it; "blob" answers with so many
 * bytes; "thread" tells which thread serves; "length" tells the message's;
 * "nap" keeps its thread for so many microseconds.
 */
#pragma once

#include "thrift/server.h"

#include <pthread.h>

typedef struct EchoServer {
    Server *server;
    Tls *tls; /* where the tests are run over TLS (tunnel.h); else NULL */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    GPtrArray *held; /* requests put aside, under the lock */
} EchoServer;

/** echo_options() - two threads and generous bounds. */
ServerOptions echo_options(EchoServer *echo);

/** echo_start() - serve with echo_options(); gives the port. */
guint16 echo_start(EchoServer *echo);

/** echo_start_with() - serve with @options; gives the port. */
guint16 echo_start_with(EchoServer *echo, const ServerOptions *options);

/** echo_stop() - stop, whatever is open. */
void echo_stop(EchoServer *echo);

/** echo_stats() - the server's counters now. */
ServerStats echo_stats(EchoServer *echo);

/** echo_wait_connections() - wait until @n are open. */
void echo_wait_connections(EchoServer *echo, guint n);

/** echo_held() - how many requests are put aside. */
guint echo_held(EchoServer *echo);

/** echo_take() - wait for the held request whose argument is @argument. */
Request *echo_take(EchoServer *echo, gint64 argument);

/** echo_reply() - answer @request with its argument. */
void echo_reply(Request *request);

/** echo_answer() - echo_take() and echo_reply(). */
void echo_answer(EchoServer *echo, gint64 argument);
