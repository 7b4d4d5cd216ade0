/*
 * Listeners are only ever added, at the front of a list that is read without
 * a lock, and go with the bell: there are as many as there are serving
 * threads.
 */
#include "cell/bell.h"

#include "ops/kit/ensure.h"

#include <stdatomic.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct BellListener {
    BellListener *next;       /* added before it */
    int fd;                   /* eventfd */
    _Atomic gboolean awaited; /* to be rung at the next commit */
};

struct Bell {
    _Atomic(BellListener *) first;
};

Bell *
bell_new(void)
{
    return g_new0(Bell, 1);
}

void
bell_free(Bell *bell)
{
    BellListener *listener = atomic_load(&bell->first);
    while (listener != NULL) {
        BellListener *next = listener->next;
        close(listener->fd);
        g_free(listener);
        listener = next;
    }
    g_free(bell);
}

BellListener *
bell_listen(Bell *bell)
{
    BellListener *listener = g_new0(BellListener, 1);
    listener->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    ensure(listener->fd >= 0);
    listener->next = atomic_load(&bell->first);
    while (!atomic_compare_exchange_weak(&bell->first, &listener->next,
                                         listener)) {
    }
    return listener;
}

int
bell_fd(const BellListener *listener)
{
    return listener->fd;
}

void
bell_await(BellListener *listener)
{
    atomic_store(&listener->awaited, TRUE);
}

void
bell_hear(BellListener *listener)
{
    guint64 rings;
    /* Nothing there: a timer was first. */
    (void)!read(listener->fd, &rings, sizeof rings);
}

void
bell_nudge(BellListener *listener)
{
    guint64 one = 1;
    ensure(write(listener->fd, &one, sizeof one) == sizeof one);
}

void
bell_ring(Bell *bell)
{
    BellListener *listener = atomic_load(&bell->first);
    for (; listener != NULL; listener = listener->next) {
        if (atomic_load(&listener->awaited) &&
            atomic_exchange(&listener->awaited, FALSE)) {
            bell_nudge(listener);
        }
    }
}
