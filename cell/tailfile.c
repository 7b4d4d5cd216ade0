/*
 * Writing streams through stdio with a running hash: "tails.new" is written
 * and synced, "tails" becomes "tails.old", "tails.new" becomes "tails", and
 * the directory is synced. A crash between the two renames leaves only
 * "tails.old", which is good: a longer replay, nothing lost.
 *
 * Loading checks the whole file before it believes a byte. A damaged newest
 * generation costs a warning and a longer replay, and is put aside as
 * "tails.damaged"; where none is good the cell does not guess.
 */
#include "cell/tailfile.h"

#include "cell/durable.h"
#include "ops/kit/error.h"
#include "ops/kit/logger.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#define TAILFILE_MAGIC "COMBTAIL"
#define TAILFILE_VERSION 2
#define TAILFILE_CHECK_BYTES 8
/* Of the buffer between us and the file. */
#define TAILFILE_BUFFER_BYTES ((gsize)1 << 20)

struct TailWriter {
    char *dir;           /* owned */
    char *path;          /* of the new generation; owned */
    FILE *file;          /* NULL once it is finished */
    char *buffer;        /* the file's; owned */
    XXH64_state_t *hash; /* of what is written */
    guint64 users;       /* written */
};

static void
writer_put(TailWriter *writer, const void *data, gsize len)
{
    XXH64_update(writer->hash, data, len);
    fwrite(data, 1, len, writer->file); /* ferror() is looked at once */
}

static void
writer_number(TailWriter *writer, guint64 v, gsize bytes)
{
    guint64 le = GUINT64_TO_LE(v);
    writer_put(writer, &le, bytes);
}

static void
writer_free(TailWriter *writer)
{
    if (writer->file != NULL) {
        fclose(writer->file);
    }
    XXH64_freeState(writer->hash);
    g_free(writer->buffer);
    g_free(writer->path);
    g_free(writer->dir);
    g_free(writer);
}

TailWriter *
tailfile_begin(const char *dir, const MetaIdentity *identity,
               const guint64 *next, GError **error)
{
    TailWriter *writer = g_new0(TailWriter, 1);
    writer->dir = g_strdup(dir);
    writer->path = g_build_filename(dir, "tails.new", NULL);
    writer->hash = XXH64_createState();
    XXH64_reset(writer->hash, 0);
    writer->file = g_fopen(writer->path, "we");
    if (writer->file == NULL) {
        durable_fail("make", writer->path, errno, error);
        writer_free(writer);
        return NULL;
    }
    writer->buffer = g_malloc(TAILFILE_BUFFER_BYTES);
    setvbuf(writer->file, writer->buffer, _IOFBF, TAILFILE_BUFFER_BYTES);
    writer_put(writer, TAILFILE_MAGIC, 8);
    writer_number(writer, TAILFILE_VERSION, 4);
    writer_number(writer, identity->cell, 4);
    writer_number(writer, meta_log_hash(identity), 8);
    writer_number(writer, identity->partitions, 4);
    writer_number(writer, 0, 4);
    for (guint i = 0; i < identity->partitions; i++) {
        writer_number(writer, next[i], 8);
    }
    return writer;
}

void
tailfile_put(TailWriter *writer, UserId user, const TailCopy *tail)
{
    if (tail->n > 0) {
        writer_number(writer, (guint64)user.v, 8);
        writer_number(writer, tail->n, 2);
        writer_number(writer, tail->bytes, 2);
        writer_put(writer, tail->run, tail->bytes);
        writer->users++;
    }
}

gboolean
tailfile_end(TailWriter *writer, GError **error)
{
    writer_number(writer, 0, 8);
    writer_number(writer, writer->users, 8);
    writer_number(writer, XXH64_digest(writer->hash), TAILFILE_CHECK_BYTES);
    FILE *file = g_steal_pointer(&writer->file);
    errno = 0;
    gboolean good =
        fflush(file) == 0 && !ferror(file) && fsync(fileno(file)) == 0;
    int code = errno != 0 ? errno : EIO;
    if (fclose(file) != 0 && good) {
        good = FALSE;
        code = errno;
    }
    return good || durable_fail("write", writer->path, code, error);
}

gboolean
tailfile_commit(TailWriter *writer, KillPoints *kill, GError **error)
{
    g_autofree char *now = g_build_filename(writer->dir, "tails", NULL);
    g_autofree char *old = g_build_filename(writer->dir, "tails.old", NULL);
    gboolean good = g_rename(now, old) == 0 || errno == ENOENT ||
                    durable_fail("rename", now, errno, error);
    good = good && killpoint_hit(kill, KILL_TAILS_RENAME, error) &&
           durable_rename(writer->dir, "tails.new", "tails", error);
    writer_free(writer);
    return good;
}

void
tailfile_abort(TailWriter *writer)
{
    writer_free(writer);
}

gboolean
tailfile_found(const char *dir, const MetaIdentity *identity, KillPoints *kill,
               GError **error)
{
    g_autofree guint64 *next = g_new0(guint64, identity->partitions);
    TailWriter *writer = tailfile_begin(dir, identity, next, error);
    if (writer == NULL) {
        return FALSE;
    }
    if (!tailfile_end(writer, error)) {
        tailfile_abort(writer);
        return FALSE;
    }
    return tailfile_commit(writer, kill, error);
}

/* What is left to read; short reads give 0 and set failed. */
typedef struct Scan {
    const guint8 *at;
    gsize left;
    gboolean failed;
} Scan;

static const guint8 *
scan_bytes(Scan *scan, gsize bytes)
{
    const guint8 *at = scan->at;
    if (scan->left < bytes) {
        scan->failed = TRUE;
        return NULL;
    }
    scan->at += bytes;
    scan->left -= bytes;
    return at;
}

static guint64
scan_number(Scan *scan, gsize bytes)
{
    guint64 le = 0;
    const guint8 *at = scan_bytes(scan, bytes);
    if (at != NULL) {
        memcpy(&le, at, bytes);
    }
    return GUINT64_FROM_LE(le);
}

static gboolean
tailfile_checked(const guint8 *data, gsize len)
{
    if (len < sizeof TAILFILE_MAGIC - 1 + TAILFILE_CHECK_BYTES ||
        memcmp(data, TAILFILE_MAGIC, sizeof TAILFILE_MAGIC - 1) != 0) {
        return FALSE;
    }
    guint64 check;
    memcpy(&check, data + len - TAILFILE_CHECK_BYTES, sizeof check);
    return GUINT64_FROM_LE(check) == XXH64(data, len - TAILFILE_CHECK_BYTES, 0);
}

static gboolean
tailfile_check_owner(Scan *scan, const MetaIdentity *identity, const char *path,
                     GError **error)
{
    guint64 version = scan_number(scan, 4);
    guint64 cell = scan_number(scan, 4);
    guint64 log = scan_number(scan, 8);
    guint64 partitions = scan_number(scan, 4);
    scan_number(scan, 4);
    if (version == TAILFILE_VERSION && cell == identity->cell &&
        log == meta_log_hash(identity) && partitions == identity->partitions) {
        return TRUE;
    }
    g_set_error(error, COMB_ERROR, COMB_ERROR_MISMATCH,
                "%s is another's: version %" G_GUINT64_FORMAT
                ", cell %" G_GUINT64_FORMAT ", partitions %" G_GUINT64_FORMAT
                "; this is version %d, cell %u of log %s",
                path, version, cell, partitions, TAILFILE_VERSION,
                identity->cell, identity->log);
    return FALSE;
}

static void
tailfile_read_users(Scan *scan, Inbox *inbox)
{
    gint64 id;
    guint64 users = 0;
    while ((id = (gint64)scan_number(scan, 8)) > 0 && !scan->failed) {
        guint n = (guint)scan_number(scan, 2);
        guint bytes = (guint)scan_number(scan, 2);
        const guint8 *run = scan_bytes(scan, bytes);
        scan->failed =
            scan->failed ||
            !tails_load(inbox_tails(inbox), inbox_add_user(inbox, (UserId){id}),
                        run, bytes, n);
        users++;
    }
    scan->failed = scan->failed || id != 0 || scan_number(scan, 8) != users;
}

/* TRUE: loaded. FALSE: an error, COMB_ERROR_CORRUPT if only this file is bad
   and nothing of it was taken. */
static gboolean
tailfile_load_one(const char *path, const MetaIdentity *identity, Inbox *inbox,
                  guint64 *ret_next, GError **error)
{
    g_autoptr(GMappedFile) file = g_mapped_file_new(path, FALSE, error);
    if (file == NULL) {
        return FALSE;
    }
    const guint8 *data = (const guint8 *)g_mapped_file_get_contents(file);
    gsize len = g_mapped_file_get_length(file);
    if (!tailfile_checked(data, len)) {
        g_set_error(error, COMB_ERROR, COMB_ERROR_CORRUPT, "%s is damaged",
                    path);
        return FALSE;
    }
    Scan scan = {data + 8, len - 8 - TAILFILE_CHECK_BYTES, FALSE};
    if (!tailfile_check_owner(&scan, identity, path, error)) {
        return FALSE;
    }
    for (guint i = 0; i < identity->partitions; i++) {
        ret_next[i] = scan_number(&scan, 8);
    }
    tailfile_read_users(&scan, inbox);
    if (scan.failed || scan.left != 0) {
        g_set_error(error, COMB_ERROR, COMB_ERROR_MISMATCH,
                    "%s has a good check but not the form of version %d", path,
                    TAILFILE_VERSION);
        return FALSE;
    }
    return TRUE;
}

/* Newest first. */
static const char *const tailfile_names[] = {"tails", "tails.old"};

gboolean
tailfile_exists(const char *dir)
{
    for (guint i = 0; i < G_N_ELEMENTS(tailfile_names); i++) {
        g_autofree char *path = g_build_filename(dir, tailfile_names[i], NULL);
        if (g_file_test(path, G_FILE_TEST_EXISTS)) {
            return TRUE;
        }
    }
    return FALSE;
}

/* The newest is damaged: the next checkpoint must not put it in the place of
   the good one. */
static gboolean
tailfile_put_aside(const char *dir, GError **error)
{
    return durable_rename(dir, tailfile_names[0], "tails.damaged", error);
}

gboolean
tailfile_load(const char *dir, const MetaIdentity *identity, Inbox *inbox,
              guint64 *ret_next, GError **error)
{
    g_autoptr(GError) first = NULL;
    for (guint i = 0; i < G_N_ELEMENTS(tailfile_names); i++) {
        g_autofree char *path = g_build_filename(dir, tailfile_names[i], NULL);
        g_autoptr(GError) failure = NULL;
        if (tailfile_load_one(path, identity, inbox, ret_next, &failure)) {
            return first == NULL || tailfile_put_aside(dir, error);
        }
        if (g_error_matches(failure, G_FILE_ERROR, G_FILE_ERROR_NOENT)) {
            continue;
        }
        if (!g_error_matches(failure, COMB_ERROR, COMB_ERROR_CORRUPT)) {
            g_propagate_error(error, g_steal_pointer(&failure));
            return FALSE;
        }
        logger_warn("cell.tailfile", "a generation is damaged", "file=%s",
                    tailfile_names[i]);
        if (first == NULL) {
            first = g_steal_pointer(&failure);
        }
    }
    if (first != NULL) {
        g_propagate_prefixed_error(error, g_steal_pointer(&first),
                                   "no good tail checkpoint: ");
    }
    return FALSE;
}
