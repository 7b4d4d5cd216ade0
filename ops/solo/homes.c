/*
 * Cells of a solo listen on any free port, so their addresses change from one
 * start to the next, and the map must follow. The newest map in the control
 * topic is read to the end first: its epoch must be passed, and homes that an
 * operator has moved must stay moved. A map that is right already is left
 * alone.
 *
 * Failure: a map with a cell that this solo does not have was published by
 * somebody who runs cells elsewhere; solo does not take it over.
 */
#include "ops/solo/homes.h"

#include "firehose/gateway.h"
#include "ops/kit/error.h"

#include <string.h>

#define WAIT_MS 10000
#define POLL_US 1000

static gboolean
wait_caught_up(MapFeed *feed, GError **error)
{
    gint64 until_us = g_get_monotonic_time() + WAIT_MS * 1000;
    while (!mapfeed_caught_up(feed)) {
        if (g_get_monotonic_time() >= until_us) {
            g_set_error(error, COMB_ERROR, COMB_ERROR_UNREACHABLE,
                        "the control topic was not read within %d ms", WAIT_MS);
            return FALSE;
        }
        g_usleep(POLL_US);
    }
    return TRUE;
}

static gboolean
map_has(const CellMap *map, const CellMapEntry *cells, guint n)
{
    for (guint i = 0; i < n; i++) {
        const CellMapEntry *entry = cellmap_find(map, cells[i].cell);
        if (entry == NULL || entry->port != cells[i].port ||
            strcmp(entry->host, cells[i].host) != 0) {
            return FALSE;
        }
    }
    return TRUE;
}

gboolean
homes_publish(Log *control, MapFeed *feed, const CellMapEntry *cells, guint n,
              GError **error)
{
    if (!wait_caught_up(feed, error)) {
        return FALSE;
    }
    g_autoptr(CellMap) newest = mapfeed_get(feed);
    if (newest != NULL && map_has(newest, cells, n)) {
        return TRUE;
    }
    g_autoptr(CellMap) map = newest == NULL
                                 ? cellmap_even(1, cells, n)
                                 : cellmap_readdress(newest, cells, n);
    if (map == NULL) {
        g_set_error(error, COMB_ERROR, COMB_ERROR_MISMATCH,
                    "the newest cell map has cells that are not among the %u "
                    "of this solo",
                    n);
        return FALSE;
    }
    if (!gateway_publish_map(control, map, WAIT_MS, error)) {
        return FALSE;
    }
    g_autoptr(CellMap) seen = mapfeed_wait(feed, cellmap_epoch(map), WAIT_MS);
    if (seen == NULL) {
        g_set_error(error, COMB_ERROR, COMB_ERROR_UNREACHABLE,
                    "the new cell map was not read back within %d ms", WAIT_MS);
    }
    return seen != NULL;
}
