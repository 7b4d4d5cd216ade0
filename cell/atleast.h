/*
 * atleast.h - what a call wants to be applied before it is answered
 *
 * RequestContext.at_least: positions of published events, and bookmarks, which
 * stand for all before them. What counts is the highest of each partition.
 */
#pragma once

#include "cell/state.h"

/* Further ahead of what is applied than this is refused: no cell is so far
   behind its log, and none would get there in time. */
#define ATLEAST_AHEAD_MAX (G_GUINT64_CONSTANT(1) << 32)

typedef struct AtLeast AtLeast;

typedef enum AtLeastOutcome {
    ATLEAST_REACHED, /* all of it is applied */
    ATLEAST_AHEAD,   /* some is not yet: *ret_need */
    ATLEAST_REFUSED, /* *ret_fault says why */
} AtLeastOutcome;

/* Words for InvalidRequest. */
typedef struct AtLeastFault {
    const char *reason; /* static */
    gint64 limit;       /* -1: none */
} AtLeastFault;

/**
 * atleast_read() - read it, and see whether it is applied
 *
 * @list:  the encoded list, as context_read() gives it; not empty.
 * Owns:   *ret_need is the caller's; atleast_free().
 * Thread: any.
 */
AtLeastOutcome atleast_read(State *state, WireBytes list, AtLeast **ret_need,
                            AtLeastFault *ret_fault);

/** atleast_reached() - whether all of it is applied by now. Thread: any. */
gboolean atleast_reached(State *state, const AtLeast *need);

/** atleast_explain() - what is not, in words. Owns: the caller. */
char *atleast_explain(State *state, const AtLeast *need);

/** atleast_free() - forget it. */
void atleast_free(AtLeast *need);
