/*
 * worker.h - a thread of the server with its event base (private)
 *
 * Others reach it through the mailbox only: new sockets, answers, orders.
 */
#pragma once

#include "thrift/connection.h"

#include <pthread.h>
#include <stdatomic.h>

/* Counters of a server; any thread. See ServerStats. */
typedef struct ServerCounters {
    _Atomic guint64 accepted;
    _Atomic guint64 refused;
    _Atomic guint64 bad_frames;
    _Atomic guint64 stalled;
    _Atomic guint64 calls;
    _Atomic guint64 unknown_methods;
    _Atomic guint64 tls_faults;
    _Atomic guint64 denied;
    _Atomic guint64 overloaded;
    _Atomic guint connections;
    _Atomic gint64 held_bytes; /* received or to be sent, and still here */
    Calls *by_method; /* the server's; each worker records as its thread */
} ServerCounters;

typedef TAILQ_HEAD(ConnectionList, Connection) ConnectionList;
typedef STAILQ_HEAD(RequestMail, Request) RequestMail;

/* Large enough for what many peers send meanwhile, and a TLS record. */
#define WORKER_ROOM_BYTES ((gsize)64 << 10)

/* What others have left for the worker. */
typedef struct Mailbox {
    pthread_mutex_t lock;
    RequestMail answered; /* requests with their reply */
    GArray *sockets;      /* int: accepted, to be served here */
    gboolean drain;
    gboolean stop;
} Mailbox;

struct Worker {
    const ServerOptions *options; /* the server's */
    ServerCounters *counters;     /* the server's */
    guint number;                 /* 0 to threads-1 */
    pthread_t thread;             /* for the join */
    pthread_t self;               /* the same, set by the thread itself */
    struct event_base *base;
    struct event *acceptable; /* the listener; of one worker, else NULL */
    struct event *wake;       /* on wake_fd */
    int wake_fd;              /* eventfd: there is mail */
    Mailbox mail;             /* any thread, under its lock */
    guint8 *room;             /* WORKER_ROOM_BYTES, for a read or write */
    ConnectionList ready;     /* with answers to send; @send is active */
    struct event *send;
    gboolean waking;            /* @send is active */
    CallQueue queue;            /* calls that wait to be served */
    struct event *turn;         /* pending or active while @queue has calls */
    ConnectionList connections; /* open, or closed with calls open */
    struct timeval stall;       /* options->stall_ms */
    gboolean draining;          /* no call is read any more */
    _Atomic gboolean drained;   /* the same, for server_drain() */
    _Atomic gint64 busy;        /* calls open, and connections with output */
};

/** worker_wake_send() - @ready is not empty. Thread: the worker's. */
void worker_wake_send(Worker *worker);

/** worker_wake_turn() - @queue has calls. Thread: the worker's. */
void worker_wake_turn(Worker *worker);

/** worker_init() - make the base and mailbox; no thread yet. */
void worker_init(Worker *worker, guint number, const ServerOptions *options,
                 ServerCounters *counters);

/**
 * worker_listen() - call @acceptable when a peer waits at @fd, until drained
 *
 * Owns: takes @fd. Thread: before worker_start().
 */
void worker_listen(Worker *worker, int fd, event_callback_fn acceptable,
                   gpointer user_data);

/** worker_start() - start the thread. Fails: COMB_ERROR_IO, FALSE. */
gboolean worker_start(Worker *worker, GError **error);

/** worker_adopt() - serve @fd. Owns: takes it. Thread: any. */
void worker_adopt(Worker *worker, int fd);

/** worker_drain() - read no more calls; sets @drained when done. Thread: any.
 */
void worker_drain(Worker *worker);

/** worker_stop() - end the thread and wait for it. Thread: any but its own. */
void worker_stop(Worker *worker);

/** worker_clear() - free everything, when all workers are stopped. */
void worker_clear(Worker *worker);
