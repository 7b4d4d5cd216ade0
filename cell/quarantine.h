/*
 * quarantine.h - the records that were set aside, for operators
 *
 * fact_quarantine() writes the rows, in the order of the log; this reads the
 * newest. What it says follows from the log alone, so every cell that has
 * applied the same says the same (I8).
 */
#pragma once

#include "cell/store.h"

/* Of a record's value, from its beginning. */
#define QUARANTINE_HEAD_BYTES 64

/**
 * quarantine_write() - the newest records, as a list<QuarantinedRecord>
 *
 * @count: at most so many; newest first, by the log's time, then by partition
 *         and offset from the greatest.
 * Effect: the list's header and elements are appended to @out. Reads a row
 *         for each partition and one for each record. Values that the store
 *         cannot tell are left out: store_failure() knows.
 * Thread: any.
 */
void quarantine_write(Store *store, guint partitions, guint count,
                      GByteArray *out);
