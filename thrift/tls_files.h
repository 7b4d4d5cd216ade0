/*
 * tls_files.h - the files of TLS, as settings
 *
 * The same words for every daemon: tls-cert, tls-key, tls-ca, tls-allow for
 * those who call it, and with another prefix the files with which it calls
 * others. No file at all means plain text; some without those that they need
 * is an error that names the missing one: there is no TLS by half.
 */
#pragma once

#include "ops/kit/settings.h"

typedef enum TlsRole {
    TLS_SERVER,
    TLS_CLIENT,
} TlsRole;

/* Paths of PEM files; NULL: not given. */
typedef struct TlsFiles {
    char *cert;  /* our certificate, then those that lead to its CA */
    char *key;   /* its key, not encrypted */
    char *ca;    /* the other side must have a certificate of one of these */
    char *allow; /* a server's: who may call what (allow.h); NULL: everybody
                    may call everything */
} TlsFiles;

/* Rows for a daemon's table; the member is a TlsFiles in its options. */
#define TLS_SERVER_SETTINGS(options, member)                                   \
    TLS_ROW("tls-cert", options, member.cert,                                  \
            "PEM file of our certificate and those that lead to its CA: "      \
            "calls are taken over TLS only. SIGHUP reads all of these files "  \
            "again."),                                                         \
        TLS_ROW("tls-key", options, member.key,                                \
                "PEM file of its key. Goes with tls-cert."),                   \
        TLS_ROW("tls-ca", options, member.ca,                                  \
                "PEM file of CAs: callers must bring a certificate of one of " \
                "them."),                                                      \
        TLS_ROW("tls-allow", options, member.allow,                            \
                "File that says who may call what; who is not in it may call " \
                "nothing. Goes with tls-ca.")

#define TLS_CELL_SETTINGS(options, member)                                     \
    TLS_ROW("cell-tls-ca", options, member.ca,                                 \
            "PEM file of CAs: cells are called over TLS only, and must show "  \
            "a certificate of one of them for their host in the map."),        \
        TLS_ROW("cell-tls-cert", options, member.cert,                         \
                "PEM file of the certificate that the router shows to "        \
                "cells."),                                                     \
        TLS_ROW("cell-tls-key", options, member.key,                           \
                "PEM file of its key. Goes with cell-tls-cert.")

#define TLS_ROW(name, options, place, sentence)                                \
    {                                                                          \
        name, SETTING_STRING, G_STRUCT_OFFSET(options, place), NULL, 0, 0, "", \
            sentence                                                           \
    }

/** tls_files_given() - whether there is any, that is, whether TLS is wanted.
 */
gboolean tls_files_given(const TlsFiles *files);

/**
 * tls_files_check() - all or nothing
 *
 * @prefix: "tls" where the settings are tls-cert, tls-key ...
 * Effect:  looks at what is given, not into the files.
 * Fails:   COMB_ERROR_SETTING that names what is there and what is missing.
 */
gboolean tls_files_check(const TlsFiles *files, TlsRole role,
                         const char *prefix, GError **error);

/** tls_files_copy() - a deep copy; tls_files_clear(). */
TlsFiles tls_files_copy(const TlsFiles *files);

/** tls_files_clear() - free the paths; all NULL again. */
void tls_files_clear(TlsFiles *files);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(TlsFiles, tls_files_clear)
