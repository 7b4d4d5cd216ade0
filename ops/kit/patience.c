/*
 * patience.c - see patience.h
 *
 * A Wait holds a reference to the connection's bufferevent, which closes its
 * socket when the last one is gone: so the number of the socket is no other's
 * while the Wait may shut it down. A shut down socket reads as ended, and
 * evhttp cleans up. A connection that evhttp has freed before its request was
 * whole - the peer has gone, or sent nonsense - keeps its socket until the next
 * one is accepted, or the deadline; what was whole lets it go at once.
 */
#include "ops/kit/patience.h"

#include "ops/kit/ensure.h"

#include <event2/bufferevent.h>
#include <event2/event.h>
#include <sys/socket.h>

struct Patience {
    struct timeval deadline; /* from the accept on */
    guint max;               /* connections that may wait */
    GHashTable *waits;       /* bufferevent -> Wait, owned */
};

/* A connection whose request is not whole. */
typedef struct Wait {
    Patience *patience;
    struct bufferevent *stream; /* a reference */
    struct event *deadline;
} Wait;

static void
wait_free(gpointer data)
{
    Wait *wait = data;

    event_free(wait->deadline);
    bufferevent_decref(wait->stream);
    g_free(wait);
}

static void
on_deadline(evutil_socket_t none, short what, void *user_data)
{
    Wait *wait = user_data;
    int fd = bufferevent_getfd(wait->stream);

    (void)none;
    (void)what;
    if (fd >= 0) {
        shutdown(fd, SHUT_RDWR);
    }
    g_hash_table_remove(wait->patience->waits, wait->stream);
}

/* Freeing a bufferevent takes its callbacks away; evhttp never does that to a
   connection that it still has. */
static gboolean
is_over(gpointer stream, gpointer wait, gpointer user_data)
{
    bufferevent_data_cb readable, writable;
    bufferevent_event_cb ended;
    void *argument;

    (void)wait;
    (void)user_data;
    bufferevent_getcb(stream, &readable, &writable, &ended, &argument);
    return readable == NULL && writable == NULL && ended == NULL;
}

struct bufferevent *
patience_accepted(Patience *patience, struct event_base *base)
{
    static const struct timeval at_once = {0, 0};
    Wait *wait = g_new0(Wait, 1);

    g_hash_table_foreach_remove(patience->waits, is_over, NULL);
    wait->patience = patience;
    wait->stream = bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE);
    ensure(wait->stream != NULL);
    bufferevent_incref(wait->stream);
    wait->deadline = evtimer_new(base, on_deadline, wait);
    ensure(wait->deadline != NULL);
    event_add(wait->deadline, g_hash_table_size(patience->waits) < patience->max
                                  ? &patience->deadline
                                  : &at_once);
    g_hash_table_insert(patience->waits, wait->stream, wait);
    return wait->stream;
}

Patience *
patience_new(guint seconds, guint max)
{
    Patience *patience = g_new0(Patience, 1);

    patience->deadline.tv_sec = seconds;
    patience->max = max;
    patience->waits = g_hash_table_new_full(NULL, NULL, NULL, wait_free);
    return patience;
}

void
patience_end(Patience *patience, struct evhttp_request *request)
{
    struct evhttp_connection *connection =
        evhttp_request_get_connection(request);

    g_hash_table_remove(patience->waits,
                        evhttp_connection_get_bufferevent(connection));
}

void
patience_free(Patience *patience)
{
    g_hash_table_unref(patience->waits);
    g_free(patience);
}
