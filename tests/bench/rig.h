/*
 * rig.h - a cell without its sockets, over a world's log, in this process
 *
 * What the daemon composes, less the server: state, apply thread, map feed.
 * All threads of the cell, RocksDB's among them, are on the server's core; the
 * caller and the threads of the log are on the other one. A rig that cannot be
 * had ends the process: a benchmark has nothing to say without it.
 */
#pragma once

#include "cell/apply.h"
#include "tests/bench/worldlog.h"

typedef struct RigOptions {
    const World *world; /* borrowed, outlives the rig */
    const char *cell_dir;
    const char *log_dir; /* of the local log with the posts */
    guint checkpoint_s;
    guint64 end;               /* offsets below it may be applied */
    _Atomic guint64 *end_here; /* or: borrowed, read from here */
} RigOptions;

typedef struct Rig {
    const World *world;
    const char *cell_dir;
    guint checkpoint_s;
    LogCluster *cluster; /* of the posts */
    LogCluster *memory;  /* of the cell map */
    Log *posts;          /* the topic in @cluster */
    Log *log;            /* what the cell reads */
    MapFeed *feed;
    State *state;
    Apply *apply;             /* NULL while it does not run */
    guint64 next;             /* where applying starts */
    _Atomic guint64 end;      /* behind @end_now, where nobody gave another */
    _Atomic guint64 *end_now; /* raise it to release records */
} Rig;

/** rig_check() - end the process where there is an error. */
void rig_check(GError *error);

/** rig_posts_open() - the topic of the posts in @cluster, made where missing.
 */
Log *rig_posts_open(LogCluster *cluster);

/** rig_append() - append @n events of authors with these keys; waits until
 * all are acknowledged. */
void rig_append(Log *posts, const LogEntry *entries, gsize n);

/** rig_open() - everything but the apply thread. Owns: rig_close(). */
Rig *rig_open(const RigOptions *options);

/** rig_start() - start applying; the caller moves to the load's core. */
void rig_start(Rig *rig);

/**
 * rig_wait() - until all below @offset is applied and delivered
 *
 * Effect: ends the process where applying has stopped.
 */
void rig_wait(Rig *rig, guint64 offset);

/** rig_checkpoint() - have a checkpoint written, and wait for it. */
void rig_checkpoint(Rig *rig);

/** rig_stop() - a clean end of applying. */
void rig_stop(Rig *rig);

/** rig_close() - stops applying where that was not done. */
void rig_close(Rig *rig);

/** rig_metric() - the state's metric of this name; 0 where it has none. */
gint64 rig_metric(const Rig *rig, const char *name);

/** rig_pending() - deliveries of applied posts that are still to be made. */
gint64 rig_pending(const Rig *rig);
