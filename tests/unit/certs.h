/*
 * certs.h - certificates for tests, good and bad
 *
 * Each is two files in a directory, NAME.pem and NAME.key. Keys are P-256:
 * made in no time.
 */
#pragma once

#include "thrift/tls_files.h"

typedef struct CertWish {
    const char *name;   /* of its files */
    const char *issuer; /* name of a CA made before; NULL: it is a CA */
    const char *cn;     /* "a|b": two; NULL: none */
    const char *san;    /* as openssl.cnf has it: "DNS:localhost,URI:x:y" */
    const char *usage;  /* "clientAuth"; NULL: any */
    long from_s;        /* valid from now + from_s ... */
    long until_s;       /* ... to now + until_s; 0: an hour */
} CertWish;

/** certs_make() - make one; its serial number is random. */
void certs_make(const char *dir, const CertWish *wish);

/**
 * certs_make_all() - the usual ones
 *
 * Effect: "ca" and of it "server" (localhost, 127.0.0.1) and "client" (common
 *         name client); "other-ca" and of it "stranger".
 */
void certs_make_all(const char *dir);

/** certs_path() - DIR/NAME.KIND. Owns: the caller. */
char *certs_path(const char *dir, const char *name, const char *kind);

/** certs_files() - of certificate @name and CA @ca; either may be NULL. */
TlsFiles certs_files(const char *dir, const char *name, const char *ca);
