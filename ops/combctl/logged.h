/*
 * logged.h - an event of the log, for people and as JSON
 */
#pragma once

#include "ops/combctl/names.h"

#include "comb_firehose_types.h"

/** logged_print_text() - a line: log time, kind, who, what. */
void logged_print_text(const CombLoggedEvent *logged, const Names *names);

/**
 * logged_print_json() - a line as the gateway's GET /v1/stream has it
 *
 * Effect: combctl import takes it again.
 */
void logged_print_json(const CombLoggedEvent *logged);
