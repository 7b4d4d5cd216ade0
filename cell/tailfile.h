/*
 * tailfile.h - the tail checkpoint: all tails, and the position they are of
 *
 * Files "tails" and "tails.old" in the cell's directory, written whole and
 * renamed into place, so that one good generation is always there:
 *
 *   magic      8 bytes "COMBTAIL"
 *   version    u32 LE = 1
 *   cell       u32 LE
 *   log        u64 LE: XXH64 of the log's identity
 *   partitions u32 LE, users u32 LE
 *   next       partitions x u64 LE: the tails hold all below
 *   users x    id i64 LE, n u32 LE, n x u64 LE: ids, ascending
 *   check      u64 LE: XXH64, seed 0, of all that is before it
 *
 * Written after the store was flushed at the same position. So the store is
 * never older than the newest file: if it is, it has lost something, and the
 * cell refuses to start (I10). Restart loads the file and replays the log
 * from @next.
 */
#pragma once

#include "cell/inbox.h"
#include "cell/meta.h"

/**
 * tailfile_write() - write a new generation, keep the one before
 *
 * @next: per partition of @identity.
 * Fails: COMB_ERROR_IO, COMB_ERROR_FULL; the old generations are untouched.
 */
gboolean tailfile_write(const char *dir, const MetaIdentity *identity,
                        const guint64 *next, const Inbox *inbox,
                        GError **error);

/** tailfile_exists() - whether there is any generation, good or not. */
gboolean tailfile_exists(const char *dir);

/**
 * tailfile_load() - fill an empty @inbox from the newest good generation
 *
 * @ret_next: per partition; caller's array.
 * Effect:    FALSE without an error: there is no file, a cell never founded.
 * Fails:     COMB_ERROR_CORRUPT where no generation is good,
 *            COMB_ERROR_MISMATCH (another cell's or log's), COMB_ERROR_IO.
 */
gboolean tailfile_load(const char *dir, const MetaIdentity *identity,
                       Inbox *inbox, guint64 *ret_next, GError **error);
