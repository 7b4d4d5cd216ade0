/*
 * log_local_reader.h - reading a topic of the local log
 */
#pragma once

#include "firehose/log_local_topic.h"

typedef struct LocalReader LocalReader;

/** local_reader_open() - what log_reader_open() says. @state: borrowed. */
LocalReader *local_reader_open(LocalState *state, const LocalTopic *topic,
                               const guint64 *next, GError **error);

/** local_reader_next() - what log_reader_next() says. */
LogReadOutcome local_reader_next(LocalReader *reader, gint timeout_ms,
                                 gsize max, const LogRecord **ret_records,
                                 gsize *ret_n, GError **error);

/** local_reader_close() - what it gave ends here. */
void local_reader_close(LocalReader *reader);
