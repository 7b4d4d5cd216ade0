/*
 * log_wait.h - a mutex and a condition with deadlines: drivers, and a cell
 *
 * Deadlines are on the monotonic clock: a step of the wall clock neither
 * shortens nor stretches a wait.
 */
#pragma once

#include <glib.h>
#include <pthread.h>
#include <time.h>

typedef struct LogWait {
    pthread_mutex_t mutex;
    pthread_cond_t changed; /* broadcast on any change a waiter may want */
} LogWait;

/** Called in the obvious order; none can fail. Thread: any. */
void log_wait_init(LogWait *wait);
void log_wait_clear(LogWait *wait);
void log_wait_lock(LogWait *wait);
void log_wait_unlock(LogWait *wait);

/** log_wait_wake() - wake all waiters. Thread: any that has locked. */
void log_wait_wake(LogWait *wait);

/** log_wait_deadline() - the moment @timeout_ms from now. */
struct timespec log_wait_deadline(gint64 timeout_ms);

/**
 * log_wait_until() - sleep, unlocked meanwhile
 *
 * @deadline: NULL: no limit.
 * Effect:    FALSE when the deadline has passed. May wake for nothing.
 * Thread:    one that has locked.
 */
gboolean log_wait_until(LogWait *wait, const struct timespec *deadline);
