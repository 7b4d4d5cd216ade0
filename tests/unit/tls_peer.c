/*
 * tls_peer.c - a peer that speaks TLS by OpenSSL alone, one step at a time
 */
#include "tests/unit/tls_peer.h"

#include "tests/unit/certs.h"
#include "tests/unit/peer.h"

#include <openssl/bn.h>
#include <openssl/err.h>
#include <sys/socket.h>
#include <unistd.h>

static SSL_CTX *
new_context(const char *dir, const char *name)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    g_auto(TlsFiles) files = certs_files(dir, name, "ca");

    if (name != NULL) {
        g_assert_cmpint(
            SSL_CTX_use_certificate_file(context, files.cert, SSL_FILETYPE_PEM),
            ==, 1);
        g_assert_cmpint(
            SSL_CTX_use_PrivateKey_file(context, files.key, SSL_FILETYPE_PEM),
            ==, 1);
    }
    g_assert_cmpint(SSL_CTX_load_verify_file(context, files.ca), ==, 1);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    return context;
}

TlsPeer *
tls_peer_open(guint16 port, const char *dir, const char *name)
{
    TlsPeer *peer = g_new0(TlsPeer, 1);
    SSL_CTX *context = new_context(dir, name);

    peer->fd = peer_connect(port);
    peer->session = SSL_new(context);
    SSL_CTX_free(context);
    peer->arrived = BIO_new(BIO_s_mem());
    peer->leaving = BIO_new(BIO_s_mem());
    BIO_set_mem_eof_return(peer->arrived, -1);
    SSL_set_bio(peer->session, peer->arrived, peer->leaving);
    SSL_set_connect_state(peer->session);
    return peer;
}

GByteArray *
tls_peer_take(TlsPeer *peer)
{
    GByteArray *bytes = g_byte_array_new();
    char *data;
    long len = BIO_get_mem_data(peer->leaving, &data);

    g_byte_array_append(bytes, (const guint8 *)data, (guint)len);
    BIO_reset(peer->leaving);
    return bytes;
}

void
tls_peer_flush(TlsPeer *peer)
{
    peer_send(peer->fd, tls_peer_take(peer));
}

/* FALSE: the server has hung up. Forgets what other peers of this thread have
   left in OpenSSL's queue of errors. */
static gboolean
fetch(TlsPeer *peer)
{
    guint8 data[4096];
    gssize got = recv(peer->fd, data, sizeof data, 0);

    ERR_clear_error();
    if (got > 0) {
        g_assert_cmpint(BIO_write(peer->arrived, data, (int)got), ==, got);
    }
    return got > 0;
}

gboolean
tls_peer_shake(TlsPeer *peer)
{
    int result;

    ERR_clear_error();
    while ((result = SSL_do_handshake(peer->session)) != 1) {
        tls_peer_flush(peer);
        if (SSL_get_error(peer->session, result) != SSL_ERROR_WANT_READ ||
            !fetch(peer)) {
            return FALSE;
        }
    }
    tls_peer_flush(peer);
    return TRUE;
}

TlsPeer *
tls_peer_good(guint16 port, const char *dir, const char *name)
{
    TlsPeer *peer = tls_peer_open(port, dir, name);

    g_assert_true(tls_peer_shake(peer));
    return peer;
}

void
tls_peer_write(TlsPeer *peer, GByteArray *bytes)
{
    g_assert_cmpint(SSL_write(peer->session, bytes->data, (int)bytes->len), ==,
                    (int)bytes->len);
    g_byte_array_unref(bytes);
}

void
tls_peer_send(TlsPeer *peer, GByteArray *bytes)
{
    tls_peer_write(peer, bytes);
    tls_peer_flush(peer);
}

static gboolean
read_all(TlsPeer *peer, guint8 *data, gsize len)
{
    ERR_clear_error();
    while (len > 0) {
        gsize got = 0;
        int result = SSL_read_ex(peer->session, data, len, &got);

        data += got;
        len -= got;
        if (result != 1 &&
            (SSL_get_error(peer->session, result) != SSL_ERROR_WANT_READ ||
             !fetch(peer))) {
            return FALSE;
        }
    }
    return TRUE;
}

GByteArray *
tls_peer_receive(TlsPeer *peer)
{
    GByteArray *message;
    guint32 len;

    if (!read_all(peer, (guint8 *)&len, sizeof len)) {
        return NULL;
    }
    message = g_byte_array_new();
    g_byte_array_set_size(message, g_ntohl(len));
    g_assert_true(read_all(peer, message->data, message->len));
    return message;
}

WireType
tls_peer_field(TlsPeer *peer, guint id)
{
    g_autoptr(GByteArray) message = tls_peer_receive(peer);
    Frame frame;

    g_assert_nonnull(message);
    g_assert_cmpint(frame_scan(message->data, message->len, &frame), ==,
                    FRAME_OK);
    g_assert_cmpint(frame.kind, ==, FRAME_REPLY);
    return frame.field[id].type;
}

gboolean
tls_peer_echo(TlsPeer *peer, gint32 seqid)
{
    g_autoptr(GByteArray) message = NULL;
    Frame frame;

    tls_peer_send(peer, peer_call("echo", seqid, seqid));
    message = tls_peer_receive(peer);
    return message != NULL &&
           frame_scan(message->data, message->len, &frame) == FRAME_OK &&
           frame.seqid == seqid && frame_i64(&frame, 0, -1) == seqid;
}

char *
tls_peer_serial(const TlsPeer *peer)
{
    const X509 *cert = SSL_get0_peer_certificate(peer->session);
    BIGNUM *number = ASN1_INTEGER_to_BN(X509_get0_serialNumber(cert), NULL);
    char *hex = BN_bn2hex(number);
    char *serial = g_strdup(hex);

    OPENSSL_free(hex);
    BN_free(number);
    return serial;
}

void
tls_peer_close(TlsPeer *peer)
{
    SSL_free(peer->session);
    close(peer->fd);
    g_free(peer);
}
