/*
 * blockingcall.h - a call that waits for the log, on a thread of its own
 *
 * The server's threads must not wait, and a log reader or a look-up does. So
 * such a call is read and checked on the server's thread and then has a
 * thread of its own until it is answered; their number is bounded. It counts
 * as a call in progress (gateway_call_begin), so the gateway waits for it
 * when it stops.
 *
 * Two sides may answer, as with a publish: the thread, or the server thread's
 * timer at the deadline, because a log that is away can hold a look-up for
 * longer. `answered` decides, and each side holds a reference. What the
 * request's frame holds is gone once the deadline has answered: what the
 * thread needs of it is copied before.
 */
#pragma once

#include "firehose/gateway_private.h"

typedef struct BlockingCall BlockingCall;

/* The first member of the struct of such a call. */
struct BlockingCall {
    Gateway *gateway;
    Request *request;                  /* for the side that answers */
    gint64 deadline_us;                /* g_get_monotonic_time() scale */
    void (*run)(BlockingCall *call);   /* on its own thread; answers */
    void (*clear)(BlockingCall *call); /* frees what the struct holds */
    struct event *timer;               /* the deadline */
    _Atomic gboolean answered;         /* set by the side that answers */
    _Atomic guint refs;                /* the thread's and the timer's */
};

/** blockingcall_init() - set up one that is on the heap. */
void blockingcall_init(BlockingCall *call, Gateway *gateway, Request *request,
                       const Context *context);

/**
 * blockingcall_start() - call run() on a thread, or answer Overloaded
 *
 * @good:  FALSE: the arguments were wrong and that was answered; only freed.
 * Owns:   takes @call, which is freed with g_free().
 * Thread: the server's that read the request.
 */
void blockingcall_start(BlockingCall *call, gboolean good);

/**
 * blockingcall_claim() - TRUE: the thread is to answer, now
 *
 * Effect: FALSE where the deadline has done so.
 * Thread: that of run().
 */
gboolean blockingcall_claim(BlockingCall *call);

/** blockingcall_unavailable() - claim, and answer Unavailable. */
void blockingcall_unavailable(BlockingCall *call, const char *reason);

/** blockingcall_invalid() - claim, and answer InvalidRequest. */
void blockingcall_invalid(BlockingCall *call, const char *field,
                          const char *reason, gint64 limit);
