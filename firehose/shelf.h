/*
 * shelf.h - taps at rest, for whoever goes on where one stopped
 *
 * A fetch keeps nothing for its client, but making a log reader anew for each
 * batch is dear over Kafka: a consumer, its connections, its first fetch. So a
 * tap that has answered is laid aside for a moment, and a fetch from exactly
 * its place takes it up again. Whose it was does not matter: a place is a
 * place. Nothing depends on its being there.
 *
 * Thread: any. It owns the taps on it.
 */
#pragma once

#include "firehose/tap.h"

/* Taps on it at most; each may hold a Kafka consumer's queue. */
#define SHELF_TAPS_MAX 8

typedef struct Shelf Shelf;

/**
 * shelf_new() - an empty one
 *
 * @keep_ms: a tap that lay longer is not given out any more; closed when
 *           another one comes or goes.
 */
Shelf *shelf_new(guint partitions, guint keep_ms);

/**
 * shelf_take() - the tap that goes on at @next, or NULL
 *
 * Owns: gives; the caller sets its filter anew: tap_set_filter().
 */
Tap *shelf_take(Shelf *shelf, const guint64 *next);

/** shelf_put() - lay @tap aside; the one that lay longest may have to go.
 * Owns: takes. */
void shelf_put(Shelf *shelf, Tap *tap);

/** shelf_free() - close all. NULL is fine. */
void shelf_free(Shelf *shelf);
