/*
 * heavy.c - see heavy.h
 *
 * Counters are kept sorted by count. An addition makes a count larger by one,
 * so its counter changes places with the first one of the same count: sorted
 * again, and nothing else moves. The smallest is always the last.
 */
#include "ops/kit/heavy.h"

#include "ops/kit/mix.h"

#include <stdlib.h>
#include <string.h>

void
heavy_init(Heavy *heavy)
{
    memset(heavy, 0, sizeof(*heavy));
}

static guint8 *
chain_of(Heavy *heavy, gint64 key)
{
    return &heavy->chain[mix64((guint64)key) % HEAVY_CHAINS];
}

/* 1 + the place of @key, or 0. */
static guint
find_place(Heavy *heavy, gint64 key)
{
    guint place = *chain_of(heavy, key);

    while (place != 0 && heavy->entry[place - 1].key != key) {
        place = heavy->next[place - 1];
    }
    return place;
}

static void
link_place(Heavy *heavy, guint place)
{
    guint8 *chain = chain_of(heavy, heavy->entry[place].key);

    heavy->next[place] = *chain;
    *chain = (guint8)(place + 1);
}

static void
unlink_place(Heavy *heavy, guint place)
{
    guint8 *at = chain_of(heavy, heavy->entry[place].key);

    while (*at != place + 1) {
        at = &heavy->next[*at - 1];
    }
    *at = heavy->next[place];
}

/* The place of a counter for a key that has none. */
static guint
take_place(Heavy *heavy, gint64 key)
{
    guint place = heavy->n;
    guint64 count = 0;

    if (heavy->n < HEAVY_COUNTERS) {
        heavy->order[place] = heavy->rank[place] = (guint8)place;
        heavy->n++;
    } else {
        place = heavy->order[HEAVY_COUNTERS - 1];
        count = heavy->entry[place].count;
        unlink_place(heavy, place);
    }
    heavy->entry[place] = (HeavyEntry){key, count, count};
    link_place(heavy, place);
    return place;
}

/* The first rank with the count of @place. */
static guint
first_of_count(const Heavy *heavy, guint place)
{
    guint64 count = heavy->entry[place].count;
    guint low = 0, high = heavy->rank[place];

    while (low < high) {
        guint middle = (low + high) / 2;

        if (heavy->entry[heavy->order[middle]].count > count) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

void
heavy_add(Heavy *heavy, gint64 key)
{
    guint place = find_place(heavy, key);

    place = place != 0 ? place - 1 : take_place(heavy, key);
    guint rank = first_of_count(heavy, place);
    guint8 other = heavy->order[rank];

    heavy->order[heavy->rank[place]] = other;
    heavy->rank[other] = heavy->rank[place];
    heavy->order[rank] = (guint8)place;
    heavy->rank[place] = (guint8)rank;
    heavy->entry[place].count++;
    heavy->total++;
}

/* ---- reading several ---- */

/* What a key without a counter may have come, at most. */
static guint64
unseen_max(const Heavy *heavy)
{
    return heavy->n < HEAVY_COUNTERS
               ? 0
               : heavy->entry[heavy->order[HEAVY_COUNTERS - 1]].count;
}

static int
compare_keys(const void *a, const void *b)
{
    const HeavyEntry *left = a, *right = b;

    return (left->key > right->key) - (left->key < right->key);
}

static int
compare_counts(const void *a, const void *b)
{
    const HeavyEntry *left = a, *right = b;
    int order = (left->count < right->count) - (left->count > right->count);

    return order != 0 ? order : compare_keys(a, b);
}

/* Makes one entry of each run of equal keys; gives how many. */
static guint
join_equal(GArray *entries, guint64 unseen)
{
    HeavyEntry *all = (HeavyEntry *)(void *)entries->data;
    guint n = 0;

    for (guint i = 0; i < entries->len; i++) {
        if (n > 0 && all[n - 1].key == all[i].key) {
            all[n - 1].count += all[i].count;
            all[n - 1].error += all[i].error;
        } else {
            all[n] = all[i];
            all[n].count += unseen;
            all[n].error += unseen;
            n++;
        }
    }
    return n;
}

guint
heavy_merge(const Heavy *const *sketches, guint n, HeavyEntry *ret_top,
            guint max)
{
    g_autoptr(GArray) entries = g_array_new(FALSE, FALSE, sizeof(HeavyEntry));
    guint64 unseen = 0;
    guint found;

    for (guint i = 0; i < n; i++) {
        guint64 absent = unseen_max(sketches[i]);

        unseen += absent;
        for (guint j = 0; j < sketches[i]->n; j++) {
            HeavyEntry entry = sketches[i]->entry[j];

            /* It is in this one: what join_equal() adds for all is too much
               by this one's share. Wraps, and back. */
            entry.count -= absent;
            entry.error -= absent;
            g_array_append_val(entries, entry);
        }
    }
    if (entries->len == 0) {
        return 0;
    }
    qsort(entries->data, entries->len, sizeof(HeavyEntry), compare_keys);
    found = join_equal(entries, unseen);
    qsort(entries->data, found, sizeof(HeavyEntry), compare_counts);
    found = MIN(found, max);
    memcpy(ret_top, entries->data, found * sizeof(HeavyEntry));
    return found;
}
