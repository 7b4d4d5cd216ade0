/*
 * bench_report.h - a run's figures, for people and as JSON
 */
#pragma once

#include "ops/combctl/bench_load.h"

/** report_text() - some lines on standard output. */
void report_text(const LoadOptions *options, const LoadResult *result);

/** report_json() - one object on a line of standard output. */
void report_json(const LoadOptions *options, const LoadResult *result);

/** method_name() - "dashboard"; static. */
const char *method_name(BenchMethod method);
