/*
 * ops/kit/daemon: signals and readiness, each in a process of its own.
 */
#include "ops/kit/daemon.h"

#include "ops/kit/error.h"

#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* A stop that came before the wait is not lost; a broken pipe is harmless. */
static void
test_stop(void)
{
    if (g_test_subprocess()) {
        daemon_begin();
        raise(SIGPIPE);
        kill(getpid(), SIGTERM);
        daemon_ready("admin=127.0.0.1:%d", 9180);
        daemon_wait();
        return;
    }
    g_test_trap_subprocess(NULL, 0, 0);
    g_test_trap_assert_passed();
    g_test_trap_assert_stdout("*ready admin=127.0.0.1:9180\n*");
}

/* A second signal ends a process whose stop hangs. */
static void
test_second_signal(void)
{
    if (g_test_subprocess()) {
        daemon_begin();
        kill(getpid(), SIGINT);
        daemon_wait();
        g_print("stopping\n");
        kill(getpid(), SIGINT);
        sleep(60);
        return;
    }
    g_test_trap_subprocess(NULL, 30 * G_USEC_PER_SEC, 0);
    g_test_trap_assert_failed();
    g_test_trap_assert_stdout("*stopping\n*");
    g_assert_false(g_test_trap_reached_timeout());
}

static void
on_reload(gpointer user_data)
{
    guint *reloads = user_data;

    g_print("reload %u\n", ++*reloads);
    kill(getpid(), *reloads < 3 ? SIGHUP : SIGTERM);
}

/* SIGHUP, one that came early too, reloads as often as it comes. */
static void
test_reload(void)
{
    if (g_test_subprocess()) {
        guint reloads = 0;

        daemon_begin();
        kill(getpid(), SIGHUP);
        daemon_wait_reloading(on_reload, &reloads);
        return;
    }
    g_test_trap_subprocess(NULL, 30 * G_USEC_PER_SEC, 0);
    g_test_trap_assert_passed();
    g_test_trap_assert_stdout("*reload 1\nreload 2\nreload 3\n*");
}

/* Where there is nothing to reload, SIGHUP is a clean stop. */
static void
test_hangup(void)
{
    if (g_test_subprocess()) {
        daemon_begin();
        kill(getpid(), SIGHUP);
        daemon_wait();
        g_print("stopped\n");
        return;
    }
    g_test_trap_subprocess(NULL, 30 * G_USEC_PER_SEC, 0);
    g_test_trap_assert_passed();
    g_test_trap_assert_stdout("*stopped\n*");
}

static gboolean
check_nothing_fits(gpointer options, GError **error)
{
    (void)options;
    g_set_error_literal(error, COMB_ERROR, COMB_ERROR_SETTING,
                        "one: goes with other");
    return FALSE;
}

static gboolean
check_all_fits(gpointer options, GError **error)
{
    (void)options;
    (void)error;
    return TRUE;
}

static gboolean
run_never(gpointer options, GError **error)
{
    (void)options;
    (void)error;
    g_assert_not_reached();
}

/* The exit code of --check-config, or of a plain start. */
static int
try_settings(gboolean (*check)(gpointer options, GError **error),
             const char *flag)
{
    static const Setting none[] = {{0}};
    const DaemonProgram program = {.name = "unit",
                                   .summary = "A test.",
                                   .settings = none,
                                   .check = check,
                                   .run = run_never};
    char name[] = "comb-unit";
    g_autofree char *own = g_strdup(flag);
    char *argv[] = {name, own, NULL};

    return daemon_main(&program, argv);
}

/* What does not fit together ends a start, and is found by --check-config. */
static void
test_check(void)
{
    if (g_test_subprocess()) {
        g_assert_cmpint(try_settings(check_nothing_fits, NULL), ==, 2);
        g_assert_cmpint(try_settings(check_nothing_fits, "--check-config"), ==,
                        2);
        g_assert_cmpint(try_settings(check_all_fits, "--check-config"), ==, 0);
        return;
    }
    g_test_trap_subprocess(NULL, 0, 0);
    g_test_trap_assert_passed();
    g_test_trap_assert_stderr("*comb-unit: one: goes with other\n*");
    g_test_trap_assert_stdout("*comb-unit: all settings are good\n*");
}

/* systemd is told on the socket that NOTIFY_SOCKET names, abstract or not. */
static void
test_notify(void)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    g_autofree char *name = g_strdup_printf("@comb-daemon-%d", (int)getpid());
    socklen_t len =
        (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name));
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    char told[64] = {0};

    memcpy(addr.sun_path + 1, name + 1, strlen(name) - 1);
    g_assert_cmpint(bind(fd, (struct sockaddr *)&addr, len), ==, 0);
    g_setenv("NOTIFY_SOCKET", name, TRUE);
    daemon_ready("%s", "unit=1");
    g_unsetenv("NOTIFY_SOCKET");
    g_assert_cmpint(recv(fd, told, sizeof told - 1, MSG_DONTWAIT), >, 0);
    g_assert_cmpstr(told, ==, "READY=1");
    close(fd);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/daemon/stop", test_stop);
    g_test_add_func("/daemon/second-signal", test_second_signal);
    g_test_add_func("/daemon/reload", test_reload);
    g_test_add_func("/daemon/hangup", test_hangup);
    g_test_add_func("/daemon/check", test_check);
    g_test_add_func("/daemon/notify", test_notify);
    return g_test_run();
}
