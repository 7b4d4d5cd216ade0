/*
 * mapfeed.h - the newest cell map, as the control topic tells it
 *
 * A thread of its own reads the control topic from the beginning and keeps
 * the map with the highest epoch; with a cache file it starts from that one,
 * and works on with the control plane down. A bad record or a corrupt cache
 * is logged and passed over, never taken.
 */
#pragma once

#include "firehose/log.h"
#include "router/cellmap.h"

typedef struct MapFeed MapFeed;

/* Called on the feed's thread when a newer map has come, first of all with the
   cached one; @map is borrowed. */
typedef void (*MapFeedFunc)(CellMap *map, gpointer user_data);

/**
 * mapfeed_open_control() - the @open_control of every daemon
 *
 * @cluster: a LogCluster. Opens its control topic to read; never makes it.
 * Fails:    as log_open().
 */
Log *mapfeed_open_control(gpointer cluster, GError **error);

/**
 * mapfeed_start() - follow the map
 *
 * @open_control: opens the control topic; called on the feed's thread, again
 *         every second until it succeeds (returns the log, owned by the feed).
 * @cache: a file for the newest map, checksummed; NULL: none.
 * @changed: may be NULL.
 * Effect: the cached map is there at once.
 * Owns:   the caller; mapfeed_stop().
 * Fails:  never; without a control topic and a cache there is no map.
 */
MapFeed *mapfeed_start(Log *(*open_control)(gpointer user_data, GError **error),
                       const char *cache, MapFeedFunc changed,
                       gpointer user_data);

/**
 * mapfeed_get() - the newest map, or NULL
 *
 * Owns:   referenced for the caller; cellmap_unref().
 * Thread: any.
 */
CellMap *mapfeed_get(MapFeed *feed);

/**
 * mapfeed_wait() - wait for a map of at least @epoch
 *
 * Effect: the newest map where it has come within @timeout_ms, referenced;
 *         NULL otherwise.
 * Thread: any but the feed's.
 */
CellMap *mapfeed_wait(MapFeed *feed, gint64 epoch, guint timeout_ms);

/**
 * mapfeed_caught_up() - TRUE once the control topic was read to its end as it
 *         was when the feed opened it
 */
gboolean mapfeed_caught_up(MapFeed *feed);

/** mapfeed_stop() - join the thread and free; wakes nobody who waits. */
void mapfeed_stop(MapFeed *feed);
