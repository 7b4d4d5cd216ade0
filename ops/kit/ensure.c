/*
 * The end of a process whose own state is wrong.
 *
 * The line goes out by write(2) without the logger and without allocating:
 * whatever broke may have broken those. abort() leaves a core dump, and the
 * supervisor starts us again from the last checkpoint.
 */
#include "ops/kit/ensure.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void
ensure_failed(const char *file, int line, const char *what)
{
    char text[512];
    int len = g_snprintf(text, sizeof text, "%s:%d: bug: %s does not hold\n",
                         file, line, what);
    gsize told = MIN((gsize)MAX(len, 0), sizeof text - 1);

    if (write(STDERR_FILENO, text, told) < 0) {
        /* Nobody is left to tell. */
    }
    abort();
}
