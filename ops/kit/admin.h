/*
 * admin.h - the HTTP port for operators
 *
 * GET /metrics (Prometheus text), /healthz (200 while the process can do its
 * job, else 503 and why), /readyz (200 once it serves), /status (HTML for
 * people; ?refresh=SECONDS reloads it). One thread of its own; another path is
 * 404, another method than GET or HEAD 405.
 */
#pragma once

#include "ops/kit/metrics.h"
#include "ops/kit/status.h"

typedef struct Admin Admin;

/* NULL: healthy or ready. Else why not; owned by the caller. Any thread. */
typedef char *(*AdminProbe)(gpointer user_data);

typedef struct AdminOptions {
    const char *host;   /* an address or name of this machine */
    guint16 port;       /* 0: any free one */
    Metrics *metrics;   /* borrowed, outlives the admin port */
    Status *status;     /* likewise; NULL: no /status */
    AdminProbe healthy; /* called on the admin thread; NULL: always */
    AdminProbe ready;   /* the same */
    gpointer user_data; /* the probes' */
} AdminOptions;

/**
 * admin_start() - listen and answer
 *
 * Owns:  the caller owns the result; admin_stop() ends it.
 * Fails: COMB_ERROR_IO, NULL. It is a bug to call it before daemon_begin().
 */
Admin *admin_start(const AdminOptions *options, GError **error);

/** admin_port() - the port it listens on. */
guint16 admin_port(const Admin *admin);

/** admin_stop() - join and free; NULL is fine. Call it before the modules'
 * stops, whose metrics and state the probes look at. */
void admin_stop(Admin *admin);
