/*
 * The other side makes progress whenever the kernel takes a byte from us, and
 * the clock of a stall starts anew. Waits are cut into slices, so that a stop
 * of the daemon is noticed; from then on the rest has a second.
 */
#include "firehose/sink.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#define SLICE_MS 200
#define STOP_MS 1000

/* Waits for room. FALSE: nothing came in the time. */
static gboolean
wait_writable(const Sink *sink, gint64 since_us)
{
    struct pollfd poll_fd = {.fd = sink->fd, .events = POLLOUT};
    gint64 waited_ms;
    gint64 patience_ms;

    do {
        if (poll(&poll_fd, 1, (int)MIN(SLICE_MS, sink->stall_ms)) > 0) {
            return TRUE;
        }
        waited_ms = (g_get_monotonic_time() - since_us) / 1000;
        patience_ms = atomic_load(sink->stopping) ? MIN(STOP_MS, sink->stall_ms)
                                                  : sink->stall_ms;
    } while (waited_ms < patience_ms);
    return FALSE;
}

static SinkOutcome
send_all(Sink *sink, const char *data, gsize len, int flags)
{
    gint64 since_us = g_get_monotonic_time();

    while (len > 0) {
        ssize_t n = send(sink->fd, data, len, flags | MSG_NOSIGNAL);

        if (n >= 0) {
            data += n;
            len -= (gsize)n;
            since_us = g_get_monotonic_time();
        } else if (errno != EAGAIN && errno != EINTR) {
            return SINK_GONE;
        } else if (!wait_writable(sink, since_us)) {
            return atomic_load(sink->stopping) ? SINK_GONE : SINK_STALLED;
        }
    }
    return SINK_SENT;
}

SinkOutcome
sink_begin(Sink *sink, const char *type)
{
    g_autofree char *head = g_strdup_printf(
        "HTTP/1.1 200 OK\r\n"
        "Content-Type: %s\r\n"
        "Cache-Control: no-store\r\n"
        "%s"
        "Connection: close\r\n\r\n",
        type, sink->chunked ? "Transfer-Encoding: chunked\r\n" : "");

    return send_all(sink, head, strlen(head), 0);
}

SinkOutcome
sink_send(Sink *sink, const GString *text)
{
    char head[24];
    SinkOutcome outcome;

    if (text->len == 0) {
        return SINK_SENT;
    }
    if (!sink->chunked) {
        return send_all(sink, text->str, text->len, 0);
    }
    g_snprintf(head, sizeof head, "%" G_GSIZE_MODIFIER "x\r\n", text->len);
    outcome = send_all(sink, head, strlen(head), MSG_MORE);
    if (outcome == SINK_SENT) {
        outcome = send_all(sink, text->str, text->len, MSG_MORE);
    }
    return outcome == SINK_SENT ? send_all(sink, "\r\n", 2, 0) : outcome;
}

SinkOutcome
sink_end(Sink *sink)
{
    return sink->chunked ? send_all(sink, "0\r\n\r\n", 5, 0) : SINK_SENT;
}

SinkOutcome
sink_refuse(Sink *sink, const char *status, const GString *json)
{
    g_autofree char *text =
        g_strdup_printf("HTTP/1.1 %s\r\n"
                        "Content-Type: application/json\r\n"
                        "Content-Length: %" G_GSIZE_FORMAT "\r\n"
                        "Connection: close\r\n\r\n%s",
                        status, json->len, json->str);

    return send_all(sink, text, strlen(text), 0);
}

gboolean
sink_is_open(const Sink *sink)
{
    struct pollfd poll_fd = {.fd = sink->fd, .events = POLLRDHUP};

    return poll(&poll_fd, 1, 0) == 0;
}
