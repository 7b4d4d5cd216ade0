/*
 * event_private.h - what event.c (structure) and event_check.c (rules) share
 */
#pragma once

#include "firehose/event.h"

/* What an event of a kind must bring. */
typedef struct EventKindRule {
    const char *name; /* for event_kind_name() */
    gboolean target_user;
    gboolean target_post;
    gboolean post;
} EventKindRule;

/** event_kind_rule() - the rule of a kind, which must be a known one. */
const EventKindRule *event_kind_rule(EventKind kind);

/** event_post_id() - the id its post must have: an edit's is the target's. */
PostId event_post_id(const Event *event);

/**
 * event_check() - whether a complete event is within the rules
 *
 * Effect: TRUE, or FALSE and *ret_fault.
 */
gboolean event_check(const Event *event, EventFault *ret_fault);

/** event_fault() - fill in *ret_fault and return FALSE. */
static inline gboolean
event_fault(EventFault *ret_fault, const char *field, const char *reason,
            gint64 limit)
{
    *ret_fault = (EventFault){field, reason, limit};
    return FALSE;
}
