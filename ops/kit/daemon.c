/*
 * The life of a daemon, as its supervisor sees it.
 *
 * daemon_begin() runs while there is one thread, so that every later thread
 * inherits the blocked signals and none dies of them in the middle of a
 * commit. daemon_wait() takes the first SIGTERM or SIGINT synchronously, on
 * the main thread: no handler, so nothing to get wrong about what a handler
 * may call. A watcher thread then waits for the second one, so that a stop
 * which hangs can still be ended by hand.
 *
 * Readiness is told in two ways: a line on standard output for scripts and
 * tests, and systemd's datagram where NOTIFY_SOCKET names a socket.
 *
 * Failure: a supervisor that cannot be told is not our problem: we serve
 * anyway, and it starts us again when its own time-out ends.
 */
#include "ops/kit/daemon.h"

#include "ops/kit/ensure.h"
#include "ops/kit/error.h"
#include "ops/kit/logger.h"

#include <event2/thread.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static void
stop_signals(sigset_t *ret_set)
{
    sigemptyset(ret_set);
    sigaddset(ret_set, SIGTERM);
    sigaddset(ret_set, SIGINT);
}

/* Shells hand down 1024; a store and its readers' sockets may want more. */
static void
raise_descriptors(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

void
daemon_begin(void)
{
    sigset_t set;

    raise_descriptors();
    stop_signals(&set);
    sigaddset(&set, SIGHUP);
    ensure(pthread_sigmask(SIG_BLOCK, &set, NULL) == 0);
    ensure(signal(SIGPIPE, SIG_IGN) != SIG_ERR);
    ensure(evthread_use_pthreads() == 0);
}

/* Waits for one of @set; gives which. */
static int
wait_for_signal(const sigset_t *set)
{
    int signum;

    ensure(sigwait(set, &signum) == 0);
    return signum;
}

gboolean
daemon_stop_is_wanted(void)
{
    sigset_t pending;

    sigemptyset(&pending);
    sigpending(&pending);
    return sigismember(&pending, SIGTERM) || sigismember(&pending, SIGINT);
}

static void *
watch_second_signal(void *unused)
{
    sigset_t set;

    (void)unused;
    stop_signals(&set);
    wait_for_signal(&set);
    _exit(130);
}

/* One datagram, as sd_notify(3) describes; "@" names an abstract socket. */
static void
notify_supervisor(const char *state)
{
    const char *path = g_getenv("NOTIFY_SOCKET");
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    gsize len = path ? strlen(path) : 0;

    if (len == 0 || len >= sizeof addr.sun_path) {
        return;
    }
    memcpy(addr.sun_path, path, len);
    if (path[0] == '@') {
        addr.sun_path[0] = '\0';
    }
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (fd < 0) {
        return;
    }
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);

    (void)sendto(fd, state, strlen(state), MSG_NOSIGNAL,
                 (struct sockaddr *)&addr, size);
    (void)close(fd);
}

void
daemon_wait(void)
{
    daemon_wait_reloading(NULL, NULL);
}

void
daemon_wait_reloading(void (*reload)(gpointer user_data), gpointer user_data)
{
    pthread_t watcher;
    sigset_t set;

    stop_signals(&set);
    sigaddset(&set, SIGHUP);
    while (wait_for_signal(&set) == SIGHUP && reload != NULL) {
        reload(user_data);
    }
    notify_supervisor("STOPPING=1");
    if (pthread_create(&watcher, NULL, watch_second_signal, NULL) == 0) {
        pthread_detach(watcher);
    }
}

void
daemon_ready(const char *format, ...)
{
    g_autofree char *ports = NULL;
    va_list args;

    va_start(args, format);
    ports = g_strdup_vprintf(format, args);
    va_end(args);

    printf("ready %s\n", ports);
    fflush(stdout);
    notify_supervisor("READY=1");
}

static SettingsOutcome
load_settings(const DaemonProgram *program, char ***argv, GError **error)
{
    SettingsOutcome outcome =
        settings_load(program->name, program->summary, program->settings,
                      program->options, argv, error);

    if (outcome != SETTINGS_RUN && outcome != SETTINGS_CHECKED) {
        return outcome;
    }
    if ((*argv)[1]) {
        g_set_error(error, COMB_ERROR, COMB_ERROR_SETTING,
                    "unexpected argument: %s", (*argv)[1]);
        return SETTINGS_BAD;
    }
    if (program->check && !program->check(program->options, error)) {
        return SETTINGS_BAD;
    }
    return outcome;
}

static int
run_program(const DaemonProgram *program)
{
    g_autoptr(GError) error = NULL;

    if (program->run(program->options, &error)) {
        return 0;
    }
    g_autofree char *area = g_strconcat(program->name, ".main", NULL);
    g_autofree char *reason = logger_quote_reason(error->message);

    logger_crit(area, "stopped", "reason=%s", reason);
    return 1;
}

int
daemon_main(const DaemonProgram *program, char **argv)
{
    g_autoptr(GError) error = NULL;
    int status = 0;

    daemon_begin();
    switch (load_settings(program, &argv, &error)) {
    case SETTINGS_DONE:
        break;
    case SETTINGS_CHECKED:
        printf("comb-%s: all settings are good\n", program->name);
        break;
    case SETTINGS_BAD:
        fprintf(stderr, "comb-%s: %s\n", program->name, error->message);
        status = 2;
        break;
    case SETTINGS_RUN:
        status = run_program(program);
        break;
    }
    settings_clear(program->settings, program->options);
    return status;
}
