/*
 * The life of a map on its way to whoever asks: an operator publishes it to
 * the control topic; the feed's thread reads it, checks it, swaps the pointer
 * under the lock, wakes those who wait, writes the cache file and calls back.
 * Of several maps read at once only the newest is taken: a map that is
 * superseded already is of no use to anybody.
 *
 * At the start the cache, where there is one, is the first map. It may be old;
 * calls sent by it to a cell that is no longer the home are refused by that
 * cell, so an old map costs time and never a wrong answer.
 *
 * What can go wrong:
 * - The control plane is down: the feed tries again every second and serves
 *   the map it has, for as long as it takes.
 * - A record does not decode: counted, logged, passed over. Epochs that do
 *   not rise are passed over too, so that reading anew changes nothing.
 * - The reader stops (a gap, another log): the topic is opened again and read
 *   from its beginning a second later.
 * - The cache is damaged: logged and ignored; the next map replaces it. It is
 *   written to a new file, synced and renamed, so a crash leaves the old one.
 *
 * Cache file: XXH64 (seed 0) of what follows as 8 little-endian bytes, then an
 * encoded struct CellMap of thrift/cell.thrift.
 */
#include "router/mapfeed.h"

#include "ops/kit/ensure.h"
#include "ops/kit/error.h"
#include "ops/kit/logger.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <pthread.h>
#include <string.h>
#include <time.h>
#include <xxhash.h>

#define AREA "mapfeed"
#define CHECK_BYTES 8
#define CACHE_BYTES_MAX FRAME_BYTES_MAX
#define REOPEN_MS 1000
/* How long a stop may wait for the reader. */
#define READ_MS 100
#define READ_RECORDS_MAX 256

struct MapFeed {
    Log *(*open_control)(gpointer user_data, GError **error);
    MapFeedFunc changed; /* or NULL */
    gpointer user_data;  /* for both */
    char *cache;         /* path, or NULL; owned */
    guint64 bad_records; /* passed over; the thread's */
    pthread_t thread;
    pthread_mutex_t lock; /* what follows */
    pthread_cond_t news;  /* a newer map, or stopping; monotonic clock */
    CellMap *map;         /* the newest; NULL: none yet */
    gboolean caught_up;   /* see mapfeed_caught_up() */
    gboolean stopping;
};

static struct timespec
time_after(guint ms)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    time.tv_sec += ms / 1000;
    time.tv_nsec += (long)(ms % 1000) * 1000000;
    if (time.tv_nsec >= 1000000000) {
        time.tv_sec++;
        time.tv_nsec -= 1000000000;
    }
    return time;
}

/* ---- the cache ---- */

static CellMap *
cache_decode(const char *data, gsize len, GError **error)
{
    guint64 check = 0;
    if (len < CHECK_BYTES) {
        g_set_error(error, COMB_ERROR, COMB_ERROR_CORRUPT, "too short");
        return NULL;
    }
    memcpy(&check, data, CHECK_BYTES);
    WireBytes bytes = {.data = (const guint8 *)data + CHECK_BYTES,
                       .len = len - CHECK_BYTES};
    if (GUINT64_FROM_LE(check) != XXH64(bytes.data, bytes.len, 0)) {
        g_set_error(error, COMB_ERROR, COMB_ERROR_CORRUPT,
                    "the checksum is wrong");
        return NULL;
    }
    return cellmap_decode(bytes, error);
}

static CellMap *
cache_load(const char *path, GError **error)
{
    g_autofree char *data = NULL;
    gsize len = 0;
    GStatBuf info;
    if (g_stat(path, &info) == 0 && info.st_size > CACHE_BYTES_MAX) {
        g_set_error(error, COMB_ERROR, COMB_ERROR_CORRUPT, "too long");
        return NULL;
    }
    if (!g_file_get_contents(path, &data, &len, error)) {
        return NULL;
    }
    return cache_decode(data, len, error);
}

/* The cached map, or NULL; no cache at all is normal. */
static CellMap *
cache_read(const char *path)
{
    g_autoptr(GError) error = NULL;
    CellMap *map = cache_load(path, &error);
    if (map == NULL &&
        !g_error_matches(error, G_FILE_ERROR, G_FILE_ERROR_NOENT)) {
        g_autofree char *file = logger_quote(path);
        g_autofree char *reason = logger_quote(error->message);
        logger_warn(AREA, "map cache ignored", "file=%s reason=%s", file,
                    reason);
    }
    return map;
}

static void
cache_write(const char *path, const CellMap *map)
{
    static const guint8 room[CHECK_BYTES];
    g_autoptr(GByteArray) out = g_byte_array_new();
    g_autoptr(GError) error = NULL;
    g_byte_array_append(out, room, sizeof room);
    cellmap_encode(map, out);
    guint64 check = GUINT64_TO_LE(
        XXH64(out->data + CHECK_BYTES, out->len - CHECK_BYTES, 0));
    memcpy(out->data, &check, CHECK_BYTES);
    if (!g_file_set_contents_full(
            path, (const char *)out->data, (gssize)out->len,
            G_FILE_SET_CONTENTS_CONSISTENT | G_FILE_SET_CONTENTS_DURABLE, 0600,
            &error)) {
        g_autofree char *reason = logger_quote(error->message);
        logger_warn(AREA, "map cache not written", "reason=%s", reason);
    }
}

/* ---- the thread ---- */

/* Makes @map the newest; the caller keeps its reference. */
static void
feed_take(MapFeed *feed, CellMap *map)
{
    pthread_mutex_lock(&feed->lock);
    CellMap *old = feed->map;
    feed->map = cellmap_ref(map);
    pthread_cond_broadcast(&feed->news);
    pthread_mutex_unlock(&feed->lock);
    if (old != NULL) {
        cellmap_unref(old);
    }
    logger_info(AREA, "new cell map", "epoch=%" G_GINT64_FORMAT,
                cellmap_epoch(map));
    if (feed->cache != NULL) {
        cache_write(feed->cache, map);
    }
    if (feed->changed != NULL) {
        feed->changed(map, feed->user_data);
    }
}

static gboolean
feed_is_stopping(MapFeed *feed)
{
    pthread_mutex_lock(&feed->lock);
    gboolean stopping = feed->stopping;
    pthread_mutex_unlock(&feed->lock);
    return stopping;
}

static void
feed_pause(MapFeed *feed)
{
    struct timespec until = time_after(REOPEN_MS);
    int rc = 0;
    pthread_mutex_lock(&feed->lock);
    while (!feed->stopping && rc != ETIMEDOUT) {
        rc = pthread_cond_timedwait(&feed->news, &feed->lock, &until);
    }
    pthread_mutex_unlock(&feed->lock);
}

static gboolean
record_is_map(const LogRecord *record)
{
    return record->key.len == strlen(CELLMAP_KEY) && record->value.len > 0 &&
           memcmp(record->key.data, CELLMAP_KEY, record->key.len) == 0;
}

/* The record's map, or NULL where it is another record or a bad one. */
static CellMap *
record_map(MapFeed *feed, const LogRecord *record)
{
    g_autoptr(GError) error = NULL;
    if (!record_is_map(record)) {
        return NULL;
    }
    CellMap *map = cellmap_decode(record->value, &error);
    if (map == NULL) {
        g_autofree char *reason = logger_quote(error->message);
        feed->bad_records++;
        logger_warn(AREA, "bad map record passed over",
                    "partition=%u offset=%" G_GUINT64_FORMAT
                    " bad=%" G_GUINT64_FORMAT " reason=%s",
                    record->partition, record->offset, feed->bad_records,
                    reason);
    }
    return map;
}

/* A greater epoch does; of two maps of one epoch the later record, which is
   also the one that compaction keeps. */
static gboolean
map_supersedes(const CellMap *map, const CellMap *newest)
{
    if (newest == NULL || cellmap_epoch(map) != cellmap_epoch(newest)) {
        return newest == NULL || cellmap_epoch(map) > cellmap_epoch(newest);
    }
    if (cellmap_equal(map, newest)) {
        return FALSE;
    }
    logger_warn("router.mapfeed", "two maps of one epoch, the later holds",
                "epoch=%" G_GINT64_FORMAT, cellmap_epoch(map));
    return TRUE;
}

static void
feed_apply(MapFeed *feed, const LogRecord *records, gsize n)
{
    g_autoptr(CellMap) newest = mapfeed_get(feed);
    gboolean newer = FALSE;
    for (gsize i = 0; i < n; i++) {
        g_autoptr(CellMap) map = record_map(feed, &records[i]);
        if (map == NULL || !map_supersedes(map, newest)) {
            continue;
        }
        g_clear_pointer(&newest, cellmap_unref);
        newest = g_steal_pointer(&map);
        newer = TRUE;
    }
    if (newer) {
        feed_take(feed, newest);
    }
}

/* Where reading begins and where it has caught up, by partition. */
typedef struct Bounds {
    guint n;
    guint64 *next; /* the next offset to come */
    guint64 *end;  /* the log's end when it was opened */
} Bounds;

static void
bounds_clear(Bounds *bounds)
{
    g_free(bounds->next);
    g_free(bounds->end);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Bounds, bounds_clear)

static gboolean
bounds_init(Bounds *bounds, Log *log, GError **error)
{
    bounds->n = log_partitions(log);
    bounds->next = g_new0(guint64, bounds->n);
    bounds->end = g_new0(guint64, bounds->n);
    for (guint i = 0; i < bounds->n; i++) {
        if (!log_bounds(log, i, &bounds->next[i], &bounds->end[i], error)) {
            return FALSE;
        }
    }
    return TRUE;
}

static void
bounds_note(Bounds *bounds, const LogRecord *records, gsize n)
{
    for (gsize i = 0; i < n; i++) {
        ensure(records[i].partition < bounds->n);
        bounds->next[records[i].partition] = records[i].offset + 1;
    }
}

static void
feed_note_caught_up(MapFeed *feed, const Bounds *bounds)
{
    for (guint i = 0; i < bounds->n; i++) {
        if (bounds->next[i] < bounds->end[i]) {
            return;
        }
    }
    pthread_mutex_lock(&feed->lock);
    feed->caught_up = TRUE;
    pthread_mutex_unlock(&feed->lock);
}

/* Reads until the feed is stopped (TRUE) or the reader has (FALSE). */
static gboolean
feed_read(MapFeed *feed, LogReader *reader, Bounds *bounds, GError **error)
{
    while (!feed_is_stopping(feed)) {
        const LogRecord *records = NULL;
        gsize n = 0;
        LogReadOutcome outcome = log_reader_next(
            reader, READ_MS, READ_RECORDS_MAX, &records, &n, error);
        if (outcome == LOG_READ_STOP) {
            return FALSE;
        }
        if (outcome == LOG_READ_RECORDS) {
            feed_apply(feed, records, n);
            bounds_note(bounds, records, n);
        }
        feed_note_caught_up(feed, bounds);
    }
    return TRUE;
}

static gboolean
feed_follow(MapFeed *feed, Log *log, GError **error)
{
    g_auto(Bounds) bounds = {0};
    if (!bounds_init(&bounds, log, error)) {
        return FALSE;
    }
    LogReader *reader = log_reader_open(log, bounds.next, NULL, error);
    if (reader == NULL) {
        return FALSE;
    }
    gboolean stopped = feed_read(feed, reader, &bounds, error);
    log_reader_close(reader);
    return stopped;
}

/* Opens and follows the topic; FALSE: to be tried again. */
static gboolean
feed_try(MapFeed *feed, GError **error)
{
    Log *log = feed->open_control(feed->user_data, error);
    if (log == NULL) {
        return FALSE;
    }
    gboolean stopped = feed_follow(feed, log, error);
    pthread_mutex_lock(&feed->lock);
    feed->caught_up = FALSE;
    pthread_mutex_unlock(&feed->lock);
    log_close(log);
    return stopped;
}

static void *
feed_run(void *data)
{
    MapFeed *feed = data;
    g_autoptr(CellMap) cached = mapfeed_get(feed);
    if (cached != NULL && feed->changed != NULL) {
        feed->changed(cached, feed->user_data);
    }
    while (!feed_is_stopping(feed)) {
        g_autoptr(GError) error = NULL;
        if (!feed_try(feed, &error)) {
            g_autofree char *reason = logger_quote(error->message);
            logger_warn(AREA, "control topic not read, trying again",
                        "reason=%s", reason);
            feed_pause(feed);
        }
    }
    return NULL;
}

/* ---- for everybody ---- */

Log *
mapfeed_open_control(gpointer cluster, GError **error)
{
    static const LogTopic topic = {.name = LOG_CONTROL_TOPIC,
                                   .partitions = 1,
                                   .compacted = TRUE,
                                   .retention_ms = -1};
    return log_open(cluster, &topic, FALSE, error);
}

MapFeed *
mapfeed_start(Log *(*open_control)(gpointer user_data, GError **error),
              const char *cache, MapFeedFunc changed, gpointer user_data)
{
    MapFeed *feed = g_new0(MapFeed, 1);
    pthread_condattr_t clock;
    feed->open_control = open_control;
    feed->changed = changed;
    feed->user_data = user_data;
    feed->cache = g_strdup(cache);
    feed->map = cache != NULL ? cache_read(cache) : NULL;
    pthread_mutex_init(&feed->lock, NULL);
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_cond_init(&feed->news, &clock);
    pthread_condattr_destroy(&clock);
    ensure(pthread_create(&feed->thread, NULL, feed_run, feed) == 0);
    return feed;
}

CellMap *
mapfeed_get(MapFeed *feed)
{
    pthread_mutex_lock(&feed->lock);
    CellMap *map = feed->map != NULL ? cellmap_ref(feed->map) : NULL;
    pthread_mutex_unlock(&feed->lock);
    return map;
}

CellMap *
mapfeed_wait(MapFeed *feed, gint64 epoch, guint timeout_ms)
{
    struct timespec until = time_after(timeout_ms);
    CellMap *map = NULL;
    int rc = 0;
    pthread_mutex_lock(&feed->lock);
    while (rc != ETIMEDOUT &&
           (feed->map == NULL || cellmap_epoch(feed->map) < epoch)) {
        rc = pthread_cond_timedwait(&feed->news, &feed->lock, &until);
    }
    if (feed->map != NULL && cellmap_epoch(feed->map) >= epoch) {
        map = cellmap_ref(feed->map);
    }
    pthread_mutex_unlock(&feed->lock);
    return map;
}

gboolean
mapfeed_caught_up(MapFeed *feed)
{
    pthread_mutex_lock(&feed->lock);
    gboolean caught_up = feed->caught_up;
    pthread_mutex_unlock(&feed->lock);
    return caught_up;
}

void
mapfeed_stop(MapFeed *feed)
{
    pthread_mutex_lock(&feed->lock);
    feed->stopping = TRUE;
    pthread_cond_broadcast(&feed->news);
    pthread_mutex_unlock(&feed->lock);
    ensure(pthread_join(feed->thread, NULL) == 0);
    if (feed->map != NULL) {
        cellmap_unref(feed->map);
    }
    pthread_cond_destroy(&feed->news);
    pthread_mutex_destroy(&feed->lock);
    g_free(feed->cache);
    g_free(feed);
}
