/*
 * op.h - what happens in a seed, an operation at a time
 *
 * Each is one line of the trace, or a few. An operation that a cell is in no
 * state for does nothing. FALSE: something is wrong, see Node.trouble.
 */
#pragma once

#include "tests/sim/check.h"

#define SIM_NODES_MAX 2
#define SIM_PAGERS 4

typedef struct SimNode {
    Node *node;      /* owned */
    char *dir;       /* temporary; owned */
    Checker checker; /* of its pages */
    Pager pagers[SIM_PAGERS];
} SimNode;

typedef struct Sim {
    Dice dice;        /* of the schedule */
    gboolean verbose; /* print each operation */
    World *world;     /* owned, as are the next two */
    Model *model;
    Log *log;
    SimNode nodes[SIM_NODES_MAX];
    guint n_nodes;    /* of them */
    guint delivered;  /* of World.deliveries */
    guint burst_max;  /* records appended at once */
    guint faulty;     /* percent: a fault is armed when a cell is opened */
    gboolean retunes; /* a cell has other sizes each time it is opened */
    guint ops;        /* done */
    guint quiet;      /* times that all was compared */
} Sim;

/** op_append() - some more records are in the log. */
gboolean op_append(Sim *sim, SimNode *it);

/** op_arm() - something is to fail in time: a kill, or a fault of the disk. */
gboolean op_arm(Sim *sim, SimNode *it);

/** op_break_log() - some read of the log is to stop whose it is. */
gboolean op_break_log(Sim *sim, SimNode *it);

/**
 * op_revive() - open a cell that is down, until it is up
 *
 * Effect: it may die of it again and again, or in the middle of its replay.
 */
gboolean op_revive(Sim *sim, SimNode *it);

/** op_crash() - kill it between two operations, and revive it. */
gboolean op_crash(Sim *sim, SimNode *it);

/** op_stop() - stop it cleanly, and revive it. */
gboolean op_stop(Sim *sim, SimNode *it);

/** op_step() - it applies a batch; a failed cell is killed now and then. */
gboolean op_step(Sim *sim, SimNode *it);

/** op_checkpoint() - it begins a checkpoint or goes on with one. */
gboolean op_checkpoint(Sim *sim, SimNode *it);

/** op_page() - somebody reads on, older or newer. */
gboolean op_page(Sim *sim, SimNode *it);

/** op_list() - somebody reads all, down and up again. */
gboolean op_list(Sim *sim, SimNode *it);

/** op_posts() - somebody asks for posts by id. */
gboolean op_posts(Sim *sim, SimNode *it);

/** op_settle() - it applies all that is in the log; some lists are read. */
gboolean op_settle(Sim *sim, SimNode *it);

/** op_settle_all() - likewise; all lists are. */
gboolean op_settle_all(Sim *sim, SimNode *it);
