#include "tests/kit/tmpdir.h"

#include <ftw.h>
#include <stdio.h>

char *
tmpdir_new(void)
{
    g_autoptr(GError) error = NULL;
    char *dir = g_dir_make_tmp("comb-test-XXXXXX", &error);
    g_assert_no_error(error);
    return dir;
}

static int
remove_one(const char *path, const struct stat *info, int type,
           struct FTW *place)
{
    (void)info;
    (void)type;
    (void)place;
    return remove(path);
}

void
tmpdir_free(char *dir)
{
    g_assert_cmpint(nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS), ==, 0);
    g_free(dir);
}
