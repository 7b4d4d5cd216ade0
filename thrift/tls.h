/*
 * tls.h - certificates that can be replaced, and who the other side is
 *
 * A Tls is one side of connections: a server's (its certificate; with a CA,
 * callers must bring a certificate too; with a table, each may call what it
 * says) or a client's (the CA that servers must be of, for the host that was
 * asked for; with a certificate, who we are). tls_reload() reads the files
 * again: sessions that begin later have the new ones, those that are open
 * keep what they began with, because each holds a reference to its SSL_CTX.
 *
 * The promise: TLS 1.2 or newer, AEAD and forward secrecy; no renegotiation;
 * no resumption, so that nobody comes in on a certificate that has expired or
 * whose CA was taken away; certificates are for what they are used as.
 *
 * OpenSSL, the TLS library that everything else on the system is patched
 * with. It runs on our sockets as it is (tls_stream.h): their loops are our
 * own, and a bufferevent in between would change the path of plain text too.
 */
#pragma once

#include "thrift/tls_files.h"

typedef struct Tls Tls;

/* OpenSSL's SSL. */
struct ssl_st;

/**
 * tls_open() - read the files
 *
 * @role:   whose side it is.
 * @files:  as tls_files_check() lets pass; copied.
 * Effect:  TRUE, and *ret_tls, NULL where no file is given: plain text.
 * Owns:    the caller; tls_close(), after all who use it.
 * Fails:   COMB_ERROR_SETTING with the file and the reason, FALSE.
 */
gboolean tls_open(TlsRole role, const TlsFiles *files, Tls **ret_tls,
                  GError **error);

/**
 * tls_announce() - log that TLS is on, and for whom; NULL: nothing
 *
 * Thread: the one that opened it, before others use it.
 */
void tls_announce(const Tls *tls);

/**
 * tls_reload() - read the files again
 *
 * Effect: what cannot be read is left as it was, with a crit line; the
 *         certificates and the table apart. The info line "read again" comes
 *         when the new ones are in use. NULL is fine.
 * Thread: one at a time.
 */
void tls_reload(Tls *tls);

/** tls_close() - free it; NULL is fine. Sessions may outlive it. */
void tls_close(Tls *tls);

/**
 * tls_session() - a session of the newest files, on no socket yet
 *
 * @host:  a client's: the name or address whose certificate is wanted.
 * Owns:   the caller; SSL_free().
 * Thread: any.
 */
struct ssl_st *tls_session(Tls *tls, const char *host);

/**
 * tls_identity() - who the other side of @session is
 *
 * Effect: the URI among its certificate's alternative names where there is
 *         exactly one, as SPIFFE has it, else its subject's common name where
 *         there is exactly one; NULL where it has neither, more than one, or
 *         no certificate.
 * Owns:   the caller frees.
 */
char *tls_identity(const struct ssl_st *session);

/**
 * tls_may_call() - whether the table, if there is one, lets @identity call
 *                  @method now
 *
 * Thread: any.
 */
gboolean tls_may_call(Tls *tls, const char *identity, const char *method);

/**
 * tls_explain() - why @session has failed, in words
 *
 * @code: OpenSSL's, 0 where it has none.
 * Owns:  borrowed, static; NULL where TLS has nothing to say.
 */
const char *tls_explain(const struct ssl_st *session, unsigned long code);
