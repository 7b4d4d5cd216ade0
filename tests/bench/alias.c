#include "tests/bench/alias.h"

/* A share of one slot as 32 bits; what is full keeps all of its slot. */
static guint32
alias_cut(double share)
{
    double cut = share * 0x1.0p32;
    return cut >= (double)G_MAXUINT32 ? G_MAXUINT32 : (guint32)cut;
}

/* Pair each slot that is not full with one that is more than full. */
static void
alias_pair(Alias *alias, double *share, guint32 *small, guint32 *large)
{
    guint32 n_small = 0;
    guint32 n_large = 0;
    for (guint32 i = 0; i < alias->n; i++) {
        if (share[i] < 1) {
            small[n_small++] = i;
        } else {
            large[n_large++] = i;
        }
    }
    while (n_small > 0 && n_large > 0) {
        guint32 less = small[--n_small];
        guint32 more = large[n_large - 1];
        alias->slot[less] = (AliasSlot){alias_cut(share[less]), more};
        share[more] -= 1 - share[less];
        if (share[more] < 1) {
            n_large--;
            small[n_small++] = more;
        }
    }
    while (n_large > 0) {
        guint32 i = large[--n_large];
        alias->slot[i] = (AliasSlot){G_MAXUINT32, i};
    }
    while (n_small > 0) { /* rounding left it a little under full */
        guint32 i = small[--n_small];
        alias->slot[i] = (AliasSlot){G_MAXUINT32, i};
    }
}

Alias *
alias_new(const double *weights, guint32 n)
{
    Alias *alias = g_malloc(sizeof(Alias) + n * sizeof(AliasSlot));
    g_autofree double *share = g_new(double, n);
    g_autofree guint32 *small = g_new(guint32, n);
    g_autofree guint32 *large = g_new(guint32, n);
    double sum = 0;
    alias->n = n;
    for (guint32 i = 0; i < n; i++) {
        sum += weights[i];
    }
    for (guint32 i = 0; i < n; i++) {
        share[i] = weights[i] / sum * n;
    }
    alias_pair(alias, share, small, large);
    return alias;
}
