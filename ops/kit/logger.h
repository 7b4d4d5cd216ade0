/*
 * logger.h - structured lines on standard error
 *
 * 2026-11-22T10:00:00.123Z warn cell.apply quarantined partition=3 offset=17
 *
 * One line an event: time, level, area, words, then key=value pairs; values
 * with spaces are quoted. Never post bodies. Repeats of one call site are
 * held back after 10 in a second, and their number is told (repeated=N).
 *
 * info: normal life. warn: one request lost something. crit: this daemon
 * cannot do its job; ops/README.md has that line.
 */
#pragma once

#include <glib.h>

typedef enum LoggerLevel {
    LOGGER_INFO,
    LOGGER_WARN,
    LOGGER_CRIT,
} LoggerLevel;

/* Per call site, zero at first; used by the macros. */
typedef struct LoggerSite {
    gint64 second;   /* of the newest line */
    guint in_second; /* lines written in it */
    guint held;      /* lines held back and not told yet */
} LoggerSite;

/**
 * logger_write() - write a line, cut at 4096 bytes, by one write(2)
 *
 * @site:   only one call site's; logger_info() and its like have their own.
 * @fields: printf format of "key=value key=value"; "" for none. Use
 *          logger_quote() for values from outside.
 * Thread:  any.
 */
void logger_write(LoggerSite *site, LoggerLevel level, const char *area,
                  const char *words, const char *fields, ...)
    G_GNUC_PRINTF(5, 6);

/**
 * logger_quote() - @value fit for a field
 *
 * Effect: in double quotes, what is not printable escaped, at most 200 bytes
 *         in all; NULL is told as "".
 * Owns:   the caller frees.
 */
char *logger_quote(const char *value);

/* Our own words about a directory of up to 900 bytes, three times in them. */
#define LOGGER_REASON_BYTES_MAX 3072

/**
 * logger_quote_reason() - why a daemon cannot do its job, for a crit line
 *
 * Effect: as logger_quote(), but of at most LOGGER_REASON_BYTES_MAX: such a
 *         reason ends with what to do, which must not be cut off. One field
 *         of a line at most.
 * Owns:   the caller frees.
 */
char *logger_quote_reason(const char *reason);

#define logger_at(level, area, words, ...)                                     \
    do {                                                                       \
        static LoggerSite logger_site;                                         \
        logger_write(&logger_site, (level), (area), (words), __VA_ARGS__);     \
    } while (0)

/* logger_info("cell.apply", "checkpoint written", "bytes=%zu", n); */
#define logger_info(area, words, ...)                                          \
    logger_at(LOGGER_INFO, area, words, __VA_ARGS__)
#define logger_warn(area, words, ...)                                          \
    logger_at(LOGGER_WARN, area, words, __VA_ARGS__)
#define logger_crit(area, words, ...)                                          \
    logger_at(LOGGER_CRIT, area, words, __VA_ARGS__)
