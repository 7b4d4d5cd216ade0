/*
 * A cell that dies of an operation is opened again at once, as often as it
 * dies of that; one that has only stopped serves pages, which say so, until
 * it is replaced.
 */
#include "tests/sim/op.h"

#include "cell/facts.h"
#include "firehose/partition.h"
#include "ops/kit/ensure.h"
#include "tests/sim/log_sim.h"

#include <stdio.h>

#define SIM_REVIVALS_MAX 6

/* Lists that are compared when all is quiet in the middle of a seed. */
#define SIM_SOME 4

G_GNUC_PRINTF(3, 4)
static void
sim_trace(const Sim *sim, const SimNode *it, const char *what, ...)
{
    if (!sim->verbose) {
        return;
    }
    va_list args;
    printf("%5u  node %u  ", sim->ops, it != NULL ? it->node->number : 0);
    va_start(args, what);
    vprintf(what, args);
    va_end(args);
    if (it != NULL && it->node->state != NULL) {
        printf("; at");
        for (guint i = 0; i < it->node->partitions; i++) {
            printf(" %" G_GUINT64_FORMAT, it->node->applied[i]);
        }
    }
    printf("\n");
}

/* ---- bringing about ---- */

static void
on_acked(const LogAck *acks, gsize n, gpointer user_data)
{
    (void)user_data;
    ensure(n == 1 && acks[0].outcome == LOG_APPENDED);
}

static void
sim_append(Sim *sim, guint n)
{
    for (; n > 0 && sim->delivered < sim->world->deliveries->len; n--) {
        guint at = sim->delivered++;
        const Delivery *delivery =
            &g_array_index(sim->world->deliveries, Delivery, at);
        const SimEvent *event = world_event(sim->world, at);
        guint8 key[PARTITION_KEY_BYTES];
        partition_key((UserId){event->user}, key);
        LogEntry entry = {delivery->partition,
                          {key, sizeof key},
                          {event->bytes->data, event->bytes->len}};
        model_add(sim->model, event, delivery);
        log_append(sim->log, &entry, 1, on_acked, NULL);
    }
}

gboolean
op_append(Sim *sim, SimNode *it)
{
    (void)it;
    guint n = dice_log(&sim->dice, sim->burst_max);
    sim_append(sim, n);
    sim_trace(sim, NULL, "append %u", n);
    return TRUE;
}

/* Something to fail in time; a kill or a fault of the disk. */
static void
sim_arm(Sim *sim, SimNode *it)
{
    Dice *dice = &sim->dice;
    guint lot = dice_below(dice, sim_kill_points() + DISK_FAULTS - 1);
    if (lot < sim_kill_points()) {
        guint nth = dice_log(dice, 12);
        sim_trace(sim, it, "arm kill at %s, hit %u", sim_kill_name(lot), nth);
        node_arm_kill(it->node, lot, nth);
        return;
    }
    DiskFault fault = (DiskFault)(1 + lot - sim_kill_points());
    guint nth = dice_log(dice, fault == DISK_READ_IO ? 200 : 6);
    sim_trace(sim, it, "arm %s, chance %u", disk_fault_name(fault), nth);
    disk_arm(it->node->disk, fault, nth);
}

gboolean
op_arm(Sim *sim, SimNode *it)
{
    sim_arm(sim, it);
    return TRUE;
}

gboolean
op_break_log(Sim *sim, SimNode *it)
{
    guint nth = dice_log(&sim->dice, 8);
    sim_trace(sim, it, "break the log, read %u", nth);
    log_sim_break(sim->log, nth);
    return TRUE;
}

/* ---- living and dying ---- */

/* Open a cell that is down, until it is up; it may die of it again and again,
   and sometimes in the middle of its replay. */
gboolean
op_revive(Sim *sim, SimNode *it)
{
    Dice *dice = &sim->dice;
    for (guint tries = 0;; tries++) {
        gboolean calm = tries >= SIM_REVIVALS_MAX;
        node_disarm(it->node);
        if (sim->retunes) {
            node_tune(it->node);
        }
        if (!calm && dice_percent(dice, sim->faulty)) {
            sim_arm(sim, it);
        }
        NodeOutcome outcome = node_open(it->node);
        sim_trace(sim, it, "open: %s", node_outcome_name(outcome));
        if (outcome == NODE_TROUBLE) {
            return FALSE;
        }
        guint steps =
            calm || !dice_percent(dice, 25) ? 0 : dice_range(dice, 1, 6);
        for (guint i = 0; i < steps && outcome == NODE_WORKED; i++) {
            outcome = node_step(it->node);
        }
        if (outcome == NODE_TROUBLE) {
            return FALSE;
        }
        if (outcome != NODE_DEAD && (calm || steps == 0)) {
            return TRUE;
        }
        if (outcome != NODE_DEAD) {
            sim_trace(sim, it, "crash in recovery");
            it->node->counts.between++;
            node_crash(it->node);
        }
    }
}

gboolean
op_crash(Sim *sim, SimNode *it)
{
    sim_trace(sim, it, "crash");
    it->node->counts.between++;
    node_crash(it->node);
    if (dice_percent(&sim->dice, 10)) {
        node_damage(it->node);
    }
    return op_revive(sim, it);
}

/* What becomes of a cell after an operation on it. FALSE: see its trouble. */
static gboolean
sim_after(Sim *sim, SimNode *it, NodeOutcome outcome)
{
    if (outcome == NODE_TROUBLE) {
        return FALSE;
    }
    return outcome != NODE_DEAD || op_revive(sim, it);
}

/* A cell that has failed is replaced sooner or later. */
static gboolean
sim_is_failing(const SimNode *it)
{
    return it->node->stopped || !node_serves(it->node);
}

gboolean
op_step(Sim *sim, SimNode *it)
{
    if (sim_is_failing(it)) {
        return dice_percent(&sim->dice, 70) || op_crash(sim, it);
    }
    NodeOutcome outcome = node_step(it->node);
    sim_trace(sim, it, "step: %s", node_outcome_name(outcome));
    return sim_after(sim, it, outcome);
}

gboolean
op_checkpoint(Sim *sim, SimNode *it)
{
    if (sim_is_failing(it)) {
        return TRUE;
    }
    guint users = dice_range(&sim->dice, 1, 4);
    NodeOutcome outcome = node_checkpoint(it->node, users);
    sim_trace(sim, it, "checkpoint, %u users: %s%s", users,
              node_outcome_name(outcome), it->node->copying ? "" : ", done");
    return sim_after(sim, it, outcome);
}

gboolean
op_stop(Sim *sim, SimNode *it)
{
    if (sim_is_failing(it)) {
        return op_crash(sim, it);
    }
    NodeOutcome outcome = node_stop(it->node);
    sim_trace(sim, it, "clean stop: %s", node_outcome_name(outcome));
    return outcome == NODE_WORKED ? op_revive(sim, it)
                                  : sim_after(sim, it, outcome);
}

/* ---- reading ---- */

/* Whose page to read: anybody homed here, any author, at times nobody. */
static Pager
sim_draw_pager(Sim *sim, const SimNode *it)
{
    Dice *dice = &sim->dice;
    const World *world = sim->world;
    Pager pager = {CURSOR_TIMELINE, 0, 1 + dice_below(dice, 30), G_MAXINT64, 0};
    if (dice_percent(dice, 15)) {
        pager.limit = dice_percent(dice, 50) ? 1 : PAGE_LIMIT_MAX;
    }
    if (dice_percent(dice, 20)) {
        pager.user = world->authors[dice_below(dice, world->n_authors)];
        return pager;
    }
    guint at = dice_below(dice, world->n_readers);
    for (guint i = 0; i < world->n_readers; i++) {
        gint64 user = world->readers[(at + i) % world->n_readers];
        if (cellmap_home(world->map, (UserId){user}) == it->node->cell) {
            pager.kind = CURSOR_DASHBOARD;
            pager.user = user;
            return pager;
        }
    }
    pager.user = world->readers[at];
    return pager;
}

gboolean
op_page(Sim *sim, SimNode *it)
{
    Dice *dice = &sim->dice;
    if (!node_serves(it->node)) {
        return TRUE;
    }
    Pager *pager = &it->pagers[dice_below(dice, SIM_PAGERS)];
    if (pager->user == 0 || dice_percent(dice, 10)) {
        *pager = sim_draw_pager(sim, it);
    }
    gboolean older = pager->from == G_MAXINT64 || dice_percent(dice, 60);
    gboolean good = check_page(&it->checker, pager, older);
    sim_trace(sim, it, "%s page of %" G_GINT64_FORMAT ": %s",
              older ? "older" : "newer", pager->user, good ? "good" : "WRONG");
    return good;
}

gboolean
op_list(Sim *sim, SimNode *it)
{
    if (!node_serves(it->node)) {
        return TRUE;
    }
    Pager pager = sim_draw_pager(sim, it);
    guint least = sim->world->events->len / 15;
    return check_list(&it->checker, pager.kind, pager.user,
                      MIN(MAX(pager.limit, least), PAGE_LIMIT_MAX));
}

gboolean
op_posts(Sim *sim, SimNode *it)
{
    gint64 ids[8];
    if (!node_serves(it->node) || !node_is_exact(it->node)) {
        return TRUE;
    }
    guint n = dice_range(&sim->dice, 1, G_N_ELEMENTS(ids));
    for (guint i = 0; i < n; i++) {
        guint at = dice_below(&sim->dice, sim->world->events->len);
        const SimEvent *event = g_ptr_array_index(sim->world->events, at);
        ids[i] = event->id;
    }
    return check_posts(&it->checker, ids, n);
}

/* ---- all of it ---- */

/* Apply what the log has; failures on the way are lived through. */
static gboolean
sim_catch_up(Sim *sim, SimNode *it)
{
    guint patience = 1000 + 20 * sim->world->deliveries->len;
    while (it->node->stopped || !node_serves(it->node) ||
           !node_at_end(it->node)) {
        if (sim_is_failing(it)) {
            if (!op_crash(sim, it)) {
                return FALSE;
            }
        } else if (!sim_after(sim, it, node_step(it->node))) {
            return FALSE;
        }
        if (--patience == 0) {
            g_string_append(it->node->trouble,
                            "does not come to the end of the log");
            return FALSE;
        }
    }
    return TRUE;
}

static gboolean
sim_check_counts(Sim *sim, SimNode *it)
{
    Node *node = it->node;
    guint64 want = model_quarantined(sim->model, node->applied);
    guint64 have = fact_quarantine_count(node->state->store);
    if (node_note_read_fault(node) || have == want) {
        return TRUE;
    }
    g_string_append_printf(node->trouble,
                           "%" G_GUINT64_FORMAT " records in quarantine, "
                           "should be %" G_GUINT64_FORMAT,
                           have, want);
    return FALSE;
}

/* One list of those that this cell can be asked for: readers', authors'. */
static gboolean
sim_check_one(Sim *sim, SimNode *it, guint who)
{
    const World *world = sim->world;
    gboolean reads = who < world->n_readers;
    gint64 user =
        reads ? world->readers[who] : world->authors[who - world->n_readers];
    guint least = world->events->len / 15;
    guint limit = dice_log(&sim->dice, PAGE_LIMIT_MAX);
    if (!node_serves(it->node) || /* a read was made to fail */
        (reads && cellmap_home(world->map, (UserId){user}) != it->node->cell)) {
        return TRUE;
    }
    return check_list(&it->checker, reads ? CURSOR_DASHBOARD : CURSOR_TIMELINE,
                      user, MIN(MAX(limit, least), PAGE_LIMIT_MAX));
}

/* Compare all lists, or @some by chance. */
static gboolean
sim_check_lists(Sim *sim, SimNode *it, guint some)
{
    guint all = sim->world->n_readers + sim->world->n_authors;
    for (guint i = 0; i < (some > 0 ? some : all); i++) {
        guint who = some > 0 ? dice_below(&sim->dice, all) : i;
        if (!sim_check_one(sim, it, who)) {
            return FALSE;
        }
    }
    sim->quiet += some == 0;
    return sim_check_counts(sim, it);
}

/* Come to the log's end and compare @some lists there; 0: all. */
static gboolean
sim_settle(Sim *sim, SimNode *it, guint some)
{
    sim_trace(sim, it, "settle");
    if (!sim_catch_up(sim, it) || !sim_check_lists(sim, it, some)) {
        return FALSE;
    }
    if (atomic_load(&it->node->state->ready)) {
        return TRUE;
    }
    g_string_append(it->node->trouble, "at the log's end, and not ready");
    return FALSE;
}

gboolean
op_settle(Sim *sim, SimNode *it)
{
    return sim_settle(sim, it, SIM_SOME);
}

gboolean
op_settle_all(Sim *sim, SimNode *it)
{
    return sim_settle(sim, it, 0);
}
