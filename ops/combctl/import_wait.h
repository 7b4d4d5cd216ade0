/*
 * import_wait.h - until every cell has applied the log as it is now
 */
#pragma once

#include "ops/combctl/connect.h"
#include "ops/combctl/interrupt.h"
#include "ops/combctl/progress.h"

/**
 * import_wait() - sleep until all cells of the newest map are at the log's end
 *
 * @retry_s: fail where no cell gets any further for so long.
 * Effect:   what others publish meanwhile is waited for as well. Where there
 *           is no map yet there is nothing to wait for: *ret_waited FALSE.
 * Fails:    COMB_ERROR_UNREACHABLE: a cell does not answer, or has stopped
 *           applying; an interrupt.
 */
gboolean import_wait(const Ctl *ctl, Interrupt *interrupt, Progress *progress,
                     guint retry_s, gboolean *ret_waited, GError **error);
