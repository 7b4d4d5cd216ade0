/*
 * ops/kit/machine: the least of what the machine and its control groups give.
 */
#include "ops/kit/machine.h"

#include "tests/kit/tmpdir.h"

#include <string.h>
#include <unistd.h>

typedef struct File {
    const char *path;
    const char *text;
} File;

static void
write_file(const char *root, const File *file)
{
    g_autofree char *path = g_strconcat(root, file->path, NULL);
    g_autofree char *dir = g_path_get_dirname(path);

    g_assert_cmpint(g_mkdir_with_parents(dir, 0700), ==, 0);
    g_assert_true(g_file_set_contents(path, file->text, -1, NULL));
}

#define CGROUP "/proc/self/cgroup"
#define V2 "/sys/fs/cgroup/"
#define V1 "/sys/fs/cgroup/memory/"

/* Limits of either version, of outer groups and of a mount that is the group
   itself; "max", and what is no number or is not there, is no limit. */
static void
test_groups(void)
{
    static const struct {
        File files[4];
        gsize limit; /* 0: the machine's */
    } rows[] = {
        {{{NULL, NULL}}, 0},
        {{{CGROUP, "0::/a/b\n"}, {V2 "a/b/memory.max", "5000000\n"}}, 5000000},
        {{{CGROUP, "0::/a/b\n"},
          {V2 "a/b/memory.max", "max\n"},
          {V2 "a/memory.max", "4000000\n"}},
         4000000},
        {{{CGROUP, "0::/a/b\n"},
          {V2 "a/b/memory.max", "3000000\n"},
          {V2 "a/memory.max", "4000000\n"}},
         3000000},
        {{{CGROUP, "0::/\n"}, {V2 "memory.max", "2000000\n"}}, 2000000},
        {{{CGROUP, "0::/else/where\n"}, {V2 "memory.max", "2000000\n"}},
         2000000},
        {{{CGROUP, "5:cpu:/x\n4:cpu,memory:/a\n0::/\n"},
          {V1 "a/memory.limit_in_bytes", "6000000\n"},
          {V1 "memory.limit_in_bytes", "9223372036854771712\n"}},
         6000000},
        {{{CGROUP, "5:cpu:/a\n"}, {V1 "a/memory.limit_in_bytes", "6000000\n"}},
         0},
        {{{CGROUP, "0::/a\n"}, {V2 "a/memory.max", "much\n"}}, 0},
        {{{CGROUP, "no line of it\n"}, {V2 "memory.max", "1000\n"}}, 0},
    };
    gsize machine =
        (gsize)sysconf(_SC_PHYS_PAGES) * (gsize)sysconf(_SC_PAGESIZE);

    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        char *root = tmpdir_new();

        for (gsize j = 0; rows[i].files[j].path != NULL; j++) {
            write_file(root, &rows[i].files[j]);
        }
        g_assert_cmpuint(machine_memory(root), ==,
                         rows[i].limit > 0 ? rows[i].limit : machine);
        tmpdir_free(root);
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/machine/groups", test_groups);
    return g_test_run();
}
