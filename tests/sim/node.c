/*
 * Lives. node_open() is what cell.c and apply.c do at start: open the state,
 * found the cell where the store is empty, open the log at what the state
 * says. A life ends in one of three ways: dropped, with the disk losing what
 * was not flushed; by a clean stop; or not at once: an error stops applying,
 * pages are served as stale, and only then comes the drop.
 *
 * Where facts are. After a crash the store may be ahead of the tails, and the
 * log is read again from the tails' position; until it is past what the facts
 * reach (@floor), a page may lack posts, and the cell would not serve it.
 */
#include "tests/sim/node.h"

#include "ops/kit/ensure.h"
#include "ops/kit/error.h"
#include "tests/sim/log_sim.h"
#include "tests/sim/store_sim.h"

#include <glib/gstdio.h>
#include <string.h>

const char *
node_outcome_name(NodeOutcome outcome)
{
    static const char *const names[] = {
        [NODE_WORKED] = "worked",   [NODE_IDLE] = "idle",
        [NODE_STOPPED] = "stopped", [NODE_DEAD] = "dead",
        [NODE_TROUBLE] = "WRONG",
    };
    return names[outcome];
}

Node *
node_new(Log *log, CellMap *map, guint cell, const char *dir)
{
    Node *node = g_new0(Node, 1);
    node->partitions = log_partitions(log);
    ensure(node->partitions <= DISK_PARTITIONS_MAX);
    node->cell = cell;
    node->log = log;
    node->map = map;
    node->dir = g_strdup(dir);
    node->disk = disk_new();
    node->kill_armed = sim_kill_points();
    node->trouble = g_string_new(NULL);
    g_autofree char *store = g_build_filename(dir, "store", NULL);
    store_sim_mount(store, node->disk);
    return node;
}

void
node_tune(Node *node)
{
    Dice *dice = &node->dice;
    InboxTuning *tuning = &node->tuning;
    tuning->tail_ids_max = dice_range(dice, 4, 40);
    guint keep_max = MIN(8, tuning->tail_ids_max - 1);
    tuning->tail_ids_keep = dice_range(dice, 1, keep_max);
    tuning->chunk_ids = dice_range(dice, 2, 16);
    tuning->window_chunks = dice_range(dice, 1, 6);
    tuning->slice = dice_log(dice, 50);
    tuning->follows_max = dice_range(dice, 1, 8);
}

/* Memory goes, files stay. */
static void
node_drop(Node *node)
{
    g_clear_pointer(&node->checkpoint, checkpoint_free);
    g_clear_pointer(&node->ingest, ingest_free);
    g_clear_pointer(&node->state, state_close);
#if SIM_KILL
    g_clear_pointer(&node->kill, killpoints_free);
#endif
    node->copying = FALSE;
    node->stopped = FALSE;
}

void
node_free(Node *node)
{
    node_drop(node);
    g_autofree char *store = g_build_filename(node->dir, "store", NULL);
    store_sim_unmount(store);
    disk_free(node->disk);
    g_string_free(node->trouble, TRUE);
    g_free(node->dir);
    g_free(node);
}

/* ---- what is made to fail ---- */

#if SIM_KILL
static gboolean
node_die(KillPoint point, gpointer user_data)
{
    Node *node = user_data;
    if ((guint)point != node->kill_armed || --node->kill_in > 0) {
        return FALSE;
    }
    node->kill_armed = sim_kill_points();
    node->killed = TRUE;
    node->counts.kills[point]++;
    return TRUE;
}
#endif

void
node_arm_kill(Node *node, guint point, guint nth)
{
    node->kill_armed = point;
    node->kill_in = nth;
}

void
node_disarm(Node *node)
{
    node->disk->armed = DISK_SOUND;
    node->kill_armed = sim_kill_points();
}

gboolean
node_note_read_fault(Node *node)
{
    if (node->disk->struck != DISK_READ_IO) {
        return FALSE;
    }
    node->disk->struck = DISK_SOUND;
    node->counts.faults[DISK_READ_IO]++;
    return TRUE;
}

static NodeOutcome
node_trouble(Node *node, const char *what, const GError *error)
{
    g_string_append_printf(node->trouble, "%s: %s", what,
                           error != NULL ? error->message : "no reason");
    return NODE_TROUBLE;
}

void
node_crash(Node *node)
{
    node->torn = node->torn || (node->copying && node->damage_left == 2);
    node_drop(node);
    disk_crash(node->disk, &node->dice);
    node->killed = FALSE;
}

/* @what failed: was that arranged? */
static NodeOutcome
node_failed(Node *node, const char *what, const GError *error)
{
    Disk *disk = node->disk;
    DiskFault fault = disk->struck;
    gboolean log_stop = log_sim_broke(node->log);
    gboolean dead = node->killed || fault == DISK_COMMIT_LOST ||
                    fault == DISK_COMMIT_KEPT || fault == DISK_FLUSH_LOST ||
                    fault == DISK_FLUSH_KEPT;
    node->counts.faults[fault]++;
    node->counts.log_stops += log_stop ? 1 : 0;
    if (dead) {
        node_crash(node);
        return NODE_DEAD;
    }
    if (fault == DISK_SOUND && !log_stop) {
        return node_trouble(node, what, error);
    }
    disk->struck = DISK_SOUND;
    node->stopped = TRUE;
    if (node->state != NULL) {
        state_stop(node->state, error != NULL ? error->message : what);
    }
    return NODE_STOPPED;
}

/* @what went well: nothing may have failed under it but a read, which the
   store remembers. */
static NodeOutcome
node_succeeded(Node *node, const char *what)
{
    node_note_read_fault(node);
    DiskFault fault = node->disk->struck;
    if (!node->killed && fault == DISK_SOUND) {
        return NODE_WORKED;
    }
    g_string_append_printf(node->trouble,
                           "%s is taken for done although it met %s", what,
                           node->killed ? "its death" : disk_fault_name(fault));
    return NODE_TROUBLE;
}

/* ---- a life ---- */

static gboolean
node_open_state(Node *node, guint64 *ret_next, GError **error)
{
    StateOptions options = {
        .dir = node->dir,
        .identity = {node->cell, log_identity(node->log), node->partitions},
        .cache_bytes = 8192, /* so that facts come and go */
    };
#if SIM_KILL
    node->kill = killpoints_simulated(node_die, node);
    options.kill = node->kill;
#endif
#if SIM_TUNING
    options.tuning = &node->tuning;
#endif
    node->state = state_open(&options, ret_next, error);
    return node->state != NULL;
}

/* What the state says where to replay from. */
static NodeOutcome
node_check_start(Node *node, const guint64 *next)
{
    for (guint i = 0; i < node->partitions; i++) {
        gboolean late = next[i] > node->floor[i];
        gboolean early = next[i] < node->safe[i] && node->damage_left == 0;
        if (late || early) {
            g_string_append_printf(node->trouble,
                                   "opened at %" G_GUINT64_FORMAT
                                   " of partition %u; facts "
                                   "reach %" G_GUINT64_FORMAT
                                   ", the last checkpoint %" G_GUINT64_FORMAT,
                                   next[i], i, node->floor[i], node->safe[i]);
            return NODE_TROUBLE;
        }
    }
    return NODE_WORKED;
}

static gboolean
node_begin(Node *node, const guint64 *next, GError **error)
{
    node->ingest = ingest_new(node->state, node->log, NULL, next);
    if (atomic_load(&node->state->home) == NULL &&
        !ingest_found(node->ingest, node->map, error)) {
        return FALSE;
    }
    return ingest_open(node->ingest, error);
}

/* Both tail files may be bad, and the cell says so. */
static gboolean
node_is_refused(const Node *node, const GError *error)
{
    return node->torn && node->state == NULL && !node->killed &&
           node->disk->struck == DISK_SOUND &&
           g_error_matches(error, COMB_ERROR, COMB_ERROR_CORRUPT);
}

/* Nothing is left: the log has it all. */
static void
node_empty(Node *node)
{
    node_drop(node);
    g_autofree char *store = g_build_filename(node->dir, "store", NULL);
    g_autoptr(GDir) dir = g_dir_open(node->dir, 0, NULL);
    ensure(dir != NULL);
    const char *name;
    while ((name = g_dir_read_name(dir)) != NULL) {
        g_autofree char *path = g_build_filename(node->dir, name, NULL);
        ensure(g_unlink(path) == 0);
    }
    store_sim_unmount(store);
    disk_free(node->disk);
    node->disk = disk_new();
    store_sim_mount(store, node->disk);
    memset(node->safe, 0, sizeof node->safe);
    node->damage_left = 0;
    node->torn = FALSE;
    node->counts.rebuilt++;
}

NodeOutcome
node_open(Node *node)
{
    guint64 next[DISK_PARTITIONS_MAX] = {0};
    g_autoptr(GError) error = NULL;
    node->counts.opens++;
    memcpy(node->floor, node->disk->high, sizeof node->floor);
    NodeOutcome outcome;
    gboolean opened = node_open_state(node, next, &error);
    if (!opened && node_is_refused(node, error)) {
        node_empty(node);
        return NODE_DEAD;
    }
    if (!opened) {
        outcome = node_failed(node, "opening", error);
    } else {
        outcome = node_check_start(node, next);
        if (outcome == NODE_WORKED && !node_begin(node, next, &error)) {
            outcome = node_failed(node, "starting", error);
        }
    }
    if (outcome == NODE_STOPPED) {
        node_crash(node);
        return NODE_DEAD;
    }
    if (outcome != NODE_WORKED) {
        return outcome;
    }
    memcpy(node->applied, next, sizeof node->applied);
    memcpy(node->disk->at, next, sizeof next);
    node->checkpoint = checkpoint_new(node->state);
    return node_succeeded(node, "opening");
}

NodeOutcome
node_step(Node *node)
{
    g_autoptr(GError) error = NULL;
    switch (ingest_step(node->ingest, 0, &error)) {
    case INGEST_FAILED:
        /* So many batches were committed before the one that failed. */
        for (guint i = 0; i < node->partitions; i++) {
            node->applied[i] = MAX(node->applied[i], node->disk->at[i]);
        }
        return node_failed(node, "a step", error);
    case INGEST_IDLE:
        return node_succeeded(node, "an idle step") == NODE_WORKED
                   ? NODE_IDLE
                   : NODE_TROUBLE;
    case INGEST_APPLIED:
        break;
    }
    gsize bytes = node->partitions * sizeof *node->applied;
    memcpy(node->applied, ingest_next(node->ingest), bytes);
    if (node_is_exact(node) &&
        memcmp(node->applied, node->disk->high, bytes) != 0) {
        return node_trouble(node, "the store's position is not ingest_next()",
                            NULL);
    }
    return node_succeeded(node, "a step");
}

/* A checkpoint is in place: no later start is from before it. */
static void
node_checkpoint_done(Node *node)
{
    node->copying = FALSE;
    node->counts.checkpoints++;
    node->damage_left -= MIN(node->damage_left, 1);
    node->torn = FALSE;
    memcpy(node->safe, checkpoint_next(node->checkpoint),
           node->partitions * sizeof *node->safe);
}

NodeOutcome
node_checkpoint(Node *node, guint users)
{
    g_autoptr(GError) error = NULL;
    if (!node->copying) {
        guint64 next[DISK_PARTITIONS_MAX];
        ingest_replay_from(node->ingest, next);
        checkpoint_begin(node->checkpoint, next);
        node->copying = TRUE;
        return NODE_WORKED;
    }
    switch (checkpoint_step(node->checkpoint, users, &error)) {
    case CHECKPOINT_FAILED:
        return node_failed(node, "a checkpoint", error);
    case CHECKPOINT_DONE:
        node_checkpoint_done(node);
        break;
    case CHECKPOINT_MORE:
        break;
    }
    return node_succeeded(node, "a checkpoint");
}

NodeOutcome
node_stop(Node *node)
{
    g_autoptr(GError) error = NULL;
    if (!ingest_finish(node->ingest, &error)) {
        return node_failed(node, "finishing", error);
    }
    node->copying = FALSE;
    NodeOutcome outcome = node_checkpoint(node, 0);
    while (outcome == NODE_WORKED && node->copying) {
        outcome = node_checkpoint(node, 1000);
    }
    if (outcome != NODE_WORKED) {
        return outcome;
    }
    ingest_report(node->ingest);
    node->counts.clean_stops++;
    node_crash(node);
    return NODE_WORKED;
}

void
node_damage(Node *node)
{
    g_autofree char *path = g_build_filename(node->dir, "tails", NULL);
    g_autofree char *old = g_build_filename(node->dir, "tails.old", NULL);
    g_autofree char *data = NULL;
    gsize len;
    if (node->damage_left > 0 || !g_file_test(old, G_FILE_TEST_EXISTS) ||
        !g_file_get_contents(path, &data, &len, NULL) || len == 0) {
        return;
    }
    data[dice_below(&node->dice, (guint)len)] ^=
        (char)(1 << dice_below(&node->dice, 8));
    FILE *file = g_fopen(path, "w");
    ensure(file != NULL && fwrite(data, 1, len, file) == len);
    ensure(fclose(file) == 0);
    node->counts.damaged++;
    node->damage_left = 2;
    memset(node->safe, 0, sizeof node->safe);
}

/* ---- what it can be asked ---- */

gboolean
node_serves(const Node *node)
{
    return node->state != NULL && store_failure(node->state->store) == NULL;
}

gboolean
node_is_exact(const Node *node)
{
    for (guint i = 0; i < node->partitions; i++) {
        if (node->applied[i] < node->floor[i]) {
            return FALSE;
        }
    }
    return TRUE;
}

gboolean
node_at_end(const Node *node)
{
    for (guint i = 0; i < node->partitions; i++) {
        if (node->applied[i] < log_sim_end(node->log, i)) {
            return FALSE;
        }
    }
    return TRUE;
}
