/*
 * The clock counts ticks: a tick is a millisecond and a sequence in one
 * number, and an id is a tick and the node. Giving ids is adding to the last
 * tick, or jumping to the wall clock where that is ahead.
 *
 * The file says up to which millisecond ids may have been given. No id passes
 * it; it is written RESERVE_MS ahead. The caller that comes within half of
 * that renews it without the lock, so that other callers go on; only a clock
 * that has used the whole reserve (a burst after a long idle time) waits for
 * the disk. After a kill the clock starts behind the reserve: up to
 * RESERVE_MS ahead of the wall clock, where it stands, using up sequences,
 * until that catches up. A clean close writes the exact time instead.
 *
 * What can go wrong: the wall clock steps back (the clock stands, as above);
 * it was far ahead once (the clock stands there: idclock_ahead_ms() tells);
 * the disk refuses (no id beyond the reserve, IDCLOCK_FAILED); the file is
 * damaged (refused: to guess would risk giving ids twice); a second process
 * (refused by a lock).
 *
 * The borrow bound counts from `excused_ms`, the latest time that was not
 * reached by giving ids: the wall clock, the reserve at open, a caller's last
 * id. Without that a clock that stands would count as overloaded.
 *
 * File, one line: "comb idclock 1 reserved_ms=M check=C", C the XXH64 of
 * what is before it. New fields mean a new version number.
 */
#include "firehose/idclock.h"

#include "ops/kit/ensure.h"
#include "ops/kit/error.h"
#include "ops/kit/logger.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <pthread.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>
#include <xxhash.h>

#define RESERVE_MS 10000
/* Ahead of a clock that stands: more than it can borrow. */
#define RESERVE_STANDING_MS (2 * IDCLOCK_BORROW_MS_MAX)
#define MS_MAX ((G_GINT64_CONSTANT(1) << 42) - 1)

struct IdClock {
    char *path;  /* the file */
    int lock_fd; /* flock()ed while open */
    guint node;
    IdClockNow now; /* the wall clock */
    gpointer now_data;
    pthread_mutex_t mutex;  /* guards the rest */
    pthread_cond_t renewed; /* `renewing` went FALSE */
    gint64 last_tick;       /* of the newest id given */
    gint64 reserved_ms;     /* what the file says */
    gint64 excused_ms;      /* see above */
    gboolean renewing;      /* a caller writes the file */
};

static gint64
tick_ms(gint64 tick)
{
    return tick >> ID_SEQUENCE_BITS;
}

static gint64
tick_of_ms(gint64 ms)
{
    return ms << ID_SEQUENCE_BITS;
}

static gint64
wall_now(gpointer user_data)
{
    struct timespec now;

    (void)user_data;
    clock_gettime(CLOCK_REALTIME, &now);
    return (gint64)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static gint64
clock_now(const IdClock *clock)
{
    return CLAMP(clock->now(clock->now_data), 1, MS_MAX - RESERVE_MS);
}

/* ---- the file ---- */

static char *
reserve_format(gint64 reserved_ms)
{
    g_autofree char *body = g_strdup_printf(
        "comb idclock 1 reserved_ms=%" G_GINT64_FORMAT, reserved_ms);

    return g_strdup_printf("%s check=%016" G_GINT64_MODIFIER "x\n", body,
                           (guint64)XXH64(body, strlen(body), 0));
}

/* Strict: what it says must be written exactly as we would. */
static gboolean
reserve_parse(const char *text, gint64 *ret_reserved_ms)
{
    static const char head[] = "comb idclock 1 reserved_ms=";
    g_autofree char *again = NULL;
    gint64 reserved_ms;

    if (!g_str_has_prefix(text, head)) {
        return FALSE;
    }
    reserved_ms = g_ascii_strtoll(text + strlen(head), NULL, 10);
    again = reserve_format(reserved_ms);
    if (strcmp(text, again) != 0 || reserved_ms < 0 || reserved_ms > MS_MAX) {
        return FALSE;
    }
    *ret_reserved_ms = reserved_ms;
    return TRUE;
}

static gboolean
reserve_read(const char *path, gint64 *ret_reserved_ms, GError **error)
{
    g_autofree char *text = NULL;
    g_autoptr(GError) cause = NULL;
    gsize len;

    if (!g_file_get_contents(path, &text, &len, &cause)) {
        if (g_error_matches(cause, G_FILE_ERROR, G_FILE_ERROR_NOENT)) {
            *ret_reserved_ms = 0;
            return TRUE;
        }
        g_set_error(error, COMB_ERROR, COMB_ERROR_IO, "id clock: %s",
                    cause->message);
        return FALSE;
    }
    if (strlen(text) != len || !reserve_parse(text, ret_reserved_ms)) {
        g_set_error(error, COMB_ERROR, COMB_ERROR_CORRUPT,
                    "id clock: %s is damaged; without it ids could be given "
                    "twice. Make sure that the machine's clock is right, wait "
                    "%d seconds, delete the file and start again",
                    path, RESERVE_MS / 1000);
        return FALSE;
    }
    return TRUE;
}

static gboolean
reserve_write(const char *path, gint64 reserved_ms, GError **error)
{
    g_autofree char *text = reserve_format(reserved_ms);
    g_autoptr(GError) cause = NULL;
    gboolean full;

    if (g_file_set_contents_full(path, text, -1,
                                 G_FILE_SET_CONTENTS_CONSISTENT |
                                     G_FILE_SET_CONTENTS_DURABLE,
                                 0644, &cause)) {
        return TRUE;
    }
    full = g_error_matches(cause, G_FILE_ERROR, G_FILE_ERROR_NOSPC);
    g_set_error(error, COMB_ERROR, full ? COMB_ERROR_FULL : COMB_ERROR_IO,
                "id clock: %s", cause->message);
    return FALSE;
}

/* How far to reserve; called with the lock. */
static gint64
reserve_target(const IdClock *clock)
{
    gint64 last_ms = MAX(tick_ms(clock->last_tick), clock->excused_ms);

    return MAX(clock_now(clock) + RESERVE_MS, last_ms + RESERVE_STANDING_MS);
}

/* Called with the lock, which it lets go while it writes. */
static gboolean
reserve_renew(IdClock *clock)
{
    g_autoptr(GError) error = NULL;
    gint64 target = reserve_target(clock);
    gboolean written;

    clock->renewing = TRUE;
    pthread_mutex_unlock(&clock->mutex);
    written = reserve_write(clock->path, target, &error);
    if (!written) {
        g_autofree char *reason = logger_quote_reason(error->message);

        logger_crit("firehose.idclock", "cannot reserve ids", "reason=%s",
                    reason);
    }
    pthread_mutex_lock(&clock->mutex);
    if (written) {
        clock->reserved_ms = target;
    }
    clock->renewing = FALSE;
    pthread_cond_broadcast(&clock->renewed);
    return written;
}

/* ---- opening and closing ---- */

static int
clock_lock(const char *dir, GError **error)
{
    g_autofree char *path = g_build_filename(dir, "idclock.lock", NULL);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    int cause;

    if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0) {
        return fd;
    }
    cause = errno;
    if (fd >= 0) {
        close(fd);
    }
    g_set_error(error, COMB_ERROR, COMB_ERROR_IO, "id clock: %s: %s", path,
                cause == EWOULDBLOCK ? "in use by another process"
                                     : g_strerror(cause));
    return -1;
}

static void
clock_free(IdClock *clock)
{
    pthread_cond_destroy(&clock->renewed);
    pthread_mutex_destroy(&clock->mutex);
    close(clock->lock_fd);
    g_free(clock->path);
    g_free(clock);
}

IdClock *
idclock_open(const char *dir, guint node, IdClockNow now, gpointer user_data,
             GError **error)
{
    IdClock *clock;
    int lock_fd = clock_lock(dir, error);

    ensure(node <= ID_NODE_MAX);
    if (lock_fd < 0) {
        return NULL;
    }
    clock = g_new0(IdClock, 1);
    clock->path = g_build_filename(dir, "idclock", NULL);
    clock->lock_fd = lock_fd;
    clock->node = node;
    clock->now = now != NULL ? now : wall_now;
    clock->now_data = user_data;
    pthread_mutex_init(&clock->mutex, NULL);
    pthread_cond_init(&clock->renewed, NULL);
    if (!reserve_read(clock->path, &clock->reserved_ms, error)) {
        clock_free(clock);
        return NULL;
    }
    clock->excused_ms = clock->reserved_ms + 1;
    clock->last_tick = tick_of_ms(clock->reserved_ms + 1) - 1;
    clock->reserved_ms = reserve_target(clock);
    if (!reserve_write(clock->path, clock->reserved_ms, error)) {
        clock_free(clock);
        return NULL;
    }
    return clock;
}

void
idclock_close(IdClock *clock)
{
    g_autoptr(GError) error = NULL;

    if (clock == NULL) {
        return;
    }
    if (!reserve_write(clock->path, tick_ms(clock->last_tick), &error)) {
        /* The reserve in the file is a safe bound too. */
        g_autofree char *reason = logger_quote(error->message);

        logger_warn("firehose.idclock", "cannot write the time", "reason=%s",
                    reason);
    }
    clock_free(clock);
}

/* ---- giving ids ---- */

/* Which tick comes next, if any; called with the lock. */
static IdClockOutcome
tick_plan(IdClock *clock, guint count, gint64 after_id, gint64 *ret_tick)
{
    gint64 now_ms = clock_now(clock);
    gint64 after_tick = after_id >> ID_NODE_BITS;

    if (after_tick > clock->last_tick) {
        /* An id of ours is never too far ahead. */
        if (tick_ms(after_tick) > now_ms + IDCLOCK_AFTER_MS_MAX) {
            return IDCLOCK_AFTER_AHEAD;
        }
        clock->last_tick = after_tick;
        clock->excused_ms = MAX(clock->excused_ms, tick_ms(after_tick));
    }
    clock->excused_ms = MAX(clock->excused_ms, now_ms);
    *ret_tick = MAX(clock->last_tick + 1, tick_of_ms(now_ms));
    if (tick_ms(*ret_tick + count - 1) >
        clock->excused_ms + IDCLOCK_BORROW_MS_MAX) {
        return IDCLOCK_OVERLOADED;
    }
    return IDCLOCK_GIVEN;
}

static IdClockOutcome
tick_take(IdClock *clock, guint count, gint64 after_id, gint64 *ret_tick)
{
    for (;;) {
        IdClockOutcome outcome = tick_plan(clock, count, after_id, ret_tick);

        if (outcome != IDCLOCK_GIVEN) {
            return outcome;
        }
        if (tick_ms(*ret_tick + count - 1) <= clock->reserved_ms) {
            clock->last_tick = *ret_tick + count - 1;
            return IDCLOCK_GIVEN;
        }
        if (clock->renewing) {
            pthread_cond_wait(&clock->renewed, &clock->mutex);
        } else if (!reserve_renew(clock)) {
            return IDCLOCK_FAILED;
        }
    }
}

/* Standing clocks renew by their own, shorter reserve. */
static gboolean
reserve_is_low(const IdClock *clock)
{
    gint64 left_ms = clock->reserved_ms - tick_ms(clock->last_tick);

    return left_ms < RESERVE_MS / 2 &&
           reserve_target(clock) - clock->reserved_ms >= RESERVE_MS / 2;
}

IdClockOutcome
idclock_next(IdClock *clock, guint count, gint64 after_id, gint64 *ret_first)
{
    gint64 tick = 0;
    IdClockOutcome outcome;

    ensure(count > 0 && after_id >= 0);
    pthread_mutex_lock(&clock->mutex);
    outcome = tick_take(clock, count, after_id, &tick);
    if (outcome == IDCLOCK_GIVEN && !clock->renewing && reserve_is_low(clock)) {
        reserve_renew(clock);
    }
    pthread_mutex_unlock(&clock->mutex);
    if (outcome == IDCLOCK_GIVEN) {
        *ret_first = (tick << ID_NODE_BITS) | clock->node;
    }
    return outcome;
}

gint64
idclock_ahead_ms(IdClock *clock)
{
    gint64 ahead_ms;

    pthread_mutex_lock(&clock->mutex);
    ahead_ms = tick_ms(clock->last_tick) - clock_now(clock);
    pthread_mutex_unlock(&clock->mutex);
    return MAX(ahead_ms, 0);
}
