#include "cell/highwater.h"

#include "cell/durable.h"
#include "ops/kit/error.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#define HIGHWATER_MAGIC "COMBHIGH"
#define HIGHWATER_VERSION 1
#define HIGHWATER_NAME "highwater"
#define HIGHWATER_HEAD_BYTES 32
#define HIGHWATER_CHECK_BYTES 8

static void
put_number(GByteArray *out, guint64 v, guint bytes)
{
    guint64 le = GUINT64_TO_LE(v);
    g_byte_array_append(out, (const guint8 *)&le, bytes);
}

static guint64
get_number(const guint8 *at, guint bytes)
{
    guint64 le = 0;
    memcpy(&le, at, bytes);
    return GUINT64_FROM_LE(le);
}

/* Magic, version, whose it is: equal in every file of one cell. */
static void
highwater_put_head(GByteArray *out, const MetaIdentity *identity)
{
    g_byte_array_append(out, (const guint8 *)HIGHWATER_MAGIC, 8);
    put_number(out, HIGHWATER_VERSION, 4);
    put_number(out, identity->cell, 4);
    put_number(out, meta_log_hash(identity), 8);
    put_number(out, identity->partitions, 4);
    put_number(out, 0, 4);
}

static gboolean
highwater_write_new(const char *path, const GByteArray *bytes, GError **error)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) {
        return durable_fail("make", path, errno, error);
    }
    errno = 0;
    gboolean good =
        write(fd, bytes->data, bytes->len) == bytes->len && fsync(fd) == 0;
    int code = errno != 0 ? errno : EIO;
    close(fd);
    return good || durable_fail("write", path, code, error);
}

gboolean
highwater_write(const char *dir, const MetaIdentity *identity,
                const Highwater *high, KillPoints *kill, GError **error)
{
    g_autoptr(GByteArray) out = g_byte_array_new();
    g_autofree char *path = g_build_filename(dir, HIGHWATER_NAME ".new", NULL);
    highwater_put_head(out, identity);
    put_number(out, high->commits, 8);
    for (guint i = 0; i < identity->partitions; i++) {
        put_number(out, high->next[i], 8);
    }
    put_number(out, XXH64(out->data, out->len, 0), HIGHWATER_CHECK_BYTES);
    return highwater_write_new(path, out, error) &&
           killpoint_hit(kill, KILL_HIGHWATER, error) &&
           durable_rename(dir, HIGHWATER_NAME ".new", HIGHWATER_NAME, error);
}

gboolean
highwater_exists(const char *dir)
{
    g_autofree char *path = g_build_filename(dir, HIGHWATER_NAME, NULL);
    return g_file_test(path, G_FILE_TEST_EXISTS);
}

static gboolean
highwater_checked(const guint8 *data, gsize len)
{
    return len >= HIGHWATER_HEAD_BYTES + HIGHWATER_CHECK_BYTES &&
           get_number(data + len - HIGHWATER_CHECK_BYTES,
                      HIGHWATER_CHECK_BYTES) ==
               XXH64(data, len - HIGHWATER_CHECK_BYTES, 0);
}

/* In the words of meta.c, which would say it next. */
static gboolean
highwater_check_owner(const guint8 *data, const MetaIdentity *identity,
                      const char *path, GError **error)
{
    g_autofree char *other = NULL;
    guint version = (guint)get_number(data + 8, 4);
    guint cell = (guint)get_number(data + 12, 4);
    if (memcmp(data, HIGHWATER_MAGIC, 8) != 0 || version != HIGHWATER_VERSION) {
        other = g_strdup_printf("%s is of another version: it says %u, this "
                                "is %d",
                                path, version, HIGHWATER_VERSION);
    } else if (cell != identity->cell) {
        other = g_strdup_printf("cell: the data directory says %u, this is %u",
                                cell, identity->cell);
    } else if (get_number(data + 16, 8) != meta_log_hash(identity) ||
               get_number(data + 24, 4) != identity->partitions) {
        other = g_strdup_printf("the data directory follows another log; the "
                                "log is '%s'",
                                identity->log);
    }
    if (other != NULL) {
        g_set_error_literal(error, COMB_ERROR, COMB_ERROR_MISMATCH, other);
    }
    return other == NULL;
}

gboolean
highwater_read(const char *dir, const MetaIdentity *identity,
               Highwater *ret_high, GError **error)
{
    g_autofree char *path = g_build_filename(dir, HIGHWATER_NAME, NULL);
    g_autofree char *contents = NULL;
    g_autoptr(GError) failure = NULL;
    gsize len;
    if (!g_file_get_contents(path, &contents, &len, &failure)) {
        g_set_error(error, COMB_ERROR, COMB_ERROR_IO,
                    "cannot read the high-water file: %s", failure->message);
        return FALSE;
    }
    const guint8 *data = (const guint8 *)contents;
    if (!highwater_checked(data, len)) {
        g_set_error(error, COMB_ERROR, COMB_ERROR_CORRUPT, "%s is damaged",
                    path);
        return FALSE;
    }
    if (!highwater_check_owner(data, identity, path, error)) {
        return FALSE;
    }
    if (len != HIGHWATER_HEAD_BYTES + (1 + (gsize)identity->partitions) * 8 +
                   HIGHWATER_CHECK_BYTES) {
        g_set_error(error, COMB_ERROR, COMB_ERROR_MISMATCH,
                    "%s has a good check but not the form of version %d", path,
                    HIGHWATER_VERSION);
        return FALSE;
    }
    const guint8 *at = data + HIGHWATER_HEAD_BYTES;
    ret_high->commits = get_number(at, 8);
    for (guint i = 0; i < identity->partitions; i++) {
        ret_high->next[i] = get_number(at + 8 + 8 * i, 8);
    }
    return TRUE;
}
