/*
 * The map feed over the memory log: which map it has, and what it survives.
 */
#include "router/mapfeed.h"

#include "ops/kit/error.h"
#include "tests/kit/tmpdir.h"

#include <stdatomic.h>
#include <string.h>

#define WAIT_MS 20000

/* What a test has: a cluster, its control topic, a directory. */
typedef struct Fixture {
    LogCluster *cluster;
    Log *control;
    char *dir;
    char *cache;
    atomic_int refusals;  /* so many times the topic cannot be opened */
    atomic_int changes;   /* calls of changed() */
    _Atomic gint64 epoch; /* that changed() told last */
} Fixture;

static const LogTopic control_topic = {
    .name = LOG_CONTROL_TOPIC,
    .partitions = 1,
    .compacted = TRUE,
    .retention_ms = -1,
};

static void
set_up(Fixture *fixture, gconstpointer unused)
{
    g_autoptr(GError) error = NULL;
    (void)unused;
    fixture->cluster = log_cluster_memory();
    fixture->control = log_open(fixture->cluster, &control_topic, TRUE, &error);
    g_assert_no_error(error);
    fixture->dir = tmpdir_new();
    fixture->cache = g_build_filename(fixture->dir, "map", NULL);
}

static void
tear_down(Fixture *fixture, gconstpointer unused)
{
    (void)unused;
    log_close(fixture->control);
    log_cluster_close(fixture->cluster);
    tmpdir_free(fixture->dir);
    g_free(fixture->cache);
}

static Log *
open_control(gpointer user_data, GError **error)
{
    Fixture *fixture = user_data;
    if (atomic_fetch_sub(&fixture->refusals, 1) > 0) {
        g_set_error(error, COMB_ERROR, COMB_ERROR_UNREACHABLE, "not just now");
        return NULL;
    }
    return log_open(fixture->cluster, &control_topic, FALSE, error);
}

static void
changed(CellMap *map, gpointer user_data)
{
    Fixture *fixture = user_data;
    atomic_fetch_add(&fixture->changes, 1);
    fixture->epoch = cellmap_epoch(map);
}

static MapFeed *
start(Fixture *fixture)
{
    return mapfeed_start(open_control, fixture->cache, changed, fixture);
}

static void
acked(const LogAck *acks, gsize n, gpointer user_data)
{
    (void)user_data;
    g_assert_cmpuint(n, ==, 1);
    g_assert_cmpint(acks[0].outcome, ==, LOG_APPENDED);
}

static void
append(Fixture *fixture, const char *key, const void *value, gsize len)
{
    LogEntry entry = {.key = {(const guint8 *)key, strlen(key)},
                      .value = {value, len}};
    log_append(fixture->control, &entry, 1, acked, NULL);
}

static GByteArray *
encoded_at(gint64 epoch, guint16 port)
{
    char host[] = "127.0.0.1";
    CellMapEntry cell = {.cell = 0, .host = host, .port = port};
    g_autoptr(CellMap) map = cellmap_even(epoch, &cell, 1);
    GByteArray *bytes = g_byte_array_new();
    cellmap_encode(map, bytes);
    return bytes;
}

static GByteArray *
encoded(gint64 epoch)
{
    return encoded_at(epoch, 1);
}

static void
publish(Fixture *fixture, gint64 epoch)
{
    g_autoptr(GByteArray) bytes = encoded(epoch);
    append(fixture, CELLMAP_KEY, bytes->data, bytes->len);
}

static gint64
epoch_now(MapFeed *feed)
{
    g_autoptr(CellMap) map = mapfeed_get(feed);
    return map != NULL ? cellmap_epoch(map) : 0;
}

static void
expect_epoch(MapFeed *feed, gint64 epoch)
{
    g_autoptr(CellMap) map = mapfeed_wait(feed, epoch, WAIT_MS);
    g_assert_nonnull(map);
    g_assert_cmpint(cellmap_epoch(map), ==, epoch);
}

static void
wait_caught_up(MapFeed *feed)
{
    for (guint i = 0; !mapfeed_caught_up(feed); i++) {
        g_assert_cmpuint(i, <, WAIT_MS);
        g_usleep(1000);
    }
}

/* An empty control topic is a normal beginning; the first map ends it. */
static void
test_empty(Fixture *fixture, gconstpointer unused)
{
    (void)unused;
    MapFeed *feed = start(fixture);
    wait_caught_up(feed);
    g_assert_null(mapfeed_get(feed));
    publish(fixture, 1);
    expect_epoch(feed, 1);
    mapfeed_stop(feed);
    g_assert_cmpint(fixture->epoch, ==, 1);
}

/* Caught up means read to the end, however much there is. */
static void
test_caught_up(Fixture *fixture, gconstpointer unused)
{
    (void)unused;
    for (guint i = 0; i < 2000; i++) {
        publish(fixture, 1);
    }
    publish(fixture, 2);
    MapFeed *feed = start(fixture);
    wait_caught_up(feed);
    g_assert_cmpint(epoch_now(feed), ==, 2);
    mapfeed_stop(feed);
}

/* The highest epoch wins, in whatever order maps are in the log. */
static void
test_newest_wins(Fixture *fixture, gconstpointer unused)
{
    (void)unused;
    publish(fixture, 2);
    publish(fixture, 5);
    publish(fixture, 3);
    MapFeed *feed = start(fixture);
    wait_caught_up(feed);
    g_assert_cmpint(epoch_now(feed), ==, 5);
    publish(fixture, 4);
    publish(fixture, 6);
    expect_epoch(feed, 6);
    mapfeed_stop(feed);
    g_assert_cmpint(fixture->epoch, ==, 6);
}

/* Of two maps of one epoch the later holds: compaction keeps that one too. */
static void
test_same_epoch(Fixture *fixture, gconstpointer unused)
{
    (void)unused;
    g_autoptr(GByteArray) other = encoded_at(5, 2);
    publish(fixture, 5);
    MapFeed *feed = start(fixture);
    wait_caught_up(feed);
    append(fixture, CELLMAP_KEY, other->data, other->len);
    publish(fixture, 4);
    guint16 port = 0;
    for (guint i = 0; i < WAIT_MS && port != 2; i++) {
        g_autoptr(CellMap) map = mapfeed_get(feed);
        port = cellmap_find(map, 0)->port;
        g_usleep(1000);
    }
    g_assert_cmpuint(port, ==, 2);
    mapfeed_stop(feed);
}

/* Records that are no map are passed over; good ones behind them are not. */
static void
test_bad_records(Fixture *fixture, gconstpointer unused)
{
    (void)unused;
    g_autoptr(GByteArray) bytes = encoded(9);
    publish(fixture, 1);
    append(fixture, CELLMAP_KEY, "garbage", 7);
    append(fixture, CELLMAP_KEY, bytes->data, bytes->len - 1);
    append(fixture, CELLMAP_KEY, "", 0);
    append(fixture, "switches", bytes->data, bytes->len);
    append(fixture, CELLMAP_KEY "2", bytes->data, bytes->len);
    append(fixture, "cell", bytes->data, bytes->len);
    publish(fixture, 2);
    MapFeed *feed = start(fixture);
    wait_caught_up(feed);
    g_assert_cmpint(epoch_now(feed), ==, 2);
    mapfeed_stop(feed);
}

/* With a cache there is a map at once, though the control plane is down. */
static void
test_cache(Fixture *fixture, gconstpointer unused)
{
    (void)unused;
    publish(fixture, 3);
    MapFeed *feed = start(fixture);
    expect_epoch(feed, 3);
    mapfeed_stop(feed);
    fixture->changes = 0;
    fixture->refusals = 1000;
    feed = start(fixture);
    g_assert_cmpint(epoch_now(feed), ==, 3);
    g_assert_false(mapfeed_caught_up(feed));
    mapfeed_stop(feed);
    g_assert_cmpint(fixture->changes, ==, 1);
}

/* A cached map newer than the log's is kept: epochs do not go back. */
static void
test_cache_newer(Fixture *fixture, gconstpointer unused)
{
    (void)unused;
    publish(fixture, 3);
    MapFeed *feed = start(fixture);
    expect_epoch(feed, 3);
    mapfeed_stop(feed);
    log_close(fixture->control);
    log_cluster_close(fixture->cluster);
    fixture->cluster = log_cluster_memory();
    fixture->control = log_open(fixture->cluster, &control_topic, TRUE, NULL);
    publish(fixture, 2);
    feed = start(fixture);
    wait_caught_up(feed);
    g_assert_cmpint(epoch_now(feed), ==, 3);
    mapfeed_stop(feed);
}

/* Every cut and every flipped bit of a cache is noticed. */
static void
test_corrupt_cache(Fixture *fixture, gconstpointer unused)
{
    (void)unused;
    g_autofree char *data = NULL;
    gsize len = 0;
    publish(fixture, 3);
    MapFeed *feed = start(fixture);
    expect_epoch(feed, 3);
    mapfeed_stop(feed);
    g_assert_true(g_file_get_contents(fixture->cache, &data, &len, NULL));
    fixture->refusals = 1000;
    for (gsize i = 0; i < len; i++) {
        g_autofree char *bad = g_memdup2(data, len);
        bad[i] = (char)(bad[i] ^ 4);
        g_file_set_contents(fixture->cache, bad,
                            i % 2 ? (gssize)len : (gssize)i, NULL);
        feed = start(fixture);
        g_assert_null(mapfeed_get(feed));
        mapfeed_stop(feed);
    }
}

/* A corrupt cache costs nothing once the control topic is read. */
static void
test_corrupt_cache_replaced(Fixture *fixture, gconstpointer unused)
{
    (void)unused;
    g_assert_true(g_file_set_contents(fixture->cache, "nonsense", -1, NULL));
    publish(fixture, 3);
    MapFeed *feed = start(fixture);
    expect_epoch(feed, 3);
    mapfeed_stop(feed);
    fixture->refusals = 1000;
    feed = start(fixture);
    g_assert_cmpint(epoch_now(feed), ==, 3);
    mapfeed_stop(feed);
}

/* The control topic is tried again until it opens. */
static void
test_opens_late(Fixture *fixture, gconstpointer unused)
{
    (void)unused;
    fixture->refusals = 1;
    publish(fixture, 1);
    MapFeed *feed = start(fixture);
    expect_epoch(feed, 1);
    mapfeed_stop(feed);
}

/* Waiting ends with its time; a map that is there already is given at once. */
static void
test_waiting(Fixture *fixture, gconstpointer unused)
{
    (void)unused;
    MapFeed *feed = start(fixture);
    gint64 before_us = g_get_monotonic_time();
    g_assert_null(mapfeed_wait(feed, 1, 30));
    g_assert_cmpint(g_get_monotonic_time() - before_us, >=, 30000);
    publish(fixture, 4);
    expect_epoch(feed, 4);
    g_autoptr(CellMap) older = mapfeed_wait(feed, 2, 0);
    g_assert_cmpint(cellmap_epoch(older), ==, 4);
    g_assert_null(mapfeed_wait(feed, 5, 0));
    mapfeed_stop(feed);
}

#define ADD(name)                                                              \
    g_test_add("/mapfeed/" #name, Fixture, NULL, set_up, test_##name, tear_down)

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD(empty);
    ADD(caught_up);
    ADD(newest_wins);
    ADD(same_epoch);
    ADD(bad_records);
    ADD(cache);
    ADD(cache_newer);
    ADD(corrupt_cache);
    ADD(corrupt_cache_replaced);
    ADD(opens_late);
    ADD(waiting);
    return g_test_run();
}
