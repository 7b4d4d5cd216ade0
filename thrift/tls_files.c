/*
 * tls_files.c - the files of TLS, as settings
 *
 * Which file needs which: a certificate and its key each other; a server's CA
 * and a client's certificate mean nothing without TLS itself, which a server
 * has by its certificate and a client by its CA; a table of who may call what
 * needs names, which callers have by their certificates.
 */
#include "thrift/tls_files.h"

#include "ops/kit/error.h"

gboolean
tls_files_given(const TlsFiles *files)
{
    return files->cert != NULL || files->key != NULL || files->ca != NULL ||
           files->allow != NULL;
}

/* A variable that was meant to be set must not turn TLS off. */
static gboolean
check_not_empty(const char *prefix, const char *name, const char *path,
                GError **error)
{
    if (path == NULL || *path != '\0') {
        return TRUE;
    }
    g_set_error(error, COMB_ERROR, COMB_ERROR_SETTING,
                "%s-%s: is empty; name a file, or leave it out", prefix, name);
    return FALSE;
}

gboolean
tls_files_check(const TlsFiles *files, TlsRole role, const char *prefix,
                GError **error)
{
    const gboolean cert = files->cert != NULL, key = files->key != NULL;
    const gboolean ca = files->ca != NULL, allow = files->allow != NULL;
    const struct {
        const char *there;
        const char *missing;
        gboolean wrong;
    } rules[] = {
        {"cert", "key", cert && !key},
        {"key", "cert", key && !cert},
        {"ca", "cert", role == TLS_SERVER && ca && !cert},
        {"cert", "ca", role == TLS_CLIENT && cert && !ca},
        {"allow", "ca", allow && !ca},
    };

    if (!check_not_empty(prefix, "cert", files->cert, error) ||
        !check_not_empty(prefix, "key", files->key, error) ||
        !check_not_empty(prefix, "ca", files->ca, error) ||
        !check_not_empty(prefix, "allow", files->allow, error)) {
        return FALSE;
    }
    for (gsize i = 0; i < G_N_ELEMENTS(rules); i++) {
        if (rules[i].wrong) {
            g_set_error(error, COMB_ERROR, COMB_ERROR_SETTING,
                        "%s-%s: is missing; %s-%s is given and needs it",
                        prefix, rules[i].missing, prefix, rules[i].there);
            return FALSE;
        }
    }
    return TRUE;
}

TlsFiles
tls_files_copy(const TlsFiles *files)
{
    return (TlsFiles){
        .cert = g_strdup(files->cert),
        .key = g_strdup(files->key),
        .ca = g_strdup(files->ca),
        .allow = g_strdup(files->allow),
    };
}

void
tls_files_clear(TlsFiles *files)
{
    g_clear_pointer(&files->cert, g_free);
    g_clear_pointer(&files->key, g_free);
    g_clear_pointer(&files->ca, g_free);
    g_clear_pointer(&files->allow, g_free);
}
