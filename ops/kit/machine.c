#include "ops/kit/machine.h"

#include <string.h>
#include <unistd.h>

/* Where a line of /proc/self/cgroup leads. */
typedef struct Hierarchy {
    const char *mount;
    const char *file; /* of a group's limit: a number, or "max" */
} Hierarchy;

static const Hierarchy unified = {"/sys/fs/cgroup", "memory.max"};
static const Hierarchy by_controller = {"/sys/fs/cgroup/memory",
                                        "memory.limit_in_bytes"};

static gsize
group_limit(const char *root, const Hierarchy *hierarchy, const char *group,
            gsize most)
{
    g_autofree char *path =
        g_build_filename(root, hierarchy->mount, group, hierarchy->file, NULL);
    g_autofree char *text = NULL;
    guint64 limit;

    if (!g_file_get_contents(path, &text, NULL, NULL) ||
        !g_ascii_string_to_unsigned(g_strstrip(text), 10, 0, G_MAXUINT64,
                                    &limit, NULL)) {
        return most;
    }
    return (gsize)MIN(limit, most);
}

/* A container may see its own group as the mount, under another name: so a
   group that is not there is no end. */
static gsize
groups_limit(const char *root, const Hierarchy *hierarchy, const char *group,
             gsize most)
{
    g_autofree char *at = g_strdup(group);

    while (strlen(at) > 1) {
        g_autofree char *inner = at;

        most = group_limit(root, hierarchy, inner, most);
        at = g_path_get_dirname(inner);
    }
    return group_limit(root, hierarchy, "", most);
}

/* "4:cpu,memory:/group"; version 2 names no controllers. */
static const Hierarchy *
line_hierarchy(char **parts)
{
    g_auto(GStrv) controllers = NULL;

    if (g_strv_length(parts) != 3) {
        return NULL;
    }
    if (parts[1][0] == '\0') {
        return &unified;
    }
    controllers = g_strsplit(parts[1], ",", -1);
    return g_strv_contains((const char *const *)controllers, "memory")
               ? &by_controller
               : NULL;
}

gsize
machine_memory(const char *root)
{
    gsize most = (gsize)sysconf(_SC_PHYS_PAGES) * (gsize)sysconf(_SC_PAGESIZE);
    g_autofree char *path = g_strconcat(root, "/proc/self/cgroup", NULL);
    g_autofree char *text = NULL;
    g_auto(GStrv) lines = NULL;

    if (!g_file_get_contents(path, &text, NULL, NULL)) {
        return most;
    }
    lines = g_strsplit(text, "\n", -1);
    for (char **line = lines; *line != NULL; line++) {
        g_auto(GStrv) parts = g_strsplit(*line, ":", 3);
        const Hierarchy *hierarchy = line_hierarchy(parts);

        if (hierarchy != NULL) {
            most = groups_limit(root, hierarchy, parts[2], most);
        }
    }
    return most;
}
