/*
 * fetch.c - the firehose, batch by batch
 *
 * The gateway keeps nothing of a consumer: the place is in the request, which
 * takes over the position of each answer.
 */
#include "ops/combctl/fetch.h"

#include "thrift/limits.h"

#include <string.h>

void
fetch_init(Fetch *fetch, Peer *gateway)
{
    fetch->gateway = gateway;
    fetch->request = g_object_new(COMB_TYPE_FETCH_REQUEST, NULL);
    fetch->request->max_events = FETCH_EVENTS_MAX;
    fetch->request->__isset_max_events = TRUE;
}

static void
set_position(CombFetchRequest *request, const void *data, gsize len)
{
    if (request->position == NULL) {
        request->position = g_byte_array_new();
    }
    g_byte_array_set_size(request->position, 0);
    g_byte_array_append(request->position, data, (guint)len);
    request->__isset_position = TRUE;
    request->__isset_since = FALSE;
}

void
fetch_from(Fetch *fetch, const char *since, const char *position)
{
    CombFetchRequest *request = fetch->request;

    if (position != NULL) {
        set_position(request, position, strlen(position));
    } else if (since != NULL) {
        g_free(request->since);
        request->since = g_strdup(since);
        request->__isset_since = TRUE;
    }
}

CombFetchResult *
fetch_more(Fetch *fetch, GError **error)
{
    g_auto(Refusals) refusals = {0};
    CombFetchResult *result = g_object_new(COMB_TYPE_FETCH_RESULT, NULL);
    const Peer *gateway = fetch->gateway;

    if (!comb_firehose_client_fetch(
            gateway->service, &result, fetch->request, gateway->context,
            &refusals.invalid, &refusals.overloaded, &refusals.deadline,
            &refusals.unavailable, &refusals.denied, error)) {
        g_clear_object(&result);
        (void)refusals_explain(&refusals, gateway, error);
        return NULL;
    }
    set_position(fetch->request, result->position->data, result->position->len);
    return result;
}

char *
fetch_position(const Fetch *fetch)
{
    const GByteArray *position = fetch->request->position;

    return position != NULL
               ? g_strndup((const char *)position->data, position->len)
               : NULL;
}

void
fetch_clear(Fetch *fetch)
{
    g_clear_object(&fetch->request);
}
