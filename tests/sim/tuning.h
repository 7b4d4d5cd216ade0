/*
 * tuning.h - what of the cell the simulation can reach, besides its interface
 *
 * SIM_TUNING and SIM_KILL are set by CMakeLists.txt where cell/state.h has
 * the fields for them (StateOptions.tuning, StateOptions.kill).
 */
#pragma once

#include "cell/state.h"

#if SIM_KILL
#include "ops/kit/killpoint.h"
#define SIM_KILLS KILL_POINTS
#define SIM_KILL_NAME(point) killpoint_name((KillPoint)(point))
#else
typedef struct KillPoints KillPoints;
#define SIM_KILLS 0
#define SIM_KILL_NAME(point) "none"
#endif

#if !SIM_TUNING
typedef struct InboxTuning {
    guint tail_ids_max;
    guint tail_ids_keep;
    guint chunk_ids;
    guint window_chunks;
    guint slice;
    guint follows_max;
} InboxTuning;
#endif

/** sim_kill_points() - how many kill points there are. */
static inline guint
sim_kill_points(void)
{
    return SIM_KILLS;
}

/** sim_kill_name() - the name of one; const. */
static inline const char *
sim_kill_name(guint point)
{
    (void)point;
    return SIM_KILL_NAME(point);
}
