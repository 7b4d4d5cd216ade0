/*
 * ids.h - fresh ids from the gateway
 */
#pragma once

#include "ops/combctl/connect.h"

/**
 * ids_fetch() - @count fresh ids, ascending
 *
 * Owns:  gives an array of gint64.
 * Fails: as refusals_explain(), NULL.
 */
GArray *ids_fetch(const Peer *gateway, gint count, GError **error);
