/*
 * ids.c - fresh ids from the gateway
 */
#include "ops/combctl/ids.h"

#include "ops/kit/error.h"

GArray *
ids_fetch(const Peer *gateway, gint count, GError **error)
{
    g_auto(Refusals) refusals = {0};
    g_autoptr(GArray) ids = g_array_new(FALSE, FALSE, sizeof(gint64));

    if (!comb_firehose_client_next_ids(
            gateway->service, &ids, count, gateway->context, &refusals.invalid,
            &refusals.overloaded, &refusals.deadline, &refusals.unavailable,
            &refusals.denied, error)) {
        (void)refusals_explain(&refusals, gateway, error);
        return NULL;
    }
    if (ids->len != (guint)count) {
        g_set_error(error, COMB_ERROR, COMB_ERROR_UNREACHABLE,
                    "%s gave %u of %d ids", gateway->where, ids->len, count);
        return NULL;
    }
    return g_steal_pointer(&ids);
}
