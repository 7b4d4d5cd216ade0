/*
 * log_member.c - a consumer that shares the partitions with others
 *
 * The driver's seat says which partitions are this member's; where it goes on
 * in them is here. A partition that comes begins at the client's place. Where
 * there is none it begins where the member says, and that is stored as the
 * place before anything is read: else a member that dies before its first
 * commit would leave its partition to one that begins somewhere else, and
 * events between the two were lost.
 *
 * A partition that stays goes on where it is, so that a hand-over repeats
 * nothing of what did not move.
 */
#include "firehose/log_check.h"
#include "firehose/log_driver.h"
#include "ops/kit/ensure.h"
#include "ops/kit/error.h"

#include <string.h>

struct LogMember {
    Log *log;
    LogSeat *seat;
    char *client;
    guint64 *begin;   /* by partition: where the client has no place */
    gboolean *mine;   /* by partition: as the caller knows it */
    gboolean *coming; /* by partition: as the seat has it */
    gboolean moving;  /* the caller does not know yet */
};

LogMember *
log_member_join(Log *log, const char *client, const guint64 *begin,
                GError **error)
{
    LogSeat *seat;
    LogMember *member;

    ensure(log_client_fault(client) == NULL);
    seat = log->driver->seat_take(log, client, error);
    if (seat == NULL) {
        return NULL;
    }
    member = g_new0(LogMember, 1);
    member->log = log;
    member->seat = seat;
    member->client = g_strdup(client);
    member->begin = g_memdup2(begin, log->partitions * sizeof *begin);
    member->mine = g_new0(gboolean, log->partitions);
    member->coming = g_new0(gboolean, log->partitions);
    return member;
}

/* Where to go on in what has come; stores a place where there is none. */
static gboolean
find_places(LogMember *member, guint64 *places, GError **error)
{
    guint partitions = member->log->partitions;
    g_autofree guint64 *fresh = g_new(guint64, partitions);
    gboolean any = FALSE;

    if (!log_place_load(member->log, member->client, places, error)) {
        return FALSE;
    }
    for (guint i = 0; i < partitions; i++) {
        gboolean lacks =
            member->coming[i] && !member->mine[i] && places[i] == LOG_NO_PLACE;

        fresh[i] = lacks ? member->begin[i] : LOG_NO_PLACE;
        places[i] = lacks ? member->begin[i] : places[i];
        any = any || lacks;
    }
    return !any || log_member_commit(member, fresh, error);
}

static LogMemberOutcome
move(LogMember *member, guint64 *next, GError **error)
{
    guint partitions = member->log->partitions;
    g_autofree guint64 *places = g_new(guint64, partitions);
    g_autoptr(GError) problem = NULL;

    if (!find_places(member, places, &problem)) {
        if (g_error_matches(problem, COMB_ERROR, COMB_ERROR_BUSY)) {
            return LOG_MEMBER_WAIT; /* it moves on already */
        }
        g_propagate_error(error, g_steal_pointer(&problem));
        return LOG_MEMBER_FAILED;
    }
    for (guint i = 0; i < partitions; i++) {
        if (!member->coming[i]) {
            next[i] = LOG_NO_PLACE;
        } else if (!member->mine[i]) {
            next[i] = places[i];
        }
    }
    memcpy(member->mine, member->coming, partitions * sizeof *member->mine);
    member->moving = FALSE;
    return LOG_MEMBER_MOVED;
}

/* What moves on before the caller has heard of it was not kept. */
static void
forget_lost(LogMember *member)
{
    for (guint i = 0; i < member->log->partitions; i++) {
        member->mine[i] = member->mine[i] && member->coming[i];
    }
}

LogMemberOutcome
log_member_poll(LogMember *member, gint timeout_ms, guint64 *next,
                GError **error)
{
    switch (member->log->driver->seat_poll(member->seat, MAX(timeout_ms, 0),
                                           member->coming, error)) {
    case LOG_SEAT_MOVED:
        forget_lost(member);
        member->moving = TRUE;
        return move(member, next, error);
    case LOG_SEAT_SAME:
        return member->moving ? move(member, next, error) : LOG_MEMBER_SAME;
    case LOG_SEAT_WAIT:
        return LOG_MEMBER_WAIT;
    case LOG_SEAT_FAILED:
    default:
        return LOG_MEMBER_FAILED;
    }
}

gboolean
log_member_commit(LogMember *member, const guint64 *next, GError **error)
{
    return log_places_check(member->log, member->client, next, error) &&
           member->log->driver->seat_commit(member->seat, next, error);
}

void
log_member_leave(LogMember *member)
{
    if (member == NULL) {
        return;
    }
    member->log->driver->seat_leave(member->seat);
    g_free(member->client);
    g_free(member->begin);
    g_free(member->mine);
    g_free(member->coming);
    g_free(member);
}
