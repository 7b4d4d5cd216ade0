/*
 * sendqueue.h - answers on their way to the kernel (private)
 *
 * A queue of answered requests, whose replies leave by reference: a page is
 * not copied again. Small ones are gathered into a room instead, because a
 * piece costs the kernel more than its bytes do.
 *
 * Thread: the worker's.
 */
#pragma once

#include "thrift/server.h"

#include <sys/queue.h>
#include <sys/uio.h>

typedef struct SendQueue {
    TAILQ_HEAD(, Request) replies; /* answered, oldest first */
    gsize bytes;                   /* not sent yet, length prefixes included */
    gsize sent;                    /* of the oldest, its prefix included */
    gsize held;                    /* of memory, by calls and answers, until
                                      the last byte of an answer is sent */
} SendQueue;

/* Where small answers are gathered, until the pieces are sent. */
typedef struct SendRoom {
    guint8 *data;
    gsize size;
} SendRoom;

/** sendqueue_init() - empty. */
void sendqueue_init(SendQueue *queue);

/** sendqueue_put() - at the end. Owns: takes @request, which has a reply. */
void sendqueue_put(SendQueue *queue, Request *request);

/**
 * sendqueue_peek() - what to send next
 *
 * @ret_pieces: at most @max; valid until the queue changes or @room is used.
 * Effect:      how many; they hold the first bytes of the queue.
 */
guint sendqueue_peek(const SendQueue *queue, SendRoom room,
                     struct iovec *ret_pieces, guint max);

/** sendqueue_copy() - the first bytes, at most @max; how many. */
gsize sendqueue_copy(const SendQueue *queue, guint8 *ret_data, gsize max);

/** sendqueue_drain() - the first @n bytes were sent; frees what is over. */
void sendqueue_drain(SendQueue *queue, gsize n);

/** sendqueue_clear() - free all. */
void sendqueue_clear(SendQueue *queue);
