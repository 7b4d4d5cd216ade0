/*
 * ops/kit/heavy: the most frequent keys, against an exact count.
 */
#include "ops/kit/heavy.h"

#include "ops/kit/mix.h"

#define KEYS 5000

/* Key k comes about in proportion to 1 / k. */
static gint64
draw(guint64 *state)
{
    guint64 random = mix64(*state += MIX64_STEP);
    guint64 most = 1 + random % KEYS;

    return (gint64)(1 + mix64(random) % most);
}

/* Counts @n draws in @heavy and exactly in @exact. */
static void
fill(Heavy *heavy, guint64 *exact, guint64 seed, guint n)
{
    for (guint i = 0; i < n; i++) {
        gint64 key = draw(&seed);

        heavy_add(heavy, key);
        exact[key]++;
    }
}

static void
check_bounds(const HeavyEntry *top, guint n, const guint64 *exact)
{
    for (guint i = 0; i < n; i++) {
        guint64 truth = exact[top[i].key];

        g_assert_cmpuint(top[i].count, >=, truth);
        g_assert_cmpuint(top[i].count - top[i].error, <=, truth);
        g_assert_true(i == 0 || top[i - 1].count >= top[i].count);
    }
}

static gboolean
has_key(const HeavyEntry *top, guint n, gint64 key)
{
    guint i = 0;

    while (i < n && top[i].key != key) {
        i++;
    }
    return i < n;
}

/* With no more keys than counters every count is exact. */
static void
test_exact(void)
{
    Heavy heavy = {0};
    const Heavy *all[] = {&heavy};
    HeavyEntry top[HEAVY_COUNTERS];

    for (gint64 key = 1; key <= HEAVY_COUNTERS; key++) {
        for (gint64 i = 0; i < key; i++) {
            heavy_add(&heavy, -key);
        }
    }
    g_assert_cmpuint(heavy_merge(all, 1, top, HEAVY_COUNTERS), ==,
                     HEAVY_COUNTERS);
    for (guint i = 0; i < HEAVY_COUNTERS; i++) {
        g_assert_cmpint(top[i].key, ==, (gint64)i - HEAVY_COUNTERS);
        g_assert_cmpuint(top[i].count, ==, HEAVY_COUNTERS - i);
        g_assert_cmpuint(top[i].error, ==, 0);
    }
}

/* Counts bound the truth, and whoever has more than a 64th is there. */
static void
test_bounds(void)
{
    Heavy heavy = {0};
    const Heavy *all[] = {&heavy};
    g_autofree guint64 *exact = g_new0(guint64, KEYS + 1);
    HeavyEntry top[HEAVY_COUNTERS];
    guint n;

    fill(&heavy, exact, 7, 200000);
    n = heavy_merge(all, 1, top, HEAVY_COUNTERS);
    g_assert_cmpuint(heavy.total, ==, 200000);
    check_bounds(top, n, exact);
    for (gint64 key = 1; key <= KEYS; key++) {
        g_assert_true(exact[key] <= 200000 / HEAVY_COUNTERS ||
                      has_key(top, n, key));
    }
}

/* Several threads' sketches together bound the sum in the same way. */
static void
test_merge(void)
{
    Heavy heavy[3] = {0};
    const Heavy *all[] = {&heavy[0], &heavy[1], &heavy[2]};
    g_autofree guint64 *exact = g_new0(guint64, KEYS + 1);
    HeavyEntry top[20];

    fill(&heavy[0], exact, 1, 50000);
    fill(&heavy[1], exact, 2, 30000);
    heavy_add(&heavy[2], 1);
    exact[1]++;
    g_assert_cmpuint(heavy_merge(all, 3, top, 20), ==, 20);
    check_bounds(top, 20, exact);
    g_assert_true(has_key(top, 20, 1));
}

/* A key that comes all the time is found among ones that come once. */
static void
test_needle(void)
{
    Heavy heavy;
    const Heavy *all[] = {&heavy};
    HeavyEntry top[1];

    heavy_init(&heavy);
    for (gint64 i = 0; i < 10000; i++) {
        heavy_add(&heavy, 1000 + i);
        heavy_add(&heavy, i % 10 == 0 ? 42 : 2000000 + i);
    }
    g_assert_cmpuint(heavy_merge(all, 1, top, 1), ==, 1);
    g_assert_cmpint(top[0].key, ==, 42);
}

/* No additions, no keys. */
static void
test_empty(void)
{
    Heavy heavy = {0};
    const Heavy *all[] = {&heavy};
    HeavyEntry top[1];

    g_assert_cmpuint(heavy_merge(all, 1, top, 1), ==, 0);
    g_assert_cmpuint(heavy_merge(all, 0, top, 1), ==, 0);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/heavy/exact", test_exact);
    g_test_add_func("/heavy/bounds", test_bounds);
    g_test_add_func("/heavy/merge", test_merge);
    g_test_add_func("/heavy/needle", test_needle);
    g_test_add_func("/heavy/empty", test_empty);
    return g_test_run();
}
