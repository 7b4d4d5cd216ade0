/*
 * interrupt.h - a stop asked for with SIGINT or SIGTERM, as something to wait
 *               for
 *
 * Long work wants to stop between two steps and say where it is. The first
 * signal is noted; from then on signals are as they were, so that a second
 * one ends the process at once.
 *
 * Thread: the main one, before others start.
 */
#pragma once

#include <glib.h>

typedef struct Interrupt Interrupt;

/** interrupt_new() - note signals from now on. Fails: COMB_ERROR_IO, NULL. */
Interrupt *interrupt_new(GError **error);

/** interrupt_wait() - TRUE once a stop was asked for; sleeps @timeout_ms. */
gboolean interrupt_wait(Interrupt *interrupt, guint timeout_ms);

/**
 * interrupt_wait_fd() - sleep until @fd can be read
 *
 * Effect: FALSE where a stop was asked for instead.
 */
gboolean interrupt_wait_fd(Interrupt *interrupt, int fd);

/** interrupt_free() - signals are as they were. */
void interrupt_free(Interrupt *interrupt);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Interrupt, interrupt_free)
