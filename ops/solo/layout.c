/*
 * The file is written before the first cell and the log are made, synced, and
 * never changed: a directory either has its numbers or has nothing in it yet
 * that depends on them.
 *
 * What can go wrong: an operator asks for other numbers than last time. The
 * message names both, so that either the setting or the directory can be
 * changed. A file that cannot be read is not replaced: guessing the numbers
 * could hide every inbox.
 */
#include "ops/solo/layout.h"

#include "ops/kit/error.h"

#define GROUP "solo"

static gboolean
layout_write(const char *path, guint cells, guint partitions, GError **error)
{
    g_autoptr(GError) problem = NULL;
    g_autofree char *text =
        g_strdup_printf("[" GROUP "]\nversion=%d\ncells=%u\npartitions=%u\n",
                        LAYOUT_VERSION, cells, partitions);
    if (!g_file_set_contents_full(path, text, -1,
                                  G_FILE_SET_CONTENTS_CONSISTENT |
                                      G_FILE_SET_CONTENTS_DURABLE,
                                  0600, &problem)) {
        g_set_error(error, COMB_ERROR, COMB_ERROR_IO, "%s", problem->message);
        return FALSE;
    }
    return TRUE;
}

static gboolean
layout_number(GKeyFile *file, const char *path, const char *key,
              guint64 *ret_value, GError **error)
{
    g_autoptr(GError) problem = NULL;
    guint64 value = g_key_file_get_uint64(file, GROUP, key, &problem);
    if (problem != NULL) {
        g_set_error(error, COMB_ERROR, COMB_ERROR_CORRUPT, "%s: %s", path,
                    problem->message);
        return FALSE;
    }
    *ret_value = value;
    return TRUE;
}

static gboolean
layout_compare(GKeyFile *file, const char *path, const char *key, guint asked,
               GError **error)
{
    guint64 made = 0;
    if (!layout_number(file, path, key, &made, error)) {
        return FALSE;
    }
    if (made != asked) {
        g_set_error(error, COMB_ERROR, COMB_ERROR_MISMATCH,
                    "%s: made with --%s=%" G_GUINT64_FORMAT
                    ", started with --%s=%u",
                    path, key, made, key, asked);
        return FALSE;
    }
    return TRUE;
}

static gboolean
layout_compare_version(GKeyFile *file, const char *path, GError **error)
{
    guint64 version = 0;
    if (!layout_number(file, path, "version", &version, error)) {
        return FALSE;
    }
    if (version != LAYOUT_VERSION) {
        g_set_error(error, COMB_ERROR, COMB_ERROR_MISMATCH,
                    "%s: has version %" G_GUINT64_FORMAT
                    ", this program reads version %d",
                    path, version, LAYOUT_VERSION);
        return FALSE;
    }
    return TRUE;
}

gboolean
layout_check(const char *dir, guint cells, guint partitions, GError **error)
{
    g_autoptr(GError) problem = NULL;
    g_autoptr(GKeyFile) file = g_key_file_new();
    g_autofree char *path = g_build_filename(dir, "solo", NULL);
    if (g_key_file_load_from_file(file, path, G_KEY_FILE_NONE, &problem)) {
        return layout_compare_version(file, path, error) &&
               layout_compare(file, path, "cells", cells, error) &&
               layout_compare(file, path, "partitions", partitions, error);
    }
    if (g_error_matches(problem, G_FILE_ERROR, G_FILE_ERROR_NOENT)) {
        return layout_write(path, cells, partitions, error);
    }
    g_set_error(error, COMB_ERROR, COMB_ERROR_CORRUPT, "%s: %s", path,
                problem->message);
    return FALSE;
}
