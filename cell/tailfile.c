/*
 * Writing streams through stdio with a running hash: "tails.new" is written
 * and synced, "tails" becomes "tails.old", "tails.new" becomes "tails", and
 * the directory is synced. A crash between the two renames leaves only
 * "tails.old", which is good: a longer replay, nothing lost.
 *
 * Loading checks the whole file before it believes a byte. A damaged newest
 * generation costs a warning and a longer replay; where none is good the cell
 * does not guess.
 */
#include "cell/tailfile.h"

#include "ops/kit/error.h"
#include "ops/kit/logger.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#define TAILFILE_MAGIC "COMBTAIL"
#define TAILFILE_VERSION 1
#define TAILFILE_CHECK_BYTES 8

typedef struct Writer {
    FILE *file;
    XXH64_state_t *hash;
} Writer;

static void
writer_put(Writer *writer, const void *data, gsize len)
{
    XXH64_update(writer->hash, data, len);
    fwrite(data, 1, len, writer->file); /* ferror() is looked at once */
}

static void
writer_u32(Writer *writer, guint32 v)
{
    v = GUINT32_TO_LE(v);
    writer_put(writer, &v, sizeof v);
}

static void
writer_u64(Writer *writer, guint64 v)
{
    v = GUINT64_TO_LE(v);
    writer_put(writer, &v, sizeof v);
}

static guint64
identity_hash(const MetaIdentity *identity)
{
    return XXH64(identity->log, strlen(identity->log), 0);
}

static void
tailfile_stream(Writer *writer, const MetaIdentity *identity,
                const guint64 *next, const Inbox *inbox)
{
    writer_put(writer, TAILFILE_MAGIC, 8);
    writer_u32(writer, TAILFILE_VERSION);
    writer_u32(writer, identity->cell);
    writer_u64(writer, identity_hash(identity));
    writer_u32(writer, identity->partitions);
    writer_u32(writer, inbox_users(inbox));
    for (guint i = 0; i < identity->partitions; i++) {
        writer_u64(writer, next[i]);
    }
    for (guint32 user = 0; user < inbox_users(inbox); user++) {
        guint n;
        const gint64 *ids = inbox_tail(inbox, user, &n);
        writer_u64(writer, (guint64)inbox_user_id(inbox, user).v);
        writer_u32(writer, n);
        for (guint i = 0; i < n; i++) {
            writer_u64(writer, (guint64)ids[i]);
        }
    }
    writer_u64(writer, XXH64_digest(writer->hash));
}

static gboolean
tailfile_fail(const char *what, const char *path, int code, GError **error)
{
    g_set_error(
        error, COMB_ERROR, code == ENOSPC ? COMB_ERROR_FULL : COMB_ERROR_IO,
        "tail checkpoint: cannot %s %s: %s", what, path, g_strerror(code));
    return FALSE;
}

static gboolean
tailfile_write_new(const char *path, const MetaIdentity *identity,
                   const guint64 *next, const Inbox *inbox, GError **error)
{
    Writer writer = {.file = g_fopen(path, "w")};
    if (writer.file == NULL) {
        return tailfile_fail("make", path, errno, error);
    }
    writer.hash = XXH64_createState();
    XXH64_reset(writer.hash, 0);
    tailfile_stream(&writer, identity, next, inbox);
    XXH64_freeState(writer.hash);
    errno = 0;
    gboolean good = fflush(writer.file) == 0 && !ferror(writer.file) &&
                    fsync(fileno(writer.file)) == 0;
    int code = errno != 0 ? errno : EIO;
    if (fclose(writer.file) != 0 && good) {
        good = FALSE;
        code = errno;
    }
    return good || tailfile_fail("write", path, code, error);
}

static gboolean
tailfile_sync_dir(const char *dir, GError **error)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return tailfile_fail("open", dir, errno, error);
    }
    gboolean good = fsync(fd) == 0;
    int code = errno;
    close(fd);
    return good || tailfile_fail("sync", dir, code, error);
}

gboolean
tailfile_write(const char *dir, const MetaIdentity *identity,
               const guint64 *next, const Inbox *inbox, GError **error)
{
    g_autofree char *new = g_build_filename(dir, "tails.new", NULL);
    g_autofree char *now = g_build_filename(dir, "tails", NULL);
    g_autofree char *old = g_build_filename(dir, "tails.old", NULL);
    if (!tailfile_write_new(new, identity, next, inbox, error)) {
        g_unlink(new);
        return FALSE;
    }
    if (g_rename(now, old) != 0 && errno != ENOENT) {
        return tailfile_fail("rename", now, errno, error);
    }
    if (g_rename(new, now) != 0) {
        return tailfile_fail("rename", new, errno, error);
    }
    return tailfile_sync_dir(dir, error);
}

/* What is left to read; short reads give 0 and set failed. */
typedef struct Scan {
    const guint8 *at;
    gsize left;
    gboolean failed;
} Scan;

static guint64
scan_number(Scan *scan, gsize bytes)
{
    guint64 le = 0;
    if (scan->left < bytes) {
        scan->failed = TRUE;
        return 0;
    }
    memcpy(&le, scan->at, bytes);
    scan->at += bytes;
    scan->left -= bytes;
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
    if (version == TAILFILE_VERSION && cell == identity->cell &&
        log == identity_hash(identity) && partitions == identity->partitions) {
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
tailfile_read_users(Scan *scan, guint64 users, Inbox *inbox)
{
    for (; users > 0 && !scan->failed; users--) {
        UserId id = {(gint64)scan_number(scan, 8)};
        guint64 n = scan_number(scan, 4);
        guint32 user = inbox_add_user(inbox, id);
        for (; n > 0 && !scan->failed; n--) {
            gint64 post = (gint64)scan_number(scan, 8);
            inbox_deliver(inbox, user, (PostId){post});
        }
    }
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
    guint64 users = scan_number(&scan, 4);
    for (guint i = 0; i < identity->partitions; i++) {
        ret_next[i] = scan_number(&scan, 8);
    }
    tailfile_read_users(&scan, users, inbox);
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

gboolean
tailfile_load(const char *dir, const MetaIdentity *identity, Inbox *inbox,
              guint64 *ret_next, GError **error)
{
    g_autoptr(GError) first = NULL;
    for (guint i = 0; i < G_N_ELEMENTS(tailfile_names); i++) {
        g_autofree char *path = g_build_filename(dir, tailfile_names[i], NULL);
        g_autoptr(GError) failure = NULL;
        if (tailfile_load_one(path, identity, inbox, ret_next, &failure)) {
            return TRUE;
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
