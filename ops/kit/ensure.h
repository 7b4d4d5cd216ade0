/*
 * ensure.h - what must be true, checked in every build
 *
 * For bugs only: our own state is wrong and going on would spread it. Bad
 * input is never a bug.
 */
#pragma once

#include <glib.h>

/** ensure_failed() - print where and what, and abort. */
void ensure_failed(const char *file, int line,
                   const char *what) G_GNUC_NORETURN;

#define ensure(cond)                                                           \
    do {                                                                       \
        if (G_UNLIKELY(!(cond))) {                                             \
            ensure_failed(__FILE__, __LINE__, #cond);                          \
        }                                                                      \
    } while (0)
