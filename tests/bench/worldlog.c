/*
 * A follow event is a fixed row of bytes with three numbers in it, so making
 * one is a copy and three stores; worldlog_open() has the codec of the gateway
 * make one too and holds both equal. Reading never blocks longer than a poll
 * of the end that is held back.
 */
#include "tests/bench/worldlog.h"

#include "firehose/event.h"
#include "firehose/log_driver.h"
#include "firehose/partition.h"
#include "ops/kit/ensure.h"
#include "ops/kit/error.h"

#include <stdatomic.h>
#include <string.h>

#define BATCH_MAX 4096
#define POLL_US 200
#define FOLLOW_NODE 1

/* Where the numbers are: after the headers of 3 bytes of version (i32), id,
   kind (i32), user, target_user. */
enum { AT_ID = 10, AT_USER = 28, AT_TARGET = 39 };

typedef struct WorldLog {
    Log base;
    const World *world;   /* borrowed */
    Log *posts;           /* borrowed */
    _Atomic guint64 *end; /* borrowed; NULL: nothing is held back */
    guint64 edges;        /* E */
} WorldLog;

typedef struct WorldReader {
    LogReader base;
    WorldLog *log;
    LogReader *posts;   /* owned */
    guint64 next;       /* offset */
    guint32 user;       /* of the follow at @next */
    LogRecord *records; /* BATCH_MAX; owned */
    guint8 (*values)[WORLDLOG_FOLLOW_BYTES];
    guint8 (*keys)[PARTITION_KEY_BYTES];
} WorldReader;

/* ---- follow events ---- */

static gint64
follow_id(guint64 edge)
{
    gint64 ms = WORLD_FOLLOWS_MS + (gint64)(edge >> ID_SEQUENCE_BITS);
    return id_make(ms, (guint)(edge & ID_SEQUENCE_MAX), FOLLOW_NODE);
}

static void
put_i64(guint8 *at, gint64 value)
{
    gint64 big = GINT64_TO_BE(value);
    memcpy(at, &big, sizeof big);
}

void
worldlog_follow(const World *world, guint64 edge, guint32 user,
                guint8 ret_value[WORLDLOG_FOLLOW_BYTES])
{
    static const guint8 form[WORLDLOG_FOLLOW_BYTES] = {WIRE_I32,
                                                       0,
                                                       EVENT_FIELD_VERSION,
                                                       0,
                                                       0,
                                                       0,
                                                       EVENT_VERSION,
                                                       WIRE_I64,
                                                       0,
                                                       EVENT_FIELD_ID,
                                                       0,
                                                       0,
                                                       0,
                                                       0,
                                                       0,
                                                       0,
                                                       0,
                                                       0,
                                                       WIRE_I32,
                                                       0,
                                                       EVENT_FIELD_KIND,
                                                       0,
                                                       0,
                                                       0,
                                                       EVENT_FOLLOW,
                                                       WIRE_I64,
                                                       0,
                                                       EVENT_FIELD_USER,
                                                       0,
                                                       0,
                                                       0,
                                                       0,
                                                       0,
                                                       0,
                                                       0,
                                                       0,
                                                       WIRE_I64,
                                                       0,
                                                       EVENT_FIELD_TARGET_USER,
                                                       0,
                                                       0,
                                                       0,
                                                       0,
                                                       0,
                                                       0,
                                                       0,
                                                       0,
                                                       WIRE_STOP};
    memcpy(ret_value, form, sizeof form);
    put_i64(ret_value + AT_ID, follow_id(edge));
    put_i64(ret_value + AT_USER, world_user_id(world, user).v);
    put_i64(ret_value + AT_TARGET,
            world_user_id(world, world->follows[edge]).v);
}

/* Our bytes are the gateway's: for the first and the last edge. */
static void
check_follow(const World *world, guint64 edge, guint32 user)
{
    guint8 value[WORLDLOG_FOLLOW_BYTES];
    Event event;
    EventFault fault;
    g_autoptr(GByteArray) draft = g_byte_array_new();
    g_autoptr(GByteArray) stamped = g_byte_array_new();
    wire_field_i32(draft, EVENT_FIELD_KIND, EVENT_FOLLOW);
    wire_field_i64(draft, EVENT_FIELD_USER, world_user_id(world, user).v);
    wire_field_i64(draft, EVENT_FIELD_TARGET_USER,
                   world_user_id(world, world->follows[edge]).v);
    wire_write_stop(draft);
    WireBytes bytes = {draft->data, draft->len};
    ensure(event_stamp(bytes, (EventId){follow_id(edge)}, stamped, &event,
                       &fault));
    worldlog_follow(world, edge, user, value);
    ensure(stamped->len == sizeof value &&
           memcmp(stamped->data, value, sizeof value) == 0);
}

/* ---- reading ---- */

static guint64
log_end(WorldLog *log, guint64 posts_end)
{
    guint64 end = log->edges + posts_end;
    return log->end == NULL ? end : MIN(end, atomic_load(log->end));
}

static gboolean
worldlog_bounds(Log *base, guint partition, guint64 *ret_first,
                guint64 *ret_end, GError **error)
{
    WorldLog *log = (WorldLog *)base;
    guint64 first;
    guint64 end;
    if (!log_bounds(log->posts, partition, &first, &end, error)) {
        return FALSE;
    }
    *ret_first = 0;
    *ret_end = log_end(log, end);
    return TRUE;
}

static gboolean
worldlog_find_time(Log *base, guint partition, gint64 time_ms,
                   guint64 *ret_offset, GError **error)
{
    WorldLog *log = (WorldLog *)base;
    if (time_ms <= WORLD_FOLLOWS_MS) {
        *ret_offset = 0;
        return TRUE;
    }
    guint64 offset;
    if (!log_find_time(log->posts, partition, time_ms, &offset, error)) {
        return FALSE;
    }
    *ret_offset = log_end(log, offset);
    return TRUE;
}

/* The user whose list holds edge @next. */
static guint32
reader_find_user(const World *world, guint64 next)
{
    guint32 low = 0;
    guint32 high = world->header->users;
    while (low + 1 < high) {
        guint32 middle = low + (high - low) / 2;
        if (world->follows_at[middle] <= next) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return low;
}

static LogReader *
worldlog_reader_open(Log *base, const guint64 *next, const char *group,
                     GError **error)
{
    WorldLog *log = (WorldLog *)base;
    guint64 from = next[0] > log->edges ? next[0] - log->edges : 0;
    LogReader *posts = log_reader_open(log->posts, &from, group, error);
    if (posts == NULL) {
        return NULL;
    }
    WorldReader *reader = g_new0(WorldReader, 1);
    reader->base.log = base;
    reader->log = log;
    reader->posts = posts;
    reader->next = next[0];
    reader->user = reader_find_user(log->world, next[0]);
    reader->records = g_new0(LogRecord, BATCH_MAX);
    reader->values = g_malloc(BATCH_MAX * sizeof *reader->values);
    reader->keys = g_malloc(BATCH_MAX * sizeof *reader->keys);
    return &reader->base;
}

static gsize
reader_make_follows(WorldReader *reader, gsize max)
{
    const World *world = reader->log->world;
    for (gsize i = 0; i < max; i++) {
        guint64 edge = reader->next + i;
        while (world->follows_at[reader->user + 1] <= edge) {
            reader->user++;
        }
        worldlog_follow(world, edge, reader->user, reader->values[i]);
        partition_key(world_user_id(world, reader->user), reader->keys[i]);
        reader->records[i] =
            (LogRecord){.offset = edge,
                        .timestamp_ms = id_ms(follow_id(edge)),
                        .key = {reader->keys[i], sizeof reader->keys[i]},
                        .value = {reader->values[i], sizeof reader->values[i]}};
    }
    return max;
}

/* Records of the real log, under our offsets. */
static LogReadOutcome
reader_take_posts(WorldReader *reader, gint timeout_ms, gsize max, gsize *ret_n,
                  GError **error)
{
    const LogRecord *records;
    LogReadOutcome outcome =
        log_reader_next(reader->posts, timeout_ms, max, &records, ret_n, error);
    if (outcome == LOG_READ_RECORDS) {
        memcpy(reader->records, records, *ret_n * sizeof *records);
        for (gsize i = 0; i < *ret_n; i++) {
            reader->records[i].offset += reader->log->edges;
        }
    }
    return outcome;
}

/* How many records may be read now; waits for the first while the end is held
   back. What is not held back is the real log's to wait for. */
static guint64
reader_await(WorldReader *reader, gint timeout_ms)
{
    WorldLog *log = reader->log;
    gint64 until = g_get_monotonic_time() + (gint64)timeout_ms * 1000;
    for (;;) {
        guint64 end = log->end == NULL ? G_MAXUINT64 : atomic_load(log->end);
        if (end > reader->next || g_get_monotonic_time() >= until) {
            return end > reader->next ? end - reader->next : 0;
        }
        g_usleep(POLL_US);
    }
}

static LogReadOutcome
worldlog_reader_next(LogReader *base, gint timeout_ms, gsize max,
                     const LogRecord **ret_records, gsize *ret_n,
                     GError **error)
{
    WorldReader *reader = (WorldReader *)base;
    guint64 may = reader_await(reader, timeout_ms);
    if (may == 0) {
        return LOG_READ_IDLE;
    }
    max = (gsize)MIN(MIN(may, max), BATCH_MAX);
    guint64 edges = reader->log->edges;
    LogReadOutcome outcome = LOG_READ_RECORDS;
    if (reader->next < edges) {
        *ret_n = reader_make_follows(reader, MIN(max, edges - reader->next));
    } else {
        outcome = reader_take_posts(reader, timeout_ms, max, ret_n, error);
    }
    if (outcome == LOG_READ_RECORDS) {
        reader->next += *ret_n;
        *ret_records = reader->records;
    }
    return outcome;
}

static void
worldlog_reader_commit(LogReader *base, const guint64 *next)
{
    (void)base;
    (void)next;
}

static void
worldlog_reader_close(LogReader *base)
{
    WorldReader *reader = (WorldReader *)base;
    log_reader_close(reader->posts);
    g_free(reader->records);
    g_free(reader->values);
    g_free(reader->keys);
    g_free(reader);
}

/* ---- the log ---- */

static void
worldlog_append(Log *log, const LogEntry *entries, gsize n, LogAckFunc acked,
                gpointer user_data)
{
    (void)log;
    (void)entries;
    log_ack_all(LOG_APPEND_FAILED, "a world's log is only read", n, acked,
                user_data);
}

static void
worldlog_close(Log *base)
{
    g_free(base->identity);
    g_free(base);
}

static const LogDriver driver = {
    .close = worldlog_close,
    .append = worldlog_append,
    .bounds = worldlog_bounds,
    .find_time = worldlog_find_time,
    .reader_open = worldlog_reader_open,
    .reader_next = worldlog_reader_next,
    .reader_commit = worldlog_reader_commit,
    .reader_close = worldlog_reader_close,
};

Log *
worldlog_open(const World *world, Log *posts, _Atomic guint64 *end)
{
    ensure(log_partitions(posts) == 1);
    check_follow(world, 0, 0);
    check_follow(world, world->header->edges - 1, world->header->users - 1);
    WorldLog *log = g_new0(WorldLog, 1);
    log->base.driver = &driver;
    log->base.partitions = 1;
    log->base.identity =
        g_strdup_printf("world %016" G_GINT64_MODIFIER "x, %s",
                        world->header->digest, log_identity(posts));
    log->world = world;
    log->posts = posts;
    log->end = end;
    log->edges = world->header->edges;
    return &log->base;
}
