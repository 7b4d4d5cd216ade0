/*
 * connect.h - a connection to one of Comb's services, and its refusals
 *
 *     g_autoptr(Peer) peer = peer_open_gateway(ctl, error);
 *     g_auto(Refusals) refusals = {0};
 *     if (!comb_firehose_client_next_ids(peer->service, &ids, 1,
 *                                        peer->context, &refusals.invalid, ...,
 *                                        error)) {
 *         return refusals_explain(&refusals, peer, error);
 *     }
 *
 * A generated call fills the result it is given and never makes one.
 */
#pragma once

#include "ops/combctl/ctl.h"
#include "thrift/client.h"

#include "comb_cell.h"
#include "comb_dashboard.h"
#include "comb_firehose.h"

/* An open connection and the generated client on it. */
typedef struct Peer {
    char *where;                 /* "gateway 127.0.0.1:9110" */
    Client *client;              /* the connection */
    gpointer service;            /* a Comb...If, for the generated calls */
    CombRequestContext *context; /* for every call: who asks, deadline */
} Peer;

/** peer_split_address() - HOST:PORT or [HOST]:PORT; FALSE: neither. Gives. */
gboolean peer_split_address(const char *address, char **ret_host,
                            guint16 *ret_port);

/** peer_router_address() - the flag, else the environment, else the default;
 * borrowed. */
const char *peer_router_address(const Ctl *ctl);

/** peer_open_gateway() - Firehose. Fails: COMB_ERROR_UNREACHABLE, NULL. */
Peer *peer_open_gateway(const Ctl *ctl, GError **error);

/** peer_open_router() - Dashboard. Likewise. */
Peer *peer_open_router(const Ctl *ctl, GError **error);

/** peer_open_cell() - the Cell service of @entry. Likewise. */
Peer *peer_open_cell(const Ctl *ctl, const CombCellEntry *entry,
                     GError **error);

/** peer_open_cell_at() - the Cell service at HOST:PORT. Likewise. */
Peer *peer_open_cell_at(const Ctl *ctl, const char *address, GError **error);

/** peer_close() - disconnect and free. */
void peer_close(Peer *peer);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Peer, peer_close)

/* Where a generated call puts what the service threw; all NULL before. */
typedef struct Refusals {
    CombInvalidRequest *invalid;
    CombNotHomed *not_homed;
    CombOverloaded *overloaded;
    CombDeadlineExceeded *deadline;
    CombUnavailable *unavailable;
    CombNotFound *not_found;
    CombPermissionDenied *denied;
} Refusals;

/** refusals_clear() - free what was thrown; all NULL again. */
void refusals_clear(Refusals *refusals);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Refusals, refusals_clear)

/**
 * refusals_explain() - make *@error a sentence for people; always FALSE
 *
 * Effect: *error, as the generated call left it, becomes COMB_ERROR_INPUT
 *         (InvalidRequest, NotFound) or COMB_ERROR_UNREACHABLE.
 */
gboolean refusals_explain(const Refusals *refusals, const Peer *peer,
                          GError **error);

/** refusals_text() - InvalidRequest as "field reason (limit N)". Gives. */
char *refusals_text(const CombInvalidRequest *invalid);

/** peer_get_map() - the newest cell map. Fails: as refusals_explain(). */
CombCellMap *peer_get_map(const Peer *gateway, GError **error);

/** peer_get_status() - what a cell says of itself. Likewise. */
CombCellStatus *peer_get_status(const Peer *cell, GError **error);

/* The generated code declares none of these. */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CombCellMap, g_object_unref)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CombCellStatus, g_object_unref)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CombEvent, g_object_unref)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CombPage, g_object_unref)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CombPageRequest, g_object_unref)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CombPublishResult, g_object_unref)
