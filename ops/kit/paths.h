/*
 * paths.h - where a daemon keeps its files
 *
 * The directory given by --data-dir, else comb/DAEMON in the XDG state
 * directory ($XDG_STATE_HOME, or ~/.local/state).
 */
#pragma once

#include <glib.h>

/**
 * paths_state_dir() - the daemon's directory, made where missing (mode 0700)
 *
 * @given:  the setting, or NULL for the default.
 * @daemon: "cell", "router", ...
 * Owns:    the caller frees.
 * Fails:   COMB_ERROR_IO, COMB_ERROR_FULL, NULL.
 */
char *paths_state_dir(const char *given, const char *daemon, GError **error);

/**
 * paths_make_dir() - make @dir and what it lies in where missing (mode 0700)
 *
 * Fails: COMB_ERROR_IO (also where it is no directory or not writable),
 *        COMB_ERROR_FULL, FALSE.
 */
gboolean paths_make_dir(const char *dir, GError **error);
