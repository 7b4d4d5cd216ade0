/*
 * cell.h - one cell: every post, and the inboxes of the users homed to it
 *
 * Composition of store, inbox, apply and serve. Several cells can live in one
 * process (comb-solo, tests): nothing is global.
 */
#pragma once

#include "firehose/log.h"
#include "ops/kit/killpoint.h"
#include "ops/kit/metrics.h"
#include "ops/kit/status.h"
#include "router/mapfeed.h"
#include "thrift/tls.h"

typedef struct Cell Cell;

typedef struct CellOptions {
    guint cell;           /* its number in the cell map, 0 to CELL_MAX */
    const char *data_dir; /* made where missing; one process at a time */
    const char *host;
    guint16 port; /* 0: any free one */
    guint threads;
    guint connections_max; /* more are closed at once; 0: 10,000 */
    guint queue_ms;        /* see ServerOptions */
    guint checkpoint_s;    /* seconds between tail checkpoints */
    gsize memory_bytes;    /* for inboxes and followers; 0: 60 % of what the
                              machine, or its control group, has */
    guint memory_share; /* cells on this machine, where it is 0; at least 1 */
    gsize cache_bytes;  /* for facts that pages ask for; 0: none */
    guint fanout_slice; /* deliveries of a big fan-out between two batches */
    KillPoints *kill;   /* borrowed, outlive the cell; NULL: never */
    Tls *tls;           /* likewise; NULL: plain text */
    Status *status;     /* where it adds itself; borrowed, not read after
                           cell_stop(); NULL: nowhere */
} CellOptions;

/**
 * cell_start() - open, recover, serve, apply
 *
 * @firehose, @feed, @metrics: borrowed, outlive the cell.
 * Effect: returns once it listens; calls are answered Unavailable until it
 *         is ready (cell_ready()).
 * Fails:  COMB_ERROR_IO, _FULL, _CORRUPT, _MISMATCH (another cell's or
 *         log's data, a newer version), _GAP (the log no longer has what
 *         the cell needs next), NULL.
 */
Cell *cell_start(const CellOptions *options, Log *firehose, MapFeed *feed,
                 Metrics *metrics, GError **error);

/** cell_port() - the port it listens on. */
guint16 cell_port(const Cell *cell);

/**
 * cell_ready() - NULL once it has a map and has applied the log as it was at
 *                the start; else why not
 *
 * Owns: the caller frees. Thread: any.
 */
char *cell_ready(const Cell *cell);

/** cell_healthy() - NULL, or why it has stopped applying. Likewise. */
char *cell_healthy(const Cell *cell);

/** cell_stop() - drain, checkpoint, close, free. */
void cell_stop(Cell *cell);
