/*
 * wallclock.c - loaded before others: a process's wall clock is set
 *
 * The file that COMB_WALLCLOCK names holds a number of seconds, eight bytes of
 * this machine, by which the wall clock is ahead from now on; clock.py writes
 * it. The monotonic clock stays as it is. A wait until a time of day ends when
 * it would without us: its end is told in the kernel's time. (libfaketime,
 * which does not know C11's threads, lets librdkafka wait until the other
 * time.)
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <threads.h>
#include <time.h>
#include <unistd.h>

/* glibc's: the condition's clock is the monotonic one (of __wrefs). */
#define COND_MONOTONIC 2

typedef int CondWait(pthread_cond_t *cond, pthread_mutex_t *mutex,
                     const struct timespec *until);
typedef int CondClockWait(pthread_cond_t *cond, pthread_mutex_t *mutex,
                          clockid_t clock, const struct timespec *until);

typedef int CndWait(cnd_t *cond, mtx_t *mutex, const struct timespec *until);

static const volatile int64_t *ahead_s; /* NULL: before the constructor */
static CondWait *cond_wait;
static CondClockWait *cond_clock_wait;
static CndWait *cnd_wait_until;

__attribute__((constructor)) static void
map_clock(void)
{
    const char *path = getenv("COMB_WALLCLOCK");
    int fd = path == NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC);
    void *bytes;

    cond_wait = (CondWait *)dlsym(RTLD_NEXT, "pthread_cond_timedwait");
    cond_clock_wait =
        (CondClockWait *)dlsym(RTLD_NEXT, "pthread_cond_clockwait");
    cnd_wait_until = (CndWait *)dlsym(RTLD_NEXT, "cnd_timedwait");
    if (fd < 0) {
        abort();
    }
    bytes = mmap(NULL, sizeof *ahead_s, PROT_READ, MAP_SHARED, fd, 0);
    close(fd);
    if (bytes == MAP_FAILED) {
        abort();
    }
    ahead_s = bytes;
}

static int64_t
get_ahead_s(void)
{
    return ahead_s == NULL ? 0 : *ahead_s;
}

int
clock_gettime(clockid_t clock, struct timespec *ret_time)
{
    int failed = (int)syscall(SYS_clock_gettime, clock, ret_time);

    if (!failed &&
        (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
        ret_time->tv_sec += get_ahead_s();
    }
    return failed;
}

int
gettimeofday(struct timeval *restrict ret_time, void *restrict zone)
{
    struct timespec now;

    (void)zone;
    clock_gettime(CLOCK_REALTIME, &now);
    ret_time->tv_sec = now.tv_sec;
    ret_time->tv_usec = now.tv_nsec / 1000;
    return 0;
}

time_t
time(time_t *ret_time)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    if (ret_time != NULL) {
        *ret_time = now.tv_sec;
    }
    return now.tv_sec;
}

int
timespec_get(struct timespec *ret_time, int base)
{
    return base == TIME_UTC && clock_gettime(CLOCK_REALTIME, ret_time) == 0
               ? base
               : 0;
}

int
pthread_cond_timedwait(pthread_cond_t *restrict cond,
                       pthread_mutex_t *restrict mutex,
                       const struct timespec *restrict until)
{
    struct timespec kernels = *until;

    if ((cond->__data.__wrefs & COND_MONOTONIC) == 0) {
        kernels.tv_sec -= get_ahead_s();
    }
    return cond_wait(cond, mutex, &kernels);
}

int
pthread_cond_clockwait(pthread_cond_t *restrict cond,
                       pthread_mutex_t *restrict mutex, clockid_t clock,
                       const struct timespec *restrict until)
{
    struct timespec kernels = *until;

    if (clock == CLOCK_REALTIME) {
        kernels.tv_sec -= get_ahead_s();
    }
    return cond_clock_wait(cond, mutex, clock, &kernels);
}

/* librdkafka's. */
int
cnd_timedwait(cnd_t *restrict cond, mtx_t *restrict mutex,
              const struct timespec *restrict until)
{
    struct timespec kernels = *until;

    kernels.tv_sec -= get_ahead_s();
    return cnd_wait_until(cond, mutex, &kernels);
}
