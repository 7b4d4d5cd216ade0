/*
 * connect.c - a connection to one of Comb's services, and its refusals
 *
 * The generated calls fail with a GError that says little ("InvalidRequest")
 * and leave what was thrown in out parameters; refusals_explain() puts the two
 * together. The socket waits a little longer than the deadline that the
 * service is given, so that its answer about the deadline still comes in.
 */
#include "ops/combctl/connect.h"

#include "ops/kit/error.h"

#include <string.h>

#define GRACE_MS 1000

gboolean
peer_split_address(const char *address, char **ret_host, guint16 *ret_port)
{
    const char *colon = strrchr(address, ':');
    guint64 port = 0;

    if (colon == NULL || colon == address ||
        !g_ascii_string_to_unsigned(colon + 1, 10, 1, G_MAXUINT16, &port,
                                    NULL)) {
        return FALSE;
    }
    gsize len = (gsize)(colon - address);
    gboolean bracketed = address[0] == '[' && colon[-1] == ']';
    *ret_host =
        bracketed ? g_strndup(address + 1, len - 2) : g_strndup(address, len);
    *ret_port = (guint16)port;
    return TRUE;
}

static CombRequestContext *
context_new(gint timeout_ms)
{
    CombRequestContext *context = g_object_new(COMB_TYPE_REQUEST_CONTEXT, NULL);

    context->caller = g_strdup("combctl");
    context->__isset_caller = TRUE;
    context->deadline_ms = timeout_ms;
    context->__isset_deadline_ms = TRUE;
    return context;
}

/* Connects to @host and makes a generated client of @type on it. */
static Peer *
peer_open(const Ctl *ctl, const char *what, const char *host, guint16 port,
          GType type, GError **error)
{
    g_autoptr(GError) local = NULL;
    Client *client = client_open_tls(ctl->tls, host, port,
                                     (guint)ctl->timeout_ms + GRACE_MS, &local);

    if (client == NULL) {
        g_set_error(error, COMB_ERROR, COMB_ERROR_UNREACHABLE,
                    "no answer from %s %s:%u: %s", what, host, port,
                    local->message);
        return NULL;
    }
    Peer *peer = g_new0(Peer, 1);
    peer->where = g_strdup_printf("%s %s:%u", what, host, port);
    peer->client = client;
    peer->service =
        g_object_new(type, "input_protocol", client_protocol(client),
                     "output_protocol", client_protocol(client), NULL);
    peer->context = context_new(ctl->timeout_ms);
    return peer;
}

/* The flag, else the environment, else the default. */
static Peer *
peer_open_address(const Ctl *ctl, const char *what, const char *address,
                  GType type, GError **error)
{
    g_autofree char *host = NULL;
    guint16 port = 0;

    if (!peer_split_address(address, &host, &port)) {
        (void)ctl_usage_error(error, "%s \"%s\" is not HOST:PORT", what,
                              address);
        return NULL;
    }
    return peer_open(ctl, what, host, port, type, error);
}

static const char *
pick_address(const char *flag, const char *variable, const char *fallback)
{
    const char *environment = g_getenv(variable);

    if (flag != NULL) {
        return flag;
    }
    return environment != NULL && *environment != '\0' ? environment : fallback;
}

Peer *
peer_open_gateway(const Ctl *ctl, GError **error)
{
    return peer_open_address(
        ctl, "gateway",
        pick_address(ctl->gateway, "COMB_GATEWAY", "127.0.0.1:9110"),
        COMB_TYPE_FIREHOSE_CLIENT, error);
}

const char *
peer_router_address(const Ctl *ctl)
{
    return pick_address(ctl->router, "COMB_ROUTER", "127.0.0.1:9100");
}

Peer *
peer_open_router(const Ctl *ctl, GError **error)
{
    return peer_open_address(ctl, "router", peer_router_address(ctl),
                             COMB_TYPE_DASHBOARD_CLIENT, error);
}

Peer *
peer_open_cell(const Ctl *ctl, const CombCellEntry *entry, GError **error)
{
    g_autofree char *what = g_strdup_printf("cell %d", entry->cell);

    return peer_open(ctl, what, entry->host, (guint16)entry->port,
                     COMB_TYPE_CELL_CLIENT, error);
}

Peer *
peer_open_cell_at(const Ctl *ctl, const char *address, GError **error)
{
    return peer_open_address(ctl, "cell", address, COMB_TYPE_CELL_CLIENT,
                             error);
}

void
peer_close(Peer *peer)
{
    g_object_unref(peer->service);
    g_object_unref(peer->context);
    client_close(peer->client);
    g_free(peer->where);
    g_free(peer);
}

void
refusals_clear(Refusals *refusals)
{
    g_clear_object(&refusals->invalid);
    g_clear_object(&refusals->not_homed);
    g_clear_object(&refusals->overloaded);
    g_clear_object(&refusals->deadline);
    g_clear_object(&refusals->unavailable);
    g_clear_object(&refusals->not_found);
    g_clear_object(&refusals->denied);
}

char *
refusals_text(const CombInvalidRequest *invalid)
{
    GString *text = g_string_new(NULL);

    g_string_append_printf(text, "%s: %s", invalid->field, invalid->reason);
    if (invalid->__isset_limit) {
        g_string_append_printf(text, " (limit %" G_GINT64_FORMAT ")",
                               invalid->limit);
    }
    return g_string_free(text, FALSE);
}

/* What was thrown, without the cases that have a code of their own. */
static char *
thrown_text(const Refusals *refusals, const GError *error)
{
    if (refusals->overloaded != NULL) {
        const CombOverloaded *busy = refusals->overloaded;

        return g_strdup_printf("too busy%s%s; try again in %d ms",
                               busy->reason != NULL ? ": " : "",
                               busy->reason != NULL ? busy->reason : "",
                               busy->retry_after_ms);
    }
    if (refusals->deadline != NULL) {
        return g_strdup_printf("the deadline passed: %s",
                               refusals->deadline->reason);
    }
    if (refusals->unavailable != NULL) {
        return g_strdup_printf("not available: %s",
                               refusals->unavailable->reason);
    }
    if (refusals->denied != NULL) {
        return g_strdup_printf("not permitted: %s", refusals->denied->reason);
    }
    if (refusals->not_homed != NULL) {
        return g_strdup_printf("the user lives in another cell than %d",
                               refusals->not_homed->cell);
    }
    return g_strdup(error != NULL ? error->message : "no result");
}

gboolean
refusals_explain(const Refusals *refusals, const Peer *peer, GError **error)
{
    g_autoptr(GError) left = g_steal_pointer(error);

    if (refusals->invalid != NULL) {
        g_autofree char *text = refusals_text(refusals->invalid);
        g_set_error_literal(error, COMB_ERROR, COMB_ERROR_INPUT, text);
        return FALSE;
    }
    if (refusals->not_found != NULL) {
        g_set_error(error, COMB_ERROR, COMB_ERROR_INPUT, "%s not found",
                    refusals->not_found->what);
        return FALSE;
    }
    g_autofree char *text = thrown_text(refusals, left);
    g_set_error(error, COMB_ERROR, COMB_ERROR_UNREACHABLE, "%s: %s",
                peer->where, text);
    return FALSE;
}

CombCellMap *
peer_get_map(const Peer *gateway, GError **error)
{
    g_auto(Refusals) refusals = {0};
    CombCellMap *map = g_object_new(COMB_TYPE_CELL_MAP, NULL);

    if (!comb_firehose_client_get_cell_map(
            gateway->service, &map, gateway->context, &refusals.invalid,
            &refusals.overloaded, &refusals.deadline, &refusals.unavailable,
            &refusals.not_found, &refusals.denied, error)) {
        g_clear_object(&map);
        (void)refusals_explain(&refusals, gateway, error);
    }
    return map;
}

CombCellStatus *
peer_get_status(const Peer *cell, GError **error)
{
    g_auto(Refusals) refusals = {0};
    CombCellStatus *status = g_object_new(COMB_TYPE_CELL_STATUS, NULL);

    if (!comb_cell_client_status(cell->service, &status, cell->context,
                                 &refusals.invalid, &refusals.overloaded,
                                 &refusals.deadline, &refusals.unavailable,
                                 &refusals.denied, error)) {
        g_clear_object(&status);
        (void)refusals_explain(&refusals, cell, error);
    }
    return status;
}
