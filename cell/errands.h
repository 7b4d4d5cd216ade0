/*
 * errands.h - work that may wait, done in turn on a thread of its own
 *
 * For calls that ask the log or the disk: a serving thread hands them over
 * and goes on. Bounded; at the bound the caller is told at once (I9).
 */
#pragma once

#include <glib.h>

typedef struct Errands Errands;

/* Does one errand; on the errands' thread. */
typedef void (*ErrandsFunc)(gpointer errand, gpointer user_data);

/**
 * errands_start() - start the thread
 *
 * @run:     called for each errand, in order.
 * @max:     how many may wait.
 * Owns:     the caller; errands_stop().
 */
Errands *errands_start(ErrandsFunc run, gpointer user_data, guint max);

/**
 * errands_push() - hand one over
 *
 * Effect: FALSE where @max are waiting: the errand stays the caller's.
 * Thread: any.
 */
gboolean errands_push(Errands *errands, gpointer errand);

/** errands_stop() - do what is waiting, join the thread, free. */
void errands_stop(Errands *errands);
