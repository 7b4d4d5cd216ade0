/*
 * bench_conn.h - one connection of the load generator, with calls under way
 *
 * Calls are pipelined up to a depth; answers come in the order of the calls,
 * which is what Comb's servers promise. Calls are gathered and sent with one
 * write by conn_flush(). A connection that breaks tells what was under way as
 * lost and comes back by itself a moment later.
 *
 * Thread: that of the event base.
 */
#pragma once

#include "ops/combctl/bench_request.h"

#include <event2/event.h>
#include <sys/socket.h>

typedef struct Conn Conn;

/* A call under way. */
typedef struct ConnCall {
    gint64 due_ns;  /* when it was to be sent; clock_ns() */
    gint64 made_ns; /* when it was */
    gint32 seqid;
    BenchMethod method;
} ConnCall;

/* What connections tell. None may close a connection. */
typedef struct ConnEvents {
    /* An answer; FALSE: this connection is out of step, break it. */
    gboolean (*answered)(const ConnCall *call, WireBytes message,
                         gpointer user_data);
    /* It will not be answered any more. */
    void (*lost)(const ConnCall *call, gpointer user_data);
    /* All answers that came in were told: there is room for calls. */
    void (*ready)(Conn *conn, gpointer user_data);
    /* It broke; @why: static, or of g_strerror(). */
    void (*broke)(const char *why, gpointer user_data);
    gpointer user_data;
} ConnEvents;

typedef struct ConnOptions {
    struct event_base *base;
    struct sockaddr_storage address;
    socklen_t address_len;
    guint depth;      /* calls under way, at most */
    guint timeout_ms; /* for connecting */
    ConnEvents events;
} ConnOptions;

/** clock_ns() - CLOCK_MONOTONIC. */
gint64 clock_ns(void);

/**
 * conn_open() - connect, and wait until that is done
 *
 * @options: borrowed, outlives the connection.
 * Owns:     the caller; conn_close().
 * Fails:    COMB_ERROR_UNREACHABLE, NULL.
 */
Conn *conn_open(const ConnOptions *options, GError **error);

/** conn_close() - calls under way are told as lost. */
void conn_close(Conn *conn);

/** conn_room() - how many calls may be added now. */
guint conn_room(const Conn *conn);

/** conn_in_flight() - how many are under way. */
guint conn_in_flight(const Conn *conn);

/** conn_call() - add a call, where there is room; sent by conn_flush(). */
void conn_call(Conn *conn, BenchMethod method, const RequestPattern *pattern,
               const gint64 *ids, gint64 due_ns);

/** conn_flush() - send what was added; what does not fit goes by itself. */
void conn_flush(Conn *conn);
