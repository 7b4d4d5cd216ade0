/*
 * lines.h - a file or standard input, line by line, in bounded memory
 */
#pragma once

#include "ops/combctl/interrupt.h"

/* Longer lines are bad ones. A body of 64 KiB takes 400 KB at the worst. */
#define LINE_BYTES_MAX (1 << 20)

typedef struct Lines Lines;

typedef enum LinesOutcome {
    LINES_LINE,    /* *ret_line and *ret_len, until the next call */
    LINES_LONG,    /* a line longer than LINE_BYTES_MAX was passed over */
    LINES_END,     /* no more */
    LINES_STOPPED, /* an interrupt came first */
    LINES_FAILED,  /* reading failed: errno */
} LinesOutcome;

/**
 * lines_open() - read @file; "-" is standard input
 *
 * @interrupt: borrowed, outlives the lines.
 * Fails:      COMB_ERROR_IO, NULL.
 */
Lines *lines_open(const char *file, Interrupt *interrupt, GError **error);

/** lines_next() - the next line, without its end; the last may have none. */
LinesOutcome lines_next(Lines *lines, const char **ret_line, gsize *ret_len);

/** lines_number() - of the line that lines_next() gave last, from 1. */
guint64 lines_number(const Lines *lines);

/** lines_offset() - bytes up to the end of that line. */
guint64 lines_offset(const Lines *lines);

/** lines_fd() - for fstat(). */
int lines_fd(const Lines *lines);

/** lines_close() - close the file and free; standard input stays open. */
void lines_close(Lines *lines);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Lines, lines_close)
