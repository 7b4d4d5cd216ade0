/*
 * waits.h - calls that wait until the cell has applied what they ask for
 *
 * A call that cannot be answered yet is parked: its thread goes on with other
 * calls, and answers it when the bell rings (bell.h) and all is applied, or
 * when its time is over. Everything of a call stays on its own thread.
 */
#pragma once

#include "cell/atleast.h"
#include "thrift/server.h"

/* Calls parked on one thread. */
#define WAITS_MAX 4096

typedef struct Waits Waits;

/**
 * WaitsRead - answer a call, from the start
 *
 * @late: NULL: what it waited for is applied, or never will be because the
 *        cell has stopped; else why it is not, in words for the answer.
 */
typedef void (*WaitsRead)(Request *request, gpointer user_data,
                          const char *late);

typedef enum WaitsOutcome {
    WAITS_PARKED, /* @read will be called */
    WAITS_FULL,   /* too many wait */
    WAITS_ENDED,  /* nobody is waited for any more */
} WaitsOutcome;

/**
 * waits_new() - nobody waits
 *
 * @state:     borrowed; its bell must outlive the threads.
 * @threads:   of the server.
 * @user_data: for every WaitsRead.
 */
Waits *waits_new(State *state, guint threads, gpointer user_data);

/**
 * waits_park() - answer @request later, by @read
 *
 * @until_us: g_get_monotonic_time() scale.
 * Owns:      takes @need and the request where WAITS_PARKED.
 * Thread:    the request's.
 */
WaitsOutcome waits_park(Waits *waits, Request *request, AtLeast *need,
                        gint64 until_us, WaitsRead read);

/**
 * waits_end() - answer all that wait, as late; from now on nobody waits
 *
 * Effect: when it returns nothing of it is on the threads' event bases.
 * Thread: not the server's; these run still.
 */
void waits_end(Waits *waits);

/** waits_free() - after waits_end() and the server's threads. */
void waits_free(Waits *waits);
