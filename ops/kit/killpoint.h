/*
 * killpoint.h - named places where a process may be told to die
 *
 * What a crash leaves on disk depends on where it struck. Code that writes
 * passes a named point between two of its steps; a test says at which point,
 * and at which hit of it, the process is to die, and then looks at what a
 * restart makes of the files:
 *
 *     COMB_KILL_POINT=tails-rename:3 comb-solo ...
 *
 * dies by SIGKILL at the third hit, counted over the process: nothing is
 * flushed, closed or unwound. Unset, a hit costs a comparison. A simulation,
 * which cannot lose its process, has a callback decide and unwinds instead.
 */
#pragma once

#include <glib.h>

typedef enum KillPoint {
    KILL_BATCH,        /* before a batch commits */
    KILL_COMMIT,       /* after */
    KILL_FANOUT,       /* between slices of a big fan-out */
    KILL_SEAL,         /* chunk rows are staged, not committed */
    KILL_SEALED,       /* they are committed, the tails not shortened */
    KILL_CHECKPOINT,   /* while tails are being copied */
    KILL_FLUSH,        /* before the store is flushed */
    KILL_FLUSHED,      /* after */
    KILL_TAILS_WRITE,  /* half of the tail file is written */
    KILL_TAILS_RENAME, /* between the two renames of the tail files */
    KILL_HIGHWATER,    /* before the high-water file is renamed */
    KILL_RECOVERY,     /* while state is being loaded */
    KILL_POINTS,
} KillPoint;

typedef struct KillPoints KillPoints;

/* Whether the process is to die here. Thread: any that hits a point. */
typedef gboolean (*KillPointDie)(KillPoint point, gpointer user_data);

/** killpoint_name() - "batch", "tails-rename"; const. */
const char *killpoint_name(KillPoint point);

/**
 * killpoints_from_environment() - what COMB_KILL_POINT asks for
 *
 * Effect: of NAME:N the N-th hit of NAME raises SIGKILL, whichever thread it
 *         is of. Unset: no point kills.
 * Owns:   the caller frees, after every thread that hits a point.
 * Thread: main, before the environment can change.
 * Fails:  COMB_ERROR_SETTING, NULL, where it is set to anything else: a test
 *         that misspells a point must not pass for want of a kill.
 */
KillPoints *killpoints_from_environment(GError **error);

/**
 * killpoints_simulated() - @die is asked at each hit
 *
 * Owns: borrows @user_data; the caller frees what is returned.
 */
KillPoints *killpoints_simulated(KillPointDie die, gpointer user_data);

/** killpoints_free() - NULL does nothing. */
void killpoints_free(KillPoints *points);

/**
 * killpoint_hit() - pass @point: TRUE to go on
 *
 * @points: NULL: no point kills.
 * Effect:  may not return. After a simulated kill every later hit, of any
 *          point and thread, fails as well: the dead do nothing more.
 * Thread:  any.
 * Fails:   COMB_ERROR_IO, "simulated kill at NAME", only in simulation: the
 *          caller unwinds at once and leaves files as they are.
 */
gboolean killpoint_hit(KillPoints *points, KillPoint point,
                       GError **error) G_GNUC_WARN_UNUSED_RESULT;
