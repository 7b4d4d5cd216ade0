/*
 * import_state.c - how far an import of a file has come
 *
 * Format: "lines N" and "file PATH", a line each; the path is for people.
 */
#include "ops/combctl/import_state.h"

#include "ops/kit/error.h"

#include <glib/gstdio.h>
#include <stdio.h>
#include <sys/stat.h>

struct ImportState {
    char *input; /* absolute path of what is imported */
    char *path;  /* of the state's own file */
    gint64 size; /* of the input, bytes */
};

ImportState *
import_state_open(const char *file, int fd)
{
    struct stat st;

    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        return NULL;
    }
    ImportState *state = g_new0(ImportState, 1);
    state->input = g_canonicalize_filename(file, NULL);
    state->size = st.st_size;
    g_autofree char *identity = g_strdup_printf(
        "%s\n%" G_GINT64_FORMAT "\n%" G_GINT64_FORMAT ".%09ld", state->input,
        state->size, (gint64)st.st_mtim.tv_sec, (long)st.st_mtim.tv_nsec);
    g_autofree char *hash =
        g_compute_checksum_for_string(G_CHECKSUM_SHA256, identity, -1);
    hash[32] = '\0';
    state->path =
        g_build_filename(g_get_user_state_dir(), "comb", "import", hash, NULL);
    return state;
}

gint64
import_state_size(const ImportState *state)
{
    return state->size;
}

guint64
import_state_load(const ImportState *state)
{
    g_autofree char *text = NULL;
    guint64 lines = 0;

    if (!g_file_get_contents(state->path, &text, NULL, NULL) ||
        sscanf(text, "lines %" G_GUINT64_FORMAT "\n", &lines) != 1) {
        return 0;
    }
    return lines;
}

gboolean
import_state_save(ImportState *state, guint64 lines, GError **error)
{
    g_autoptr(GError) local = NULL;
    g_autofree char *folder = g_path_get_dirname(state->path);
    g_autofree char *text = g_strdup_printf(
        "lines %" G_GUINT64_FORMAT "\nfile %s\n", lines, state->input);

    if (g_mkdir_with_parents(folder, 0700) != 0 ||
        !g_file_set_contents(state->path, text, -1, &local)) {
        g_set_error(error, COMB_ERROR, COMB_ERROR_IO, "%s: %s", state->path,
                    local != NULL ? local->message : "folder not writable");
        return FALSE;
    }
    return TRUE;
}

void
import_state_remove(ImportState *state)
{
    (void)g_unlink(state->path);
}

void
import_state_close(ImportState *state)
{
    g_free(state->input);
    g_free(state->path);
    g_free(state);
}
