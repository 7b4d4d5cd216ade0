/*
 * usage.c - from /proc/self and getrusage()
 *
 * Names and units of the metrics:
 * https://prometheus.io/docs/instrumenting/writing_clientlibs/
 */
#include "ops/kit/usage.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

/* The number after @name in the text of /proc/self/status, or 0. */
static gint64
status_number(const char *text, const char *name)
{
    const char *at = strstr(text, name);

    return at != NULL ? g_ascii_strtoll(at + strlen(name), NULL, 10) : 0;
}

static gint64
count_fds(void)
{
    g_autoptr(GDir) dir = g_dir_open("/proc/self/fd", 0, NULL);
    gint64 n = 0;

    while (dir != NULL && g_dir_read_name(dir) != NULL) {
        n++;
    }
    return MAX(n - 1, 0); /* without the directory's own */
}

static gint64
micros(struct timeval time)
{
    return (gint64)time.tv_sec * G_USEC_PER_SEC + time.tv_usec;
}

void
usage_read(Usage *ret_usage)
{
    g_autofree char *text = NULL;
    struct rusage used = {0};

    if (g_file_get_contents("/proc/self/status", &text, NULL, NULL)) {
        ret_usage->resident_bytes = status_number(text, "\nVmRSS:") * 1024;
        ret_usage->resident_peak_bytes = status_number(text, "\nVmHWM:") * 1024;
        ret_usage->virtual_bytes = status_number(text, "\nVmSize:") * 1024;
        ret_usage->threads = status_number(text, "\nThreads:");
    }
    ret_usage->open_fds = count_fds();
    getrusage(RUSAGE_SELF, &used);
    ret_usage->cpu_us = micros(used.ru_utime) + micros(used.ru_stime);
}

static void
append(GString *text, const char *name, const char *kind, const char *help,
       double value)
{
    char number[G_ASCII_DTOSTR_BUF_SIZE];

    g_string_append_printf(
        text, "# HELP %s %s\n# TYPE %s %s\n%s %s\n", name, help, name, kind,
        name, g_ascii_formatd(number, sizeof(number), "%.17g", value));
}

void
usage_metrics(const Usage *usage, GString *text)
{
    append(text, "process_cpu_seconds_total", "counter",
           "Seconds of processor used, user and system.",
           (double)usage->cpu_us / G_USEC_PER_SEC);
    append(text, "process_open_fds", "gauge", "Open file descriptors.",
           (double)usage->open_fds);
    append(text, "process_resident_memory_bytes", "gauge",
           "Bytes of memory in use.", (double)usage->resident_bytes);
    append(text, "process_start_time_seconds", "gauge",
           "When it started, seconds since 1970.",
           (double)usage->started_ms / 1000);
    append(text, "process_virtual_memory_bytes", "gauge",
           "Bytes of address space.", (double)usage->virtual_bytes);
}
