#include "cell/durable.h"

#include "ops/kit/error.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <unistd.h>

gboolean
durable_fail(const char *what, const char *path, int code, GError **error)
{
    g_set_error(error, COMB_ERROR,
                code == ENOSPC ? COMB_ERROR_FULL : COMB_ERROR_IO,
                "cannot %s %s: %s", what, path, g_strerror(code));
    return FALSE;
}

gboolean
durable_sync_dir(const char *dir, GError **error)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return durable_fail("open", dir, errno, error);
    }
    gboolean good = fsync(fd) == 0;
    int code = errno;
    close(fd);
    return good || durable_fail("sync", dir, code, error);
}

gboolean
durable_rename(const char *dir, const char *from, const char *to,
               GError **error)
{
    g_autofree char *source = g_build_filename(dir, from, NULL);
    g_autofree char *target = g_build_filename(dir, to, NULL);
    if (g_rename(source, target) != 0) {
        return durable_fail("rename", source, errno, error);
    }
    return durable_sync_dir(dir, error);
}
