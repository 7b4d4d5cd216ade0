/*
 * span.h - an array that grows and never moves
 *
 * A range of addresses is reserved once and made usable from its beginning as
 * it is needed. Readers may hold a pointer into it while it grows. What is
 * new is zero. Huge pages are asked for, which is worth a factor of 1.5 to 2
 * to whoever writes at random places; small spans stay on small pages.
 */
#pragma once

#include <glib.h>

typedef struct Span {
    guint8 *base;
    gsize used;  /* bytes that may be touched */
    gsize bytes; /* reserved */
} Span;

/** span_init() - reserve @bytes of addresses; no memory yet. */
void span_init(Span *span, gsize bytes);

/**
 * span_grow() - let @bytes from the beginning be used
 *
 * Effect: a bug to ask for more than was reserved. Thread: one.
 */
void span_grow(Span *span, gsize bytes);

/** span_clear() - give everything back. */
void span_clear(Span *span);
