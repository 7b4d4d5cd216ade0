/*
 * Armed by the environment, one point counts its hits down; the thread that
 * counts the last one raises SIGKILL, which no handler, sanitizer or atexit
 * sees. A start with a point armed says so, because a daemon that was left
 * armed by mistake will end without a word.
 *
 * What can go wrong: a name or number that is not understood is refused, with
 * all names, rather than taken for "never".
 */
#include "ops/kit/killpoint.h"

#include "ops/kit/ensure.h"
#include "ops/kit/error.h"
#include "ops/kit/logger.h"

#include <signal.h>
#include <stdatomic.h>
#include <string.h>

#define VARIABLE "COMB_KILL_POINT"

struct KillPoints {
    KillPoint armed;       /* KILL_POINTS: none; const */
    _Atomic guint64 left;  /* hits of @armed until the last */
    KillPointDie die;      /* asked in simulation, else NULL; const */
    gpointer user_data;    /* for @die; borrowed */
    _Atomic gboolean dead; /* @die has said so once */
};

static const char *const killpoint_names[KILL_POINTS] = {
    [KILL_BATCH] = "batch",
    [KILL_COMMIT] = "commit",
    [KILL_FANOUT] = "fanout",
    [KILL_SEAL] = "seal",
    [KILL_SEALED] = "sealed",
    [KILL_CHECKPOINT] = "checkpoint",
    [KILL_FLUSH] = "flush",
    [KILL_FLUSHED] = "flushed",
    [KILL_TAILS_WRITE] = "tails-write",
    [KILL_TAILS_RENAME] = "tails-rename",
    [KILL_HIGHWATER] = "highwater",
    [KILL_RECOVERY] = "recovery",
};

const char *
killpoint_name(KillPoint point)
{
    ensure(point < KILL_POINTS);
    return killpoint_names[point];
}

static KillPoints *
killpoints_new(void)
{
    KillPoints *points = g_new0(KillPoints, 1);
    points->armed = KILL_POINTS;
    return points;
}

/* The point called by the @len bytes at @name, or KILL_POINTS. */
static KillPoint
killpoint_find(const char *name, gsize len)
{
    KillPoint point = KILL_BATCH;
    while (point < KILL_POINTS &&
           (strncmp(killpoint_names[point], name, len) != 0 ||
            killpoint_names[point][len] != '\0')) {
        point++;
    }
    return point;
}

static gboolean
killpoints_arm(KillPoints *points, const char *value, GError **error)
{
    const char *colon = strchr(value, ':');
    guint64 hits = 0;
    if (colon != NULL) {
        points->armed = killpoint_find(value, (gsize)(colon - value));
        if (!g_ascii_string_to_unsigned(colon + 1, 10, 1, G_MAXUINT32, &hits,
                                        NULL)) {
            hits = 0;
        }
    }
    if (points->armed == KILL_POINTS || hits == 0) {
        char *names[KILL_POINTS + 1] = {0};
        for (guint i = 0; i < KILL_POINTS; i++) {
            names[i] = g_strdup(killpoint_names[i]);
        }
        g_autofree char *all = g_strjoinv(", ", names);
        for (guint i = 0; i < KILL_POINTS; i++) {
            g_free(names[i]);
        }
        g_set_error(error, COMB_ERROR, COMB_ERROR_SETTING,
                    VARIABLE "=%s: wants NAME:N, N from 1, NAME one of %s",
                    value, all);
        return FALSE;
    }
    atomic_init(&points->left, hits);
    return TRUE;
}

KillPoints *
killpoints_from_environment(GError **error)
{
    const char *value = g_getenv(VARIABLE);
    KillPoints *points = killpoints_new();
    if (value == NULL) {
        return points;
    }
    if (!killpoints_arm(points, value, error)) {
        killpoints_free(points);
        return NULL;
    }
    logger_warn("kit.killpoint", "armed: this process will kill itself",
                "point=%s", value);
    return points;
}

KillPoints *
killpoints_simulated(KillPointDie die, gpointer user_data)
{
    KillPoints *points = killpoints_new();
    points->die = die;
    points->user_data = user_data;
    return points;
}

void
killpoints_free(KillPoints *points)
{
    g_free(points);
}

static gboolean
killpoint_hit_simulated(KillPoints *points, KillPoint point, GError **error)
{
    if (!atomic_load(&points->dead) && !points->die(point, points->user_data)) {
        return TRUE;
    }
    atomic_store(&points->dead, TRUE);
    g_set_error(error, COMB_ERROR, COMB_ERROR_IO, "simulated kill at %s",
                killpoint_name(point));
    return FALSE;
}

gboolean
killpoint_hit(KillPoints *points, KillPoint point, GError **error)
{
    if (points == NULL) {
        return TRUE;
    }
    if (points->die != NULL) {
        return killpoint_hit_simulated(points, point, error);
    }
    if (point == points->armed && atomic_fetch_sub(&points->left, 1) == 1) {
        raise(SIGKILL);
    }
    return TRUE;
}
