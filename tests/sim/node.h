/*
 * node.h - a cell in the simulation: opened, stepped, killed, opened again
 *
 * State, ingest and checkpoint as the cell composes them, without its thread,
 * over a disk in memory and a directory for the tail files. Everything that
 * fails is held against what was made to fail: a fault that nobody armed, and
 * one that struck and was taken for success, are differences like a wrong
 * page.
 */
#pragma once

#include "cell/checkpoint.h"
#include "cell/ingest.h"
#include "tests/sim/disk.h"
#include "tests/sim/tuning.h"

/* Places where a node dies, for the summary: between two operations, at a
   disk's fault, at a kill point; and what ends it otherwise. */
typedef struct NodeCounts {
    guint64 opens;
    guint64 between; /* dropped between two operations */
    guint64 faults[DISK_FAULTS];
    guint64 kills[32]; /* by kill point */
    guint64 log_stops;
    guint64 clean_stops;
    guint64 damaged; /* tail files */
    guint64 rebuilt; /* refused for it, and begun again from nothing */
    guint64 checkpoints;
} NodeCounts;

typedef struct Node {
    guint number; /* for the trace */
    guint cell;   /* whose inboxes it has */
    guint partitions;
    Log *log;           /* borrowed */
    CellMap *map;       /* borrowed */
    InboxTuning tuning; /* this node's */
    Dice dice;          /* its own */
    char *dir;          /* owned; the tail files are in it */
    Disk *disk;         /* owned */
    KillPoints *kill;   /* of this life; owned */
    State *state;       /* NULL while it is down */
    Ingest *ingest;     /* NULL unless it is up */
    Checkpoint *checkpoint;
    gboolean copying;  /* a checkpoint is under way */
    gboolean stopped;  /* it applies no more and serves what it has */
    guint kill_armed;  /* a kill point; sim_kill_points(): none */
    guint kill_in;     /* hits of it until the kill */
    gboolean killed;   /* it was */
    guint damage_left; /* checkpoints until both tail files are good again */
    gboolean torn;     /* died in a checkpoint while only one was good */
    guint64 applied[DISK_PARTITIONS_MAX]; /* per partition, records so far */
    guint64 floor[DISK_PARTITIONS_MAX];   /* facts reached when it opened */
    guint64 safe[DISK_PARTITIONS_MAX];    /* by the last checkpoint done */
    NodeCounts counts;
    GString *trouble; /* what must not be; empty: nothing */
} Node;

typedef enum NodeOutcome {
    NODE_WORKED,
    NODE_IDLE,    /* the log has no more */
    NODE_STOPPED, /* as was to be: by an error; pages are served on */
    NODE_DEAD,    /* as was to be: killed; it is down now */
    NODE_TROUBLE, /* see @trouble */
} NodeOutcome;

/** node_outcome_name() - "worked"; const. */
const char *node_outcome_name(NodeOutcome outcome);

/** node_new() - a cell that is down and was never up. @dir: empty, kept. */
Node *node_new(Log *log, CellMap *map, guint cell, const char *dir);

/** node_free() - also where it is up. */
void node_free(Node *node);

/** node_tune() - draw tiny sizes for its inboxes, from the next start on. */
void node_tune(Node *node);

/**
 * node_open() - start it, founding the cell where it is new
 *
 * Effect: NODE_WORKED, NODE_DEAD (killed, or stopped by a fault: open again),
 *         NODE_TROUBLE. A cell that refuses to start because a tail file was
 *         damaged and it died in the very next checkpoint is emptied, as an
 *         operator would: NODE_DEAD.
 */
NodeOutcome node_open(Node *node);

/** node_step() - apply the next records. */
NodeOutcome node_step(Node *node);

/** node_checkpoint() - begin a checkpoint, or go on with it for @users. */
NodeOutcome node_checkpoint(Node *node, guint users);

/** node_crash() - it is gone, and with it what was not flushed. */
void node_crash(Node *node);

/** node_stop() - checkpoint, report, close: as apply_stop() does. */
NodeOutcome node_stop(Node *node);

/** node_damage() - where one can be spared, flip a bit of the tail file. */
void node_damage(Node *node);

/** node_arm_kill() - die at the @nth hit of a kill point. */
void node_arm_kill(Node *node, guint point, guint nth);

/** node_note_read_fault() - a read was made to fail, and that is done with;
 * FALSE: none was. */
gboolean node_note_read_fault(Node *node);

/** node_disarm() - no fault strikes that has not yet. */
void node_disarm(Node *node);

/** node_serves() - whether the cell would answer reads at all. */
gboolean node_serves(const Node *node);

/** node_is_exact() - whether pages are those of a prefix, Disk.high: not so
 * while it repeats what its facts already have. */
gboolean node_is_exact(const Node *node);

/** node_at_end() - all that is in the log is applied. */
gboolean node_at_end(const Node *node);
