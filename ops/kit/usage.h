/*
 * usage.h - what this process takes of its machine
 */
#pragma once

#include <glib.h>

typedef struct Usage {
    gint64 resident_bytes;      /* 0: unknown, as all here */
    gint64 resident_peak_bytes; /* since its start */
    gint64 virtual_bytes;
    gint64 threads;
    gint64 open_fds;
    gint64 cpu_us;     /* user and system */
    gint64 started_ms; /* since 1970; the caller says */
} Usage;

/** usage_read() - as the kernel tells it; @started_ms is left alone. */
void usage_read(Usage *ret_usage);

/** usage_metrics() - the process_ metrics that every exporter has, appended in
 * Prometheus' text. */
void usage_metrics(const Usage *usage, GString *text);
