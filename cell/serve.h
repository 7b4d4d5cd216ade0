/*
 * serve.h - the cell's services: Dashboard and Cell of the IDL
 *
 * Reads run on the server's threads, each on a cut of its own. What may wait
 * for the log or the disk (status, checkpoint, listQuarantine) runs on one
 * admin thread.
 */
#pragma once

#include "cell/apply.h"
#include "thrift/serverstatus.h"

typedef struct Serve Serve;

typedef struct ServeOptions {
    const char *host;
    guint16 port; /* 0: any free one */
    guint threads;
    guint connections_max; /* 0: 10,000 */
    guint queue_ms;        /* see ServerOptions */
    Tls *tls;              /* borrowed, outlives it; NULL: plain text */
} ServeOptions;

/**
 * serve_start() - listen and answer
 *
 * @state, @ends: borrowed, outlive it.
 * Fails: as server_start().
 */
Serve *serve_start(const ServeOptions *options, State *state, LogEnds *ends,
                   GError **error);

/** serve_set_apply() - the apply thread to send checkpoints to; once. */
void serve_set_apply(Serve *serve, Apply *apply);

/** serve_port() - the port it listens on. */
guint16 serve_port(const Serve *serve);

/** serve_stats() - the server's counters. Thread: any. */
void serve_stats(Serve *serve, ServerStats *ret_stats);

/** serve_calls() - what calls cost; borrowed, until serve_stop(). */
Calls *serve_calls(Serve *serve);

/** serve_tell() - its connections, on the status page. Thread: any. */
void serve_tell(Serve *serve, Section *section);

/** serve_stop() - drain, stop, free; before the apply thread is stopped. */
void serve_stop(Serve *serve);
