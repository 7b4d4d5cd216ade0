/*
 * import_window.h - events on their way to the gateway, many at a time
 *
 * Events are filled in place, gathered in batches, and several batches are
 * under way on one connection. What the gateway did not take (failed, too
 * busy, deadline, connection lost) is sent again until it is in: events carry
 * their ids, so that twice is once. What it refuses is told to the caller and
 * not sent again.
 */
#pragma once

#include "ops/combctl/connect.h"
#include "ops/combctl/interrupt.h"

typedef struct Window Window;

/* The event of @line was refused, and why. */
typedef void (*WindowRefused)(guint64 line, const CombInvalidRequest *why,
                              gpointer user_data);

typedef struct WindowOptions {
    const Ctl *ctl;        /* borrowed: where the gateway is */
    Interrupt *interrupt;  /* borrowed: ends waiting */
    guint batch;           /* events in a batch */
    guint batches;         /* batches under way */
    guint retry_s;         /* without an acknowledgement for so long: fail */
    WindowRefused refused; /* called from window_keep() and window_drain() */
    gpointer user_data;    /* for refused() */
} WindowOptions;

/** window_open() - connect. Fails: COMB_ERROR_UNREACHABLE, NULL. */
Window *window_open(const WindowOptions *options, GError **error);

/** window_next() - the event to fill. Borrowed; of any content. */
CombEvent *window_next(Window *window);

/**
 * window_keep() - the event of window_next() is to go out
 *
 * @line:  where it came from; ascending.
 * @bytes: about how much it takes.
 * Effect: may send, wait, resend.
 * Fails:  COMB_ERROR_UNREACHABLE: not in for retry_s, or interrupted while
 *         it waited; COMB_ERROR_INPUT: the gateway refuses the call itself.
 */
gboolean window_keep(Window *window, guint64 line, gsize bytes, GError **error);

/** window_drain() - send what is left, wait for all. Fails: likewise. */
gboolean window_drain(Window *window, GError **error);

/** window_acknowledged() - events that are in. */
guint64 window_acknowledged(const Window *window);

/** window_lines_in() - every event of lines up to this one is settled. */
guint64 window_lines_in(const Window *window);

/** window_close() - disconnect and free, whatever is still under way. */
void window_close(Window *window);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Window, window_close)
