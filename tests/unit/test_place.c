/*
 * test_place.c - where reading starts: words, times and positions
 *
 * Offsets for random times are compared with a plain walk over all records,
 * on the memory and the local log, and on a log of this test's own that has
 * any times and has dropped what it likes.
 */
#include "firehose/place.h"

#include "firehose/bookmark.h"
#include "firehose/log_driver.h"
#include "ops/kit/error.h"
#include "tests/kit/log_behaviours.h"
#include "tests/kit/tmpdir.h"

#include <string.h>

#define PARTITIONS 3
#define NOW_MS G_GINT64_CONSTANT(1764000000000)
#define HOUR_MS G_GINT64_CONSTANT(3600000)
#define RANDOM_TIMES 4000

static void
assert_next(const guint64 *next, const guint64 *expected)
{
    for (guint i = 0; i < PARTITIONS; i++) {
        g_assert_cmpuint(next[i], ==, expected[i]);
    }
}

static WireBytes
text_bytes(const char *text)
{
    return (WireBytes){(const guint8 *)text, strlen(text)};
}

/* ---- words ---- */

/* What is understood, and what it means. */
static void
test_times(void)
{
    static const struct {
        const char *text;
        gint64 ms;
    } cases[] = {
        {"0", 0},
        {"1763996400001", 1763996400001},
        {"2026-01-31T12:00:00Z", 1769860800000},
        {"2026-01-31T12:00:00.123Z", 1769860800123},
        {"2026-01-31T12:00:00.1230001Z", 1769860800123},
        {"2026-01-31T12:00:00.123001Z", 1769860800124},
        {"2026-01-31T14:00:00+02:00", 1769860800000},
        {"2026-01-31 12:00:00Z", 1769860800000},
        {"9999-12-31T23:59:59.999Z", PLACE_TIME_MS_MAX},
        {"PT1H30M", NOW_MS - HOUR_MS * 3 / 2},
        {"pt1h30m", NOW_MS - HOUR_MS * 3 / 2},
        {"P1D", NOW_MS - 24 * HOUR_MS},
        {"P2W1DT1S", NOW_MS - 15 * 24 * HOUR_MS - 1000},
        {"PT0.5S", NOW_MS - 500},
        {"PT1.0625S", NOW_MS - 1062},
        {"PT0S", NOW_MS},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        PlaceFault fault = {0};
        gint64 ms = -1;

        g_test_message("%s", cases[i].text);
        g_assert_true(place_parse_time(cases[i].text, NOW_MS, &ms, &fault));
        g_assert_cmpint(ms, ==, cases[i].ms);
    }
}

/* What is not, with a reason that says what to do. */
static void
test_times_refused(void)
{
    static const struct {
        const char *text;
        const char *reason;
        gint64 limit;
    } cases[] = {
        {"", "is no time", -1},
        {"yesterday", "is no time", -1},
        {"-5", "is no time", -1},
        {"2026-01-31T12:00:00", "has no time zone", -1},
        {"2026-02-30T12:00:00Z", "is no time", -1},
        {"1960-01-31T12:00:00Z", "is out of bounds", PLACE_TIME_MS_MAX},
        {"253402300800000", "is out of bounds", PLACE_TIME_MS_MAX},
        {"99999999999999999999999", "is out of bounds", PLACE_TIME_MS_MAX},
        {"P", "is no duration", -1},
        {"PT", "is no duration", -1},
        {"P1", "is no duration", -1},
        {"P1M", "is no duration", -1},
        {"P1Y", "is no duration", -1},
        {"P1H", "is no duration", -1},
        {"PT1D", "is no duration", -1},
        {"PT1M1H", "is no duration", -1},
        {"PT1H1H", "is no duration", -1},
        {"PT1.5H", "is no duration", -1},
        {"PT-1H", "is no duration", -1},
        {"P1D ", "is no duration", -1},
        {"PT99999999999999999999S", "is no duration", -1},
        {"P99999D", "goes back too far", NOW_MS},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        PlaceFault fault = {0};
        gint64 ms = 0;

        g_test_message("%s", cases[i].text);
        g_assert_false(place_parse_time(cases[i].text, NOW_MS, &ms, &fault));
        g_assert_true(g_str_has_prefix(fault.reason, cases[i].reason));
        g_assert_cmpint(fault.limit, ==, cases[i].limit);
    }
}

/* Words that are no times; and a future that has no events to start with. */
static void
test_words(void)
{
    PlaceFault fault = {0};
    Place place = {0};

    g_assert_true(place_parse("now", NOW_MS, &place, &fault));
    g_assert_cmpint(place.kind, ==, PLACE_NOW);
    g_assert_true(place_parse("earliest", NOW_MS, &place, &fault));
    g_assert_cmpint(place.kind, ==, PLACE_EARLIEST);
    g_assert_true(place_parse("1764000000000", NOW_MS, &place, &fault));
    g_assert_cmpint(place.kind, ==, PLACE_TIME);
    g_assert_cmpint(place_floor_ms(&place), ==, NOW_MS);
    g_assert_false(place_parse("1764000000001", NOW_MS, &place, &fault));
    g_assert_cmpstr(fault.reason, ==, "is in the future");
    g_assert_cmpint(fault.limit, ==, NOW_MS);
}

/* ---- bookmarks ---- */

/* Offsets of every length come back; nothing else is taken for a bookmark. */
static void
test_bookmarks(void)
{
    static const guint64 next[] = {0, 127, 128, 123456789, G_MAXUINT64 - 1};
    const guint n = G_N_ELEMENTS(next);
    g_autoptr(GString) text = g_string_new(NULL);
    guint64 back[G_N_ELEMENTS(next) + 1];
    Position event;

    bookmark_write(text, next, n, 7);
    WireBytes bytes = {(guint8 *)text->str, text->len};
    g_assert_cmpint(bookmark_read(bytes, 7, n, back, &event), ==, BOOKMARK_ALL);
    g_assert_true(memcmp(back, next, sizeof next) == 0);
    g_assert_cmpint(bookmark_read(bytes, 8, n, back, &event), ==,
                    BOOKMARK_FOREIGN);
    g_assert_cmpint(bookmark_read(bytes, 7, n + 1, back, &event), ==,
                    BOOKMARK_MALFORMED);
    g_assert_cmpint(bookmark_read(bytes, 7, n - 1, back, &event), ==,
                    BOOKMARK_MALFORMED);
    for (gsize len = 0; len < text->len; len++) {
        g_assert_cmpint(
            bookmark_read((WireBytes){bytes.data, len}, 7, n, back, &event), !=,
            BOOKMARK_ALL);
    }
    for (gsize i = 0; i < text->len; i++) {
        char kept = text->str[i];

        text->str[i] = '=';
        g_assert_cmpint(bookmark_read(bytes, 7, n, back, &event), !=,
                        BOOKMARK_ALL);
        text->str[i] = kept;
    }
}

/* A published event's position is understood as bytes and as text. */
static void
test_bookmark_event(void)
{
    guint8 bytes[POSITION_BYTES];
    Position event = {0};
    guint64 next[2];

    position_encode((Position){1, 77}, 5, bytes);
    g_autofree char *text = g_base64_encode(bytes, sizeof bytes);
    g_strdelimit(text, "+", '-');
    g_strdelimit(text, "/", '_');
    *strchr(text, '=') = '\0';
    g_assert_cmpint(
        bookmark_read((WireBytes){bytes, sizeof bytes}, 5, 2, next, &event), ==,
        BOOKMARK_EVENT);
    g_assert_cmpuint(event.offset, ==, 77);
    event.offset = 0;
    g_assert_cmpint(bookmark_read(text_bytes(text), 5, 2, next, &event), ==,
                    BOOKMARK_EVENT);
    g_assert_cmpuint(event.offset, ==, 77);
    g_assert_cmpint(bookmark_read(text_bytes(text), 6, 2, next, &event), ==,
                    BOOKMARK_FOREIGN);
}

/* ---- a log with times of the test's own ---- */

typedef struct FakeLog {
    Log log;                   /* first: the driver's view */
    char name[8];              /* its identity */
    guint64 first[PARTITIONS]; /* the offset of the first that is kept */
    GArray *times[PARTITIONS]; /* gint64, of all, ascending, dropped or not */
} FakeLog;

static gboolean
fake_bounds(Log *log, guint partition, guint64 *ret_first, guint64 *ret_end,
            GError **error)
{
    FakeLog *fake = (FakeLog *)log;

    (void)error;
    *ret_first = fake->first[partition];
    *ret_end = fake->times[partition]->len;
    return TRUE;
}

/* The plain walk. */
static gboolean
fake_find_time(Log *log, guint partition, gint64 time_ms, guint64 *ret_offset,
               GError **error)
{
    FakeLog *fake = (FakeLog *)log;
    const GArray *times = fake->times[partition];
    guint64 offset = fake->first[partition];

    (void)error;
    while (offset < times->len &&
           g_array_index(times, gint64, offset) < time_ms) {
        offset++;
    }
    *ret_offset = offset;
    return TRUE;
}

static const LogDriver fake_driver = {.bounds = fake_bounds,
                                      .find_time = fake_find_time};

static void
fake_init(FakeLog *fake)
{
    *fake = (FakeLog){.name = "fake"};
    fake->log.driver = &fake_driver;
    fake->log.partitions = PARTITIONS;
    fake->log.identity = fake->name;
    for (guint i = 0; i < PARTITIONS; i++) {
        fake->times[i] = g_array_new(FALSE, FALSE, sizeof(gint64));
    }
}

static void
fake_clear(FakeLog *fake)
{
    for (guint i = 0; i < PARTITIONS; i++) {
        g_array_unref(fake->times[i]);
    }
}

static void
fake_add(FakeLog *fake, guint partition, gint64 time_ms)
{
    g_array_append_val(fake->times[partition], time_ms);
}

static PlaceOutcome
resolve(FakeLog *fake, const Place *place, guint64 *ret_next,
        PlaceFault *ret_fault)
{
    const PlaceLog in = {&fake->log, position_check("fake"), 24 * HOUR_MS};
    g_autoptr(GError) error = NULL;
    PlaceOutcome outcome =
        place_resolve(&in, place, ret_next, ret_fault, &error);

    g_assert_no_error(error);
    return outcome;
}

/* Whether an event at or after @time_ms has been dropped. */
static gboolean
has_lost(const FakeLog *fake, gint64 time_ms)
{
    for (guint i = 0; i < PARTITIONS; i++) {
        guint64 first = fake->first[i];

        if (first > 0 &&
            g_array_index(fake->times[i], gint64, first - 1) >= time_ms) {
            return TRUE;
        }
    }
    return FALSE;
}

static void
fake_fill(FakeLog *fake, GRand *dice)
{
    for (guint i = 0; i < PARTITIONS; i++) {
        guint n = (guint)g_rand_int_range(dice, 0, 30);
        gint64 at = NOW_MS - 100;

        for (guint j = 0; j < n; j++) {
            at += g_rand_int_range(dice, 0, 6);
            fake_add(fake, i, at);
        }
        fake->first[i] = g_rand_boolean(dice)
                             ? 0
                             : (guint)g_rand_int_range(dice, 0, (gint)n + 1);
    }
}

/* A time never loses an event quietly: it is refused, with a time that is
   good, or it starts with the first event at or after it. */
static void
test_kept(void)
{
    g_autoptr(GRand) dice = g_rand_new_with_seed(1);
    guint found = 0;

    for (guint i = 0; i < RANDOM_TIMES; i++) {
        Place place = {.kind = PLACE_TIME, .now_ms = NOW_MS + 1000};
        guint64 next[PARTITIONS];
        PlaceFault fault = {0};
        FakeLog fake;

        fake_init(&fake);
        fake_fill(&fake, dice);
        for (guint j = 0; j < PARTITIONS; j++) {
            /* One that has dropped all is told by what the log promises. */
            if (fake.first[j] == fake.times[j]->len) {
                fake.first[j] = 0;
                g_array_set_size(fake.times[j], 0);
            }
        }
        place.time_ms = NOW_MS + g_rand_int_range(dice, -120, 200);
        if (resolve(&fake, &place, next, &fault) == PLACE_REFUSED) {
            g_assert_true(g_str_has_prefix(fault.reason, "is before the"));
            g_assert_cmpint(fault.limit, >, place.time_ms);
            g_assert_false(has_lost(&fake, fault.limit));
            place.time_ms = fault.limit;
            g_assert_cmpint(resolve(&fake, &place, next, &fault), ==,
                            PLACE_FOUND);
        } else {
            g_assert_false(has_lost(&fake, place.time_ms));
            found++;
        }
        place.or_earliest = TRUE;
        place.time_ms = NOW_MS - 200;
        g_assert_cmpint(resolve(&fake, &place, next, &fault), ==, PLACE_FOUND);
        assert_next(next, fake.first);
        fake_clear(&fake);
    }
    g_assert_cmpuint(found, >, RANDOM_TIMES / 10);
    g_assert_cmpuint(found, <, RANDOM_TIMES * 9 / 10);
}

/* A partition that has dropped all it had: the log's promise decides. */
static void
test_emptied(void)
{
    Place place = {.kind = PLACE_TIME, .now_ms = NOW_MS};
    guint64 next[PARTITIONS];
    PlaceFault fault = {0};
    FakeLog fake;

    fake_init(&fake);
    fake_add(&fake, 1, NOW_MS - 50 * HOUR_MS);
    fake.first[1] = 1;
    place.time_ms = NOW_MS - 24 * HOUR_MS;
    g_assert_cmpint(resolve(&fake, &place, next, &fault), ==, PLACE_FOUND);
    g_assert_cmpuint(next[1], ==, 1);
    place.time_ms--;
    g_assert_cmpint(resolve(&fake, &place, next, &fault), ==, PLACE_REFUSED);
    g_assert_cmpint(fault.limit, ==, NOW_MS - 24 * HOUR_MS);
    fake_clear(&fake);
}

/* An empty log has one place, by whatever name. */
static void
test_empty(void)
{
    static const PlaceKind kinds[] = {PLACE_NOW, PLACE_EARLIEST, PLACE_TIME};
    static const guint64 zeros[PARTITIONS];
    FakeLog fake;

    fake_init(&fake);
    for (gsize i = 0; i < G_N_ELEMENTS(kinds); i++) {
        Place place = {.kind = kinds[i], .now_ms = NOW_MS, .time_ms = NOW_MS};
        guint64 next[PARTITIONS] = {7, 7, 7};
        PlaceFault fault;

        g_assert_cmpint(resolve(&fake, &place, next, &fault), ==, PLACE_FOUND);
        assert_next(next, zeros);
    }
    fake_clear(&fake);
}

/* Offsets that are gone or not there yet are refused, or moved up if asked. */
static void
test_positions(void)
{
    static const struct {
        guint64 next[PARTITIONS];
        gboolean or_earliest;
        const char *reason; /* NULL: found */
        gint64 limit;
    } cases[] = {
        {{2, 0, 0}, FALSE, NULL, 0},
        {{5, 0, 0}, FALSE, NULL, 0},
        {{6, 0, 0}, FALSE, "is past the end of the log", 5},
        {{6, 0, 0}, TRUE, "is past the end of the log", 5},
        {{1, 0, 0}, FALSE, "is a place that the log no longer keeps", 2},
        {{1, 0, 0}, TRUE, NULL, 0},
    };
    FakeLog fake;

    fake_init(&fake);
    for (guint i = 0; i < 5; i++) {
        fake_add(&fake, 0, NOW_MS + i);
    }
    fake.first[0] = 2;
    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GString) text = g_string_new(NULL);
        Place place = {.kind = PLACE_POSITION,
                       .or_earliest = cases[i].or_earliest};
        guint64 next[PARTITIONS];
        PlaceFault fault = {0};

        bookmark_write(text, cases[i].next, PARTITIONS, position_check("fake"));
        place.position = (WireBytes){(guint8 *)text->str, text->len};
        if (cases[i].reason == NULL) {
            g_assert_cmpint(resolve(&fake, &place, next, &fault), ==,
                            PLACE_FOUND);
            g_assert_cmpuint(next[0], ==, MAX(cases[i].next[0], 2));
            continue;
        }
        g_assert_cmpint(resolve(&fake, &place, next, &fault), ==,
                        PLACE_REFUSED);
        g_assert_true(g_str_has_prefix(fault.reason, cases[i].reason));
        g_assert_cmpint(fault.limit, ==, cases[i].limit);
    }
    fake_clear(&fake);
}

/* From a published event on: it comes first in its partition, and in the
   others what is not older. */
static void
test_from_event(void)
{
    Place place = {.kind = PLACE_POSITION};
    guint8 bytes[POSITION_BYTES];
    guint64 next[PARTITIONS];
    PlaceFault fault = {0};
    FakeLog fake;

    fake_init(&fake);
    for (guint i = 0; i < 6; i++) {
        fake_add(&fake, 0, NOW_MS + 10 * (i / 2));
        fake_add(&fake, 1, NOW_MS + i);
        fake_add(&fake, 2, NOW_MS + 12 * i);
    }
    position_encode((Position){0, 3}, position_check("fake"), bytes);
    place.position = (WireBytes){bytes, sizeof bytes};
    g_assert_cmpint(resolve(&fake, &place, next, &fault), ==, PLACE_FOUND);
    g_assert_cmpuint(next[0], ==, 3);
    g_assert_cmpuint(next[1], ==, 6);
    g_assert_cmpuint(next[2], ==, 1);
    position_encode((Position){0, 6}, position_check("fake"), bytes);
    g_assert_cmpint(resolve(&fake, &place, next, &fault), ==, PLACE_REFUSED);
    position_encode((Position){9, 0}, position_check("fake"), bytes);
    g_assert_cmpint(resolve(&fake, &place, next, &fault), ==, PLACE_REFUSED);
    position_encode((Position){0, 3}, position_check("other"), bytes);
    g_assert_cmpint(resolve(&fake, &place, next, &fault), ==, PLACE_REFUSED);
    g_assert_cmpstr(fault.reason, ==, "is of another log");
    fake_clear(&fake);
}

/* ---- the real drivers ---- */

/* The times of all records, by partition, read from the log itself. */
static void
read_times(Log *log, FakeLog *fake)
{
    LogReader *reader = log_must_read(log, NULL);
    const LogRecord *records;
    gsize n;

    while (log_reader_next(reader, 0, 1000, &records, &n, NULL) ==
           LOG_READ_RECORDS) {
        for (gsize i = 0; i < n; i++) {
            fake_add(fake, records[i].partition, records[i].timestamp_ms);
        }
    }
    log_reader_close(reader);
}

/* For thousands of random times the log's offsets are those of a walk, and
   each record's time is found again. */
static void
compare_times(Log *log, GRand *dice)
{
    const PlaceLog in = {log, position_check(log_identity(log)), -1};
    gint64 now_ms = g_get_real_time() / 1000 + 1000;
    g_autoptr(GError) error = NULL;
    gint64 begin_ms;
    FakeLog fake;

    fake_init(&fake);
    read_times(log, &fake);
    begin_ms = g_array_index(fake.times[0], gint64, 0);
    for (guint i = 0; i < RANDOM_TIMES; i++) {
        Place place = {.kind = PLACE_TIME, .now_ms = now_ms};
        guint64 expected[PARTITIONS];
        guint64 next[PARTITIONS];
        PlaceFault fault;

        place.time_ms =
            g_rand_int_range(dice, -50, (gint)(now_ms - begin_ms)) + begin_ms;
        g_assert_cmpint(place_resolve(&in, &place, next, &fault, &error), ==,
                        PLACE_FOUND);
        for (guint p = 0; p < PARTITIONS; p++) {
            fake_find_time(&fake.log, p, place.time_ms, &expected[p], NULL);
        }
        assert_next(next, expected);
    }
    for (guint64 i = 0; i < fake.times[0]->len; i += 7) {
        gint64 ms = 0;

        g_assert_true(place_time_of(log, 0, i, &ms, &error));
        g_assert_cmpint(ms, ==, g_array_index(fake.times[0], gint64, i));
    }
    fake_clear(&fake);
}

/* Records at uneven times, often several in a millisecond. */
static void
check_driver(LogCluster *cluster)
{
    static const LogTopic topic = {
        .name = "t", .partitions = PARTITIONS, .retention_ms = -1};
    g_autoptr(GRand) dice = g_rand_new_with_seed(2);
    Log *log = log_must_open(cluster, &topic);

    log_put(log, 0, "k", "v");
    for (guint i = 0; i < 300; i++) {
        log_put(log, (guint)g_rand_int_range(dice, 0, PARTITIONS), "k", "v");
        if (g_rand_int_range(dice, 0, 3) == 0) {
            g_usleep((gulong)g_rand_int_range(dice, 0, 6000));
        }
    }
    compare_times(log, dice);
    log_close(log);
    log_cluster_close(cluster);
}

static void
test_memory(void)
{
    check_driver(log_cluster_memory());
}

static void
test_local(void)
{
    g_autoptr(GError) error = NULL;
    char *dir = tmpdir_new();
    LogCluster *cluster = log_cluster_local(dir, &error);

    g_assert_no_error(error);
    check_driver(cluster);
    tmpdir_free(dir);
}

/* So many events, but no further than the log. */
static void
test_shift(void)
{
    static const struct {
        guint64 next;
        gint64 shift;
        guint64 shifted;
    } cases[] = {
        {50, 10, 60},  {50, -10, 40},         {50, 0, 50},
        {50, 51, 100}, {50, -41, 10},         {5, -3, 10},
        {200, 1, 100}, {50, G_MAXINT64, 100}, {50, G_MININT64, 10},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_assert_cmpuint(place_shift(cases[i].next, cases[i].shift, 10, 100),
                         ==, cases[i].shifted);
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/place/times", test_times);
    g_test_add_func("/place/times-refused", test_times_refused);
    g_test_add_func("/place/words", test_words);
    g_test_add_func("/place/bookmarks", test_bookmarks);
    g_test_add_func("/place/bookmark-event", test_bookmark_event);
    g_test_add_func("/place/kept", test_kept);
    g_test_add_func("/place/emptied", test_emptied);
    g_test_add_func("/place/empty", test_empty);
    g_test_add_func("/place/positions", test_positions);
    g_test_add_func("/place/from-event", test_from_event);
    g_test_add_func("/place/shift", test_shift);
    g_test_add_func("/place/memory", test_memory);
    g_test_add_func("/place/local", test_local);
    return g_test_run();
}
