/*
 * ask.h - what a call of fetch asks for (struct FetchRequest)
 */
#pragma once

#include "firehose/place.h"
#include "firehose/tap.h"
#include "thrift/reply.h"

typedef struct Ask {
    Request *request;  /* borrowed, for refusals */
    Place place;       /* its position and client are the next two */
    GBytes *position;  /* a copy, so that the request may go; NULL: none */
    char *client;      /* owned; NULL: none */
    TapOptions tap;    /* its authors are owned */
    gint32 events_max; /* 1 to FETCH_EVENTS_MAX */
    gint64 wait_ms;    /* 0 or more */
} Ask;

/**
 * ask_read() - read argument 2 of @request
 *
 * Effect: TRUE, or FALSE after it was answered with InvalidRequest. Either
 *         way *ret_ask is to be cleared.
 */
gboolean ask_read(Request *request, Ask *ret_ask);

/** ask_clear() - free what it holds; one of zeros is fine. */
void ask_clear(Ask *ask);
