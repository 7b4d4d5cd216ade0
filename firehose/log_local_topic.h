/*
 * log_local_topic.h - the topics of a local cluster, in memory and as rows
 *
 * A topic lives as long as its cluster and is shared by all its Logs. What
 * readers may see of a partition is [first, end); only the writer moves it.
 */
#pragma once

#include "firehose/log_local.h"
#include "firehose/log_row.h"
#include "firehose/log_wait.h"

typedef struct LocalPart {
    guint64 first;     /* the first offset kept; guarded by LocalState.wait */
    guint64 end;       /* after the last one synced; likewise */
    guint64 write_end; /* after the last one in a batch; the writer's */
    gint64 write_last_ms; /* its timestamp; the writer's */
} LocalPart;

typedef struct LocalTopic {
    char *name;
    char *identity;
    guint32 number; /* in row keys */
    guint partitions;
    gboolean compacted;
    gint64 retention_ms; /* guarded by LocalState.wait */
    LocalPart *parts;
} LocalTopic;

typedef struct LocalState {
    LocalStore *store;
    LogWait wait;      /* guards topics and bounds; woken when they move */
    GPtrArray *topics; /* LocalTopic; grows only */
} LocalState;

/** local_state_open() - load all topics. Fails: as local_store_open(). */
gboolean local_state_open(LocalState *state, const char *dir, GError **error);
void local_state_close(LocalState *state);

/**
 * local_topic_open() - the topic, made where there is none and @create
 *
 * Effect: with @create another retention is taken over, durably.
 * Owns:   @state.
 * Thread: any.
 * Fails:  as log_open().
 */
LocalTopic *local_topic_open(LocalState *state, const LogTopic *wanted,
                             gboolean create, GError **error);

/** local_topic_bounds() - what log_bounds() gives. Thread: any. */
void local_topic_bounds(LocalState *state, const LocalTopic *topic,
                        guint partition, guint64 *ret_first, guint64 *ret_end);

/**
 * local_topic_find_time() - the first offset at or after @time_ms
 *
 * Effect: a search by halves over the rows, whose timestamps never go back.
 * Thread: any. Fails: COMB_ERROR_IO, _CORRUPT.
 */
gboolean local_topic_find_time(LocalState *state, const LocalTopic *topic,
                               guint partition, gint64 time_ms,
                               guint64 *ret_offset, GError **error);
