/*
 * lines.c - a file or standard input, line by line, in bounded memory
 *
 * One buffer of two longest lines. Whole lines in it are given out one after
 * the other; when none is left, the rest moves to the front and more is read
 * behind it. A rest that alone is longer than a line may be is thrown away up
 * to the next line end.
 */
#include "ops/combctl/lines.h"

#include "ops/kit/error.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define BUFFER_BYTES (2 * (gsize)LINE_BYTES_MAX)

struct Lines {
    int fd;               /* 0 is not closed */
    Interrupt *interrupt; /* borrowed */
    char *buffer;         /* BUFFER_BYTES */
    gsize at;             /* first byte not given out */
    gsize end;            /* behind the last byte read */
    gboolean eof;         /* nothing more to read */
    guint64 number;       /* of the last line */
    guint64 offset;       /* behind the last line */
};

Lines *
lines_open(const char *file, Interrupt *interrupt, GError **error)
{
    int fd = STDIN_FILENO;

    if (strcmp(file, "-") != 0) {
        fd = open(file, O_RDONLY | O_CLOEXEC);
    }
    if (fd < 0) {
        g_set_error(error, COMB_ERROR, COMB_ERROR_IO, "%s: %s", file,
                    g_strerror(errno));
        return NULL;
    }
    Lines *lines = g_new0(Lines, 1);
    lines->fd = fd;
    lines->interrupt = interrupt;
    lines->buffer = g_malloc(BUFFER_BYTES);
    return lines;
}

/* Reads more behind the rest. LINES_LINE: there is more, or the end. */
static LinesOutcome
fill(Lines *lines)
{
    ssize_t n = -1;

    memmove(lines->buffer, lines->buffer + lines->at, lines->end - lines->at);
    lines->end -= lines->at;
    lines->at = 0;
    do {
        if (!interrupt_wait_fd(lines->interrupt, lines->fd)) {
            return LINES_STOPPED;
        }
        n = read(lines->fd, lines->buffer + lines->end,
                 BUFFER_BYTES - lines->end);
    } while (n < 0 && errno == EINTR);
    if (n < 0) {
        return LINES_FAILED;
    }
    lines->eof = n == 0;
    lines->end += (gsize)n;
    return LINES_LINE;
}

/* Gives out the bytes up to @end; @newline: and the line end behind them. */
static LinesOutcome
take_line(Lines *lines, gsize end, gboolean newline, const char **ret_line,
          gsize *ret_len)
{
    *ret_line = lines->buffer + lines->at;
    *ret_len = end - lines->at;
    lines->at = end + (newline ? 1 : 0);
    lines->offset += *ret_len + (newline ? 1 : 0);
    lines->number++;
    return *ret_len > LINE_BYTES_MAX ? LINES_LONG : LINES_LINE;
}

/* Throws away up to and including the next line end. */
static LinesOutcome
skip_long_line(Lines *lines)
{
    const char *newline = NULL;

    do {
        newline =
            memchr(lines->buffer + lines->at, '\n', lines->end - lines->at);
        gsize upto =
            newline != NULL ? (gsize)(newline + 1 - lines->buffer) : lines->end;
        lines->offset += upto - lines->at;
        lines->at = upto;
        if (newline == NULL && !lines->eof) {
            LinesOutcome outcome = fill(lines);
            if (outcome != LINES_LINE) {
                return outcome;
            }
        }
    } while (newline == NULL && !(lines->eof && lines->at == lines->end));
    lines->number++;
    return LINES_LONG;
}

LinesOutcome
lines_next(Lines *lines, const char **ret_line, gsize *ret_len)
{
    for (;;) {
        const char *newline =
            memchr(lines->buffer + lines->at, '\n', lines->end - lines->at);
        if (newline != NULL) {
            return take_line(lines, (gsize)(newline - lines->buffer), TRUE,
                             ret_line, ret_len);
        }
        if (lines->end - lines->at > LINE_BYTES_MAX) {
            return skip_long_line(lines);
        }
        if (lines->eof && lines->at == lines->end) {
            return LINES_END;
        }
        if (lines->eof) {
            return take_line(lines, lines->end, FALSE, ret_line, ret_len);
        }
        LinesOutcome outcome = fill(lines);
        if (outcome != LINES_LINE) {
            return outcome;
        }
    }
}

guint64
lines_number(const Lines *lines)
{
    return lines->number;
}

guint64
lines_offset(const Lines *lines)
{
    return lines->offset;
}

int
lines_fd(const Lines *lines)
{
    return lines->fd;
}

void
lines_close(Lines *lines)
{
    if (lines->fd != STDIN_FILENO) {
        (void)close(lines->fd);
    }
    g_free(lines->buffer);
    g_free(lines);
}
