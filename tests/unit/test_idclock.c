/*
 * The id clock, on a clock of the test's own: ids only ever go up, whatever
 * the wall clock, the process or the disk does.
 */
#include "firehose/idclock.h"
#include "ops/kit/error.h"

#include <glib/gstdio.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define START_MS G_GINT64_CONSTANT(1800000000000)
#define NODE 7

typedef struct Bench {
    char *dir;
    gint64 now_ms; /* the wall clock */
    IdClock *clock;
} Bench;

static gint64
bench_now(gpointer user_data)
{
    return ((Bench *)user_data)->now_ms;
}

static void
bench_open(Bench *bench)
{
    g_autoptr(GError) error = NULL;

    bench->clock = idclock_open(bench->dir, NODE, bench_now, bench, &error);
    g_assert_no_error(error);
}

static void
bench_close(Bench *bench)
{
    g_clear_pointer(&bench->clock, idclock_close);
}

static void
bench_start(Bench *bench)
{
    *bench = (Bench){.now_ms = START_MS};
    bench->dir = g_dir_make_tmp("comb-idclock-XXXXXX", NULL);
    bench_open(bench);
}

static void
bench_end(Bench *bench)
{
    static const char *const files[] = {"idclock", "idclock.lock"};

    bench_close(bench);
    for (gsize i = 0; i < G_N_ELEMENTS(files); i++) {
        g_autofree char *path = g_build_filename(bench->dir, files[i], NULL);

        g_unlink(path);
    }
    g_assert_cmpint(g_rmdir(bench->dir), ==, 0);
    g_free(bench->dir);
}

static gint64
take(Bench *bench, guint count)
{
    gint64 first = 0;

    g_assert_cmpint(idclock_next(bench->clock, count, 0, &first), ==,
                    IDCLOCK_GIVEN);
    g_assert_cmpint(first & ID_NODE_MAX, ==, NODE);
    return first;
}

/* Ids tell the time, and a run of many goes over the millisecond's end. */
static void
test_layout(void)
{
    Bench bench;
    gint64 first;

    bench_start(&bench);
    g_assert_cmpint(take(&bench, 1), ==, id_make(START_MS, 0, NODE));
    g_assert_cmpint(take(&bench, 1), ==, id_make(START_MS, 1, NODE));
    first = take(&bench, 10000);
    g_assert_cmpint(first, ==, id_make(START_MS, 2, NODE));
    g_assert_cmpint(first + 9999 * IDCLOCK_STEP, ==,
                    id_make(START_MS + 1, 10001 - 8192, NODE));
    bench.now_ms += 5;
    g_assert_cmpint(take(&bench, 1), ==, id_make(START_MS + 5, 0, NODE));
    bench_end(&bench);
}

/* A step back of the wall clock is stood out. */
static void
test_step_back(void)
{
    Bench bench;
    gint64 before;

    bench_start(&bench);
    before = take(&bench, 1);
    bench.now_ms -= 600000;
    g_assert_cmpint(take(&bench, 1), ==, before + IDCLOCK_STEP);
    g_assert_cmpint(idclock_ahead_ms(bench.clock), ==, 600000);
    bench.now_ms += 600001;
    g_assert_cmpint(id_ms(take(&bench, 1)), ==, START_MS + 1);
    bench_end(&bench);
}

/* After a clean close the clock goes on without a leap. */
static void
test_restart(void)
{
    Bench bench;
    gint64 before = 0;

    bench_start(&bench);
    for (guint i = 0; i < 20; i++) {
        gint64 id = take(&bench, 100);

        g_assert_cmpint(id, >, before);
        before = id + 99 * IDCLOCK_STEP;
        g_assert_cmpint(id_ms(before), <=, START_MS + 21);
        bench_close(&bench);
        bench_open(&bench);
    }
    bench_end(&bench);
}

/* Takes ids in a process that is gone without a word; returns the last. */
static gint64
take_and_die(Bench *bench, guint count)
{
    gint64 last = 0;
    int ends[2];
    int status;
    pid_t child;

    g_assert_cmpint(pipe(ends), ==, 0);
    child = fork();
    g_assert_cmpint(child, >=, 0);
    if (child == 0) {
        bench_open(bench);
        last = take(bench, count) + (gint64)(count - 1) * IDCLOCK_STEP;
        if (write(ends[1], &last, sizeof(last)) != sizeof(last)) {
            _exit(1);
        }
        _exit(0);
    }
    g_assert_cmpint(read(ends[0], &last, sizeof(last)), ==, sizeof(last));
    g_assert_cmpint(waitpid(child, &status, 0), ==, child);
    g_assert_cmpint(status, ==, 0);
    close(ends[0]);
    close(ends[1]);
    return last;
}

/* Killed again and again, with the wall clock going back meanwhile: ids go
   up, and the leaps do not add up to minutes. */
static void
test_kill(void)
{
    Bench bench;
    gint64 before = 0;

    bench_start(&bench);
    bench_close(&bench);
    for (guint i = 0; i < 10; i++) {
        gint64 last = take_and_die(&bench, 5000);

        g_assert_cmpint(last, >, before);
        before = last;
        bench.now_ms -= 10;
    }
    bench_open(&bench);
    g_assert_cmpint(take(&bench, 1), >, before);
    g_assert_cmpint(idclock_ahead_ms(bench.clock), <, 60000);
    bench_end(&bench);
}

/* A caller's last id moves the clock, unless it is from a far future. */
static void
test_after(void)
{
    Bench bench;
    gint64 first = 0;
    gint64 after;
    gint64 far_ahead;

    bench_start(&bench);
    after = id_make(START_MS + IDCLOCK_AFTER_MS_MAX, 3, ID_NODE_MAX);
    g_assert_cmpint(idclock_next(bench.clock, 9000, after, &first), ==,
                    IDCLOCK_GIVEN);
    g_assert_cmpint(first, >, after);
    g_assert_cmpint(take(&bench, 1), ==, first + 9000 * IDCLOCK_STEP);
    far_ahead = id_make(START_MS + IDCLOCK_AFTER_MS_MAX + 100, 0, 0);
    g_assert_cmpint(idclock_next(bench.clock, 1, far_ahead, &first), ==,
                    IDCLOCK_AFTER_AHEAD);
    /* An id that we gave is never refused. */
    bench.now_ms -= 3600000;
    g_assert_cmpint(idclock_next(bench.clock, 1, after, &first), ==,
                    IDCLOCK_GIVEN);
    bench_end(&bench);
}

/* A standing wall clock lends a second and not more. */
static void
test_borrow(void)
{
    const guint64 lent =
        (IDCLOCK_BORROW_MS_MAX + 1) * (guint64)(ID_SEQUENCE_MAX + 1);
    Bench bench;
    gint64 first;
    guint64 given = 0;

    bench_start(&bench);
    while (idclock_next(bench.clock, 8192, 0, &first) == IDCLOCK_GIVEN) {
        given += 8192;
        g_assert_cmpuint(given, <=, lent);
    }
    g_assert_cmpuint(given, ==, lent);
    g_assert_cmpint(idclock_next(bench.clock, 1, 0, &first), ==,
                    IDCLOCK_OVERLOADED);
    bench.now_ms += 1;
    g_assert_cmpint(idclock_next(bench.clock, 8192, 0, &first), ==,
                    IDCLOCK_GIVEN);
    bench_end(&bench);
}

/* A damaged file is refused with what to do; a second opener too. */
static void
test_refused(void)
{
    static const char *const texts[] = {
        "", "\n", "comb idclock 1 reserved_ms=5 check=0000000000000000\n",
        "comb idclock 2 reserved_ms=5\n"};
    Bench bench;
    g_autofree char *path = NULL;
    g_autoptr(GError) error = NULL;
    g_autofree char *text = NULL;

    bench_start(&bench);
    g_assert_null(idclock_open(bench.dir, NODE, NULL, NULL, &error));
    g_assert_error(error, COMB_ERROR, COMB_ERROR_IO);
    g_clear_error(&error);
    bench_close(&bench);
    path = g_build_filename(bench.dir, "idclock", NULL);
    for (gsize i = 0; i < G_N_ELEMENTS(texts); i++) {
        g_file_set_contents(path, texts[i], -1, NULL);
        g_assert_null(idclock_open(bench.dir, NODE, NULL, NULL, &error));
        g_assert_error(error, COMB_ERROR, COMB_ERROR_CORRUPT);
        g_assert_nonnull(strstr(error->message, "delete the file"));
        g_clear_error(&error);
    }
    g_unlink(path);
    bench_open(&bench);
    g_file_get_contents(path, &text, NULL, NULL);
    g_assert_true(g_str_has_prefix(text, "comb idclock 1 reserved_ms=18000"));
    bench_end(&bench);
}

/* Without a place to write the clock gives what is reserved and no more. */
static void
test_disk_gone(void)
{
    Bench bench;
    g_autofree char *away = NULL;
    gint64 first;

    bench_start(&bench);
    take(&bench, 1);
    away = g_strconcat(bench.dir, ".away", NULL);
    g_assert_cmpint(g_rename(bench.dir, away), ==, 0);
    bench.now_ms += 9000;
    take(&bench, 1);
    bench.now_ms += 9000;
    g_assert_cmpint(idclock_next(bench.clock, 1, 0, &first), ==,
                    IDCLOCK_FAILED);
    g_assert_cmpint(g_rename(away, bench.dir), ==, 0);
    take(&bench, 1);
    bench_end(&bench);
}

#define THREADS 4
#define ROUNDS 20000

typedef struct Taker {
    IdClock *clock;
    gint64 *ids;
} Taker;

static void *
taker_run(void *data)
{
    Taker *taker = data;

    for (guint i = 0; i < ROUNDS; i++) {
        g_assert_cmpint(idclock_next(taker->clock, 3, 0, &taker->ids[i]), ==,
                        IDCLOCK_GIVEN);
        g_assert_true(i == 0 ||
                      taker->ids[i] > taker->ids[i - 1] + 2 * IDCLOCK_STEP);
    }
    return NULL;
}

static int
compare_ids(const void *left, const void *right)
{
    gint64 a = *(const gint64 *)left;
    gint64 b = *(const gint64 *)right;

    return (a > b) - (a < b);
}

/* Many threads on the machine's clock: no id twice, runs never overlap. */
static void
test_threads(void)
{
    g_autofree gint64 *ids = g_new(gint64, THREADS * ROUNDS);
    g_autoptr(GError) error = NULL;
    gint64 start = g_get_monotonic_time();
    pthread_t threads[THREADS];
    Taker takers[THREADS];
    Bench bench;

    bench_start(&bench);
    bench_close(&bench);
    bench.clock = idclock_open(bench.dir, NODE, NULL, NULL, &error);
    g_assert_no_error(error);
    for (guint i = 0; i < THREADS; i++) {
        takers[i] = (Taker){bench.clock, ids + i * ROUNDS};
        pthread_create(&threads[i], NULL, taker_run, &takers[i]);
    }
    for (guint i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    g_test_message("%d calls in %" G_GINT64_FORMAT " us", THREADS * ROUNDS,
                   g_get_monotonic_time() - start);
    qsort(ids, THREADS * ROUNDS, sizeof(gint64), compare_ids);
    for (guint i = 1; i < THREADS * ROUNDS; i++) {
        g_assert_cmpint(ids[i], >, ids[i - 1] + 2 * IDCLOCK_STEP);
    }
    bench_end(&bench);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/idclock/layout", test_layout);
    g_test_add_func("/idclock/step-back", test_step_back);
    g_test_add_func("/idclock/restart", test_restart);
    g_test_add_func("/idclock/kill", test_kill);
    g_test_add_func("/idclock/after", test_after);
    g_test_add_func("/idclock/borrow", test_borrow);
    g_test_add_func("/idclock/refused", test_refused);
    g_test_add_func("/idclock/disk-gone", test_disk_gone);
    g_test_add_func("/idclock/threads", test_threads);
    return g_test_run();
}
