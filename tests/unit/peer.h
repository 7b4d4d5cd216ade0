/*
 * peer.h - the other end of a Thrift connection, in raw bytes
 *
 * For tests of the server and the client: builds frames, sends them in any
 * shape, and reads what comes back. A test that waits longer than a few
 * seconds aborts.
 */
#pragma once

#include "thrift/frame.h"

/** peer_connect() - a blocking socket to 127.0.0.1. Owns: the caller closes. */
int peer_connect(guint16 port);

/** peer_try_connect() - the same, or -1 where nobody listens. */
int peer_try_connect(guint16 port);

/**
 * peer_listen() - a listening socket on 127.0.0.1
 *
 * Effect: *ret_port is its port. Owns: the caller closes.
 */
int peer_listen(guint16 *ret_port);

/** peer_call() - a framed call of @method with argument 1, an i64. */
GByteArray *peer_call(const char *method, gint32 seqid, gint64 argument);

/** peer_frame() - put the length in front of @message. Owns: takes it. */
GByteArray *peer_frame(GByteArray *message);

/** peer_send() - send all of @bytes. Owns: takes it. */
void peer_send(int fd, GByteArray *bytes);

/** peer_send_raw() - send @len bytes; a peer that has closed is fine. */
void peer_send_raw(int fd, const void *data, gsize len);

/** peer_receive() - the next message, or NULL where the other has closed. */
GByteArray *peer_receive(int fd);

/**
 * peer_expect() - the next message is the reply @seqid with @value
 *
 * @value: of field 0, an i64.
 */
void peer_expect(int fd, gint32 seqid, gint64 value);

/** peer_expect_closed() - the other end closes without another byte. */
void peer_expect_closed(int fd);

/** peer_silent() - whether nothing comes within @ms. */
gboolean peer_silent(int fd, int ms);
