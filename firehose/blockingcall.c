/*
 * The life of one: started on the server's thread, where its timer is set;
 * run; answered by whoever claims it first; freed when both sides have let go.
 * The thread that claims frees the timer, and waits for a callback of it that
 * is running.
 */
#include "firehose/blockingcall.h"

#include "ops/kit/logger.h"
#include "thrift/reply.h"

#define CALLS_MAX 64
#define RETRY_MS 1000

void
blockingcall_init(BlockingCall *call, Gateway *gateway, Request *request,
                  const Context *context)
{
    call->gateway = gateway;
    call->request = request;
    call->deadline_us = context->deadline_us;
    call->refs = 1;
}

static void
call_free(BlockingCall *call)
{
    call->clear(call);
    g_free(call);
}

static void
unref(BlockingCall *call)
{
    if (atomic_fetch_sub(&call->refs, 1) == 1) {
        call_free(call);
    }
}

/* TRUE for the side that comes first. */
static gboolean
claim(BlockingCall *call)
{
    return !atomic_exchange(&call->answered, TRUE);
}

gboolean
blockingcall_claim(BlockingCall *call)
{
    if (!claim(call)) {
        return FALSE;
    }
    event_free(call->timer);
    unref(call);
    return TRUE;
}

static void
be_late(evutil_socket_t fd, short what, void *user_data)
{
    BlockingCall *call = user_data;

    (void)fd;
    (void)what;
    if (!claim(call)) {
        return;
    }
    event_free(call->timer);
    metric_add(&call->gateway->metrics[GATEWAY_LATE], 1);
    reply_deadline(call->request, "the log has not answered");
    unref(call);
}

static void
start_timer(BlockingCall *call)
{
    gint64 left_us = MAX(call->deadline_us - g_get_monotonic_time(), 0);
    struct timeval left = {left_us / G_USEC_PER_SEC, left_us % G_USEC_PER_SEC};

    call->refs++;
    call->timer = evtimer_new(request_base(call->request), be_late, call);
    evtimer_add(call->timer, &left);
}

static void *
run_thread(void *data)
{
    BlockingCall *call = data;
    Gateway *gateway = call->gateway;

    call->run(call);
    unref(call);
    atomic_fetch_sub(&gateway->consuming, 1);
    gateway_call_end(gateway);
    return NULL;
}

static void
refuse(BlockingCall *call)
{
    Gateway *gateway = call->gateway;

    atomic_fetch_sub(&gateway->consuming, 1);
    metric_add(&gateway->metrics[GATEWAY_OVERLOADED], 1);
    reply_overloaded(call->request, GATEWAY_RETRY_MS);
    call_free(call);
}

void
blockingcall_start(BlockingCall *call, gboolean good)
{
    Gateway *gateway = call->gateway;
    pthread_attr_t attr;
    pthread_t thread;
    int failed;

    if (!good) {
        call_free(call);
        return;
    }
    if (atomic_fetch_add(&gateway->consuming, 1) >= CALLS_MAX) {
        refuse(call);
        return;
    }
    gateway_call_begin(gateway);
    start_timer(call);
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    failed = pthread_create(&thread, &attr, run_thread, call);
    pthread_attr_destroy(&attr);
    if (failed != 0) {
        logger_warn("firehose.gateway", "no thread for a call", "errno=%d",
                    failed);
        event_free(call->timer);
        refuse(call);
        gateway_call_end(gateway);
    }
}

void
blockingcall_unavailable(BlockingCall *call, const char *reason)
{
    if (blockingcall_claim(call)) {
        reply_unavailable(call->request, reason, RETRY_MS);
    }
}

void
blockingcall_invalid(BlockingCall *call, const char *field, const char *reason,
                     gint64 limit)
{
    if (blockingcall_claim(call)) {
        reply_invalid(call->request, field, reason, limit);
    }
}
