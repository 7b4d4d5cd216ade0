/*
 * A daemon asks for its directory once, at start-up, before it opens anything
 * in it. It is for its user alone: inboxes are private. One that is there
 * already keeps the mode its owner gave it.
 *
 * What can go wrong is told with the path, so that an operator sees at once
 * which setting to mend: no permission, a file in the place of a directory, a
 * full disk.
 */
#include "ops/kit/paths.h"

#include "ops/kit/error.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <unistd.h>

gboolean
paths_make_dir(const char *dir, GError **error)
{
    if (g_mkdir_with_parents(dir, 0700) == 0 &&
        g_access(dir, R_OK | W_OK | X_OK) == 0) {
        return TRUE;
    }
    int problem = errno;
    g_set_error(error, COMB_ERROR,
                problem == ENOSPC ? COMB_ERROR_FULL : COMB_ERROR_IO,
                "cannot use directory %s: %s", dir, g_strerror(problem));
    return FALSE;
}

char *
paths_state_dir(const char *given, const char *daemon, GError **error)
{
    g_autofree char *dir =
        given != NULL
            ? g_strdup(given)
            : g_build_filename(g_get_user_state_dir(), "comb", daemon, NULL);
    if (!paths_make_dir(dir, error)) {
        return NULL;
    }
    return g_steal_pointer(&dir);
}
