/*
 * log_local_places.h - where the consumers of the local log go on
 *
 * A row for each client and partition (log_row.h), synced with each commit.
 * Thread: any.
 */
#pragma once

#include "firehose/log_local_topic.h"

/** local_places_load() - what log_place_load() says. */
gboolean local_places_load(LocalState *state, const LocalTopic *topic,
                           const char *client, guint64 *ret_next,
                           GError **error);

/** local_places_store() - what log_place_store() says, but for members. */
gboolean local_places_store(LocalState *state, const LocalTopic *topic,
                            const char *client, const guint64 *next,
                            GError **error);
