/*
 * comb/client.h - Comb from C
 *
 *     CombClientOptions options = {.host = "127.0.0.1", .port = 9100};
 *     g_autoptr(CombClient) client = comb_client_new(&options, &error);
 *     g_auto(CombRefusals) no = {0};
 *     g_autoptr(CombPageRequest) first =
 *         g_object_new(COMB_TYPE_PAGE_REQUEST, NULL);
 *     g_autoptr(CombPage) page = g_object_new(COMB_TYPE_PAGE, NULL);
 *
 *     if (comb_dashboard_client_get_dashboard(
 *             comb_client_dashboard(client), &page, user, first,
 *             comb_client_begin(client, 1000), &no.invalid, &no.not_homed,
 *             &no.overloaded, &no.deadline, &no.unavailable, &no.denied,
 *             &error)) {
 *         ... page->entries ...
 *     }
 *
 * The functions of the generated headers below make the calls; their meaning,
 * limits and errors are in the .thrift files. This header gives what c_glib
 * lacks: connections with deadlines that come back by themselves, bounds on
 * what a server may send, and types that can be used from several threads and
 * do not leak. That is put right when the library is loaded, before main();
 * nothing has to be called for it.
 *
 * Rules of c_glib that stay:
 * - A generated call fills the result that it is given: make it first, with
 *   g_object_new(). Free it with g_object_unref() also where the call failed.
 * - What is optional is sent only where its __isset_ member is TRUE.
 * - What the service throws is in the out parameters, which must be NULL
 *   before: CombRefusals has them all. A call that failed and threw nothing has
 *   met the connection or its end; *error says why, the next call connects.
 *
 * Thread: a client is for one thread at a time; have one for each.
 */
#pragma once

#include "comb_cell.h"
#include "comb_dashboard.h"
#include "comb_firehose.h"
#include "comb_types_types.h"

#include <glib-object.h>

G_BEGIN_DECLS

typedef struct CombClient CombClient;

/* What is not set is 0 or NULL. All is copied. */
typedef struct CombClientOptions {
    const char *host;         /* a name, whose look-up no deadline bounds, or
                                 a numeric address; NULL: 127.0.0.1 */
    guint16 port;             /* the router's or a cell's for reads, the
                                 gateway's for writes */
    guint connect_timeout_ms; /* for an attempt to connect; 0: 2,000 */
    const char *caller;       /* who calls, for the daemons' logs and their
                                 fairness: at most 64 bytes */
    const char *tls_ca;       /* PEM file of CAs: speak TLS, to a server with a
                                 certificate of theirs for host */
    const char *tls_cert;     /* PEM file of our certificate; with tls_ca */
    const char *tls_key;      /* PEM file of its key, not encrypted */
} CombClientOptions;

/**
 * comb_client_new() - a client of the services at one address
 *
 * Effect: connects when the first call is made, and when one is made and the
 *         connection is gone. After an attempt in vain calls fail at once, for
 *         50 ms, doubling to 2 s while no answer comes; see
 *         comb_client_retry_ms(). With TLS the process must ignore SIGPIPE,
 *         which is checked here: signal(SIGPIPE, SIG_IGN).
 * Owns:   the caller; comb_client_free().
 * Fails:  NULL: a file of TLS cannot be used, or SIGPIPE is not ignored.
 */
CombClient *comb_client_new(const CombClientOptions *options, GError **error);

/** comb_client_free() - hang up and free, with all that was borrowed of it. */
void comb_client_free(CombClient *client);

/** comb_client_dashboard() - for comb_dashboard_client_...(); borrowed. */
CombDashboardIf *comb_client_dashboard(CombClient *client);

/** comb_client_firehose() - for comb_firehose_client_...(); borrowed. */
CombFirehoseIf *comb_client_firehose(CombClient *client);

/** comb_client_cell() - for comb_cell_client_...(); borrowed. */
CombCellIf *comb_client_cell(CombClient *client);

/**
 * comb_client_begin() - the context of the next call
 *
 * @deadline_ms: 1 to 600,000. The service is told, and answers by then; the
 *               call fails half a second later if it has not, connecting
 *               included, and the connection is given up.
 * Owns:         borrowed, until the next comb_client_begin(): call it in each
 *               call's arguments, or add to it before.
 */
CombRequestContext *comb_client_begin(CombClient *client, guint deadline_ms);

/**
 * comb_client_read_after() - have the next call take an event into account
 *
 * @context:  of comb_client_begin().
 * @position: of a CombPublishResult; NULL changes nothing. Referenced.
 * Effect:    adds to at_least. A page that comes without it says so in stale.
 */
void comb_client_read_after(CombRequestContext *context, GByteArray *position);

/** comb_client_retry_ms() - for how long calls will fail at once because
 * connecting was in vain; 0: the next one tries. */
guint comb_client_retry_ms(CombClient *client);

/* Where a generated call puts what the service threw; all NULL before. Which
   of them a call can throw, and its order of them, is in the IDL. */
typedef struct CombRefusals {
    CombInvalidRequest *invalid;    /* wrong, and will be wrong again */
    CombNotHomed *not_homed;        /* of a cell only: ask the router */
    CombOverloaded *overloaded;     /* nothing was done: later */
    CombDeadlineExceeded *deadline; /* a write may or may not be done */
    CombUnavailable *unavailable;   /* a part is down: later */
    CombNotFound *not_found;
    CombPermissionDenied *denied; /* not with this certificate */
} CombRefusals;

/** comb_refusals_clear() - free what was thrown; all NULL again. */
void comb_refusals_clear(CombRefusals *refusals);

/**
 * comb_refusals_explain() - what was thrown, in words for a log
 *
 * Owns: the caller frees; NULL where nothing was.
 */
char *comb_refusals_explain(const CombRefusals *refusals);

/**
 * comb_refusals_retry_ms() - when to try again
 *
 * Effect: what the service asks for; -1 where the same call would be refused
 *         again, or nothing was thrown.
 */
gint comb_refusals_retry_ms(const CombRefusals *refusals);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(CombClient, comb_client_free)
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(CombRefusals, comb_refusals_clear)

/* The generated code declares none of these. */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CombEvent, g_object_unref)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CombFetchRequest, g_object_unref)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CombFetchResult, g_object_unref)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CombPage, g_object_unref)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CombPageRequest, g_object_unref)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CombPost, g_object_unref)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CombPosts, g_object_unref)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CombPublishResult, g_object_unref)

G_END_DECLS
