/*
 * comb-sim - simulate cells, seed after seed
 *
 * Seeds are dealt to worker processes, so that both cores work, and a cell
 * that aborts, crashes or hangs costs one seed and is told like a wrong page.
 * With --seed there is no worker: one seed, every operation printed, fit for a
 * debugger.
 */
#include "ops/kit/ensure.h"
#include "tests/kit/tmpdir.h"
#include "tests/sim/sim.h"
#include "tests/sim/tuning.h"

#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define JOBS_MAX 64
/* More than the longest seed takes under a sanitizer: else it hangs. */
#define SEED_SECONDS_MAX 300
#define REPORTS_MAX 5

typedef struct Job {
    pid_t pid;        /* 0: it has ended */
    guint64 seed;     /* under way */
    gboolean busy;    /* @seed is */
    SimTotals totals; /* of its seeds */
} Job;

/* Shared between the processes. */
typedef struct Board {
    _Atomic guint64 next; /* seed to deal */
    guint64 end;          /* the one after the last */
    _Atomic guint told;   /* reports */
    const char *program;
    Job jobs[JOBS_MAX];
} Board;

static void
tell_failure(Board *board, guint64 seed, const char *what)
{
    guint told = atomic_fetch_add(&board->told, 1);
    g_autoptr(GString) line = g_string_new(NULL);
    if (told < REPORTS_MAX) {
        g_string_printf(line,
                        "FAILED seed %" G_GUINT64_FORMAT ": %s\n  again: %s "
                        "--seed %" G_GUINT64_FORMAT "\n",
                        seed, what, board->program, seed);
    } else {
        const char *end = strpbrk(what, "\n");
        int len = end != NULL ? (int)(end - what) : (int)strlen(what);
        g_string_printf(line, "FAILED seed %" G_GUINT64_FORMAT ": %.*s\n", seed,
                        MIN(len, 100), what);
    }
    if (write(STDOUT_FILENO, line->str, line->len) < 0) {
        /* Nobody listens; the exit status tells. */
    }
}

static void
job_work(Board *board, Job *job)
{
    for (;;) {
        guint64 seed = atomic_fetch_add(&board->next, 1);
        if (seed >= board->end) {
            return;
        }
        job->seed = seed;
        job->busy = TRUE;
        alarm(SEED_SECONDS_MAX);
        g_autofree char *what = sim_run(seed, FALSE, &job->totals);
        if (what != NULL) {
            tell_failure(board, seed, what);
        }
        job->busy = FALSE;
    }
}

static void
job_start(Board *board, Job *job)
{
    pid_t pid = fork();
    ensure(pid >= 0);
    if (pid == 0) {
        job_work(board, job);
        exit(0);
    }
    job->pid = pid; /* shared: the child must not say 0 */
}

/* A worker has ended: with its work, or of a seed, or of what the sanitizer
   found at its end. */
static void
job_ended(Board *board, Job *job, int status)
{
    job->pid = 0;
    if (!job->busy && status == 0) {
        return;
    }
    g_autofree char *what =
        WIFSIGNALED(status)
            ? g_strdup_printf("the process died of signal %d", WTERMSIG(status))
            : g_strdup_printf("the process ended with status %d",
                              WEXITSTATUS(status));
    job->totals.failures++;
    job->totals.seeds += job->busy ? 1 : 0;
    tell_failure(board, job->seed, what);
    if (job->busy) {
        job->busy = FALSE;
        job_start(board, job);
    }
}

static void
board_wait(Board *board, guint jobs)
{
    int status;
    pid_t pid;
    while ((pid = wait(&status)) > 0) {
        for (guint i = 0; i < jobs; i++) {
            if (board->jobs[i].pid == pid) {
                job_ended(board, &board->jobs[i], status);
                break;
            }
        }
    }
}

/* ---- summary ---- */

static SimTotals
board_sum(const Board *board)
{
    SimTotals totals = {0};
    guint64 *sums = (guint64 *)&totals;
    for (guint i = 0; i < JOBS_MAX; i++) {
        const guint64 *job = (const guint64 *)&board->jobs[i].totals;
        for (gsize j = 0; j < sizeof totals / sizeof *sums; j++) {
            sums[j] += job[j];
        }
    }
    return totals;
}

static void
print_places(const SimTotals *totals)
{
    printf("  deaths: between operations %" G_GUINT64_FORMAT, totals->between);
    for (guint i = 1; i < DISK_FAULTS; i++) {
        printf(", %s %" G_GUINT64_FORMAT, disk_fault_name((DiskFault)i),
               totals->faults[i]);
    }
    printf(", log %" G_GUINT64_FORMAT "\n", totals->log_stops);
    if (sim_kill_points() == 0) {
        printf("  kill points: this cell has none\n");
        return;
    }
    printf("  kill points:");
    for (guint i = 0; i < sim_kill_points(); i++) {
        printf(" %s %" G_GUINT64_FORMAT, sim_kill_name(i), totals->kills[i]);
    }
    printf("\n");
}

static void
print_summary(const SimTotals *totals, gdouble seconds)
{
    printf("sim: %" G_GUINT64_FORMAT " seeds in %.1f s: %" G_GUINT64_FORMAT
           " events in %" G_GUINT64_FORMAT " records, %" G_GUINT64_FORMAT
           " operations\n",
           totals->seeds, seconds, totals->events, totals->records,
           totals->ops);
    printf("  cells: opened %" G_GUINT64_FORMAT
           " times, stopped cleanly %" G_GUINT64_FORMAT
           ", checkpoints %" G_GUINT64_FORMAT
           ", tail files damaged %" G_GUINT64_FORMAT
           ", rebuilt %" G_GUINT64_FORMAT "\n",
           totals->opens, totals->clean_stops, totals->checkpoints,
           totals->damaged, totals->rebuilt);
    print_places(totals);
    printf("  pages: %" G_GUINT64_FORMAT " compared, of %" G_GUINT64_FORMAT
           " posts, %" G_GUINT64_FORMAT
           " of them during replay; everything at once %" G_GUINT64_FORMAT
           " times; digest %016" G_GINT64_MODIFIER "x\n",
           totals->pages, totals->posts, totals->loose, totals->quiet,
           totals->digest);
    printf("  differences: %" G_GUINT64_FORMAT "\n", totals->failures);
}

/* ---- options ---- */

typedef struct Options {
    gint64 seeds;
    gint64 first;
    gint64 seed;
    gint jobs;
} Options;

static gboolean
options_read(Options *options, int *argc, char ***argv)
{
    const GOptionEntry entries[] = {
        {"seeds", 0, 0, G_OPTION_ARG_INT64, &options->seeds,
         "how many seeds; 1000 if not said", "N"},
        {"first", 0, 0, G_OPTION_ARG_INT64, &options->first,
         "the first one; 1 if not said", "S"},
        {"seed", 0, 0, G_OPTION_ARG_INT64, &options->seed,
         "this one only, every operation printed", "S"},
        {"jobs", 0, 0, G_OPTION_ARG_INT, &options->jobs,
         "processes; as many as there are processors if not said", "N"},
        {NULL, 0, 0, G_OPTION_ARG_NONE, NULL, NULL, NULL},
    };
    g_autoptr(GOptionContext) context = g_option_context_new(NULL);
    g_autoptr(GError) error = NULL;
    g_option_context_set_summary(context, "Simulates cells; see README.md.");
    g_option_context_add_main_entries(context, entries, NULL);
    if (!g_option_context_parse(context, argc, argv, &error) || *argc > 1 ||
        options->seeds < 1 || options->first < 0 || options->jobs < 1) {
        fprintf(stderr, "comb-sim: %s\n",
                error != NULL ? error->message : "no such argument, or number");
        return FALSE;
    }
    options->jobs = MIN(options->jobs, JOBS_MAX);
    return TRUE;
}

static SimTotals
run_many(const Options *options, const char *program)
{
    Board *board = mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ensure(board != MAP_FAILED);
    board->program = program;
    atomic_store(&board->next, (guint64)options->first);
    board->end = (guint64)(options->first + options->seeds);
    guint jobs = (guint)options->jobs;
    for (guint i = 0; i < jobs; i++) {
        job_start(board, &board->jobs[i]);
    }
    board_wait(board, jobs);
    SimTotals totals = board_sum(board);
    munmap(board, sizeof *board);
    return totals;
}

static SimTotals
run_one(guint64 seed)
{
    SimTotals totals = {0};
    g_autofree char *what = sim_run(seed, TRUE, &totals);
    if (what != NULL) {
        printf("FAILED seed %" G_GUINT64_FORMAT ": %s\n", seed, what);
    }
    return totals;
}

/* Where all directories of all workers are, also of those that die. Tail files
   are synced all the time, so it is in memory, which is a fast disk. GLib asks
   for TMPDIR once only: it is to be set before anybody needs it. */
static char *
make_dir(void)
{
    gboolean have_shm = g_file_test("/dev/shm", G_FILE_TEST_IS_DIR);
    char *dir = g_build_filename(have_shm ? "/dev/shm" : "/tmp",
                                 "comb-sim-XXXXXX", NULL);
    ensure(g_mkdtemp(dir) != NULL);
    g_setenv("TMPDIR", dir, TRUE);
    return dir;
}

int
main(int argc, char **argv)
{
    Options options = {1000, 1, -1, (gint)g_get_num_processors()};
    gint64 begin_us = g_get_monotonic_time();
    if (!options_read(&options, &argc, &argv)) {
        return 2;
    }
    char *dir = make_dir();
    SimTotals totals = options.seed >= 0 ? run_one((guint64)options.seed)
                                         : run_many(&options, argv[0]);
    tmpdir_free(dir);
    print_summary(&totals, (gdouble)(g_get_monotonic_time() - begin_us) /
                               G_USEC_PER_SEC);
    return totals.failures > 0 ? 1 : 0;
}
