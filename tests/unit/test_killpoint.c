/*
 * ops/kit/killpoint: the process dies where it was told to and nowhere else.
 */
#include "ops/kit/killpoint.h"

#include "ops/kit/error.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define THREADS 4
#define HITS 1000

static void
set_variable(const char *value)
{
    if (value != NULL) {
        g_setenv("COMB_KILL_POINT", value, TRUE);
    } else {
        g_unsetenv("COMB_KILL_POINT");
    }
}

/* Unset, or without any points at all, everything goes on. */
static void
test_unarmed(void)
{
    g_autoptr(GError) error = NULL;
    set_variable(NULL);
    KillPoints *points = killpoints_from_environment(&error);
    g_assert_no_error(error);
    g_assert_nonnull(points);
    for (guint i = 0; i < KILL_POINTS; i++) {
        g_assert_true(killpoint_hit(points, (KillPoint)i, &error));
        g_assert_true(killpoint_hit(NULL, (KillPoint)i, &error));
    }
    killpoints_free(points);
}

/* Names are told apart, in lower case, by dashes. */
static void
test_names(void)
{
    for (guint i = 0; i < KILL_POINTS; i++) {
        const char *name = killpoint_name((KillPoint)i);
        g_assert_true(g_regex_match_simple("^[a-z]+(-[a-z]+)?$", name, 0, 0));
        for (guint j = 0; j < i; j++) {
            g_assert_cmpstr(name, !=, killpoint_name((KillPoint)j));
        }
    }
    g_assert_cmpstr(killpoint_name(KILL_TAILS_RENAME), ==, "tails-rename");
}

/* A value that is not understood is refused, and says what would be. */
static void
test_refused(void)
{
    static const char *const values[] = {
        "",         "batch",     "batch:",    ":1",
        "batch:0",  "batch:x",   "batch:-1",  "batch: 1",
        "bat:1",    "Batch:1",   "batches:1", "batch:4294967296",
        "batch:1:", "nowhere:1",
    };
    for (guint i = 0; i < G_N_ELEMENTS(values); i++) {
        g_autoptr(GError) error = NULL;
        set_variable(values[i]);
        g_assert_null(killpoints_from_environment(&error));
        g_assert_error(error, COMB_ERROR, COMB_ERROR_SETTING);
        g_assert_nonnull(strstr(error->message, "COMB_KILL_POINT="));
        g_assert_nonnull(strstr(error->message, "tails-rename"));
    }
    set_variable(NULL);
}

/* Runs @child in a process of its own; its wait status. */
static int
run_child(const char *variable, void (*child)(KillPoints *points))
{
    pid_t pid = fork();
    g_assert_cmpint(pid, >=, 0);
    if (pid == 0) {
        set_variable(variable);
        KillPoints *points = killpoints_from_environment(NULL);
        child(points);
        _exit(points == NULL ? 9 : 0);
    }
    int status = 0;
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    return status;
}

static void
expect_killed(int status)
{
    g_assert_true(WIFSIGNALED(status));
    g_assert_cmpint(WTERMSIG(status), ==, SIGKILL);
}

static void
hit_thrice(KillPoints *points)
{
    for (guint i = 0; i < 3; i++) {
        for (guint j = 0; j < KILL_POINTS; j++) {
            g_assert_true(killpoint_hit(points, (KillPoint)j, NULL));
        }
    }
}

/* Each point kills, at the hit that was asked for and not before. */
static void
test_kills(void)
{
    for (guint i = 0; i < KILL_POINTS; i++) {
        const char *name = killpoint_name((KillPoint)i);
        g_autofree char *third = g_strconcat(name, ":3", NULL);
        g_autofree char *fourth = g_strconcat(name, ":4", NULL);
        expect_killed(run_child(third, hit_thrice));
        g_assert_cmpint(run_child(fourth, hit_thrice), ==, 0);
    }
}

static gpointer
hit_often(gpointer points)
{
    for (guint i = 0; i < HITS; i++) {
        g_assert_true(killpoint_hit(points, KILL_COMMIT, NULL));
    }
    return NULL;
}

static void
hit_from_threads(KillPoints *points)
{
    pthread_t threads[THREADS];
    for (guint i = 0; i < THREADS; i++) {
        pthread_create(&threads[i], NULL, hit_often, points);
    }
    for (guint i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
}

/* Hits of all threads are counted together, and none is lost. */
static void
test_threads(void)
{
    g_autofree char *last = g_strdup_printf("commit:%d", THREADS * HITS);
    g_autofree char *past = g_strdup_printf("commit:%d", THREADS * HITS + 1);
    expect_killed(run_child(last, hit_from_threads));
    g_assert_cmpint(run_child(past, hit_from_threads), ==, 0);
}

static gboolean
die_at_second_seal(KillPoint point, gpointer seals)
{
    return point == KILL_SEAL && ++*(guint *)seals == 2;
}

/* In simulation the callback decides, and the dead stay dead. */
static void
test_simulated(void)
{
    guint seals = 0;
    KillPoints *points = killpoints_simulated(die_at_second_seal, &seals);
    g_assert_true(killpoint_hit(points, KILL_SEAL, NULL));
    g_assert_true(killpoint_hit(points, KILL_BATCH, NULL));
    for (guint i = 0; i < 2; i++) {
        g_autoptr(GError) error = NULL;
        g_assert_false(killpoint_hit(points, KILL_SEAL, &error));
        g_assert_error(error, COMB_ERROR, COMB_ERROR_IO);
        g_assert_cmpstr(error->message, ==, "simulated kill at seal");
    }
    g_assert_false(killpoint_hit(points, KILL_BATCH, NULL));
    g_assert_cmpuint(seals, ==, 2);
    killpoints_free(points);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/killpoint/unarmed", test_unarmed);
    g_test_add_func("/killpoint/names", test_names);
    g_test_add_func("/killpoint/refused", test_refused);
    g_test_add_func("/killpoint/kills", test_kills);
    g_test_add_func("/killpoint/threads", test_threads);
    g_test_add_func("/killpoint/simulated", test_simulated);
    return g_test_run();
}
