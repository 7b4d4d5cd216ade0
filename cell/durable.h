/*
 * durable.h - files of the cell that are written whole and renamed into place
 */
#pragma once

#include <glib.h>

/** durable_fail() - errno @code met when trying to @what @path: FALSE. */
gboolean durable_fail(const char *what, const char *path, int code,
                      GError **error);

/** durable_sync_dir() - make renames in @dir last. */
gboolean durable_sync_dir(const char *dir, GError **error);

/** durable_rename() - @from takes the place of @to, both in @dir; synced. */
gboolean durable_rename(const char *dir, const char *from, const char *to,
                        GError **error);
