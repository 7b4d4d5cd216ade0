/*
 * interrupt.c - a stop asked for with SIGINT or SIGTERM
 *
 * The two signals are blocked and come in through a signalfd, so that no
 * handler and no global is needed. What sleeps, sleeps in poll() on it. Work
 * that does not sleep asks now and then with a timeout of 0.
 */
#include "ops/combctl/interrupt.h"

#include "ops/kit/error.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

struct Interrupt {
    int fd;         /* the signalfd */
    sigset_t old;   /* the mask to go back to */
    gboolean asked; /* a signal came */
};

Interrupt *
interrupt_new(GError **error)
{
    sigset_t set;
    Interrupt *interrupt = g_new0(Interrupt, 1);

    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_BLOCK, &set, &interrupt->old);
    interrupt->fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (interrupt->fd < 0) {
        g_set_error(error, COMB_ERROR, COMB_ERROR_IO, "signalfd: %s",
                    g_strerror(errno));
        sigprocmask(SIG_SETMASK, &interrupt->old, NULL);
        g_free(interrupt);
        return NULL;
    }
    return interrupt;
}

/* Takes the signal that came, if one did. */
static void
take_signal(Interrupt *interrupt)
{
    struct signalfd_siginfo info;

    if (read(interrupt->fd, &info, sizeof info) == (ssize_t)sizeof info) {
        interrupt->asked = TRUE;
        sigprocmask(SIG_SETMASK, &interrupt->old, NULL);
    }
}

gboolean
interrupt_wait(Interrupt *interrupt, guint timeout_ms)
{
    struct pollfd pfd = {.fd = interrupt->fd, .events = POLLIN};

    if (!interrupt->asked && poll(&pfd, 1, (int)timeout_ms) > 0) {
        take_signal(interrupt);
    }
    return interrupt->asked;
}

gboolean
interrupt_wait_fd(Interrupt *interrupt, int fd)
{
    struct pollfd pfds[] = {{.fd = interrupt->fd, .events = POLLIN},
                            {.fd = fd, .events = POLLIN}};

    while (!interrupt->asked) {
        if (poll(pfds, G_N_ELEMENTS(pfds), -1) < 0 && errno != EINTR) {
            return TRUE; /* reading will tell what is wrong */
        }
        if (pfds[0].revents != 0) {
            take_signal(interrupt);
        } else if (pfds[1].revents != 0) {
            return TRUE;
        }
    }
    return FALSE;
}

void
interrupt_free(Interrupt *interrupt)
{
    sigprocmask(SIG_SETMASK, &interrupt->old, NULL);
    (void)close(interrupt->fd);
    g_free(interrupt);
}
