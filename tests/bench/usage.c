#include "tests/bench/usage.h"

#include <glib/gstdio.h>
#include <math.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

void
usage_pin(guint core)
{
    if (sysconf(_SC_NPROCESSORS_CONF) < 2) {
        return;
    }
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(core, &set);
    (void)sched_setaffinity(0, sizeof set, &set);
}

void
usage_unpin(void)
{
    cpu_set_t set;
    memset(&set, 0xff, sizeof set);
    (void)sched_setaffinity(0, sizeof set, &set);
}

void
usage_pin_named(const char *prefix, guint core)
{
    g_autoptr(GDir) dir = g_dir_open("/proc/self/task", 0, NULL);
    const char *name;
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(core, &set);
    while (dir != NULL && (name = g_dir_read_name(dir)) != NULL) {
        g_autofree char *path =
            g_build_filename("/proc/self/task", name, "comm", NULL);
        g_autofree char *comm = NULL;
        if (sysconf(_SC_NPROCESSORS_CONF) > 1 &&
            g_file_get_contents(path, &comm, NULL, NULL) &&
            g_str_has_prefix(comm, prefix)) {
            (void)sched_setaffinity((pid_t)strtol(name, NULL, 10), sizeof set,
                                    &set);
        }
    }
}

double
usage_now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static gint64
cpu_us(int who)
{
    struct rusage usage;
    getrusage(who, &usage);
    return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * G_USEC_PER_SEC +
           usage.ru_utime.tv_usec + usage.ru_stime.tv_usec;
}

gint64
usage_cpu_us(void)
{
    return cpu_us(RUSAGE_SELF);
}

gint64
usage_thread_cpu_us(void)
{
    return cpu_us(RUSAGE_THREAD);
}

/* The number after @name at the start of a line of @path; 0 where missing. */
static guint64
read_number(const char *path, const char *name)
{
    g_autofree char *text = NULL;
    if (!g_file_get_contents(path, &text, NULL, NULL)) {
        return 0;
    }
    const char *at = text;
    while (at != NULL && !g_str_has_prefix(at, name)) {
        at = strchr(at, '\n');
        at = at == NULL ? NULL : at + 1;
    }
    return at == NULL ? 0 : strtoull(at + strlen(name), NULL, 10);
}

guint64
usage_status(const char *name)
{
    return read_number("/proc/self/status", name) * 1024;
}

guint64
usage_written(void)
{
    return read_number("/proc/self/io", "write_bytes:");
}

guint64
usage_tree_bytes(const char *path, const char *prefix)
{
    guint64 bytes = 0;
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    const char *name;
    while (dir != NULL && (name = g_dir_read_name(dir)) != NULL) {
        g_autofree char *file = g_build_filename(path, name, NULL);
        struct stat info;
        if (g_lstat(file, &info) != 0) {
            continue;
        }
        if (S_ISDIR(info.st_mode)) {
            bytes += usage_tree_bytes(file, prefix);
        } else if (prefix == NULL || g_str_has_prefix(name, prefix)) {
            bytes += (guint64)info.st_size;
        }
    }
    return bytes;
}

double
usage_percentile(const double *sorted, gsize n, double percent)
{
    gsize rank = (gsize)ceil((double)n * percent / 100);
    return n == 0 ? 0 : sorted[MAX(rank, 1) - 1];
}

static int
compare(const void *a, const void *b)
{
    double left = *(const double *)a;
    double right = *(const double *)b;
    return (left > right) - (left < right);
}

void
usage_sort(double *values, gsize n)
{
    qsort(values, n, sizeof *values, compare);
}
