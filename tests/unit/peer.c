/*
 * peer.c - the other end of a Thrift connection, in raw bytes
 *
 * Blocking, with a receive time-out, so that a test that would hang fails
 * with the line it hung on.
 */
#include "tests/unit/peer.h"

#include "tests/unit/tunnel.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define WAIT_S 20

static struct sockaddr_in
loopback(guint16 port)
{
    return (struct sockaddr_in){.sin_family = AF_INET,
                                .sin_port = htons(port),
                                .sin_addr = {htonl(INADDR_LOOPBACK)}};
}

int
peer_try_connect(guint16 port)
{
    struct sockaddr_in address = loopback(port);
    struct timeval wait = {WAIT_S, 0};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    g_assert_cmpint(fd, >=, 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
        close(fd);
        return -1;
    }
    return tunnel_dir() != NULL ? tunnel_open(fd) : fd;
}

int
peer_connect(guint16 port)
{
    int fd = peer_try_connect(port);

    g_assert_cmpint(fd, >=, 0);
    return fd;
}

int
peer_listen(guint16 *ret_port)
{
    struct sockaddr_in address = loopback(0);
    socklen_t len = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    g_assert_cmpint(bind(fd, (struct sockaddr *)&address, len), ==, 0);
    g_assert_cmpint(listen(fd, 8), ==, 0);
    g_assert_cmpint(getsockname(fd, (struct sockaddr *)&address, &len), ==, 0);
    *ret_port = ntohs(address.sin_port);
    return fd;
}

GByteArray *
peer_frame(GByteArray *message)
{
    GByteArray *framed = g_byte_array_new();

    wire_write_i32(framed, (gint32)message->len);
    g_byte_array_append(framed, message->data, message->len);
    g_byte_array_unref(message);
    return framed;
}

GByteArray *
peer_call(const char *method, gint32 seqid, gint64 argument)
{
    GByteArray *message = g_byte_array_new();
    WireBytes name = {(const guint8 *)method, strlen(method)};

    frame_begin(message, FRAME_CALL, name, seqid);
    wire_field_i64(message, 1, argument);
    wire_write_stop(message);
    return peer_frame(message);
}

void
peer_send_raw(int fd, const void *data, gsize len)
{
    const guint8 *at = data;

    while (len > 0) {
        gssize sent = send(fd, at, len, MSG_NOSIGNAL);

        if (sent < 0) {
            return;
        }
        at += sent;
        len -= (gsize)sent;
    }
}

void
peer_send(int fd, GByteArray *bytes)
{
    peer_send_raw(fd, bytes->data, bytes->len);
    g_byte_array_unref(bytes);
}

/* FALSE: the other end has closed. */
static gboolean
receive_all(int fd, void *data, gsize len)
{
    guint8 *at = data;

    while (len > 0) {
        gssize got = recv(fd, at, len, 0);

        g_assert_true(got >= 0 || errno == ECONNRESET);
        if (got <= 0) {
            return FALSE;
        }
        at += got;
        len -= (gsize)got;
    }
    return TRUE;
}

GByteArray *
peer_receive(int fd)
{
    GByteArray *message;
    guint32 len;

    if (!receive_all(fd, &len, sizeof(len))) {
        return NULL;
    }
    message = g_byte_array_new();
    g_byte_array_set_size(message, g_ntohl(len));
    g_assert_true(receive_all(fd, message->data, message->len));
    return message;
}

void
peer_expect(int fd, gint32 seqid, gint64 value)
{
    g_autoptr(GByteArray) message = peer_receive(fd);
    Frame frame;

    g_assert_nonnull(message);
    g_assert_cmpint(frame_scan(message->data, message->len, &frame), ==,
                    FRAME_OK);
    g_assert_cmpint(frame.kind, ==, FRAME_REPLY);
    g_assert_cmpint(frame.seqid, ==, seqid);
    g_assert_cmpint(frame_i64(&frame, 0, -1), ==, value);
}

void
peer_expect_closed(int fd)
{
    guint8 byte;

    g_assert_false(receive_all(fd, &byte, 1));
}

gboolean
peer_silent(int fd, int ms)
{
    struct pollfd waiting = {.fd = fd, .events = POLLIN};

    return poll(&waiting, 1, ms) == 0;
}
