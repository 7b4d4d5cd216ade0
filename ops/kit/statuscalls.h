/*
 * statuscalls.h - a server's calls, on the status page
 */
#pragma once

#include "ops/kit/calls.h"

/** statuscalls_methods() - rates and latencies of each that was called. */
void statuscalls_methods(GString *out, const CallsView *calls);

/** statuscalls_hottest() - whom calls are about most often. */
void statuscalls_hottest(GString *out, const CallsView *calls);

/** statuscalls_slowest() - the slowest of the last hour. */
void statuscalls_slowest(GString *out, const CallsView *calls);
