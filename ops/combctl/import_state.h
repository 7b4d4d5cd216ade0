/*
 * import_state.h - how far an import of a file has come, kept over its end
 *
 * One small file an import: <state>/comb/import/<hash of absolute path, size
 * and modification time>, so that a file that was changed starts afresh.
 * Written whole about every second while the import runs, removed when it is
 * done. After a crash it is at most a second behind: events that are sent
 * again change nothing.
 */
#pragma once

#include <glib.h>

typedef struct ImportState ImportState;

/**
 * import_state_open() - the state of importing @file, open as @fd
 *
 * Effect: NULL for what is no regular file: it cannot be found again.
 */
ImportState *import_state_open(const char *file, int fd);

/** import_state_size() - the file's size in bytes. */
gint64 import_state_size(const ImportState *state);

/** import_state_load() - lines that were in when it ended; 0: none known. */
guint64 import_state_load(const ImportState *state);

/** import_state_save() - @lines are in. Fails: COMB_ERROR_IO. */
gboolean import_state_save(ImportState *state, guint64 lines, GError **error);

/** import_state_remove() - the import is done. */
void import_state_remove(ImportState *state);

/** import_state_close() - free; the file stays as it is. */
void import_state_close(ImportState *state);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(ImportState, import_state_close)
