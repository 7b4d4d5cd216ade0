/*
 * test_tap.c - what is wanted of the log, from a place to an end
 *
 * One log of random events; every test compares what a tap gives with a plain
 * look at all records.
 */
#include "firehose/tap.h"

#include "firehose/partition.h"
#include "firehose/shelf.h"
#include "tests/kit/log_behaviours.h"

#include <string.h>

#define PARTITIONS 3
#define RECORDS 400
#define ROUNDS 400
#define USERS 5
#define PASSES_MAX 1000

/* A record, as the plain look has it. */
typedef struct Seen {
    gint64 time_ms;
    gint32 kind; /* 0: cannot be decoded, or lies where it should not */
    gint64 user;
} Seen;

typedef struct Bench {
    LogCluster *cluster;
    Log *log;
    GArray *seen[PARTITIONS]; /* Seen, by offset */
    GRand *dice;
} Bench;

static guint
partition_of_user(gint64 user)
{
    guint8 key[PARTITION_KEY_BYTES];

    partition_key((UserId){user}, key);
    return partition_of(key, sizeof key, PARTITIONS);
}

static void
put_random(Bench *bench)
{
    guint partition;
    Seen seen = {.kind = g_rand_int_range(bench->dice, 4, 6),
                 .user = g_rand_int_range(bench->dice, 1, USERS + 1)};
    g_autoptr(GByteArray) value = g_byte_array_new();
    LogAnswer answer = {0};

    wire_field_i64(value, EVENT_FIELD_ID, 5);
    wire_field_i32(value, EVENT_FIELD_KIND, seen.kind);
    wire_field_i64(value, EVENT_FIELD_USER, seen.user);
    wire_field_i64(value, EVENT_FIELD_TARGET_USER, 77);
    if (g_rand_int_range(bench->dice, 0, 20) > 0) {
        wire_write_stop(value);
    } else {
        seen.kind = 0;
    }
    partition = partition_of_user(seen.user);
    if (g_rand_int_range(bench->dice, 0, 20) == 0) {
        seen.kind = 0;
        partition = (partition + 1) % PARTITIONS;
    }
    log_append_wait(
        bench->log,
        &(LogEntry){partition, {NULL, 0}, {value->data, value->len}}, 1,
        &answer);
    log_answer_clear(&answer);
    g_array_append_val(bench->seen[partition], seen);
}

/* The times that the log has given. */
static void
look_up_times(Bench *bench)
{
    LogReader *reader = log_must_read(bench->log, NULL);
    const LogRecord *records;
    gsize n;

    while (log_reader_next(reader, 0, 100, &records, &n, NULL) ==
           LOG_READ_RECORDS) {
        for (gsize i = 0; i < n; i++) {
            g_array_index(bench->seen[records[i].partition], Seen,
                          records[i].offset)
                .time_ms = records[i].timestamp_ms;
        }
    }
    log_reader_close(reader);
}

static void
bench_init(Bench *bench)
{
    static const LogTopic topic = {
        .name = "t", .partitions = PARTITIONS, .retention_ms = -1};

    bench->dice = g_rand_new_with_seed(1);
    bench->cluster = log_cluster_memory();
    bench->log = log_must_open(bench->cluster, &topic);
    for (guint i = 0; i < PARTITIONS; i++) {
        bench->seen[i] = g_array_new(FALSE, FALSE, sizeof(Seen));
    }
    for (guint i = 0; i < RECORDS; i++) {
        put_random(bench);
        g_usleep((gulong)g_rand_int_range(bench->dice, 0, 2000));
    }
    look_up_times(bench);
    /* Times in the past are past for every partition. */
    g_usleep((TAP_UNTIL_GRACE_MS + 10) * 1000);
}

static void
bench_clear(Bench *bench)
{
    for (guint i = 0; i < PARTITIONS; i++) {
        g_array_unref(bench->seen[i]);
    }
    log_close(bench->log);
    log_cluster_close(bench->cluster);
    g_rand_free(bench->dice);
}

static gboolean
is_in(const TapOptions *options, gint64 user)
{
    for (guint i = 0; options->authors != NULL && i < options->authors->len;
         i++) {
        if (g_array_index(options->authors, gint64, i) == user) {
            return TRUE;
        }
    }
    return options->authors == NULL;
}

static gboolean
is_expected(const Seen *seen, const TapOptions *options)
{
    if (seen->time_ms < options->floor_ms) {
        return FALSE;
    }
    return seen->kind == 0 ||
           ((options->kinds == 0 || (options->kinds >> seen->kind & 1) != 0) &&
            is_in(options, seen->user));
}

/* Where a tap with these options ends in a partition. */
static guint64
expected_end(const GArray *seen, guint64 from, const TapOptions *options)
{
    while (from < seen->len &&
           g_array_index(seen, Seen, from).time_ms < options->until_ms) {
        from++;
    }
    return from;
}

/* Takes @item as the next one expected of its partition. */
static void
check_item(const Bench *bench, const TapOptions *options, guint64 *at,
           const TapItem *item)
{
    guint partition = item->record->partition;
    const GArray *seen = bench->seen[partition];

    while (!is_expected(&g_array_index(seen, Seen, at[partition]), options)) {
        at[partition]++;
        g_assert_cmpuint(at[partition], <, seen->len);
    }
    const Seen *one = &g_array_index(seen, Seen, at[partition]);
    g_assert_cmpuint(item->record->offset, ==, at[partition]);
    g_assert_cmpint(item->decoded, ==, one->kind != 0);
    if (item->decoded) {
        g_assert_cmpint(item->event.kind, ==, one->kind);
        g_assert_cmpint(item->event.user.v, ==, one->user);
    }
    at[partition]++;
}

/* Reads on from @next until the end or until the dice say stop; @next is then
   where to go on. TRUE at the end. */
static gboolean
read_on(Bench *bench, const TapOptions *options, guint64 *next, guint64 *at)
{
    g_autoptr(GError) error = NULL;
    Tap *tap = tap_open(bench->log, next, options, &error);
    TapOutcome outcome = TAP_RECORDS;
    gboolean broken = FALSE;
    TapItem item;

    g_assert_no_error(error);
    while (!broken && (outcome = tap_fill(tap, 0, &error)) == TAP_RECORDS) {
        while (!broken && tap_take(tap, &item)) {
            check_item(bench, options, at, &item);
            broken = g_rand_int_range(bench->dice, 0, 200) == 0;
        }
    }
    g_assert_cmpint(outcome, !=, TAP_STOP);
    g_assert_true(broken || outcome == TAP_END);
    memcpy(next, tap_next(tap), PARTITIONS * sizeof *next);
    tap_close(tap);
    return !broken;
}

static void
throw_options(Bench *bench, TapOptions *options)
{
    gint64 begin_ms = g_array_index(bench->seen[0], Seen, 0).time_ms;

    options->kinds = g_rand_boolean(bench->dice)
                         ? 0
                         : 1U << (guint)g_rand_int_range(bench->dice, 4, 6);
    options->authors = NULL;
    if (g_rand_boolean(bench->dice)) {
        options->authors = g_array_new(FALSE, FALSE, sizeof(gint64));
        for (gint64 user = 0; user <= USERS; user++) {
            if (g_rand_boolean(bench->dice)) {
                g_array_append_val(options->authors, user);
            }
        }
    }
    options->to_end = g_rand_boolean(bench->dice);
    options->until_ms = begin_ms + g_rand_int_range(bench->dice, -10, 300);
    options->floor_ms = g_rand_boolean(bench->dice)
                            ? G_MININT64
                            : begin_ms + g_rand_int_range(bench->dice, 0, 400);
    if (options->to_end && g_rand_boolean(bench->dice)) {
        options->until_ms = G_MAXINT64;
    }
}

/* Any filter, any end, broken off and gone on with anywhere: exactly the
   events that are wanted, each once, and at the end exactly the end. */
static void
test_random(void)
{
    guint breaks = 0;
    Bench bench;

    bench_init(&bench);
    for (guint i = 0; i < ROUNDS; i++) {
        guint64 next[PARTITIONS];
        guint64 at[PARTITIONS];
        guint64 end[PARTITIONS];
        TapOptions options;

        throw_options(&bench, &options);
        for (guint p = 0; p < PARTITIONS; p++) {
            next[p] = (guint64)g_rand_int_range(bench.dice, 0,
                                                (gint)bench.seen[p]->len + 1);
            at[p] = next[p];
            end[p] = expected_end(bench.seen[p], next[p], &options);
        }
        for (guint pass = 0; !read_on(&bench, &options, next, at); pass++) {
            g_assert_cmpuint(pass, <, PASSES_MAX);
            breaks++;
        }
        for (guint p = 0; p < PARTITIONS; p++) {
            g_assert_cmpuint(next[p], ==, end[p]);
            for (; at[p] < end[p]; at[p]++) {
                g_assert_false(is_expected(
                    &g_array_index(bench.seen[p], Seen, at[p]), &options));
            }
        }
        g_clear_pointer(&options.authors, g_array_unref);
    }
    g_assert_cmpuint(breaks, >, ROUNDS / 10);
    bench_clear(&bench);
}

/* A tap of the end waits, gives what comes, and ends once its time is past
   though nothing came after it. */
static void
test_live(void)
{
    gint64 until_ms = g_get_real_time() / 1000 + 50;
    TapOptions options = {.floor_ms = G_MININT64, .until_ms = until_ms};
    static const LogTopic topic = {
        .name = "t", .partitions = PARTITIONS, .retention_ms = -1};
    const guint64 next[PARTITIONS] = {0};
    LogCluster *cluster = log_cluster_memory();
    Log *log = log_must_open(cluster, &topic);
    Tap *tap = tap_open(log, next, &options, NULL);
    TapOutcome outcome;
    TapItem item;

    g_assert_cmpint(tap_fill(tap, 0, NULL), ==, TAP_IDLE);
    log_put(log, 1, "k", "v");
    g_assert_cmpint(tap_fill(tap, 1000, NULL), ==, TAP_RECORDS);
    g_assert_true(tap_take(tap, &item));
    g_assert_false(item.decoded);
    g_assert_false(tap_take(tap, &item));
    while ((outcome = tap_fill(tap, 20, NULL)) == TAP_IDLE) {
        g_assert_cmpint(g_get_real_time() / 1000, <, until_ms + 5000);
    }
    g_assert_cmpint(outcome, ==, TAP_END);
    g_assert_cmpint(g_get_real_time() / 1000, >=, until_ms);
    tap_close(tap);
    log_close(log);
    log_cluster_close(cluster);
}

/* Records that were read ahead are not lost by resting, and another filter
   counts from the next record on. */
static void
test_shelf(void)
{
    TapOptions options = {.floor_ms = G_MININT64, .until_ms = G_MAXINT64};
    GArray *nobody = g_array_new(FALSE, FALSE, sizeof(gint64));
    Shelf *shelf = shelf_new(PARTITIONS, 60000);
    static const LogTopic topic = {
        .name = "t", .partitions = PARTITIONS, .retention_ms = -1};
    guint64 next[PARTITIONS] = {0};
    LogCluster *cluster = log_cluster_memory();
    Log *log = log_must_open(cluster, &topic);
    guint seen = 0;
    TapItem item;
    Tap *tap;

    for (guint i = 0; i < 9; i++) {
        log_put(log, i % PARTITIONS, "k", "v");
    }
    options.authors = nobody;
    tap = tap_open(log, next, &options, NULL);
    while (seen < 9) {
        g_assert_cmpint(tap_fill(tap, 0, NULL), ==, TAP_RECORDS);
        g_assert_true(tap_take(tap, &item));
        g_assert_cmpuint(item.record->offset, ==,
                         tap_next(tap)[item.record->partition] - 1);
        memcpy(next, tap_next(tap), sizeof next);
        shelf_put(shelf, tap);
        next[0]++;
        g_assert_null(shelf_take(shelf, next));
        next[0]--;
        tap = shelf_take(shelf, next);
        g_assert_nonnull(tap);
        g_assert_null(shelf_take(shelf, next));
        tap_set_filter(tap, &options);
        seen++;
    }
    g_assert_cmpint(tap_fill(tap, 0, NULL), ==, TAP_IDLE);
    tap_close(tap);
    g_array_unref(nobody);
    shelf_free(shelf);
    log_close(log);
    log_cluster_close(cluster);
}

/* It holds so many, the newest, and not for ever. */
static void
test_shelf_bounds(void)
{
    const TapOptions options = {.floor_ms = G_MININT64, .until_ms = G_MAXINT64};
    static const LogTopic topic = {
        .name = "t", .partitions = 1, .retention_ms = -1};
    LogCluster *cluster = log_cluster_memory();
    Log *log = log_must_open(cluster, &topic);
    Shelf *shelf = shelf_new(1, 200);
    Tap *tap;

    for (guint64 i = 0; i <= SHELF_TAPS_MAX; i++) {
        log_put(log, 0, "k", "v");
        shelf_put(shelf, tap_open(log, &i, &options, NULL));
    }
    for (guint64 i = 0; i < SHELF_TAPS_MAX; i++) {
        tap = shelf_take(shelf, &i);
        g_assert_true((tap != NULL) == (i > 0));
        tap_close(tap);
    }
    g_usleep(250000);
    g_assert_null(shelf_take(shelf, &(guint64){SHELF_TAPS_MAX}));
    shelf_put(shelf, tap_open(log, &(guint64){0}, &options, NULL));
    shelf_free(shelf);
    log_close(log);
    log_cluster_close(cluster);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/tap/random", test_random);
    g_test_add_func("/tap/live", test_live);
    g_test_add_func("/tap/shelf", test_shelf);
    g_test_add_func("/tap/shelf-bounds", test_shelf_bounds);
    return g_test_run();
}
