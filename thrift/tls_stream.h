/*
 * tls_stream.h - TLS over a non-blocking socket
 *
 * Each call does what can be done now and says what it waits for: either
 * direction may wait for the other. What was wanted is asked again when the
 * socket is ready, a write with the same bytes (more may follow them).
 *
 * A read with room for TLS_RECORD_BYTES takes a whole record, and nothing is
 * read ahead of it: so where all reads have that room, bytes that are still
 * to be read are in the socket, and poll and epoll tell of them.
 *
 * Thread: one at a time.
 */
#pragma once

#include "thrift/tls.h"

/* The most that a record carries. */
#define TLS_RECORD_BYTES ((gsize)16 << 10)

typedef struct TlsStream TlsStream;

typedef enum TlsOutcome {
    TLS_DONE,
    TLS_WANTS_READ,  /* again, when the socket can be read */
    TLS_WANTS_WRITE, /* again, when it can be written */
    TLS_ENDED,       /* the peer has finished sending */
    TLS_CUT,         /* the socket has failed */
    TLS_BROKEN,      /* what came was no TLS, or not of whom it had to be */
} TlsOutcome;

/**
 * tls_stream_new() - a stream on @fd, its handshake still to come
 *
 * @fd:   non-blocking; the caller's, who closes it after the stream.
 * @host: for a client, see tls_session().
 */
TlsStream *tls_stream_new(Tls *tls, int fd, const char *host);

/** tls_stream_shake() - get on with the handshake; TLS_DONE: it is over. */
TlsOutcome tls_stream_shake(TlsStream *stream);

/** tls_stream_read() - read at most @len bytes; *ret_got is 0 unless TLS_DONE.
 */
TlsOutcome tls_stream_read(TlsStream *stream, gpointer data, gsize len,
                           gsize *ret_got);

/** tls_stream_write() - write some of @len bytes; *ret_sent is 0 unless
 * TLS_DONE. */
TlsOutcome tls_stream_write(TlsStream *stream, gconstpointer data, gsize len,
                            gsize *ret_sent);

/** tls_stream_is_midway() - whether a record, or a message of the protocol's
 * own, has begun to arrive and is not whole. */
gboolean tls_stream_is_midway(const TlsStream *stream);

/** tls_stream_is_broken() - whether there was a TLS_BROKEN. */
gboolean tls_stream_is_broken(const TlsStream *stream);

/** tls_stream_why() - the words for TLS_CUT and TLS_BROKEN; borrowed. */
const char *tls_stream_why(const TlsStream *stream);

/** tls_stream_identity() - who the peer is, see tls_identity(); borrowed. */
const char *tls_stream_identity(const TlsStream *stream);

/** tls_stream_free() - say goodbye where that takes no waiting, and free. */
void tls_stream_free(TlsStream *stream);
