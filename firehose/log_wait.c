/*
 * log_wait.c - pthread calls that cannot fail unless we are wrong
 *
 * Readers wait for records, the local log's writer for appends or the next
 * round of retention, a closing log for its appends. All use one mutex and
 * one condition a cluster: few threads wait, and each looks at its own
 * reason again when woken. pthread and not GMutex, so that ThreadSanitizer
 * sees the order.
 */
#include "firehose/log_wait.h"

#include "ops/kit/ensure.h"

#include <errno.h>

void
log_wait_init(LogWait *wait)
{
    pthread_condattr_t attr;

    ensure(pthread_condattr_init(&attr) == 0);
    ensure(pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0);
    ensure(pthread_cond_init(&wait->changed, &attr) == 0);
    ensure(pthread_mutex_init(&wait->mutex, NULL) == 0);
    pthread_condattr_destroy(&attr);
}

void
log_wait_clear(LogWait *wait)
{
    ensure(pthread_cond_destroy(&wait->changed) == 0);
    ensure(pthread_mutex_destroy(&wait->mutex) == 0);
}

void
log_wait_lock(LogWait *wait)
{
    ensure(pthread_mutex_lock(&wait->mutex) == 0);
}

void
log_wait_unlock(LogWait *wait)
{
    ensure(pthread_mutex_unlock(&wait->mutex) == 0);
}

void
log_wait_wake(LogWait *wait)
{
    ensure(pthread_cond_broadcast(&wait->changed) == 0);
}

struct timespec
log_wait_deadline(gint64 timeout_ms)
{
    struct timespec at;

    clock_gettime(CLOCK_MONOTONIC, &at);
    at.tv_sec += timeout_ms / 1000;
    at.tv_nsec += timeout_ms % 1000 * 1000000;
    if (at.tv_nsec >= 1000000000) {
        at.tv_sec++;
        at.tv_nsec -= 1000000000;
    }
    return at;
}

gboolean
log_wait_until(LogWait *wait, const struct timespec *deadline)
{
    gint status;

    if (deadline == NULL) {
        status = pthread_cond_wait(&wait->changed, &wait->mutex);
    } else {
        status = pthread_cond_timedwait(&wait->changed, &wait->mutex, deadline);
    }
    ensure(status == 0 || status == ETIMEDOUT);
    return status == 0;
}
