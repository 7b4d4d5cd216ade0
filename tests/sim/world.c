/*
 * A world has habits of its own, drawn first: how many take part, how dense
 * ids are, how often somebody posts, follows, deletes, how late events come
 * and how often again. Then events are made one by one (happen.h), each with an
 * id above the last; then deliveries are drawn up and put in order. Swarm
 * testing, in short: most seeds leave something out, so that the rest is tried
 * harder.
 */
#include "tests/sim/world.h"

#include "firehose/partition.h"
#include "tests/sim/happen.h"

/* Where a sparse world begins: 2026, in milliseconds. */
#define WORLD_EPOCH_MS G_GINT64_CONSTANT(1767225600000)

/* How rarely a world is long enough for duplicates 10,000 apart. */
#define WORLD_LONG_ONE_IN 250
#define WORLD_LONG_EVENTS 11000
#define WORLD_DISTANCE_MAX 10000

static void
event_free(gpointer data)
{
    SimEvent *event = data;
    g_byte_array_unref(event->bytes);
    g_free(event);
}

/* ---- who there is ---- */

static gint64
draw_user(Dice *dice)
{
    switch (dice_below(dice, 3)) {
    case 0:
        return 1 + dice_below(dice, 5000);
    case 1:
        return (gint64)(dice_next(dice) >> 1) | 1;
    default:
        return 1 + (gint64)(dice_next(dice) >> 40);
    }
}

static gboolean
world_knows(const World *world, gint64 user)
{
    for (guint i = 0; i < world->n_readers; i++) {
        if (world->readers[i] == user) {
            return TRUE;
        }
    }
    for (guint i = 0; i < world->n_authors; i++) {
        if (world->authors[i] == user) {
            return TRUE;
        }
    }
    return FALSE;
}

static gint64
draw_new_user(const World *world, Dice *dice)
{
    gint64 user = draw_user(dice);
    while (world_knows(world, user)) {
        user = draw_user(dice);
    }
    return user;
}

/* Readers of cell 0 first, then one or two of cell 1. */
static void
world_people(World *world, Dice *dice)
{
    guint home = dice_range(dice, 2, WORLD_READERS_MAX - 2);
    guint foreign = dice_range(dice, 0, 2);
    while (world->n_readers < home + foreign) {
        gint64 user = draw_new_user(world, dice);
        guint cell = world->n_readers < home ? 0 : 1;
        if (cellmap_home(world->map, (UserId){user}) == cell) {
            world->readers[world->n_readers++] = user;
        }
    }
    guint authors = dice_range(dice, 2, WORLD_AUTHORS_MAX);
    while (world->n_authors < authors) {
        /* Some read as well. */
        gboolean both = dice_percent(dice, 15);
        gint64 user = both ? world->readers[dice_below(dice, world->n_readers)]
                           : draw_new_user(world, dice);
        world->authors[world->n_authors++] = user;
    }
    world->n_stars = dice_range(dice, 1, 2);
}

static void
world_map(World *world)
{
    char host[] = "127.0.0.1";
    CellMapEntry cells[WORLD_CELLS];
    for (guint i = 0; i < WORLD_CELLS; i++) {
        cells[i] = (CellMapEntry){i, host, (guint16)(i + 1)};
    }
    world->map = cellmap_even(1, cells, WORLD_CELLS);
}

/* ---- how it is there ---- */

static guint
sometimes(Dice *dice, guint percent, guint max)
{
    return dice_percent(dice, percent) ? dice_range(dice, 1, max) : 0;
}

static Habits
habits_draw(Dice *dice)
{
    static const guint steps[] = {1, 1, 3, 50, 0, 0};
    Habits habits = {
        .events = dice_range(dice, 60, dice_percent(dice, 20) ? 1200 : 400),
        .id_step = steps[dice_below(dice, G_N_ELEMENTS(steps))],
        .posts = dice_range(dice, 20, 100),
        .edges = dice_range(dice, 1, 40),
        .deletes = sometimes(dice, 80, 15),
        .others = sometimes(dice, 50, 10),
        .garbage = sometimes(dice, 50, 5),
        .unfollow = dice_range(dice, 10, 70),
        .star = dice_range(dice, 20, 90),
        .basis = sometimes(dice, 70, 50),
        .conflict = sometimes(dice, 40, 40),
        .late = sometimes(dice, 80, 40),
        .late_max = dice_percent(dice, 50) ? 20 : 2000,
        .again = sometimes(dice, 80, 40),
        .again_max = dice_percent(dice, 50) ? 10 : WORLD_DISTANCE_MAX,
        .storm = sometimes(dice, 60, 20),
    };
    if (dice_below(dice, WORLD_LONG_ONE_IN) == 0) {
        habits.events = WORLD_LONG_EVENTS;
        habits.again_max = WORLD_DISTANCE_MAX;
        habits.again = MAX(habits.again, 10);
    }
    return habits;
}

/* ---- in which order it is heard of ---- */

static guint
world_partition(const World *world, gint64 user)
{
    guint8 key[PARTITION_KEY_BYTES];
    partition_key((UserId){user}, key);
    return partition_of(key, sizeof key, world->partitions);
}

static void
maker_deliver(Maker *maker, guint event, gint64 order)
{
    World *world = maker->world;
    const SimEvent *it = g_ptr_array_index(world->events, event);
    Delivery delivery = {event, world_partition(world, it->user), FALSE, order};
    gboolean stray =
        maker->habits.garbage > 0 && dice_below(&maker->dice, 400) == 0;
    if (stray && world->partitions > 1 && it->kind != 0) {
        delivery.partition = (delivery.partition + 1) % world->partitions;
        delivery.misplaced = TRUE;
        delivery.order++;
    }
    g_array_append_val(world->deliveries, delivery);
}

static gint
delivery_order(gconstpointer a, gconstpointer b)
{
    const Delivery *x = a;
    const Delivery *y = b;
    if (x->order != y->order) {
        return x->order < y->order ? -1 : 1;
    }
    return x->event != y->event ? (x->event < y->event ? -1 : 1)
                                : x->misplaced - y->misplaced;
}

static void
maker_deliveries(Maker *maker)
{
    const Habits *habits = &maker->habits;
    Dice *dice = &maker->dice;
    for (guint i = 0; i < maker->world->events->len; i++) {
        gint64 order = i;
        if (dice_percent(dice, habits->late)) {
            order += dice_log(dice, habits->late_max);
        }
        maker_deliver(maker, i, order);
        gint64 last = order;
        while (dice_percent(dice, habits->again)) {
            last += dice_log(dice, habits->again_max);
            maker_deliver(maker, i, last);
        }
    }
    g_array_sort(maker->world->deliveries, delivery_order);
}

World *
world_new(Dice dice)
{
    static const guint partitions[] = {1, 4, 16};
    World *world = g_new0(World, 1);
    world->partitions = partitions[dice_below(&dice, G_N_ELEMENTS(partitions))];
    world->events = g_ptr_array_new_with_free_func(event_free);
    world->deliveries = g_array_new(FALSE, FALSE, sizeof(Delivery));
    world_map(world);
    world_people(world, &dice);
    Maker maker = {
        .world = world,
        .habits = habits_draw(&dice),
        .ms = WORLD_EPOCH_MS,
        .posts = g_array_new(FALSE, FALSE, sizeof(gint64)),
        .stranger = draw_new_user(world, &dice),
    };
    maker.dice = dice;
    happen_begin(&maker);
    while (world->events->len < maker.habits.events) {
        happen_next(&maker);
    }
    maker_deliveries(&maker);
    g_array_unref(maker.posts);
    return world;
}

void
world_free(World *world)
{
    cellmap_unref(world->map);
    g_ptr_array_unref(world->events);
    g_array_unref(world->deliveries);
    g_free(world);
}

const SimEvent *
world_event(const World *world, guint delivery)
{
    const Delivery *it = &g_array_index(world->deliveries, Delivery, delivery);
    return g_ptr_array_index(world->events, it->event);
}
