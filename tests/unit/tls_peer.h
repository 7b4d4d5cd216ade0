/*
 * tls_peer.h - a peer that speaks TLS by OpenSSL alone, one step at a time
 *
 * For what the tunnel (tunnel.h) hides: handshakes that fail or stop, records
 * that come in pieces, keys that are renewed. Bytes go through memory, so that
 * the test decides when they reach the socket.
 */
#pragma once

#include "thrift/frame.h"

#include <openssl/ssl.h>

typedef struct TlsPeer {
    SSL *session;
    int fd;       /* blocking, with a receive time-out */
    BIO *arrived; /* bytes for the session; the session's */
    BIO *leaving; /* bytes for the socket; likewise */
} TlsPeer;

/**
 * tls_peer_open() - connect to @port; the handshake is still to come
 *
 * @name: of the certificate in @dir that it shows; NULL: none.
 */
TlsPeer *tls_peer_open(guint16 port, const char *dir, const char *name);

/** tls_peer_shake() - the whole handshake. FALSE: the server has hung up. */
gboolean tls_peer_shake(TlsPeer *peer);

/** tls_peer_good() - both; fails the test where it does not get through. */
TlsPeer *tls_peer_good(guint16 port, const char *dir, const char *name);

/** tls_peer_take() - what OpenSSL wants to send, for the test to send. */
GByteArray *tls_peer_take(TlsPeer *peer);

/** tls_peer_flush() - send it. */
void tls_peer_flush(TlsPeer *peer);

/** tls_peer_write() - put @bytes into records. Owns: takes them. */
void tls_peer_write(TlsPeer *peer, GByteArray *bytes);

/** tls_peer_send() - write and flush. Likewise. */
void tls_peer_send(TlsPeer *peer, GByteArray *bytes);

/** tls_peer_receive() - the next message, or NULL: the server has hung up. */
GByteArray *tls_peer_receive(TlsPeer *peer);

/** tls_peer_field() - the next message is a reply; the type of its @id. */
WireType tls_peer_field(TlsPeer *peer, guint id);

/** tls_peer_echo() - a call of "echo" and its answer. FALSE: none came. */
gboolean tls_peer_echo(TlsPeer *peer, gint32 seqid);

/** tls_peer_serial() - of the server's certificate. Owns: the caller. */
char *tls_peer_serial(const TlsPeer *peer);

/** tls_peer_close() - hang up without a word, and free. */
void tls_peer_close(TlsPeer *peer);
