/*
 * allow.c - who may call what
 *
 * A method is known by its number in the list below, an identity's rights are
 * one bit a method. Methods have one name in all services (tests/unit/
 * test_allow.c and the scenarios compare the list with the IDL), so that the
 * server need not know which service a method is of.
 */
#include "thrift/allow.h"

#include "ops/kit/error.h"

#include <string.h>

/* A method that is in the IDL and not here is allowed to nobody. One a line,
   so that a new method is one line of a patch. */
/* clang-format off */
static const char *const all_methods[] = {
    "Dashboard.getDashboard",
    "Dashboard.getTimeline",
    "Dashboard.getPosts",
    "Cell.status",
    "Cell.checkpoint",
    "Cell.listQuarantine",
    "Firehose.publish",
    "Firehose.createPost",
    "Firehose.editPost",
    "Firehose.deletePost",
    "Firehose.follow",
    "Firehose.unfollow",
    "Firehose.like",
    "Firehose.unlike",
    "Firehose.block",
    "Firehose.unblock",
    "Firehose.mute",
    "Firehose.unmute",
    "Firehose.markRead",
    "Firehose.deleteUser",
    "Firehose.nextIds",
    "Firehose.fetch",
    "Firehose.getPartitions",
    "Firehose.commit",
    "Firehose.rewind",
    "Firehose.getLag",
    "Firehose.getCellMap",
    "Firehose.setCellMap",
    NULL,
};
/* clang-format on */
#define METHODS (G_N_ELEMENTS(all_methods) - 1)
G_STATIC_ASSERT(METHODS <= 64);

struct Allow {
    GHashTable *rights; /* identity to a guint64, a bit a method; owned */
};

const char *const *
allow_methods(void)
{
    return all_methods;
}

void
allow_free(Allow *allow)
{
    if (allow != NULL) {
        g_hash_table_unref(allow->rights);
        g_free(allow);
    }
}

/* What follows the dot where @full is of @service, else NULL. */
static const char *
method_of(const char *full, const char *service)
{
    gsize len = strlen(service);

    return strncmp(full, service, len) == 0 && full[len] == '.' ? full + len + 1
                                                                : NULL;
}

/* The bits of @service's methods that are called @method, or of all. */
static guint64
bits_of(const char *service, const char *method)
{
    gboolean all = strcmp(method, "*") == 0;
    guint64 bits = 0;

    for (gsize i = 0; i < METHODS; i++) {
        const char *name = method_of(all_methods[i], service);

        if (name != NULL && (all || strcmp(name, method) == 0)) {
            bits |= G_GUINT64_CONSTANT(1) << i;
        }
    }
    return bits;
}

/* Adds what the group @identity says of @service. */
static gboolean
read_service(GKeyFile *file, const char *identity, const char *service,
             guint64 *bits, GError **error)
{
    g_auto(GStrv) methods =
        g_key_file_get_string_list(file, identity, service, NULL, error);

    if (methods == NULL) {
        return FALSE;
    }
    if (bits_of(service, "*") == 0) {
        g_set_error(error, COMB_ERROR, COMB_ERROR_SETTING,
                    "[%s]: there is no service %s", identity, service);
        return FALSE;
    }
    for (char **method = methods; *method != NULL; method++) {
        guint64 more = bits_of(service, g_strstrip(*method));

        if (more == 0) {
            g_set_error(error, COMB_ERROR, COMB_ERROR_SETTING,
                        "[%s]: service %s has no method \"%s\"", identity,
                        service, *method);
            return FALSE;
        }
        *bits |= more;
    }
    return TRUE;
}

static gboolean
read_identity(Allow *allow, GKeyFile *file, const char *identity,
              GError **error)
{
    g_autofree guint64 *bits = g_new0(guint64, 1);
    g_auto(GStrv) services = g_key_file_get_keys(file, identity, NULL, error);

    if (services == NULL) {
        return FALSE;
    }
    for (char **service = services; *service != NULL; service++) {
        if (!read_service(file, identity, *service, bits, error)) {
            return FALSE;
        }
    }
    g_hash_table_insert(allow->rights, g_strdup(identity),
                        g_steal_pointer(&bits));
    return TRUE;
}

static gboolean
read_table(Allow *allow, const char *path, GError **error)
{
    g_autoptr(GKeyFile) file = g_key_file_new();
    g_auto(GStrv) identities = NULL;

    if (!g_key_file_load_from_file(file, path, G_KEY_FILE_NONE, error)) {
        return FALSE;
    }
    identities = g_key_file_get_groups(file, NULL);
    if (identities[0] == NULL) {
        g_set_error_literal(error, COMB_ERROR, COMB_ERROR_SETTING,
                            "it names nobody");
        return FALSE;
    }
    for (char **identity = identities; *identity != NULL; identity++) {
        if (!read_identity(allow, file, *identity, error)) {
            return FALSE;
        }
    }
    return TRUE;
}

Allow *
allow_load(const char *path, GError **error)
{
    g_autoptr(GError) problem = NULL;
    Allow *allow = g_new0(Allow, 1);

    allow->rights =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    if (read_table(allow, path, &problem)) {
        return allow;
    }
    allow_free(allow);
    g_set_error(error, COMB_ERROR, COMB_ERROR_SETTING, "%s: %s", path,
                problem->message);
    return NULL;
}

gboolean
allow_has(const Allow *allow, const char *identity, const char *method)
{
    const guint64 *bits =
        identity != NULL ? g_hash_table_lookup(allow->rights, identity) : NULL;

    if (bits == NULL) {
        return FALSE;
    }
    for (gsize i = 0; i < METHODS; i++) {
        if ((*bits >> i & 1) != 0 &&
            strcmp(strchr(all_methods[i], '.') + 1, method) == 0) {
            return TRUE;
        }
    }
    return FALSE;
}
