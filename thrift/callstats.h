/*
 * callstats.h - a server's calls, told to a recorder (ops/kit/calls.h)
 *
 * A call counts from when its frame was whole until its answer is handed to
 * its connection's thread, whatever the answer says: what it waited for other
 * answers of its connection is not in it. Its user is argument 1, where that
 * is an i64. Who calls, and in which trace, is looked up only for calls that
 * are among the slowest; both are what the caller says, nobody has checked.
 */
#pragma once

#include "ops/kit/calls.h"
#include "thrift/server.h"

/** callstats_new() - a recorder for these options' methods and threads. Owns:
 * the caller; calls_free(). */
Calls *callstats_new(const ServerOptions *options);

/**
 * callstats_answered() - a call has its answer
 *
 * @received_us: when its frame was whole.
 * Thread: the server's @thread.
 */
void callstats_answered(Calls *calls, guint thread, const Frame *frame,
                        gint64 received_us);
