/*
 * Positions come from outside: each must be one of this log (position.h,
 * bookmark.h) and within its bounds. Where the log ends a cell cannot ask
 * without waiting for a broker, so a made-up position that is not absurd costs
 * its maker the wait.
 *
 * What is left of a list of any length is a row for each partition that is
 * not applied so far.
 */
#include "cell/atleast.h"

#include "firehose/bookmark.h"
#include "thrift/limits.h"

typedef struct AtLeastPart {
    guint partition;
    guint64 next; /* what State.next must be at */
} AtLeastPart;

struct AtLeast {
    guint n;
    AtLeastPart parts[];
};

static AtLeastOutcome
refuse(AtLeastFault *ret_fault, const char *reason, gint64 limit)
{
    *ret_fault = (AtLeastFault){reason, limit};
    return ATLEAST_REFUSED;
}

/* Raise *@next to @wanted, the next offset after what a position asks for. */
static gboolean
raise_next(State *state, guint64 *next, guint partition, guint64 wanted,
           AtLeastFault *ret_fault)
{
    guint64 limit = atomic_load(&state->next[partition]) + ATLEAST_AHEAD_MAX;
    if (wanted > limit) {
        refuse(ret_fault,
               "is further ahead of what is applied than can be waited for",
               (gint64)limit);
        return FALSE;
    }
    next[partition] = MAX(next[partition], wanted);
    return TRUE;
}

static gboolean
raise_event(State *state, guint64 *next, Position event,
            AtLeastFault *ret_fault)
{
    guint partitions = state->identity.partitions;
    if (event.partition >= partitions) {
        refuse(ret_fault, "is of a partition that the log does not have",
               (gint64)partitions - 1);
        return FALSE;
    }
    /* The last offset has none after it; it is too far in any case. */
    guint64 wanted =
        event.offset < G_MAXUINT64 ? event.offset + 1 : G_MAXUINT64;
    return raise_next(state, next, event.partition, wanted, ret_fault);
}

static gboolean
raise_all(State *state, guint64 *next, const guint64 *wanted,
          AtLeastFault *ret_fault)
{
    for (guint i = 0; i < state->identity.partitions; i++) {
        if (!raise_next(state, next, i, wanted[i], ret_fault)) {
            return FALSE;
        }
    }
    return TRUE;
}

/* Take one position into @next; @scratch has room for as many. */
static gboolean
raise_position(State *state, guint64 *next, guint64 *scratch, WireBytes bytes,
               AtLeastFault *ret_fault)
{
    Position event = {0};
    switch (bookmark_read(bytes, position_check(state->identity.log),
                          state->identity.partitions, scratch, &event)) {
    case BOOKMARK_EVENT:
        return raise_event(state, next, event, ret_fault);
    case BOOKMARK_ALL:
        return raise_all(state, next, scratch, ret_fault);
    case BOOKMARK_FOREIGN:
        refuse(ret_fault, "is a position of another log", -1);
        return FALSE;
    case BOOKMARK_SOME:
    case BOOKMARK_MALFORMED:
        break;
    }
    refuse(ret_fault, "is no position", -1);
    return FALSE;
}

/* The rows of @next that are not applied; NULL: there are none. */
static AtLeast *
need_new(State *state, const guint64 *next)
{
    guint partitions = state->identity.partitions;
    AtLeast *need = NULL;
    for (guint i = 0; i < partitions; i++) {
        if (next[i] <= atomic_load(&state->next[i])) {
            continue;
        }
        if (need == NULL) {
            need = g_malloc0(sizeof *need +
                             (partitions - i) * sizeof(AtLeastPart));
        }
        need->parts[need->n++] = (AtLeastPart){i, next[i]};
    }
    return need;
}

AtLeastOutcome
atleast_read(State *state, WireBytes list, AtLeast **ret_need,
             AtLeastFault *ret_fault)
{
    WireReader reader;
    WireType type = WIRE_STOP;
    wire_reader_init(&reader, list.data, list.len);
    guint32 n = wire_read_list(&reader, &type);
    if (reader.failed || (n > 0 && type != WIRE_BINARY)) {
        return refuse(ret_fault, "must be a list of positions", -1);
    }
    if (n > AT_LEAST_MAX) {
        return refuse(ret_fault, "has too many positions", AT_LEAST_MAX);
    }
    guint partitions = state->identity.partitions;
    g_autofree guint64 *next = g_new0(guint64, 2 * partitions);
    for (; n > 0; n--) {
        if (!raise_position(state, next, next + partitions,
                            wire_read_bytes(&reader), ret_fault)) {
            return ATLEAST_REFUSED;
        }
    }
    AtLeast *need = need_new(state, next);
    if (need == NULL) {
        return ATLEAST_REACHED;
    }
    *ret_need = need;
    return ATLEAST_AHEAD;
}

/* The first row that is not applied; NULL: there is none. */
static const AtLeastPart *
need_first(State *state, const AtLeast *need)
{
    for (guint i = 0; i < need->n; i++) {
        const AtLeastPart *part = &need->parts[i];
        if (atomic_load(&state->next[part->partition]) < part->next) {
            return part;
        }
    }
    return NULL;
}

gboolean
atleast_reached(State *state, const AtLeast *need)
{
    return need_first(state, need) == NULL;
}

char *
atleast_explain(State *state, const AtLeast *need)
{
    const AtLeastPart *part = need_first(state, need);
    if (part == NULL) {
        return g_strdup("at_least is applied by now");
    }
    return g_strdup_printf(
        "at_least was not reached in time: of partition %u "
        "the events before offset %" G_GUINT64_FORMAT
        " are applied, those before %" G_GUINT64_FORMAT " were asked for",
        part->partition, atomic_load(&state->next[part->partition]),
        part->next);
}

void
atleast_free(AtLeast *need)
{
    g_free(need);
}
