/*
 * store_sim.h - cell/store.h over a Disk in memory
 *
 * The simulation links this in the place of cell/store.c. store_open() gets
 * a directory only, so what disk is mounted there is said beforehand; the
 * mounts are the one table of the process, and this is test code.
 */
#pragma once

#include "tests/sim/disk.h"

/** store_sim_mount() - from now on store_open() of @dir opens @disk. */
void store_sim_mount(const char *dir, Disk *disk);

/** store_sim_unmount() - no longer. */
void store_sim_unmount(const char *dir);
