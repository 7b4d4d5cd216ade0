/*
 * tailfile.h - the tail checkpoint: all tails, and the position they are of
 *
 * Files "tails" and "tails.old" in the cell's directory, written whole and
 * renamed into place, so that one good generation is always there:
 *
 *   magic      8 bytes "COMBTAIL"
 *   version    u32 LE = 2
 *   cell       u32 LE
 *   log        u64 LE: XXH64 of the log's identity
 *   partitions u32 LE, 0 u32
 *   next       partitions x u64 LE: the tails hold all below
 *   users of which there is something:
 *              id i64 LE, n u16 LE, bytes u16 LE, then a run of n ids
 *              (idrun.h) in so many bytes
 *   end        0 i64, users u64 LE: how many there were
 *   check      u64 LE: XXH64, seed 0, of all that is before it
 *
 * A tail may be newer than @next, never older; the store is flushed after the
 * last tail was copied. So the store is never older than the newest file: if
 * it is, it has lost something, and the cell refuses to start (I10). Restart
 * loads the file and replays the log from @next.
 */
#pragma once

#include "cell/inbox.h"
#include "cell/meta.h"
#include "ops/kit/killpoint.h"

typedef struct TailWriter TailWriter;

/**
 * tailfile_begin() - begin a new generation that claims @next
 *
 * Owns:  tailfile_commit() or tailfile_abort() ends it.
 * Fails: COMB_ERROR_IO, COMB_ERROR_FULL, NULL.
 */
TailWriter *tailfile_begin(const char *dir, const MetaIdentity *identity,
                           const guint64 *next, GError **error);

/** tailfile_put() - write one tail; a failure is told by tailfile_end(). */
void tailfile_put(TailWriter *writer, UserId user, const TailCopy *tail);

/**
 * tailfile_end() - all tails are written: finish the file and sync it
 *
 * Fails: COMB_ERROR_IO, COMB_ERROR_FULL.
 */
gboolean tailfile_end(TailWriter *writer, GError **error);

/**
 * tailfile_commit() - put the file in place, keep the generation before; free
 *
 * @kill: borrowed; NULL is fine.
 * Fails: COMB_ERROR_IO; a good generation is there all the same.
 */
gboolean tailfile_commit(TailWriter *writer, KillPoints *kill, GError **error);

/** tailfile_abort() - leave the old generations as they are; free. */
void tailfile_abort(TailWriter *writer);

/** tailfile_found() - the file of a new cell: no tails, position 0. */
gboolean tailfile_found(const char *dir, const MetaIdentity *identity,
                        KillPoints *kill, GError **error);

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
