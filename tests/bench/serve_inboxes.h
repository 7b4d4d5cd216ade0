/*
 * serve_inboxes.h - everybody's inbox after the fill, from the world itself
 */
#pragma once

#include "tests/bench/sample.h"
#include "tests/bench/serve.h"
#include "tests/kit/call.h"

/* Of readers, how many are compared by digest. */
#define DIGEST_EVERY 16

typedef struct Inboxes {
    StreamPlan plan;
    guint64 *at; /* users + 1: where each one's begins; owned */
    gint64 *ids; /* ascending within each inbox; owned */
} Inboxes;

/** inboxes_make() - of all users. */
void inboxes_make(Inboxes *inboxes, const Serve *serve);
void inboxes_clear(Inboxes *inboxes);

/** inboxes_is_reader() - an active user with a full page. */
gboolean inboxes_is_reader(const Inboxes *inboxes, const Serve *serve,
                           guint32 user);

/** serve_ask() - the struct Page of a reader's dashboard. Gives. */
GByteArray *serve_ask(const Serve *serve, Call *call, gint64 user);

/** serve_print_digest() - its number and entries, as JSON; returns 0. */
int serve_print_digest(SampleDigest *digest);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Inboxes, inboxes_clear)
