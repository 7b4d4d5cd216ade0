/*
 * A call sends its requests with one write each and reads answers through one
 * buffer that grows to the largest answer seen. The length prefix is believed
 * up to FRAME_BYTES_MAX, the daemons' own bound.
 *
 * What can go wrong: the daemon closes (it was killed, or disliked the
 * frame), sends something that does not scan, or is silent for a minute. Each
 * is an error of the whole connection; the tools give up with its message.
 */
#include "tests/kit/call.h"

#include "ops/kit/error.h"
#include "thrift/context.h"
#include "thrift/limits.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define SILENCE_S 60
#define DEADLINE_MS 60000

/* Header of a strict binary message: version 1, type call. */
#define MESSAGE_CALL ((gint32)0x80010001u)

struct Call {
    int fd;
    GByteArray *out; /* the request being built */
    GByteArray *in;  /* the answer being read */
};

static int
dial(const char *host, const char *port, GError **error)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                             .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    if (getaddrinfo(host, port, &hints, &found) != 0) {
        g_set_error(error, COMB_ERROR, COMB_ERROR_IO,
                    "%s:%s is not a numeric address", host, port);
        return -1;
    }
    int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, found->ai_addr, found->ai_addrlen) != 0) {
        g_set_error(error, COMB_ERROR, COMB_ERROR_IO, "connect to %s:%s: %s",
                    host, port, g_strerror(errno));
        if (fd >= 0) {
            close(fd);
        }
        fd = -1;
    }
    freeaddrinfo(found);
    return fd;
}

Call *
call_open(const char *address, GError **error)
{
    const char *colon = strrchr(address, ':');
    if (!colon) {
        g_set_error(error, COMB_ERROR, COMB_ERROR_IO, "%s is not host:port",
                    address);
        return NULL;
    }
    g_autofree char *host = g_strndup(address, (gsize)(colon - address));
    int fd = dial(host, colon + 1, error);
    if (fd < 0) {
        return NULL;
    }
    struct timeval silence = {.tv_sec = SILENCE_S};
    int on = 1;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &silence, sizeof silence);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &silence, sizeof silence);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);

    Call *call = g_new0(Call, 1);
    call->fd = fd;
    call->out = g_byte_array_new();
    call->in = g_byte_array_new();
    return call;
}

void
call_close(Call *call)
{
    if (!call) {
        return;
    }
    close(call->fd);
    g_byte_array_unref(call->out);
    g_byte_array_unref(call->in);
    g_free(call);
}

static void
write_page_request(GByteArray *out, const CallPage *page)
{
    wire_write_field(out, WIRE_STRUCT, 2);
    if (page->cursor->len) {
        wire_field_bytes(out, 1, page->cursor->data, page->cursor->len);
    }
    wire_field_i32(out, 2, page->limit);
    wire_write_stop(out);
}

gboolean
call_send_page(Call *call, gint32 seqid, const CallPage *page, GError **error)
{
    GByteArray *out = call->out;
    g_byte_array_set_size(out, 0);
    wire_write_i32(out, 0); /* the length, known at the end */
    wire_write_i32(out, MESSAGE_CALL);
    wire_write_bytes(out, page->method, strlen(page->method));
    wire_write_i32(out, seqid);
    wire_field_i64(out, 1, page->user);
    write_page_request(out, page);
    wire_write_field(out, WIRE_STRUCT, CONTEXT_FIELD);
    wire_field_i32(out, 2, DEADLINE_MS);
    wire_write_stop(out);
    wire_write_stop(out);
    guint32 length = GUINT32_TO_BE(out->len - 4);
    memcpy(out->data, &length, sizeof length);

    for (gsize sent = 0; sent < out->len;) {
        ssize_t n =
            send(call->fd, out->data + sent, out->len - sent, MSG_NOSIGNAL);
        if (n < 0 && errno != EINTR) {
            g_set_error(error, COMB_ERROR, COMB_ERROR_IO, "send: %s",
                        g_strerror(errno));
            return FALSE;
        }
        sent += n > 0 ? (gsize)n : 0;
    }
    return TRUE;
}

static gboolean
receive_bytes(Call *call, void *data, gsize len, GError **error)
{
    for (gsize got = 0; got < len;) {
        ssize_t n = recv(call->fd, (guint8 *)data + got, len - got, 0);
        if (n == 0 || (n < 0 && errno != EINTR)) {
            g_set_error(error, COMB_ERROR, COMB_ERROR_IO, "receive: %s",
                        n == 0 ? "connection closed" : g_strerror(errno));
            return FALSE;
        }
        got += n > 0 ? (gsize)n : 0;
    }
    return TRUE;
}

gboolean
call_receive(Call *call, Frame *ret_frame, GError **error)
{
    guint32 length = 0;
    if (!receive_bytes(call, &length, sizeof length, error)) {
        return FALSE;
    }
    length = GUINT32_FROM_BE(length);
    if (length > FRAME_BYTES_MAX) {
        g_set_error(error, COMB_ERROR, COMB_ERROR_IO, "an answer of %u bytes",
                    length);
        return FALSE;
    }
    g_byte_array_set_size(call->in, length);
    if (!receive_bytes(call, call->in->data, length, error)) {
        return FALSE;
    }
    if (frame_scan(call->in->data, length, ret_frame) != FRAME_OK ||
        ret_frame->kind != FRAME_REPLY) {
        g_set_error(error, COMB_ERROR, COMB_ERROR_IO,
                    "an answer that is no Thrift reply");
        return FALSE;
    }
    return TRUE;
}
