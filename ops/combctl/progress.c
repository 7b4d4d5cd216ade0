/*
 * progress.c - a line on the terminal that says how far long work is
 *
 *     [########............]  42 %  130,000 events  71,000/s  3 s left
 */
#include "ops/combctl/progress.h"

#include "ops/combctl/text.h"

#include <stdio.h>
#include <unistd.h>

#define BAR_COLUMNS 24
#define DRAW_EVERY_US 100000

struct Progress {
    gboolean terminal;  /* else everything is a no-op */
    gint64 bytes_total; /* -1: nobody knows */
    gint64 began_us;    /* monotonic */
    gint64 drawn_us;    /* monotonic; 0: never */
    gboolean drawn;     /* a line stands there */
};

Progress *
progress_new(gint64 bytes_total)
{
    Progress *progress = g_new0(Progress, 1);

    progress->terminal = isatty(STDERR_FILENO) == 1;
    progress->bytes_total = bytes_total;
    progress->began_us = g_get_monotonic_time();
    return progress;
}

/* Whether it is time to draw again. */
static gboolean
is_due(Progress *progress, gint64 now_us)
{
    if (!progress->terminal || now_us - progress->drawn_us < DRAW_EVERY_US) {
        return FALSE;
    }
    progress->drawn_us = now_us;
    progress->drawn = TRUE;
    return TRUE;
}

static void
draw_bar(double part, double seconds_left)
{
    char bar[BAR_COLUMNS + 1];

    for (guint i = 0; i < BAR_COLUMNS; i++) {
        bar[i] = i < (guint)(part * BAR_COLUMNS) ? '#' : '.';
    }
    bar[BAR_COLUMNS] = '\0';
    fprintf(stderr, "[%s] %3.0f %%  %.0f s left  ", bar, part * 100,
            seconds_left);
}

void
progress_show(Progress *progress, guint64 bytes, guint64 events)
{
    gint64 now_us = g_get_monotonic_time();

    if (!is_due(progress, now_us)) {
        return;
    }
    double seconds = (double)(now_us - progress->began_us + 1) / 1e6;
    g_autofree char *count = text_count(events);
    g_autofree char *rate = text_count((guint64)((double)events / seconds));
    fputs("\r", stderr);
    if (progress->bytes_total > 0) {
        double part = (double)bytes / (double)progress->bytes_total;
        part = CLAMP(part, 0.001, 1.0);
        draw_bar(part, seconds / part - seconds);
    }
    fprintf(stderr, "%s events  %s/s\033[K", count, rate);
}

void
progress_say(Progress *progress, const char *words)
{
    if (is_due(progress, g_get_monotonic_time())) {
        fprintf(stderr, "\r%s\033[K", words);
    }
}

void
progress_clear(Progress *progress)
{
    if (progress->drawn) {
        fputs("\r\033[K", stderr);
        progress->drawn = FALSE;
    }
}

void
progress_free(Progress *progress)
{
    progress_clear(progress);
    g_free(progress);
}
