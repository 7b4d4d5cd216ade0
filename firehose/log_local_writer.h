/*
 * log_local_writer.h - appends to the local log, synced in groups
 *
 * One thread writes for all topics of a cluster: what has been queued while
 * the disk was busy goes into one batch and costs one sync.
 */
#pragma once

#include "firehose/log_local_topic.h"

/* Most bytes of keys and values waiting to be written. */
#define LOCAL_QUEUE_BYTES_MAX (32 * 1024 * 1024)

typedef struct LocalWriter LocalWriter;

/* A Log's appends in progress; zero at first. The writer's lock guards it. */
typedef struct LocalProgress {
    guint n;
} LocalProgress;

/** local_writer_start() - write for @state, borrowed. */
LocalWriter *local_writer_start(LocalState *state);

/** local_writer_append() - what log_append() says. @progress: borrowed. */
void local_writer_append(LocalWriter *writer, LocalTopic *topic,
                         LocalProgress *progress, const LogEntry *entries,
                         gsize n, LogAckFunc acked, gpointer user_data);

/** local_writer_wait() - until all appends of @progress are acknowledged. */
void local_writer_wait(LocalWriter *writer, const LocalProgress *progress);

/** local_writer_stop() - write what is queued, stop, free. */
void local_writer_stop(LocalWriter *writer);
