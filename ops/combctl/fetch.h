/*
 * fetch.h - the firehose, batch by batch
 */
#pragma once

#include "ops/combctl/connect.h"

/* The request that a reading begins with, and goes on with. */
typedef struct Fetch {
    Peer *gateway;             /* borrowed */
    CombFetchRequest *request; /* owned; its position moves on */
} Fetch;

/** fetch_init() - from the end on, everything, in the largest batches. */
void fetch_init(Fetch *fetch, Peer *gateway);

/**
 * fetch_from() - begin elsewhere
 *
 * @since: a word of FetchRequest.since. @position: text; NULL the one or the
 *         other.
 */
void fetch_from(Fetch *fetch, const char *since, const char *position);

/**
 * fetch_more() - the next batch; the request then asks for what comes after it
 *
 * Owns:  gives.
 * Fails: as refusals_explain(), NULL; the request is as it was.
 */
CombFetchResult *fetch_more(Fetch *fetch, GError **error);

/** fetch_position() - where it would go on, as text; NULL before the first
 * batch. Owns: gives. */
char *fetch_position(const Fetch *fetch);

/** fetch_clear() - free the request. */
void fetch_clear(Fetch *fetch);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Fetch, fetch_clear)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CombFetchResult, g_object_unref)
