/*
 * log_seats.c - groups of consumers within this process
 *
 * For each partition a group has the member that holds it and the one that is
 * to. When members come or go the latter is set anew: what a member has that
 * left goes to whoever has fewest, and while somebody has two more than
 * another one moves. A holder that is to hold it no longer gives it up when
 * it asks next; then the other takes it when that asks. So between the two no
 * event is given out, and the one that comes reads the place that was
 * committed last.
 */
#include "firehose/log_seats.h"

#include "firehose/log_check.h"
#include "firehose/log_wait.h"
#include "ops/kit/ensure.h"

#include <string.h>

typedef struct Group Group;

typedef struct Seat {
    LogSeat base;
    Group *group;
} Seat;

struct Group {
    LogSeats *seats;
    char *client;
    char *topic; /* the identity of its log */
    guint partitions;
    GPtrArray *members; /* Seat, in the order in which they came */
    Seat **holder;      /* by partition; NULL: nobody */
    Seat **wanted;      /* by partition: who is to hold it */
};

struct LogSeats {
    LogWait wait;      /* guards all; woken when partitions move */
    GPtrArray *groups; /* Group, those with members; owned */
};

static void
group_free(gpointer data)
{
    Group *group = data;

    g_ptr_array_unref(group->members);
    g_free(group->client);
    g_free(group->topic);
    g_free(group->holder);
    g_free(group->wanted);
    g_free(group);
}

LogSeats *
log_seats_new(void)
{
    LogSeats *seats = g_new0(LogSeats, 1);

    log_wait_init(&seats->wait);
    seats->groups = g_ptr_array_new_with_free_func(group_free);
    return seats;
}

void
log_seats_free(LogSeats *seats)
{
    ensure(seats->groups->len == 0);
    g_ptr_array_unref(seats->groups);
    log_wait_clear(&seats->wait);
    g_free(seats);
}

/* Locked. */
static Group *
find_group(LogSeats *seats, const Log *log, const char *client)
{
    for (guint i = 0; i < seats->groups->len; i++) {
        Group *group = g_ptr_array_index(seats->groups, i);

        if (strcmp(group->client, client) == 0 &&
            strcmp(group->topic, log->identity) == 0) {
            return group;
        }
    }
    return NULL;
}

static Group *
make_group(LogSeats *seats, const Log *log, const char *client)
{
    Group *group = g_new0(Group, 1);

    group->seats = seats;
    group->client = g_strdup(client);
    group->topic = g_strdup(log->identity);
    group->partitions = log->partitions;
    group->members = g_ptr_array_new();
    group->holder = g_new0(Seat *, log->partitions);
    group->wanted = g_new0(Seat *, log->partitions);
    g_ptr_array_add(seats->groups, group);
    return group;
}

static guint
count_wanted(const Group *group, const Seat *seat)
{
    guint n = 0;

    for (guint i = 0; i < group->partitions; i++) {
        n += group->wanted[i] == seat ? 1 : 0;
    }
    return n;
}

/* Who has fewest, and who has most. */
static void
find_ends(const Group *group, Seat **ret_least, Seat **ret_most)
{
    guint least = G_MAXUINT;
    guint most = 0;

    for (guint i = 0; i < group->members->len; i++) {
        Seat *seat = g_ptr_array_index(group->members, i);
        guint n = count_wanted(group, seat);

        if (n < least) {
            least = n;
            *ret_least = seat;
        }
        if (i == 0 || n > most) {
            most = n;
            *ret_most = seat;
        }
    }
}

/* Locked, with a member. */
static void
hand_out(Group *group)
{
    Seat *least = NULL;
    Seat *most = NULL;

    for (guint i = 0; i < group->partitions; i++) {
        if (group->wanted[i] == NULL) {
            find_ends(group, &least, &most);
            group->wanted[i] = least;
        }
    }
    find_ends(group, &least, &most);
    while (count_wanted(group, most) > count_wanted(group, least) + 1) {
        guint i = 0;

        while (group->wanted[i] != most) {
            i++;
        }
        group->wanted[i] = least;
        find_ends(group, &least, &most);
    }
    log_wait_wake(&group->seats->wait);
}

LogSeat *
log_seats_take(LogSeats *seats, Log *log, const char *client)
{
    Seat *seat = g_new0(Seat, 1);

    seat->base.log = log;
    log_wait_lock(&seats->wait);
    seat->group = find_group(seats, log, client);
    if (seat->group == NULL) {
        seat->group = make_group(seats, log, client);
    }
    g_ptr_array_add(seat->group->members, seat);
    hand_out(seat->group);
    log_wait_unlock(&seats->wait);
    return &seat->base;
}

/* Gives up what is to be another's and takes what is free. Locked. */
static gboolean
settle(const Seat *seat)
{
    Group *group = seat->group;
    gboolean moved = FALSE;

    for (guint i = 0; i < group->partitions; i++) {
        if (group->holder[i] == seat && group->wanted[i] != seat) {
            group->holder[i] = NULL;
            moved = TRUE;
        } else if (group->holder[i] == NULL && group->wanted[i] == seat) {
            group->holder[i] = (Seat *)(gsize)seat;
            moved = TRUE;
        }
    }
    return moved;
}

LogSeatOutcome
log_seats_poll(LogSeat *base, gint timeout_ms, gboolean *ret_mine,
               GError **error)
{
    const Seat *seat = (const Seat *)base;
    struct timespec deadline = log_wait_deadline(timeout_ms);
    LogWait *wait = &seat->group->seats->wait;
    gboolean moved;

    (void)error;
    log_wait_lock(wait);
    moved = settle(seat);
    while (!moved && timeout_ms > 0 && log_wait_until(wait, &deadline)) {
        moved = settle(seat);
    }
    for (guint i = 0; i < seat->group->partitions; i++) {
        ret_mine[i] = seat->group->holder[i] == seat;
    }
    if (moved) {
        log_wait_wake(wait);
    }
    log_wait_unlock(wait);
    return moved ? LOG_SEAT_MOVED : LOG_SEAT_SAME;
}

static gboolean
holds_all(const Seat *seat, const guint64 *next)
{
    for (guint i = 0; i < seat->group->partitions; i++) {
        if (next[i] != LOG_NO_PLACE && seat->group->holder[i] != seat) {
            return FALSE;
        }
    }
    return TRUE;
}

gboolean
log_seats_commit(LogSeat *base, const guint64 *next, LogSeatsStore store,
                 GError **error)
{
    const Seat *seat = (const Seat *)base;
    LogWait *wait = &seat->group->seats->wait;
    gboolean stored;

    log_wait_lock(wait);
    stored = holds_all(seat, next)
                 ? store(base->log, seat->group->client, next, error)
                 : log_check_held(seat->group->client, error);
    log_wait_unlock(wait);
    return stored;
}

gboolean
log_seats_store(LogSeats *seats, Log *log, const char *client,
                const guint64 *next, LogSeatsStore store, GError **error)
{
    gboolean stored;

    log_wait_lock(&seats->wait);
    stored = find_group(seats, log, client) == NULL
                 ? store(log, client, next, error)
                 : log_check_idle(client, error);
    log_wait_unlock(&seats->wait);
    return stored;
}

void
log_seats_leave(LogSeat *base)
{
    Seat *seat = (Seat *)base;
    Group *group = seat->group;
    LogSeats *seats = group->seats;

    log_wait_lock(&seats->wait);
    ensure(g_ptr_array_remove(group->members, seat));
    for (guint i = 0; i < group->partitions; i++) {
        if (group->holder[i] == seat) {
            group->holder[i] = NULL;
        }
        if (group->wanted[i] == seat) {
            group->wanted[i] = NULL;
        }
    }
    if (group->members->len == 0) {
        g_ptr_array_remove(seats->groups, group);
    } else {
        hand_out(group);
    }
    log_wait_unlock(&seats->wait);
    g_free(seat);
}
