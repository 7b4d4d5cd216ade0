/*
 * highwater.h - how far the store is known to have got, outside the store
 *
 * A database whose newest files or log of files are damaged may open as an
 * older one of itself, in good health, and then delete what it has forgotten.
 * So after every flush the position that it covers is written to a file of
 * our own, "highwater", and at start it is read, and compared with the store
 * opened for reading only, before the store is opened for writing (I10).
 *
 *   magic      8 bytes "COMBHIGH"
 *   version    u32 LE = 1
 *   cell       u32 LE
 *   log        u64 LE: XXH64 of the log's identity
 *   partitions u32 LE, 0 u32
 *   commits    u64 LE: batches committed (meta.h)
 *   next       partitions x u64 LE: the store has applied all below
 *   check      u64 LE: XXH64, seed 0, of all that is before it
 *
 * Written anew beside itself, synced and renamed into place.
 */
#pragma once

#include "cell/meta.h"
#include "ops/kit/killpoint.h"

/* What a flush covers. */
typedef struct Highwater {
    guint64 commits;
    guint64 *next; /* per partition; the owner's */
} Highwater;

/**
 * highwater_write() - the store is flushed up to @high
 *
 * @kill: borrowed; NULL is fine.
 * Fails: COMB_ERROR_IO, COMB_ERROR_FULL; the file is as it was.
 */
gboolean highwater_write(const char *dir, const MetaIdentity *identity,
                         const Highwater *high, KillPoints *kill,
                         GError **error);

/** highwater_exists() - whether there is a file, good or not. */
gboolean highwater_exists(const char *dir);

/**
 * highwater_read() - read and check the file
 *
 * @ret_high: its array is the caller's, filled.
 * Fails:     COMB_ERROR_CORRUPT, COMB_ERROR_MISMATCH (another cell's or
 *            log's), COMB_ERROR_IO (also: there is none).
 */
gboolean highwater_read(const char *dir, const MetaIdentity *identity,
                        Highwater *ret_high, GError **error);
