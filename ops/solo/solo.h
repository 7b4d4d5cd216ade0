/*
 * solo.h - gateway, router and cells in one process, over the local log
 */
#pragma once

#include "ops/kit/killpoint.h"
#include "ops/kit/status.h"
#include "thrift/tls.h"

#include <glib.h>

#define SOLO_CELLS_MAX 16

typedef struct Solo Solo;

typedef struct SoloOptions {
    char *data_dir; /* NULL: the default */
    char *host;
    gint64 cells;
    gint64 partitions;
    gint64 router_port;
    gint64 gateway_port;
    gint64 http_port;
    gint64 admin_port;
    gint64 threads;
    gint64 connections_max; /* of the router and of each cell */
    gint64 queue_ms;        /* likewise */
    gint64 cell_timeout_ms; /* of the router */
    gint64 checkpoint_s;
    gint64 memory_mb; /* of each cell; 0: cells share 60 % of the machine's */
    gint64 cache_mb;  /* of each cell */
    gint64 fanout_slice;
    gint64 retention_hours;
    TlsFiles tls_files;      /* of router, gateway and cells */
    TlsFiles cell_tls_files; /* of the router, as it calls the cells */
    KillPoints *kill;        /* no setting: main()'s; NULL: never */
    Status *status;          /* likewise, where all parts add themselves */
} SoloOptions;

/**
 * solo_start() - start everything
 *
 * Effect: returns once all listen; the cells may still catch up.
 * Owns:   borrows @options until solo_stop().
 * Fails:  as what it starts, NULL; what was started is stopped again.
 */
Solo *solo_start(const SoloOptions *options, GError **error);

/** solo_ready() - NULL once every cell is; else why not. Owns: the caller. */
char *solo_ready(Solo *solo);

/** solo_healthy() - NULL, or which part can no longer do its job, and why. */
char *solo_healthy(Solo *solo);

/** solo_has_tls() - whether there is anything to reload. */
gboolean solo_has_tls(const Solo *solo);

/** solo_reload() - read the files of TLS again. Thread: as tls_reload(). */
void solo_reload(Solo *solo);

/** solo_addresses() - "router=HOST:PORT gateway=..." Owns: the caller. */
char *solo_addresses(const Solo *solo);

/** solo_stop() - stop everything, in the mirrored order, and free. */
void solo_stop(Solo *solo);
