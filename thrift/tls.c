/*
 * tls.c - certificates that can be replaced, and who the other side is
 *
 * Everything that may be wrong with a file is looked for when it is read, so
 * that a bad one is told to the operator and not to every caller: it is no
 * PEM, its key is another's or encrypted (nobody is there to type), it has
 * expired or is not valid yet.
 *
 * The context and the table are exchanged under a lock; sessions take a
 * reference to the context, calls ask the table under the lock. A table is
 * asked at every call, not when the connection begins: a right that is taken
 * away is gone with the next call.
 */
#include "thrift/tls.h"

#include "ops/kit/ensure.h"
#include "ops/kit/error.h"
#include "ops/kit/logger.h"
#include "thrift/allow.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <string.h>

#define AREA "thrift.tls"
/* For TLS 1.2; all of 1.3's are as good. */
#define CIPHERS "ECDHE+AESGCM:ECDHE+CHACHA20"

struct Tls {
    TlsRole role;
    TlsFiles files;       /* copies */
    pthread_mutex_t lock; /* for what follows */
    SSL_CTX *context;     /* the newest; a reference */
    Allow *allow;         /* the newest; NULL: no table, all may call all */
};

static const char *const role_names[] = {
    [TLS_SERVER] = "server",
    [TLS_CLIENT] = "client",
};

/* ---- reading certificates ---- */

/* The first words of OpenSSL's queue, which say most; it is emptied. */
static const char *
take_reason(void)
{
    unsigned long code = ERR_peek_error();
    const char *reason = ERR_reason_error_string(code);

    if (ERR_SYSTEM_ERROR(code)) {
        reason = g_strerror(ERR_GET_REASON(code));
    }
    ERR_clear_error();
    return reason != NULL ? reason : "cannot be read";
}

/* Always FALSE. */
static gboolean
refuse_file(const char *path, const char *reason, GError **error)
{
    g_set_error(error, COMB_ERROR, COMB_ERROR_SETTING, "%s: %s", path, reason);
    return FALSE;
}

/* A key that wants a password is refused: without this it would be asked for
   on the terminal. */
static int
no_password(char *buffer, int size, int writing, void *user_data)
{
    (void)buffer;
    (void)size;
    (void)writing;
    (void)user_data;
    return -1;
}

static gboolean
check_dates(const X509 *cert, const char *path, GError **error)
{
    if (X509_cmp_current_time(X509_get0_notBefore(cert)) > 0) {
        return refuse_file(path, "the certificate is not valid yet", error);
    }
    if (X509_cmp_current_time(X509_get0_notAfter(cert)) < 0) {
        return refuse_file(path, "the certificate has expired", error);
    }
    return TRUE;
}

static gboolean
use_certificate(SSL_CTX *context, const TlsFiles *files, GError **error)
{
    if (SSL_CTX_use_certificate_chain_file(context, files->cert) != 1) {
        return refuse_file(files->cert, take_reason(), error);
    }
    if (SSL_CTX_use_PrivateKey_file(context, files->key, SSL_FILETYPE_PEM) !=
            1 ||
        SSL_CTX_check_private_key(context) != 1) {
        return refuse_file(files->key, take_reason(), error);
    }
    return check_dates(SSL_CTX_get0_certificate(context), files->cert, error);
}

static gboolean
use_ca(SSL_CTX *context, TlsRole role, const char *path, GError **error)
{
    if (SSL_CTX_load_verify_file(context, path) != 1) {
        return refuse_file(path, take_reason(), error);
    }
    if (role == TLS_SERVER) {
        /* Tells callers of which CAs, so that they can pick. */
        SSL_CTX_set_client_CA_list(context, SSL_load_client_CA_file(path));
        SSL_CTX_set_verify(
            context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    } else {
        SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    }
    return TRUE;
}

static SSL_CTX *
context_new(TlsRole role)
{
    SSL_CTX *context = SSL_CTX_new(role == TLS_SERVER ? TLS_server_method()
                                                      : TLS_client_method());

    ensure(context != NULL);
    ensure(SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) == 1);
    ensure(SSL_CTX_set_cipher_list(context, CIPHERS) == 1);
    /* A peer that hangs up between frames need not say so in TLS: frames
       have lengths, so that a cut is never taken for an end. */
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION |
                                     SSL_OP_NO_COMPRESSION | SSL_OP_NO_TICKET |
                                     SSL_OP_IGNORE_UNEXPECTED_EOF |
                                     SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    ensure(SSL_CTX_set_num_tickets(context, 0) == 1);
    /* The chain is what the file has, not what a CA for callers adds to it.
       Idle connections give their buffers back. */
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE |
                                  SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                  SSL_MODE_NO_AUTO_CHAIN |
                                  SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_default_passwd_cb(context, no_password);
    return context;
}

/* A context of the files as they are, or NULL. */
static SSL_CTX *
load_context(TlsRole role, const TlsFiles *files, GError **error)
{
    SSL_CTX *context = context_new(role);

    ERR_clear_error();
    if ((files->cert == NULL || use_certificate(context, files, error)) &&
        (files->ca == NULL || use_ca(context, role, files->ca, error))) {
        return context;
    }
    SSL_CTX_free(context);
    return NULL;
}

/* ---- what the operator is told ---- */

static char *
serial_text(const X509 *cert)
{
    BIGNUM *number = ASN1_INTEGER_to_BN(X509_get0_serialNumber(cert), NULL);
    char *hex = number != NULL ? BN_bn2hex(number) : NULL;
    char *text = g_strdup(hex != NULL ? hex : "unknown");

    OPENSSL_free(hex);
    BN_free(number);
    return text;
}

static char *
date_text(const ASN1_TIME *date)
{
    struct tm tm;

    if (ASN1_TIME_to_tm(date, &tm) != 1) {
        return g_strdup("unknown");
    }
    return g_strdup_printf("%04d-%02d-%02dT%02d:%02d:%02dZ", tm.tm_year + 1900,
                           tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min,
                           tm.tm_sec);
}

/* "cert=... serial=... until=... ", or nothing. */
static char *
own_text(SSL_CTX *context, const TlsFiles *files)
{
    const X509 *cert = SSL_CTX_get0_certificate(context);

    if (cert == NULL) {
        return g_strdup("");
    }
    g_autofree char *path = logger_quote(files->cert);
    g_autofree char *serial = serial_text(cert);
    g_autofree char *until = date_text(X509_get0_notAfter(cert));
    return g_strdup_printf("cert=%s serial=%s until=%s ", path, serial, until);
}

/* Whom we speak to. */
static void
tell(const Tls *tls, SSL_CTX *context, const char *words)
{
    g_autofree char *own = own_text(context, &tls->files);
    g_autofree char *ca = logger_quote(tls->files.ca);
    g_autofree char *allow = logger_quote(tls->files.allow);

    if (tls->role == TLS_CLIENT) {
        logger_info(AREA, words, "side=client %sservers_of=%s", own, ca);
    } else if (tls->files.ca == NULL) {
        logger_info(AREA, words, "side=server %scallers=anybody", own);
    } else if (tls->files.allow == NULL) {
        logger_info(AREA, words, "side=server %scallers_of=%s", own, ca);
    } else {
        logger_info(AREA, words, "side=server %scallers_of=%s allow=%s", own,
                    ca, allow);
    }
}

static void
tell_kept(const Tls *tls, const char *words, const GError *problem)
{
    g_autofree char *reason = logger_quote_reason(problem->message);

    logger_crit(AREA, words, "side=%s reason=%s", role_names[tls->role],
                reason);
}

/* ---- life ---- */

gboolean
tls_open(TlsRole role, const TlsFiles *files, Tls **ret_tls, GError **error)
{
    Allow *allow = NULL;
    SSL_CTX *context;

    if (!tls_files_given(files)) {
        *ret_tls = NULL;
        return TRUE;
    }
    g_auto(TlsFiles) copy = tls_files_copy(files);
    context = load_context(role, &copy, error);
    if (context == NULL) {
        return FALSE;
    }
    if (copy.allow != NULL) {
        allow = allow_load(copy.allow, error);
        if (allow == NULL) {
            SSL_CTX_free(context);
            return FALSE;
        }
    }
    Tls *tls = g_new0(Tls, 1);
    tls->role = role;
    tls->files = copy;
    copy = (TlsFiles){0};
    pthread_mutex_init(&tls->lock, NULL);
    tls->context = context;
    tls->allow = allow;
    *ret_tls = tls;
    return TRUE;
}

void
tls_announce(const Tls *tls)
{
    if (tls != NULL) {
        tell(tls, tls->context, "on");
    }
}

static void
reload_context(Tls *tls)
{
    g_autoptr(GError) problem = NULL;
    SSL_CTX *fresh = load_context(tls->role, &tls->files, &problem);
    SSL_CTX *old;

    if (fresh == NULL) {
        tell_kept(tls, "new certificates refused, old ones kept", problem);
        return;
    }
    pthread_mutex_lock(&tls->lock);
    old = tls->context;
    tls->context = fresh;
    pthread_mutex_unlock(&tls->lock);
    SSL_CTX_free(old);
    tell(tls, fresh, "read again");
}

static void
reload_allow(Tls *tls)
{
    g_autoptr(GError) problem = NULL;
    Allow *fresh, *old;

    if (tls->files.allow == NULL) {
        return;
    }
    fresh = allow_load(tls->files.allow, &problem);
    if (fresh == NULL) {
        tell_kept(tls, "new table of callers refused, old one kept", problem);
        return;
    }
    pthread_mutex_lock(&tls->lock);
    old = tls->allow;
    tls->allow = fresh;
    pthread_mutex_unlock(&tls->lock);
    allow_free(old);
}

void
tls_reload(Tls *tls)
{
    if (tls != NULL) {
        reload_allow(tls);
        reload_context(tls);
    }
}

void
tls_close(Tls *tls)
{
    if (tls == NULL) {
        return;
    }
    SSL_CTX_free(tls->context);
    allow_free(tls->allow);
    pthread_mutex_destroy(&tls->lock);
    tls_files_clear(&tls->files);
    g_free(tls);
}

/* ---- sessions ---- */

struct ssl_st *
tls_session(Tls *tls, const char *host)
{
    SSL_CTX *context;
    SSL *session;

    /* Without a host every name would do. */
    ensure(tls->role == TLS_SERVER || (host != NULL && *host != '\0'));
    pthread_mutex_lock(&tls->lock);
    context = tls->context;
    ensure(SSL_CTX_up_ref(context) == 1);
    pthread_mutex_unlock(&tls->lock);
    session = SSL_new(context);
    SSL_CTX_free(context);
    ensure(session != NULL);
    if (tls->role == TLS_SERVER) {
        SSL_set_accept_state(session);
        return session;
    }
    SSL_set_connect_state(session);
    SSL_set_hostflags(session, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS |
                                   X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
    /* It knows an address from a name. */
    ensure(SSL_set1_host(session, host) == 1);
    if (!g_hostname_is_ip_address(host)) {
        SSL_set_tlsext_host_name(session, host);
    }
    return session;
}

/* What @string says, where it says the same to everybody: no NUL inside. */
static char *
plain_text(const ASN1_STRING *string)
{
    guint8 *utf8 = NULL;
    int len = ASN1_STRING_to_UTF8(&utf8, string);
    char *text = NULL;

    if (len > 0 && strlen((const char *)utf8) == (gsize)len) {
        text = g_strndup((const char *)utf8, (gsize)len);
    }
    OPENSSL_free(utf8);
    return text;
}

/* The URIs among @names; the last one in *ret_uri. */
static guint
count_uris(const GENERAL_NAMES *names, const ASN1_STRING **ret_uri)
{
    guint n = 0;

    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);

        if (name->type == GEN_URI) {
            *ret_uri = name->d.uniformResourceIdentifier;
            n++;
        }
    }
    return n;
}

static char *
common_name(const X509 *cert)
{
    const X509_NAME *subject = X509_get_subject_name(cert);
    int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);

    if (at < 0 ||
        X509_NAME_get_index_by_NID(subject, NID_commonName, at) >= 0) {
        return NULL;
    }
    return plain_text(
        X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
}

char *
tls_identity(const struct ssl_st *session)
{
    const X509 *cert = SSL_get0_peer_certificate(session);
    const ASN1_STRING *uri = NULL;
    GENERAL_NAMES *names;
    char *identity = NULL;
    guint n;

    if (cert == NULL) {
        return NULL;
    }
    names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    n = count_uris(names, &uri);
    if (n == 0) {
        identity = common_name(cert);
    } else if (n == 1) {
        identity = plain_text(uri);
    }
    GENERAL_NAMES_free(names);
    return identity;
}

gboolean
tls_may_call(Tls *tls, const char *identity, const char *method)
{
    gboolean may;

    pthread_mutex_lock(&tls->lock);
    may = tls->allow == NULL || allow_has(tls->allow, identity, method);
    pthread_mutex_unlock(&tls->lock);
    return may;
}

const char *
tls_explain(const struct ssl_st *session, unsigned long code)
{
    long verified = SSL_get_verify_result(session);

    if (verified != X509_V_OK) {
        return X509_verify_cert_error_string(verified);
    }
    return code != 0 ? ERR_reason_error_string(code) : NULL;
}
