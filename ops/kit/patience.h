/*
 * patience.h - how long an HTTP request may take to arrive, as a whole
 *
 * libevent's own time-out is one of silence: who sends a byte now and then
 * keeps a connection for hours. Here each connection has one deadline, from
 * when it was accepted until its request is whole, and so many may wait.
 */
#pragma once

#include <event2/bufferevent.h>
#include <event2/http.h>
#include <glib.h>

typedef struct Patience Patience;

/**
 * patience_new() - bound the connections of an evhttp (HttpGate.patience)
 *
 * @seconds: until a connection without a whole request is cut.
 * @max:     how many may wait for theirs; more are cut at once.
 * Owns:     the caller; patience_free(), after evhttp_free().
 * Thread:   that of the evhttp, here and below.
 */
Patience *patience_new(guint seconds, guint max);

/** patience_accepted() - a bufferevent for a connection just accepted; gives.
 */
struct bufferevent *patience_accepted(Patience *patience,
                                      struct event_base *base);

/** patience_end() - @request is whole: its connection has no deadline more. */
void patience_end(Patience *patience, struct evhttp_request *request);

/** patience_free() - after evhttp_free(), before the base goes. */
void patience_free(Patience *patience);
