/*
 * world.h - a small world of readers and authors, and what happens in it
 *
 * Events are made in the order of their ids and delivered in another: late,
 * twice, long after; each in the partition of who acts, but for some that are
 * misplaced. What is no valid event (kind 0) is among them. All of it follows
 * from the dice.
 */
#pragma once

#include "firehose/event.h"
#include "router/cellmap.h"
#include "tests/sim/dice.h"

#define WORLD_CELLS 2
#define WORLD_READERS_MAX 12
#define WORLD_AUTHORS_MAX 10

typedef struct SimEvent {
    guint kind;        /* EventKind; 0: the bytes are no valid event */
    gint64 id;         /* of a post event also the post's */
    gint64 user;       /* who acts */
    gint64 target;     /* user or post, by kind */
    gint64 reply_to;   /* of a post; 0: none */
    gint64 reblog_of;  /* likewise */
    GByteArray *bytes; /* the record's value; owned */
    guint post_at;     /* where in it the encoded post begins */
    guint post_len;    /* 0: no post */
} SimEvent;

typedef struct Delivery {
    guint event;        /* index in World.events */
    guint partition;    /* where it is appended */
    gboolean misplaced; /* which is not its user's */
    gint64 order;       /* deliveries ascend by it */
} Delivery;

typedef struct World {
    guint partitions;
    CellMap *map;                      /* two cells; owned */
    GPtrArray *events;                 /* SimEvent */
    GArray *deliveries;                /* Delivery, in order */
    gint64 readers[WORLD_READERS_MAX]; /* the first ones of cell 0 */
    guint n_readers;
    gint64 authors[WORLD_AUTHORS_MAX]; /* the first one or two are stars */
    guint n_authors;
    guint n_stars;
} World;

/** world_new() - a world; how it is comes from the dice too. */
World *world_new(Dice dice);
void world_free(World *world);

/** world_event() - the event of a delivery; borrowed. */
const SimEvent *world_event(const World *world, guint delivery);

/** sim_event_encode() - set @event->bytes from its fields and @body. */
void sim_event_encode(SimEvent *event, const char *body);
