/*
 * usage.h - which core we run on, and what a process has used
 */
#pragma once

#include <glib.h>

/* The server under test has the first core, whoever loads it the second. */
#define USAGE_SERVER_CORE 0
#define USAGE_LOAD_CORE 1

/**
 * usage_pin() - keep the calling thread, and those that it will start, on
 * @core; where the machine has only one core, nothing happens
 */
void usage_pin(guint core);

/** usage_unpin() - let the calling thread, and those that it will start, be on
 * any core. */
void usage_unpin(void);

/**
 * usage_pin_named() - put the threads whose names begin with @prefix on @core
 *
 * Effect: for threads that a library starts when it likes.
 */
void usage_pin_named(const char *prefix, guint core);

/** usage_now_us() - the monotonic clock, in microseconds with fractions. */
double usage_now_us(void);

/** usage_cpu_us() - user and system time of the process so far. */
gint64 usage_cpu_us(void);

/** usage_thread_cpu_us() - of the calling thread. */
gint64 usage_thread_cpu_us(void);

/** usage_status() - a line of /proc/self/status, in bytes; 0 where missing.
 * @name: "VmRSS:", "RssAnon:", "VmHWM:". */
guint64 usage_status(const char *name);

/** usage_written() - bytes this process has caused to be written to storage.
 */
guint64 usage_written(void);

/** usage_tree_bytes() - bytes in the files under @path, names beginning with
 * @prefix; NULL: all. */
guint64 usage_tree_bytes(const char *path, const char *prefix);

/** usage_percentile() - the nearest rank of @n sorted values; 0 where there are
 * none. */
double usage_percentile(const double *sorted, gsize n, double percent);

/** usage_sort() - ascending. */
void usage_sort(double *values, gsize n);
