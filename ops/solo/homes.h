/*
 * homes.h - a solo tells where its cells are
 */
#pragma once

#include "firehose/log.h"
#include "router/mapfeed.h"

/**
 * homes_publish() - see to it that the newest map has these addresses
 *
 * Effect: returns when @feed has such a map. Homes stay as they are; without
 *         a map so far, the cells get equal shares.
 * Fails:  COMB_ERROR_MISMATCH (the map has a cell that is none of @cells),
 *         COMB_ERROR_UNREACHABLE (the control topic is not read in time), and
 *         as gateway_publish_map(), FALSE.
 */
gboolean homes_publish(Log *control, MapFeed *feed, const CellMapEntry *cells,
                       guint n, GError **error);
