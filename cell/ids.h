/*
 * ids.h - runs of ascending 64-bit ids
 */
#pragma once

#include <glib.h>

/** ids_union() - append the union of two ascending runs to @out. */
void ids_union(GArray *out, const gint64 *a, gsize n_a, const gint64 *b,
               gsize n_b);

/**
 * ids_subtract() - drop from @n ascending @ids those in ascending @gone
 *
 * Effect: in place; how many are left.
 */
gsize ids_subtract(gint64 *ids, gsize n, const gint64 *gone, gsize n_gone);

/** ids_lower_bound() - the place of the first of @n ids that is not below @id.
 */
gsize ids_lower_bound(const gint64 *ids, gsize n, gint64 id);
