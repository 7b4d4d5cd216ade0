/*
 * daemon.h - the life of a daemon process
 *
 * daemon_begin() before any thread starts: SIGPIPE is ignored, SIGTERM and
 * SIGINT are blocked everywhere, libevent is told of threads. daemon_wait()
 * sleeps until one of them comes; a second one ends the process at once.
 * SIGHUP is blocked too, and waited for: a daemon that has files to read again
 * does so, for others it is one more way to be told to stop.
 */
#pragma once

#include "ops/kit/settings.h"

typedef struct DaemonProgram {
    const char *name;        /* "cell": of its settings and log lines */
    const char *summary;     /* one sentence, for --help */
    const Setting *settings; /* ends with a NULL name */
    gpointer options;        /* where they go */
    /* What the table cannot say, of settings together; NULL: nothing. Fails:
       COMB_ERROR_SETTING that names the setting, FALSE. */
    gboolean (*check)(gpointer options, GError **error);
    gboolean (*run)(gpointer options, GError **error); /* start, wait, stop */
} DaemonProgram;

/**
 * daemon_main() - what every daemon's main() does
 *
 * Effect: daemon_begin(), settings, then @program->run(); a failure is logged
 *         once, as crit NAME.main. The exit code: 0 stopped or a question
 *         answered, 1 failed, 2 a setting or argument is wrong.
 * Thread: main, before any other.
 */
int daemon_main(const DaemonProgram *program, char **argv);

/** daemon_begin() - set up the process; descriptors up to the hard limit.
 * Thread: main, before any other. */
void daemon_begin(void);

/**
 * daemon_wait() - sleep until SIGTERM, SIGINT or SIGHUP
 *
 * Effect: tells systemd that we stop. From then on a second SIGTERM or SIGINT
 *         ends the process at once, with status 130.
 * Thread: main.
 */
void daemon_wait(void);

/**
 * daemon_wait_reloading() - likewise, but SIGHUP calls @reload
 *
 * @reload: NULL: as daemon_wait(). Called here, on the main thread.
 */
void daemon_wait_reloading(void (*reload)(gpointer user_data),
                           gpointer user_data);

/**
 * daemon_stop_is_wanted() - whether daemon_wait() would return at once
 *
 * Effect: for those who wait for something else first.
 * Thread: main.
 */
gboolean daemon_stop_is_wanted(void);

/**
 * daemon_ready() - tell whoever started us: we serve
 *
 * Effect: writes "ready" and the ports as a line on standard output, for
 *         example "ready dashboard=127.0.0.1:9100 admin=127.0.0.1:9180", and
 *         notifies systemd where NOTIFY_SOCKET is set.
 */
void daemon_ready(const char *format, ...) G_GNUC_PRINTF(1, 2);
