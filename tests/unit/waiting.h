/*
 * waiting.h - a cell with its sockets whose log is applied when the test says
 *
 * Two partitions of a memory log, a client that reads raw answers. Posts are
 * appended at once and applied by waiting_apply(), or by an apply thread.
 */
#pragma once

#include "cell/apply.h"
#include "cell/ingest.h"
#include "cell/serve.h"
#include "firehose/bookmark.h"
#include "tests/kit/page_seen.h"

#define WAITING_PARTITIONS 2
#define WAITING_READER 1000

typedef struct Waiting {
    char *dir;
    LogCluster *cluster;
    Log *log;
    LogEnds *ends;
    MapFeed *feed;
    State *state;
    Serve *serve;                       /* NULL: stopped */
    Ingest *ingest;                     /* NULL: an apply thread does it */
    Apply *apply;                       /* NULL: the test does */
    gint64 authors[WAITING_PARTITIONS]; /* one who writes into each */
    _Atomic gint64 last_id;             /* of an event */
} Waiting;

/* A call with at_least; what is not set is left out. */
typedef struct WaitingCall {
    const char *method;   /* NULL: getDashboard */
    gint64 user;          /* 0: WAITING_READER */
    gint64 post;          /* for getPosts */
    gint32 deadline_ms;   /* 0: 20,000 */
    GByteArray *at_least; /* the list's elements, of waiting_add(); owned */
    guint32 n;            /* of them; 0: no at_least */
    gint32 seqid;
} WaitingCall;

/* What came back. */
typedef struct WaitingAnswer {
    GByteArray *message;
    Frame frame;   /* of it */
    PageSeen page; /* where field 0 is one */
    char *stale;   /* NULL: it is not */
} WaitingAnswer;

/**
 * waiting_set_up() - the reader follows both authors, and it is applied
 *
 * @threaded: an apply thread, else the test applies.
 */
void waiting_set_up(Waiting *waiting, gboolean threaded);
void waiting_tear_down(Waiting *waiting);

/** waiting_post() - append a post of @authors[@partition]; its id and where
 * it is. Thread: any. */
gint64 waiting_post(Waiting *waiting, guint partition, Position *ret_position);

/** waiting_apply() - all that was appended. */
void waiting_apply(Waiting *waiting);

/** waiting_add() - ask for @position too. */
void waiting_add(const Waiting *waiting, WaitingCall *call, Position position);

/** waiting_add_bytes() - ask for what may be no position. */
void waiting_add_bytes(WaitingCall *call, const void *data, gsize len);

/** waiting_send() - send @call, and clear its at_least. */
void waiting_send(int fd, WaitingCall *call);

/** waiting_receive() - the next answer. Owns: waiting_answer_clear(). */
WaitingAnswer waiting_receive(int fd);
void waiting_answer_clear(WaitingAnswer *answer);

/** waiting_shows() - whether the page has @post. */
gboolean waiting_shows(const WaitingAnswer *answer, gint64 post);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(WaitingAnswer, waiting_answer_clear)
