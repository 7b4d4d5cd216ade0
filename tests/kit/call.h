/*
 * call.h - Thrift calls over one plain socket, for the tests' own tools
 *
 * Just enough of a client to keep a daemon busy: requests may be pipelined,
 * answers are looked over (frame.h) and left undecoded. Blocking; an answer
 * that does not come within a minute is an error.
 *
 * Thread: one at a time for a call.
 */
#pragma once

#include "thrift/frame.h"

typedef struct Call Call;

/** call_open() - connect to "host:port". Fails: COMB_ERROR_IO, NULL. */
Call *call_open(const char *address, GError **error);

/** call_close() - hang up and free; NULL is fine. */
void call_close(Call *call);

/* What is asked of getDashboard and getTimeline. */
typedef struct CallPage {
    const char *method; /* "getDashboard" or "getTimeline" */
    gint64 user;
    const GByteArray *cursor; /* empty: the newest */
    gint32 limit;
} CallPage;

/**
 * call_send_page() - send one request, wait for nothing
 *
 * @seqid: comes back in the answer.
 * Fails:  COMB_ERROR_IO, FALSE.
 */
gboolean call_send_page(Call *call, gint32 seqid, const CallPage *page,
                        GError **error);

/**
 * call_receive() - the next answer
 *
 * Owns:  *ret_frame borrows from @call until the next call_receive().
 * Fails: COMB_ERROR_IO, also where the answer is not a Thrift reply; FALSE.
 */
gboolean call_receive(Call *call, Frame *ret_frame, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Call, call_close)
