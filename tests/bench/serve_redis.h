/*
 * serve_redis.h - the keys of the pages' peer
 */
#pragma once

#include <glib.h>

#define REDIS_KEY_BYTES 9

/** redis_key() - 'i': the inbox of a user, 'p': a post. */
void redis_key(char letter, gint64 id, guint8 ret_key[REDIS_KEY_BYTES]);
