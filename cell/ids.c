#include "cell/ids.h"

void
ids_union(GArray *out, const gint64 *a, gsize n_a, const gint64 *b, gsize n_b)
{
    gsize i = 0;
    gsize j = 0;
    while (i < n_a || j < n_b) {
        gint64 id;
        if (j == n_b || (i < n_a && a[i] < b[j])) {
            id = a[i++];
        } else {
            i += i < n_a && a[i] == b[j];
            id = b[j++];
        }
        g_array_append_val(out, id);
    }
}

gsize
ids_subtract(gint64 *ids, gsize n, const gint64 *gone, gsize n_gone)
{
    gsize kept = 0;
    gsize j = 0;
    for (gsize i = 0; i < n; i++) {
        while (j < n_gone && gone[j] < ids[i]) {
            j++;
        }
        if (j == n_gone || gone[j] != ids[i]) {
            ids[kept++] = ids[i];
        }
    }
    return kept;
}

gsize
ids_lower_bound(const gint64 *ids, gsize n, gint64 id)
{
    gsize low = 0;
    gsize high = n;
    while (low < high) {
        gsize middle = low + (high - low) / 2;
        if (ids[middle] < id) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}
