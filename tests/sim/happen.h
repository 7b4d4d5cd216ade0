/*
 * happen.h - what happens in a world: its events, in the order of their ids
 */
#pragma once

#include "tests/sim/world.h"

typedef struct Habits {
    guint events;  /* to make */
    guint id_step; /* most that an id is above the last; 0: sparse */
    guint posts;   /* weights of kinds */
    guint edges;
    guint deletes;
    guint others;
    guint garbage;
    guint unfollow;  /* percent of edges that undo */
    guint star;      /* percent of posts by stars */
    guint basis;     /* percent of posts that reply or reblog */
    guint conflict;  /* per mille of posts that have another's id */
    guint late;      /* percent of events that come late */
    guint late_max;  /* by so many places */
    guint again;     /* percent that come again, */
    guint again_max; /* so many places later at most */
    guint storm;     /* per mille: a storm begins */
} Habits;

typedef struct Maker {
    World *world;
    Dice dice;
    Habits habits;
    gint64 id;       /* of the last event */
    gint64 ms;       /* of the last sparse id */
    GArray *posts;   /* gint64: ids of posts made */
    gint64 stranger; /* who follows nobody and posts nothing */
} Maker;

/** happen_begin() - nearly everybody follows the stars. */
void happen_begin(Maker *maker);

/** happen_next() - one event more, or a storm of them. */
void happen_next(Maker *maker);
