/* pending.h: the few posts under way, added and taken beside readers. */
#include "cell/pending.h"

#include <pthread.h>
#include <string.h>

static void
check(const Pending *pending, const gint64 *want, guint n)
{
    gint64 posts[PENDING_MAX];
    g_assert_cmpuint(pending_read(pending, posts), ==, n);
    g_assert_cmpint(memcmp(posts, want, n * sizeof *posts), ==, 0);
}

/* They are read in order, however they came. */
static void
test_ascending(void)
{
    static const gint64 came[] = {50, 10, G_MAXINT64, 30, 20, 1, 40};
    static const gint64 want[] = {1, 10, 20, 30, 40, 50, G_MAXINT64};
    Pending pending = {0};
    check(&pending, want, 0);
    for (guint i = 0; i < G_N_ELEMENTS(came); i++) {
        g_assert_true(pending_add(&pending, (PostId){came[i]}));
    }
    check(&pending, want, G_N_ELEMENTS(want));
}

/* What is taken is gone; its place is used again. */
static void
test_take(void)
{
    static const gint64 want[] = {10, 30, 40};
    Pending pending = {0};
    pending_add(&pending, (PostId){10});
    pending_add(&pending, (PostId){20});
    pending_add(&pending, (PostId){30});
    pending_take(&pending, (PostId){20});
    check(&pending, (gint64[]){10, 30}, 2);
    pending_add(&pending, (PostId){40});
    check(&pending, want, G_N_ELEMENTS(want));
    pending_take(&pending, (PostId){99});
    check(&pending, want, G_N_ELEMENTS(want));
}

/* A post that is under way twice is read once, until both have ended. */
static void
test_twice(void)
{
    Pending pending = {0};
    pending_add(&pending, (PostId){20});
    pending_add(&pending, (PostId){10});
    pending_add(&pending, (PostId){20});
    check(&pending, (gint64[]){10, 20}, 2);
    pending_take(&pending, (PostId){20});
    check(&pending, (gint64[]){10, 20}, 2);
    pending_take(&pending, (PostId){20});
    check(&pending, (gint64[]){10}, 1);
}

/* Of a post that is there twice the place that a reader comes to first is
   freed: one between the two places still meets the other. */
static void
test_twice_takes_first(void)
{
    Pending pending = {0};
    for (gint64 i = 1; i <= 4; i++) {
        pending_add(&pending, (PostId){i});
    }
    pending_take(&pending, (PostId){1});
    pending_add(&pending, (PostId){4});
    pending_take(&pending, (PostId){4});
    g_assert_cmpint(atomic_load(&pending.posts[0]), ==, 0);
    g_assert_cmpint(atomic_load(&pending.posts[3]), ==, 4);
}

/* There is room for so many; one more is refused and changes nothing. */
static void
test_full(void)
{
    gint64 want[PENDING_MAX];
    Pending pending = {0};
    for (guint i = 0; i < PENDING_MAX; i++) {
        want[i] = i + 1;
        g_assert_true(pending_add(&pending, (PostId){PENDING_MAX - i}));
    }
    g_assert_false(pending_add(&pending, (PostId){1000}));
    check(&pending, want, PENDING_MAX);
    pending_take(&pending, (PostId){1});
    g_assert_true(pending_add(&pending, (PostId){1000}));
    for (guint i = 0; i < PENDING_MAX; i++) {
        want[i] = i + 1 < PENDING_MAX ? i + 2 : 1000;
    }
    check(&pending, want, PENDING_MAX);
}

/* ---- beside a writer ---- */

typedef struct Shared {
    Pending pending;
    _Atomic gboolean stop;
    _Atomic guint reads;
} Shared;

/* Posts 1000 and 2000 are always under way. */
static gpointer
read_on(gpointer user_data)
{
    Shared *shared = user_data;
    while (!atomic_load(&shared->stop)) {
        gint64 posts[PENDING_MAX];
        guint n = pending_read(&shared->pending, posts);
        guint always = 0;
        for (guint i = 0; i < n; i++) {
            g_assert_cmpint(posts[i], >, i > 0 ? posts[i - 1] : 0);
            g_assert_cmpint(posts[i], <=, 2000 + PENDING_MAX);
            always += posts[i] == 1000 || posts[i] == 2000;
        }
        g_assert_cmpuint(always, ==, 2);
        atomic_fetch_add(&shared->reads, 1);
    }
    return NULL;
}

/* Readers see what is under way all the while, whatever comes and goes; also
   where it is under way a second time for a part of it. */
static void
test_readers(void)
{
    Shared shared = {0};
    pthread_t thread;
    pending_add(&shared.pending, (PostId){3});
    pending_add(&shared.pending, (PostId){2000});
    pending_add(&shared.pending, (PostId){1000});
    g_assert_cmpint(pthread_create(&thread, NULL, read_on, &shared), ==, 0);
    for (gint64 i = 0; i < 200000 || atomic_load(&shared.reads) < 1000; i++) {
        gint64 post = i % 3 == 0 ? 1000 : 2000 + i % PENDING_MAX;
        pending_take(&shared.pending, (PostId){3});
        pending_add(&shared.pending, (PostId){post});
        pending_add(&shared.pending, (PostId){3});
        pending_take(&shared.pending, (PostId){post});
    }
    atomic_store(&shared.stop, TRUE);
    pthread_join(thread, NULL);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/pending/ascending", test_ascending);
    g_test_add_func("/pending/take", test_take);
    g_test_add_func("/pending/twice", test_twice);
    g_test_add_func("/pending/twice-takes-first", test_twice_takes_first);
    g_test_add_func("/pending/full", test_full);
    g_test_add_func("/pending/readers", test_readers);
    return g_test_run();
}
