/*
 * town.h - a router on the bench: a map, three cells, a client's socket
 *
 * The cells are servers that answer as they are told; a listening socket of
 * the test can take the place of one, to answer byte by byte. A test that
 * waits longer than some seconds aborts.
 */
#pragma once

#include "router/router.h"
#include "thrift/reply.h"

#include <stdatomic.h>

#define TOWN_CELLS 3
#define TOWN_TIMEOUT_MS 300
#define TOWN_RETRY_AFTER_MS 77
#define TOWN_HELD_MAX 64
#define TOWN_WAIT_MS 20000
/* More than the router's pause after a first failure. */
#define TOWN_BACKOFF_US 100000
/* A fake cell's answer for a user: so that it shows who answered whom. */
#define ANSWER(cell, user) ((gint64)(cell)*1000000 + (user))

typedef enum FakeMode {
    FAKE_ANSWER,
    FAKE_NOT_HOMED, /* with `epoch` */
    FAKE_UNAVAILABLE,
    FAKE_OVERLOADED, /* retry after TOWN_RETRY_AFTER_MS */
    FAKE_HOLD,       /* until fake_release() */
} FakeMode;

typedef struct Fake {
    Server *server; /* NULL: not there */
    guint cell;     /* its number */
    atomic_int mode;
    _Atomic gint64 epoch;                   /* of FAKE_NOT_HOMED */
    atomic_int calls;                       /* taken */
    _Atomic(Request *) held[TOWN_HELD_MAX]; /* by FAKE_HOLD */
    atomic_int n_held;                      /* of them */
} Fake;

typedef struct Town {
    LogCluster *cluster; /* in memory */
    Log *control;        /* topic */
    MapFeed *feed;
    Metrics *metrics;
    Router *router;
    Fake fakes[TOWN_CELLS];
    CellMapEntry entries[TOWN_CELLS]; /* where the fakes are */
    int client;                       /* a connection to the router */
} Town;

/** fake_start() - serve as @cell; @port 0: any. */
void fake_start(Fake *fake, guint cell, guint16 port);

/** fake_release() - answer what is held, and from now on at once. */
void fake_release(Fake *fake);

/** fake_wait() - until it has taken @calls. */
void fake_wait(const Fake *fake, int calls);

/** fake_stop() - release, and be gone. */
void fake_stop(Fake *fake);

/** town_set_up() - all but a map; @in_flight_max 0: plenty. */
void town_set_up(Town *town, gconstpointer in_flight_max);

/** town_tear_down() - stop and free what is left of it. */
void town_tear_down(Town *town, gconstpointer unused);

/** town_stop_router() - and close the client, where it runs. */
void town_stop_router(Town *town);

/** town_restart_router() - another one, with another time-out for cells. */
void town_restart_router(Town *town, guint timeout_ms);

/**
 * town_use_map() - equal shares for entries @first to @first + @n - 1
 *
 * Effect: returns when the feed has it.
 */
void town_use_map(Town *town, gint64 epoch, guint first, guint n);

/** town_user_of() - a user whose home is @cell. */
gint64 town_user_of(Town *town, guint cell);

/** town_ask() - send a call of @method for @user. */
void town_ask(Town *town, const char *method, gint32 seqid, gint64 user);

/** town_ask_with_deadline() - a getDashboard with ctx.deadline_ms. */
void town_ask_with_deadline(Town *town, gint32 seqid, gint64 user, gint32 ms);

/** town_ask_at_least() - a getDashboard with ctx.at_least. */
void town_ask_at_least(Town *town, gint32 seqid, gint64 user);

/** town_expect() - the next reply is @cell's answer for @user. */
void town_expect(Town *town, gint32 seqid, guint cell, gint64 user);

/** town_expect_refusal() - it is exception @field, with @words in it. */
void town_expect_refusal(Town *town, gint32 seqid, ReplyField field,
                         const char *words);

/** town_is_refused() - whether the next reply, Unavailable, has @words in it.
 */
gboolean town_is_refused(Town *town, gint32 seqid, const char *words);

/** town_ask_until_answered() - it may take the pause after a failure. */
void town_ask_until_answered(Town *town, guint cell, gint64 user);

/** town_wait_for_metric() - until /metrics would have @line. */
void town_wait_for_metric(Town *town, const char *line);

/**
 * town_replace_cell() - put a listening socket in the place of @cell
 *
 * Effect: entries[cell] is where it listens. Owns: the caller closes.
 */
int town_replace_cell(Town *town, guint cell);

/** town_accept() - the router's next connection. Owns: the caller closes. */
int town_accept(int listener);
