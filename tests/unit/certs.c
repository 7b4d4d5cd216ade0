/*
 * certs.c - certificates for tests, good and bad
 */
#include "tests/unit/certs.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdio.h>

#define HOUR_S 3600

char *
certs_path(const char *dir, const char *name, const char *kind)
{
    g_autofree char *file = g_strdup_printf("%s.%s", name, kind);

    return g_build_filename(dir, file, NULL);
}

TlsFiles
certs_files(const char *dir, const char *name, const char *ca)
{
    TlsFiles files = {0};

    if (name != NULL) {
        files.cert = certs_path(dir, name, "pem");
        files.key = certs_path(dir, name, "key");
    }
    if (ca != NULL) {
        files.ca = certs_path(dir, ca, "pem");
    }
    return files;
}

static FILE *
open_file(const char *dir, const char *name, const char *kind, const char *how)
{
    g_autofree char *path = certs_path(dir, name, kind);
    FILE *file = fopen(path, how);

    g_assert_nonnull(file);
    return file;
}

static void
add_extension(X509 *cert, X509 *issuer, int nid, const char *text)
{
    X509V3_CTX context;
    X509_EXTENSION *extension;

    if (text == NULL) {
        return;
    }
    X509V3_set_ctx(&context, issuer, cert, NULL, NULL, 0);
    X509V3_set_ctx_nodb(&context);
    extension = X509V3_EXT_conf_nid(NULL, &context, nid, text);
    g_assert_nonnull(extension);
    g_assert_cmpint(X509_add_ext(cert, extension, -1), ==, 1);
    X509_EXTENSION_free(extension);
}

static void
set_subject(X509 *cert, const CertWish *wish)
{
    X509_NAME *subject = X509_get_subject_name(cert);
    g_auto(GStrv) names = g_strsplit(wish->cn != NULL ? wish->cn : "", "|", -1);

    X509_NAME_add_entry_by_txt(subject, "O", MBSTRING_UTF8,
                               (const guint8 *)"Comb tests", -1, -1, 0);
    for (char **name = names; *name != NULL; name++) {
        X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8,
                                   (const guint8 *)*name, -1, -1, 0);
    }
}

static void
set_serial(X509 *cert)
{
    gint64 serial = 0;

    g_assert_cmpint(RAND_bytes((guint8 *)&serial, sizeof serial), ==, 1);
    ASN1_INTEGER_set_uint64(X509_get_serialNumber(cert),
                            (guint64)serial >> 2 | 1);
}

static X509 *
new_certificate(const CertWish *wish, EVP_PKEY *key)
{
    X509 *cert = X509_new();

    X509_set_version(cert, X509_VERSION_3);
    set_serial(cert);
    X509_gmtime_adj(X509_getm_notBefore(cert), wish->from_s);
    X509_gmtime_adj(X509_getm_notAfter(cert),
                    wish->until_s != 0 ? wish->until_s : HOUR_S);
    set_subject(cert, wish);
    X509_set_pubkey(cert, key);
    return cert;
}

static void
sign_by(const char *dir, X509 *cert, const CertWish *wish)
{
    FILE *cert_file = open_file(dir, wish->issuer, "pem", "r");
    FILE *key_file = open_file(dir, wish->issuer, "key", "r");
    X509 *issuer = PEM_read_X509(cert_file, NULL, NULL, NULL);
    EVP_PKEY *key = PEM_read_PrivateKey(key_file, NULL, NULL, NULL);

    g_assert_true(issuer != NULL && key != NULL);
    X509_set_issuer_name(cert, X509_get_subject_name(issuer));
    add_extension(cert, issuer, NID_basic_constraints, "critical,CA:FALSE");
    add_extension(cert, issuer, NID_subject_alt_name, wish->san);
    add_extension(cert, issuer, NID_ext_key_usage, wish->usage);
    g_assert_cmpint(X509_sign(cert, key, EVP_sha256()), >, 0);
    X509_free(issuer);
    EVP_PKEY_free(key);
    fclose(cert_file);
    fclose(key_file);
}

static void
sign_itself(X509 *cert, EVP_PKEY *key)
{
    X509_set_issuer_name(cert, X509_get_subject_name(cert));
    add_extension(cert, cert, NID_basic_constraints, "critical,CA:TRUE");
    g_assert_cmpint(X509_sign(cert, key, EVP_sha256()), >, 0);
}

void
certs_make(const char *dir, const CertWish *wish)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = new_certificate(wish, key);
    FILE *file;

    if (wish->issuer != NULL) {
        sign_by(dir, cert, wish);
    } else {
        sign_itself(cert, key);
    }
    file = open_file(dir, wish->name, "pem", "w");
    g_assert_cmpint(PEM_write_X509(file, cert), ==, 1);
    fclose(file);
    file = open_file(dir, wish->name, "key", "w");
    g_assert_cmpint(PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL),
                    ==, 1);
    fclose(file);
    X509_free(cert);
    EVP_PKEY_free(key);
}

void
certs_make_all(const char *dir)
{
    const CertWish wishes[] = {
        {.name = "ca", .cn = "ca"},
        {.name = "server",
         .issuer = "ca",
         .cn = "server",
         .san = "DNS:localhost,IP:127.0.0.1"},
        {.name = "client", .issuer = "ca", .cn = "client"},
        {.name = "other-ca", .cn = "other-ca"},
        {.name = "stranger",
         .issuer = "other-ca",
         .cn = "client",
         .san = "DNS:localhost,IP:127.0.0.1"},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(wishes); i++) {
        certs_make(dir, &wishes[i]);
    }
}
