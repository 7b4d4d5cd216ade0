/*
 * The retry budget: a fifth of the first tries of the last ten seconds, and
 * one a second for who asks seldom.
 */
#include "router/retrybudget.h"

#define SECOND ((gint64)G_USEC_PER_SEC)
#define LEAST (RETRYBUDGET_SECONDS * RETRYBUDGET_MIN_PER_S)
/* Any clock will do: this one has run for a while. */
#define BEGIN (1234567 * SECOND)

static void
try_often(RetryBudget *budget, guint n, gint64 now_us)
{
    for (guint i = 0; i < n; i++) {
        retrybudget_try(budget, now_us);
    }
}

/* Takes until no more is granted. */
static guint
take_all(RetryBudget *budget, gint64 now_us)
{
    guint n = 0;
    while (retrybudget_take(budget, now_us)) {
        n++;
    }
    return n;
}

/* Who has asked little may retry a little, and then waits. */
static void
test_least(void)
{
    RetryBudget budget;
    retrybudget_init(&budget);
    g_assert_cmpuint(take_all(&budget, BEGIN), ==, LEAST);
    g_assert_cmpuint(take_all(&budget, BEGIN + 9 * SECOND), ==, 0);
    g_assert_cmpuint(take_all(&budget, BEGIN + 10 * SECOND), ==, LEAST);
}

/* A fifth of the first tries, wherever in the window they were. */
static void
test_share(void)
{
    RetryBudget budget;
    retrybudget_init(&budget);
    for (gint64 i = 0; i < RETRYBUDGET_SECONDS; i++) {
        try_often(&budget, 100, BEGIN + i * SECOND);
    }
    gint64 now = BEGIN + 9 * SECOND;
    g_assert_cmpuint(take_all(&budget, now), ==, LEAST + 200);
    try_often(&budget, 50, now);
    g_assert_cmpuint(take_all(&budget, now), ==, 10);
}

/* What is ten seconds old counts no more, on neither side. */
static void
test_forgets(void)
{
    RetryBudget budget;
    retrybudget_init(&budget);
    try_often(&budget, 1000, BEGIN);
    try_often(&budget, 100, BEGIN + 5 * SECOND);
    g_assert_cmpuint(take_all(&budget, BEGIN + 10 * SECOND), ==, LEAST + 20);
    g_assert_cmpuint(take_all(&budget, BEGIN + 19 * SECOND), ==, 0);
    g_assert_cmpuint(take_all(&budget, BEGIN + 1000 * SECOND), ==, LEAST);
}

/* Where every call fails and is retried where that is allowed, the load on
   the others grows by a fifth, for however long. */
static void
test_all_fail(void)
{
    RetryBudget budget;
    guint tries = 0;
    guint retries = 0;
    retrybudget_init(&budget);
    for (gint64 ms = 0; ms < 60 * 1000; ms++) {
        gint64 now_us = BEGIN + ms * 1000;
        retrybudget_try(&budget, now_us);
        tries++;
        retries += retrybudget_take(&budget, now_us) ? 1 : 0;
    }
    g_assert_cmpuint(retries, <=, tries / 5 + 6 * LEAST);
    g_assert_cmpuint(retries, >=, tries / 6);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/retrybudget/least", test_least);
    g_test_add_func("/retrybudget/share", test_share);
    g_test_add_func("/retrybudget/forgets", test_forgets);
    g_test_add_func("/retrybudget/all-fail", test_all_fail);
    return g_test_run();
}
