/*
 * bell.h - how calls that wait for the log hear that the cell has got on
 *
 * Each serving thread where a call waits has a listener: an eventfd for its
 * event base. The apply thread rings after each commit, which costs a load a
 * listener while nobody waits, and a write a waiting thread otherwise.
 *
 * No ring is missed: whoever waits first says so (bell_await()) and then looks
 * at what has been applied; who rings has stored that before.
 */
#pragma once

#include <glib.h>

typedef struct Bell Bell;
typedef struct BellListener BellListener;

/** bell_new() - nobody listens. Owns: the caller; bell_free(). */
Bell *bell_new(void);

/** bell_free() - with all its listeners; their events must be gone. */
void bell_free(Bell *bell);

/**
 * bell_listen() - a listener, which hears nothing yet
 *
 * Owns: the bell. Thread: any.
 */
BellListener *bell_listen(Bell *bell);

/** bell_fd() - readable from a ring on, until bell_hear(). Borrowed. */
int bell_fd(const BellListener *listener);

/** bell_await() - hear the next ring. Thread: the listener's own. */
void bell_await(BellListener *listener);

/** bell_hear() - what was rung is heard. Thread: the listener's own. */
void bell_hear(BellListener *listener);

/** bell_ring() - once to each who awaits it. Thread: any. */
void bell_ring(Bell *bell);

/** bell_nudge() - ring for this one, whether it awaits it or not. Thread:
 * any. */
void bell_nudge(BellListener *listener);
