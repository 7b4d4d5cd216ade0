/*
 * state.h - what the apply thread writes and the serving threads read
 *
 * One writer, and no lock: readers take a cut (cut.h) beside it. What both
 * touch is the store (snapshots), the tails (copies), the pending posts and
 * what is atomic below.
 */
#pragma once

#include "cell/bell.h"
#include "cell/factcache.h"
#include "cell/followers.h"
#include "cell/inbox.h"
#include "cell/meta.h"
#include "cell/pending.h"
#include "firehose/event.h"
#include "ops/kit/killpoint.h"
#include "ops/kit/metrics.h"
#include "router/mapfeed.h"

#include <stdatomic.h>

/* What helps where files, store and log disagree; twice the directory. */
#define STATE_REPAIR                                                           \
    "; restore a backup, or rebuild from the log: mv '%s' '%s.damaged' and "   \
    "start again"

/* Indexes into State.metrics. */
typedef enum StateMetric {
    METRIC_EVENTS, /* then one for each kind, at METRIC_EVENTS + kind - 1 */
    METRIC_DELIVERIES = METRIC_EVENTS + EVENT_KIND_MAX,
    METRIC_FOREIGN,
    METRIC_QUARANTINED,
    METRIC_LOG_HOLES,
    METRIC_LOG_REPEATS,
    METRIC_CHECKPOINTS,
    METRIC_USERS,
    METRIC_EDGES,
    METRIC_SEALED,
    METRIC_FANOUT_PENDING,
    METRIC_INBOX_BYTES,
    METRIC_FOLLOWER_BYTES,
    METRIC_LAG_MS,
    METRIC_STORE_BYTES,
    METRIC_PAGES,
    METRIC_PAGE_CANDIDATES,
    METRIC_CACHE_HITS,
    METRIC_CACHE_MISSES,
    METRIC_CACHE_BYTES,
    METRIC_REFUSED,
    METRIC_TLS_FAULTS,
    METRIC_DENIED,
    METRIC_OVERLOADED,
    METRIC_CONNECTIONS,
    METRIC_WAITS,
    METRIC_WAITS_LATE,
    METRIC_WAITING,
    METRIC_N,
} StateMetric;

typedef struct State {
    char *dir;             /* the cell's directory; owned */
    MetaIdentity identity; /* whose state this is; const after start */
    Store *store;          /* owned */
    Inbox *inbox;          /* owned; the apply thread's, readers see inbox.h */
    Followers *followers;  /* owned; the apply thread's */
    FactCache *cache;      /* owned; of facts that pages ask for */
    Pending pending;       /* posts whose fan-out is under way */
    Bell *bell;            /* owned; rung when next has moved, or stopped */
    gsize memory_bytes;    /* for inboxes and followers; 0: no bound */
    KillPoints *kill;      /* borrowed; NULL: none */
    MapFeed *feed;         /* borrowed */
    _Atomic(CellMap *) home; /* owned; set once: whose users are homed here */
    _Atomic guint64 *next;   /* per partition, the next offset to apply */
    guint64 *stored; /* per partition, the store's position at start: what a
                        replay writes again does not take it back */
    guint64 *marks;  /* per partition, log_mark() of the record before that */
    _Atomic guint64 commits;    /* batches committed in the store's life */
    _Atomic gint64 as_of;       /* newest event id applied */
    _Atomic gint64 fresh_at_ms; /* wall time when the log was last seen to be
                                   all applied, or the last record's time */
    _Atomic gboolean at_end;    /* it is the former */
    _Atomic gboolean ready;     /* has applied the log as it was at start */
    _Atomic(char *) stopped;    /* why applying has ended; owned, set once */
    gint64 started_us;          /* monotonic, at start */
    char *labels;               /* cell="0", for metrics */
    char *kind_labels[EVENT_KIND_MAX]; /* cell="0",kind="post", ... */
    Metric metrics[METRIC_N];
} State;

typedef struct StateOptions {
    const char *dir;
    MetaIdentity identity; /* its log text must outlive the state */
    MapFeed *feed;
    const InboxTuning *tuning; /* NULL: the default */
    gsize memory_bytes;        /* for inboxes and followers; 0: no bound */
    gsize cache_bytes;         /* for facts that pages ask for; 0: none */
    KillPoints *kill;          /* borrowed; NULL: none */
} StateOptions;

/**
 * state_open() - open the store and load what memory holds of it
 *
 * @ret_next: per partition, where to read the log from: at or before the
 *            store's own position.
 * Fails:     as meta_load(), tailfile_load() and highwater_read();
 *            COMB_ERROR_CORRUPT where the store is older than its files say.
 */
State *state_open(const StateOptions *options, guint64 *ret_next,
                  GError **error);

/** state_close() - after every reader and the apply thread. */
void state_close(State *state);

/** state_set_home() - the cell is founded: take a reference of @home. */
void state_set_home(State *state, CellMap *home);

/** state_is_homed() - whether @user's inbox is kept here. */
gboolean state_is_homed(State *state, UserId user);

/** state_stop() - applying has ended for this reason; the first one stays. */
void state_stop(State *state, const char *reason);

/** state_stopped() - the reason, or NULL; borrowed. Thread: any. */
const char *state_stopped(State *state);

/** state_lag_ms() - how far behind the log the cell is. Thread: any. */
gint64 state_lag_ms(State *state);

/** state_add() - count @n on a metric. Thread: any. */
void state_add(State *state, guint metric, gint64 n);

/**
 * state_batch_new() - a batch whose changes the cache of facts learns of
 *
 * Owns: the caller; store_batch_free().
 */
StoreBatch *state_batch_new(State *state);

/**
 * state_commit() - commit @batch, counted
 *
 * @batch: of state_batch_new(), where anybody reads pages.
 * Thread: the apply thread. Fails: as store_batch_commit().
 */
gboolean state_commit(State *state, StoreBatch *batch, GError **error);

/**
 * state_note_memory() - the bytes that inboxes and followers use now
 *
 * Effect: sets the gauges, and how thrifty tails are to be with the budget.
 * Thread: the apply thread.
 */
gsize state_note_memory(State *state);
