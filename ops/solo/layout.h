/*
 * layout.h - what a solo's data directory was made for
 *
 * The numbers of cells and of partitions are fixed when the directory is
 * made: with others, inboxes and records would not be where they are looked
 * for. File DIR/solo, a GKeyFile, written once:
 *
 *     [solo]
 *     version=1
 *     cells=2
 *     partitions=4
 */
#pragma once

#include <glib.h>

#define LAYOUT_VERSION 1

/**
 * layout_check() - hold @dir to its numbers, or note them where it is new
 *
 * Fails: COMB_ERROR_MISMATCH (other numbers, or a newer version),
 *        COMB_ERROR_CORRUPT (the file is there and cannot be read),
 *        COMB_ERROR_IO, FALSE.
 */
gboolean layout_check(const char *dir, guint cells, guint partitions,
                      GError **error);
