/*
 * choice.h - which of several cells gets a call that any may answer (private)
 *
 * The power of two choices: of two cells the one where fewer calls wait. It
 * comes close to looking at all of them, and unlike that does not send every
 * lane of every router to the same idle cell at once (Mitzenmacher, "The
 * Power of Two Choices in Randomized Load Balancing", 2001). One of the two
 * comes in turn, so that cells which are alike are asked evenly; the other by
 * chance. Cells that are failing come last, whatever waits there.
 *
 * Thread: its owner's.
 */
#pragma once

#include <glib.h>

#define CHOICE_NONE G_MAXUINT

/* How a candidate does. */
typedef struct ChoiceLoad {
    gboolean failing;
    guint64 in_flight; /* calls that wait there */
} ChoiceLoad;

typedef ChoiceLoad (*ChoiceFunc)(gconstpointer user_data, guint candidate);

/* Among whom. */
typedef struct ChoiceOf {
    guint n;      /* candidates 0 to n-1 */
    guint except; /* not this one; CHOICE_NONE: all */
    ChoiceFunc load;
    gconstpointer user_data; /* for it */
} ChoiceOf;

typedef struct Choice {
    guint64 turn;   /* counts choices */
    guint64 chance; /* the state of a splitmix64 */
} Choice;

/** choice_init() - @seed: so that not all begin with the same. */
void choice_init(Choice *choice, guint64 seed);

/** choice_pick() - a candidate; CHOICE_NONE where there is none. */
guint choice_pick(Choice *choice, const ChoiceOf *of);
