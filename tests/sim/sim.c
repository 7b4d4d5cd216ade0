/*
 * A seed's life. The dice make a world (world.h) and draw a schedule's
 * habits: how large bursts of appends and reads are, and how often each
 * operation comes; a third of them each seed leaves out. Then operations
 * follow at random until the world's records are all in the log: appends,
 * steps, parts of checkpoints, pages, faults armed for later, crashes. At
 * the end each cell applies the rest, and everything is compared; then it is
 * stopped or killed, opened again, and everything is compared again.
 */
#include "tests/sim/sim.h"

#include "tests/kit/tmpdir.h"
#include "tests/sim/log_sim.h"
#include "tests/sim/op.h"

typedef gboolean (*SimOp)(Sim *sim, SimNode *it);

typedef struct OpRow {
    SimOp run;
    guint weight;    /* as a rule */
    gboolean always; /* no seed leaves it out */
} OpRow;

static const OpRow op_rows[] = {
    {op_append, 100, TRUE}, {op_step, 150, TRUE},
    {op_page, 150, TRUE},   {op_list, 15, FALSE},
    {op_posts, 15, FALSE},  {op_checkpoint, 60, FALSE},
    {op_arm, 20, FALSE},    {op_break_log, 3, FALSE},
    {op_crash, 8, FALSE},   {op_stop, 4, FALSE},
    {op_settle, 8, FALSE},
};

/* Operations until all is appended. NULL, or the node that is in trouble. */
static SimNode *
sim_operate(Sim *sim)
{
    guint weights[G_N_ELEMENTS(op_rows)];
    guint all = 0;
    for (guint i = 0; i < G_N_ELEMENTS(op_rows); i++) {
        gboolean absent = !op_rows[i].always && dice_percent(&sim->dice, 30);
        guint factor = dice_range(&sim->dice, 1, 3);
        weights[i] = absent ? 0 : op_rows[i].weight * factor;
        all += weights[i];
    }
    while (sim->delivered < sim->world->deliveries->len) {
        SimNode *it = &sim->nodes[dice_below(&sim->dice, sim->n_nodes)];
        guint lot = dice_below(&sim->dice, all);
        guint op = 0;
        while (lot >= weights[op]) {
            lot -= weights[op++];
        }
        sim->ops++;
        if (!op_rows[op].run(sim, it)) {
            return it;
        }
    }
    return NULL;
}

/* The end of a seed for one cell: all must be right now, and after another
   start too. */
static gboolean
sim_finish(Sim *sim, SimNode *it)
{
    log_sim_break(sim->log, 0);
    node_disarm(it->node);
    sim->faulty = 0;
    if (!op_settle_all(sim, it)) {
        return FALSE;
    }
    gboolean clean = dice_percent(&sim->dice, 50);
    return (clean ? op_stop(sim, it) : op_crash(sim, it)) &&
           op_settle_all(sim, it);
}

/* ---- a seed ---- */

/* One cell; or a replica beside it, or the other cell. */
static void
sim_add_nodes(Sim *sim)
{
    guint lot = dice_below(&sim->dice, 10);
    sim->n_nodes = lot < 8 ? 1 : 2;
    for (guint i = 0; i < sim->n_nodes; i++) {
        SimNode *it = &sim->nodes[i];
        it->dir = tmpdir_new();
        it->node =
            node_new(sim->log, sim->world->map, lot == 9 ? i : 0, it->dir);
        it->node->number = i;
        it->node->dice = dice_fork(&sim->dice);
        node_tune(it->node);
        checker_init(&it->checker, sim->model);
        it->checker.node = it->node;
    }
}

static void
sim_begin(Sim *sim, guint64 seed)
{
    static const guint reads[] = {1, 4, 16, 64, 512};
    sim->dice = (Dice){seed};
    sim->world = world_new(dice_fork(&sim->dice));
    sim->model = model_new(sim->world->partitions);
    LogSimOptions options = {
        .partitions = sim->world->partitions,
        .read_max = reads[dice_below(&sim->dice, G_N_ELEMENTS(reads))],
        .run_max = dice_log(&sim->dice, 64),
        .identity = "sim",
    };
    sim->log = log_sim_open(&options, dice_fork(&sim->dice));
    /* A seed has some 60 bursts at least, 200 at most. */
    guint records = sim->world->deliveries->len;
    guint bursts = dice_range(&sim->dice, 15, 60);
    sim->burst_max = MAX(4, records / bursts);
    sim->faulty = dice_percent(&sim->dice, 50) ? 30 : 0;
    sim->retunes = dice_percent(&sim->dice, 25);
    sim_add_nodes(sim);
}

static void
sum_counts(SimTotals *totals, const NodeCounts *counts)
{
    totals->opens += counts->opens;
    totals->between += counts->between;
    totals->log_stops += counts->log_stops;
    totals->clean_stops += counts->clean_stops;
    totals->damaged += counts->damaged;
    totals->rebuilt += counts->rebuilt;
    totals->checkpoints += counts->checkpoints;
    for (guint i = 0; i < DISK_FAULTS; i++) {
        totals->faults[i] += counts->faults[i];
    }
    for (guint i = 0; i < sim_kill_points(); i++) {
        totals->kills[i] += counts->kills[i];
    }
}

static void
sim_end(Sim *sim, SimTotals *totals)
{
    totals->seeds++;
    totals->events += sim->world->events->len;
    totals->records += sim->delivered;
    totals->ops += sim->ops;
    totals->quiet += sim->quiet;
    for (guint i = 0; i < sim->n_nodes; i++) {
        SimNode *it = &sim->nodes[i];
        sum_counts(totals, &it->node->counts);
        totals->pages += it->checker.pages;
        totals->posts += it->checker.posts;
        totals->loose += it->checker.loose;
        totals->digest += it->checker.digest;
        checker_clear(&it->checker);
        node_free(it->node);
        tmpdir_free(it->dir);
    }
    log_close(sim->log);
    model_free(sim->model);
    world_free(sim->world);
}

char *
sim_run(guint64 seed, gboolean verbose, SimTotals *totals)
{
    Sim sim = {.verbose = verbose};
    sim_begin(&sim, seed);
    SimNode *failed = NULL;
    for (guint i = 0; i < sim.n_nodes && failed == NULL; i++) {
        failed = op_revive(&sim, &sim.nodes[i]) ? NULL : &sim.nodes[i];
    }
    failed = failed != NULL ? failed : sim_operate(&sim);
    for (guint i = 0; i < sim.n_nodes && failed == NULL; i++) {
        failed = sim_finish(&sim, &sim.nodes[i]) ? NULL : &sim.nodes[i];
    }
    char *what = NULL;
    if (failed != NULL) {
        totals->failures++;
        what =
            g_strdup_printf("node %u, operation %u: %s", failed->node->number,
                            sim.ops, failed->node->trouble->str);
    }
    sim_end(&sim, totals);
    return what;
}
