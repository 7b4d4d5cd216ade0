/*
 * machine.h - how much memory there is for this process
 *
 * The machine's, or less where a control group says so: in a container 60 %
 * of the machine's would be more than the kernel lets us have, and it kills
 * whoever takes it.
 */
#pragma once

#include <glib.h>

/**
 * machine_memory() - bytes of memory that this process may have in all
 *
 * @root:  "" but in tests: what stands before /proc and /sys.
 * Effect: the least of the machine's and the limits of the process's control
 *         groups (version 2, and version 1 where the memory controller is
 *         still there), with those that they are in. What cannot be read is
 *         no limit.
 */
gsize machine_memory(const char *root);
