/*
 * B7. One process applies the measured range at a pace and is killed with
 * SIGKILL; another is started over what it left. The time is from just before
 * that one's exec until it says that it has applied the log as it stood at
 * the kill and serves (State.ready).
 *
 * How far the log had come is kept in a file that both map, beside the
 * cell's directory: the log that the second one finds is no longer and no
 * shorter than the one that the first was reading.
 */
#include "tests/bench/bench.h"

#include "tests/bench/usage.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define TICK_US 1000

static _Atomic guint64 *
map_end(const Bench *bench)
{
    g_autofree char *path = g_strdup_printf("%s.end", bench->cell);
    int fd = g_open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    void *at = MAP_FAILED;
    if (fd >= 0 && ftruncate(fd, sizeof(guint64)) == 0) {
        at = mmap(NULL, sizeof(guint64), PROT_READ | PROT_WRITE, MAP_SHARED, fd,
                  0);
    }
    if (at == MAP_FAILED) {
        fprintf(stderr, "comb-bench-cell: %s: %s\n", path, g_strerror(errno));
        exit(EXIT_FAILURE);
    }
    close(fd);
    return at;
}

static Rig *
open_there(const Bench *bench, _Atomic guint64 *end)
{
    RigOptions options = {.world = bench->world,
                          .cell_dir = bench->cell,
                          .log_dir = bench->log,
                          .checkpoint_s = (guint)bench->checkpoint_s,
                          .end_here = end};
    return rig_open(&options);
}

/* ---- the two that are started ---- */

int
bench_load(const Bench *bench)
{
    _Atomic guint64 *end = map_end(bench);
    Rig *rig = open_there(bench, end);
    rig_start(rig);
    while (!atomic_load(&rig->state->ready)) {
        g_usleep(TICK_US);
    }
    printf("ready\n");
    fflush(stdout);
    double per_us = (double)bench->rate / world_fan_out(bench->world) / 1e6;
    guint64 from = bench_end_of_fill(bench);
    double begin = usage_now_us();
    for (;;) {
        guint64 due = from + (guint64)((usage_now_us() - begin) * per_us);
        atomic_store(end, MIN(due, bench_end(bench)));
        g_usleep(TICK_US);
    }
}

int
bench_probe(const Bench *bench)
{
    _Atomic guint64 *end = map_end(bench);
    Rig *rig = open_there(bench, end);
    double opened = usage_now_us();
    guint64 from = rig->next;
    rig_start(rig);
    while (!atomic_load(&rig->state->ready) || rig_pending(rig) > 0) {
        g_usleep(TICK_US / 5);
    }
    printf("{\"opened_us\":%.0f,\"replayed\":%" G_GUINT64_FORMAT
           ",\"ended_at\":%" G_GUINT64_FORMAT ",\"rss\":%" G_GUINT64_FORMAT
           "}\n",
           opened, atomic_load(end) - from, atomic_load(end),
           usage_status("VmHWM:"));
    fflush(stdout);
    rig_close(rig);
    return 0;
}

/* ---- the one that starts them ---- */

typedef struct Child {
    GPid pid;
    int out; /* its standard output */
} Child;

/* In the child, before exec: it must not outlive the one who would kill it. */
static void
child_setup(gpointer user_data)
{
    (void)user_data;
    (void)prctl(PR_SET_PDEATHSIG, (unsigned long)SIGKILL, 0UL, 0UL, 0UL);
}

static void
child_start(Child *child, const Bench *bench, const char *command)
{
    g_autofree char *fill = g_strdup_printf("%" G_GINT64_FORMAT, bench->fill);
    g_autofree char *deliveries =
        g_strdup_printf("%" G_GINT64_FORMAT, bench->deliveries);
    g_autofree char *rate = g_strdup_printf("%" G_GINT64_FORMAT, bench->rate);
    g_autofree char *every =
        g_strdup_printf("%" G_GINT64_FORMAT, bench->checkpoint_s);
    g_autofree char *self = g_strdup(bench->self);
    g_autofree char *name = g_strdup(command);
    char *argv[] = {self,
                    name,
                    (char[]){"--graph"},
                    bench->graph,
                    (char[]){"--cell"},
                    bench->cell,
                    (char[]){"--log"},
                    bench->log,
                    (char[]){"--fill"},
                    fill,
                    (char[]){"--deliveries"},
                    deliveries,
                    (char[]){"--rate"},
                    rate,
                    (char[]){"--checkpoint-s"},
                    every,
                    NULL};
    GError *error = NULL;
    (void)g_spawn_async_with_pipes(NULL, argv, NULL, G_SPAWN_DO_NOT_REAP_CHILD,
                                   child_setup, NULL, &child->pid, NULL,
                                   &child->out, NULL, &error);
    rig_check(error);
}

/* Its next line, without the end; owned by the caller. */
static char *
child_line(Child *child)
{
    GString *line = g_string_new(NULL);
    char c;
    while (read(child->out, &c, 1) == 1 && c != '\n') {
        g_string_append_c(line, c);
    }
    return g_string_free(line, FALSE);
}

static void
child_end(Child *child)
{
    int status;
    close(child->out);
    waitpid(child->pid, &status, 0);
    g_spawn_close_pid(child->pid);
}

int
bench_restart(const Bench *bench)
{
    _Atomic guint64 *end = map_end(bench);
    atomic_store(end, bench_end_of_fill(bench));
    Child child;
    usage_pin(USAGE_LOAD_CORE);
    child_start(&child, bench, "load");
    g_autofree char *ready = child_line(&child);
    if (strcmp(ready, "ready") != 0) {
        fprintf(stderr, "comb-bench-cell: the load did not start\n");
        return 1;
    }
    g_usleep((gulong)bench->seconds * G_USEC_PER_SEC);
    kill(child.pid, SIGKILL);
    child_end(&child);

    guint64 posts = atomic_load(end) - bench_end_of_fill(bench);
    double begin = usage_now_us();
    child_start(&child, bench, "probe");
    g_autofree char *said = child_line(&child);
    double took = usage_now_us() - begin;
    child_end(&child);
    if (said[0] != '{') {
        fprintf(stderr, "comb-bench-cell: the cell did not come back\n");
        return 1;
    }
    printf("{\"restart_s\":%.3f,\"loaded_posts\":%" G_GUINT64_FORMAT
           ",\"fill_deliveries\":%" G_GUINT64_FORMAT ",\"probe\":%s}\n",
           took / 1e6, posts, bench->plan.fill_deliveries, said);
    return 0;
}
