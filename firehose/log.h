/*
 * log.h - the one interface to the firehose, with three drivers
 *
 * A LogCluster holds topics; a Log is one open topic: P partitions, each a
 * dense sequence of records with offsets from 0 and timestamps that never go
 * back, given by the log when it appends. What is acknowledged is durable.
 *
 *   memory  log_memory.c  tests and simulation; ends with the process
 *   local   log_local.c   one machine: a RocksDB, synced in groups
 *   kafka   log_kafka.c   librdkafka
 *
 * A reader starts where its caller says (positions belong to the reader's
 * owner, never to the log) and never skips: where the log no longer has the
 * next record, or has another one, it stops with a reason (I10).
 */
#pragma once

#include "thrift/wire.h"

typedef struct LogCluster LogCluster;
typedef struct Log Log;
typedef struct LogReader LogReader;
typedef struct LogMember LogMember;

/* The most key and value bytes of a record, together. */
#define LOG_RECORD_BYTES_MAX (1024 * 1024)

/* About the most key and value bytes that one log_reader_next() gives. */
#define LOG_READ_BYTES_MAX (4 * 1024 * 1024)

typedef struct LogTopic {
    const char *name;
    guint partitions;    /* 0: however many there are; not with @create */
    gboolean compacted;  /* newest record of each key is kept, offsets may
                            have gaps; else time-based retention */
    gint64 retention_ms; /* not compacted: at least so long; -1: for ever;
                            not 0 with @create */
    guint replication;   /* Kafka only, and only with @create, then not 0;
                            min.insync.replicas is one less, at least 1 */
} LogTopic;

/* The two topics that make a Comb. */
#define LOG_FIREHOSE_TOPIC "comb.firehose.v1"
#define LOG_CONTROL_TOPIC "comb.control.v1"
#define LOG_RETENTION_MS_DEFAULT (G_GINT64_CONSTANT(7) * 24 * 3600 * 1000)

typedef struct LogKafkaOptions {
    const char *brokers;       /* host:port,host:port */
    const char *client_id;     /* in the brokers' logs and quotas */
    guint connect_timeout_ms;  /* for log_open(): until a broker answers */
    guint delivery_timeout_ms; /* an append is given up after this */
} LogKafkaOptions;

/** log_cluster_memory() - an empty cluster in this process. */
LogCluster *log_cluster_memory(void);

/**
 * log_cluster_local() - the durable log of one machine
 *
 * @dir:   made where missing. One process at a time.
 * Fails:  COMB_ERROR_IO, _FULL, _CORRUPT, NULL.
 */
LogCluster *log_cluster_local(const char *dir, GError **error);

/** log_cluster_kafka() - a Kafka cluster. Fails: COMB_ERROR_SETTING, NULL. */
LogCluster *log_cluster_kafka(const LogKafkaOptions *options, GError **error);

/** log_cluster_close() - after all its logs. */
void log_cluster_close(LogCluster *cluster);

/**
 * log_open() - open a topic, making it where @create
 *
 * Effect: may be called again for a topic that is open: each Log is closed
 *         by itself. Where the topic is there already, @create lets a local
 *         one take over another retention; Kafka's is never altered.
 * Owns:  the caller; log_close().
 * Thread: any.
 * Fails: COMB_ERROR_UNREACHABLE (no broker within the connect timeout),
 *        COMB_ERROR_MISMATCH (other partition count; compacted or not),
 *        COMB_ERROR_UNSAFE (a setting would lose data; the message names it),
 *        COMB_ERROR_INPUT (no such topic and not @create).
 */
Log *log_open(LogCluster *cluster, const LogTopic *topic, gboolean create,
              GError **error);

/** log_close() - waits for appends in progress. Close its readers before. */
void log_close(Log *log);

/** log_partitions() - how many there are. */
guint log_partitions(const Log *log);

/**
 * log_identity() - which log this is
 *
 * Effect: the same text over restarts; another one where the topic was made
 *         anew or is another cluster's. Borrowed.
 */
const char *log_identity(const Log *log);

/* ---- appending ---- */

typedef struct LogEntry {
    guint partition;
    WireBytes key;
    WireBytes value;
} LogEntry;

typedef enum LogAppendOutcome {
    LOG_APPENDED,
    LOG_APPEND_FULL,      /* no space, or the queue is: refused, try later */
    LOG_APPEND_FAILED,    /* not taken, for good: see reason */
    LOG_APPEND_UNCERTAIN, /* given up: it may or may not be in the log */
} LogAppendOutcome;

typedef struct LogAck {
    LogAppendOutcome outcome;
    guint64 offset;     /* where LOG_APPENDED */
    const char *reason; /* otherwise; borrowed for the call */
} LogAck;

/* Called once per log_append(), with an ack for each entry, in order; from a
   thread of the log, or from the caller's before log_append() returns. */
typedef void (*LogAckFunc)(const LogAck *acks, gsize n, gpointer user_data);

/**
 * log_append() - append @n entries, durably
 *
 * Effect: entries of one partition keep their order, also against later
 *         appends of the same thread. After an entry refused as FULL the
 *         rest of the same append is refused too. A record over
 *         LOG_RECORD_BYTES_MAX: all are refused as FAILED.
 * Owns:   copies the entries.
 * Thread: any.
 */
void log_append(Log *log, const LogEntry *entries, gsize n, LogAckFunc acked,
                gpointer user_data);

/* ---- looking up ---- */

/**
 * log_bounds() - the first offset kept, and the one after the last
 *
 * Fails: COMB_ERROR_UNREACHABLE, COMB_ERROR_IO.
 */
gboolean log_bounds(Log *log, guint partition, guint64 *ret_first,
                    guint64 *ret_end, GError **error);

/**
 * log_find_time() - the first offset whose timestamp is at or after @time_ms
 *
 * Effect: the end offset (log_bounds()) where there is none.
 * Fails:  as log_bounds().
 */
gboolean log_find_time(Log *log, guint partition, gint64 time_ms,
                       guint64 *ret_offset, GError **error);

/* ---- places of consumers ---- */

/* Where a consumer has committed nothing. */
#define LOG_NO_PLACE G_MAXUINT64

/**
 * log_client_fault() - NULL, or why @name is no name of a consumer
 *
 * Effect: 1 to CLIENT_ID_BYTES_MAX letters, digits, points, dashes and
 *         underscores; names that begin with "comb." are our own.
 * Owns:   the reason is static.
 */
const char *log_client_fault(const char *name);

/**
 * log_place_load() - where consumer @client goes on
 *
 * @ret_next: per partition the offset after what it has committed, or
 *         LOG_NO_PLACE. Whether the log has it still is for the caller to see.
 * Effect: over Kafka the committed offsets of the consumer group of that name.
 * Thread: any; it waits for the log.
 * Fails:  COMB_ERROR_UNREACHABLE, _IO, _CORRUPT.
 */
gboolean log_place_load(Log *log, const char *client, guint64 *ret_next,
                        GError **error);

/**
 * log_place_store() - note, durably, where @client goes on
 *
 * @next:  per partition; where LOG_NO_PLACE it stays as it is.
 * Effect: all or nothing but for an uncertain outcome, when it may be stored.
 * Thread: any; it waits for the log.
 * Fails:  COMB_ERROR_GAP (past the end), COMB_ERROR_BUSY (the group has
 *         members, through whom alone it is stored now), _UNREACHABLE, _FULL,
 *         _IO.
 */
gboolean log_place_store(Log *log, const char *client, const guint64 *next,
                         GError **error);

/* ---- consumers that share the partitions ---- */

typedef enum LogMemberOutcome {
    LOG_MEMBER_SAME,   /* nothing has changed */
    LOG_MEMBER_WAIT,   /* partitions are being handed out anew: read nothing */
    LOG_MEMBER_MOVED,  /* it has other partitions now */
    LOG_MEMBER_FAILED, /* never again: *error says why */
} LogMemberOutcome;

/**
 * log_member_join() - one more consumer under the name @client
 *
 * @begin: per partition where to begin if @client has no place there; that is
 *         then stored as its place, so that whoever comes next goes on there.
 * Effect: each partition is one member's. Over Kafka a member of the consumer
 *         group; else of a group in this process, which has the log alone.
 *         It has no partition until log_member_poll() says so.
 * Owns:   the caller; log_member_leave() before the log is closed.
 * Fails:  COMB_ERROR_SETTING, _IO.
 */
LogMember *log_member_join(Log *log, const char *client, const guint64 *begin,
                           GError **error);

/**
 * log_member_poll() - is there news? To be asked several times a second
 *
 * @next:  per partition where the member would read next; LOG_NO_PLACE where
 *         it has none. Changed where LOG_MEMBER_MOVED: partitions that it has
 *         kept stay as they are, those it got begin at @client's place, the
 *         others are LOG_NO_PLACE.
 * Effect: waits up to @timeout_ms. A partition is given to nobody else before
 *         the member that loses it has asked here, left, or (Kafka) been
 *         silent for the session's timeout.
 * Thread: one.
 * Fails:  LOG_MEMBER_FAILED: COMB_ERROR_UNREACHABLE, _IO, _CORRUPT, _FULL.
 */
LogMemberOutcome log_member_poll(LogMember *member, gint timeout_ms,
                                 guint64 *next, GError **error);

/**
 * log_member_commit() - as log_place_store(), for partitions that it has
 *
 * Thread: any.
 * Fails:  COMB_ERROR_BUSY where it does not have one of them, or is losing it;
 *         else as log_place_store().
 */
gboolean log_member_commit(LogMember *member, const guint64 *next,
                           GError **error);

/** log_member_leave() - its partitions go to the others. NULL is fine. */
void log_member_leave(LogMember *member);

/* ---- reading ---- */

typedef struct LogRecord {
    guint partition;
    guint64 offset;
    gint64 timestamp_ms; /* when the log took it */
    WireBytes key;
    WireBytes value;
} LogRecord;

typedef enum LogReadOutcome {
    LOG_READ_RECORDS, /* one or more */
    LOG_READ_IDLE,    /* nothing came within the time; normal */
    LOG_READ_STOP,    /* never again: *error says why */
} LogReadOutcome;

/**
 * log_reader_open() - read all partitions, or some
 *
 * @next:  per partition the offset to read next; 0 is the beginning of time:
 *         refused as a gap where retention has taken it. LOG_NO_PLACE: that
 *         partition is not read.
 * @group: the consumer group under which log_reader_commit() tells Kafka
 *         where we are; NULL for none.
 * Fails:  COMB_ERROR_GAP (an offset is below the first kept or past the
 *         end), COMB_ERROR_UNREACHABLE.
 */
LogReader *log_reader_open(Log *log, const guint64 *next, const char *group,
                           GError **error);

/**
 * log_reader_next() - the next records
 *
 * Effect: waits up to @timeout_ms for the first, gives at most @max; in
 *         order of offset within each partition, no offset left out (gaps
 *         are normal in compacted topics only). Partitions take turns.
 * Owns:   records are borrowed until the next call or close.
 * Fails:  LOG_READ_STOP: COMB_ERROR_GAP (expired, truncated, re-created, a
 *         hole), COMB_ERROR_CORRUPT, COMB_ERROR_IO.
 * Thread: one.
 */
LogReadOutcome log_reader_next(LogReader *reader, gint timeout_ms, gsize max,
                               const LogRecord **ret_records, gsize *ret_n,
                               GError **error);

/**
 * log_reader_commit() - tell the log's own tools where we are; best effort
 *
 * Thread: any, also while another one is in log_reader_next().
 */
void log_reader_commit(LogReader *reader, const guint64 *next);

/** log_reader_close() - stop reading; its records are gone with it. */
void log_reader_close(LogReader *reader);
