/*
 * Groups of 1 to 8 consumers that come, go and are killed, over the memory and
 * the local log: every event is given out, and as often again as it had been
 * without a commit when its partition went to another.
 *
 * One thread plays all consumers, so that a seed is a run.
 */
#include "firehose/bookmark.h"
#include "tests/kit/log_behaviours.h"
#include "tests/kit/tmpdir.h"

#include <string.h>

#define PARTITIONS 5
#define EVENTS 400
#define CONSUMERS_MAX 8
#define STEPS 600
#define NONE LOG_NO_PLACE

typedef struct Consumer {
    LogMember *member; /* NULL: there is none */
    LogReader *reader; /* NULL: it has no partition */
    guint64 next[PARTITIONS];
    guint64 committed[PARTITIONS]; /* where it went on, or committed */
} Consumer;

typedef struct Play {
    Log *log;
    GRand *dice;
    Consumer consumers[CONSUMERS_MAX];
    GArray *seen[PARTITIONS]; /* guint, how often, by offset */
    guint64 repeated;         /* given out again */
    guint64 allowed;          /* given out and not committed when lost */
} Play;

static const LogTopic topic = {
    .name = "t", .partitions = PARTITIONS, .retention_ms = -1};

static void
lose(Play *play, const Consumer *consumer, guint partition)
{
    if (consumer->next[partition] != NONE) {
        play->allowed +=
            consumer->next[partition] - consumer->committed[partition];
    }
}

static void
join(Play *play, Consumer *consumer)
{
    const guint64 begin[PARTITIONS] = {0};
    GError *error = NULL;

    consumer->member = log_member_join(play->log, "c", begin, &error);
    g_assert_no_error(error);
    for (guint i = 0; i < PARTITIONS; i++) {
        consumer->next[i] = NONE;
    }
}

/* As killed: what it has not committed is not. */
static void
leave(Play *play, Consumer *consumer)
{
    for (guint i = 0; i < PARTITIONS; i++) {
        lose(play, consumer, i);
    }
    g_clear_pointer(&consumer->reader, log_reader_close);
    g_clear_pointer(&consumer->member, log_member_leave);
}

static void
reopen(Play *play, Consumer *consumer)
{
    gboolean any = FALSE;

    g_clear_pointer(&consumer->reader, log_reader_close);
    for (guint i = 0; i < PARTITIONS; i++) {
        any = any || consumer->next[i] != NONE;
    }
    if (any) {
        consumer->reader = log_must_read(play->log, consumer->next);
    }
}

static void
ask(Play *play, Consumer *consumer)
{
    guint64 next[PARTITIONS];
    GError *error = NULL;

    memcpy(next, consumer->next, sizeof next);
    switch (log_member_poll(consumer->member, 0, next, &error)) {
    case LOG_MEMBER_MOVED:
        for (guint i = 0; i < PARTITIONS; i++) {
            if (next[i] == NONE) {
                lose(play, consumer, i);
            } else if (consumer->next[i] == NONE) {
                consumer->committed[i] = next[i];
            } else {
                g_assert_cmpuint(next[i], ==, consumer->next[i]);
            }
        }
        memcpy(consumer->next, next, sizeof next);
        reopen(play, consumer);
        break;
    case LOG_MEMBER_SAME:
        break;
    case LOG_MEMBER_WAIT:
    case LOG_MEMBER_FAILED:
    default:
        g_assert_not_reached();
    }
}

/* Reads up to @max events; what is new counts as one more. */
static gboolean
consume(Play *play, Consumer *consumer, gsize max)
{
    const LogRecord *records;
    gsize n = 0;

    if (consumer->reader == NULL ||
        log_reader_next(consumer->reader, 0, max, &records, &n, NULL) !=
            LOG_READ_RECORDS) {
        return FALSE;
    }
    for (gsize i = 0; i < n; i++) {
        guint part = records[i].partition;
        guint *seen =
            &g_array_index(play->seen[part], guint, (guint)records[i].offset);

        g_assert_cmpuint(records[i].offset, ==, consumer->next[part]);
        play->repeated += *seen > 0 ? 1 : 0;
        (*seen)++;
        consumer->next[part]++;
    }
    return TRUE;
}

static void
commit(Consumer *consumer)
{
    GError *error = NULL;

    log_member_commit(consumer->member, consumer->next, &error);
    g_assert_no_error(error);
    memcpy(consumer->committed, consumer->next, sizeof consumer->next);
}

/* A commit comes between two questions, when all its partitions are held. */
static void
step(Play *play)
{
    Consumer *consumer =
        &play->consumers[g_rand_int_range(play->dice, 0, CONSUMERS_MAX)];

    if (consumer->member == NULL) {
        if (g_rand_int_range(play->dice, 0, 4) == 0) {
            join(play, consumer);
        }
        return;
    }
    if (g_rand_int_range(play->dice, 0, 40) == 0) {
        leave(play, consumer);
        return;
    }
    ask(play, consumer);
    (void)consume(play, consumer, (gsize)g_rand_int_range(play->dice, 1, 9));
    if (g_rand_int_range(play->dice, 0, 3) == 0) {
        commit(consumer);
    }
}

/* Until those that are there have everything. */
static void
finish(Play *play)
{
    if (play->consumers[0].member == NULL) {
        join(play, &play->consumers[0]);
    }
    for (guint round = 0; round < 1000; round++) {
        for (guint i = 0; i < CONSUMERS_MAX; i++) {
            if (play->consumers[i].member != NULL) {
                ask(play, &play->consumers[i]);
                (void)consume(play, &play->consumers[i], 50);
            }
        }
    }
}

static void
play_once(LogCluster *cluster, guint32 seed)
{
    Play play = {.log = log_must_open(cluster, &topic),
                 .dice = g_rand_new_with_seed(seed)};

    for (guint i = 0; i < PARTITIONS; i++) {
        play.seen[i] = g_array_new(FALSE, TRUE, sizeof(guint));
    }
    for (guint i = 0; i < EVENTS; i++) {
        guint part = (guint)g_rand_int_range(play.dice, 0, PARTITIONS);

        g_array_set_size(play.seen[part],
                         (guint)log_put(play.log, part, "k", "v") + 1);
    }
    for (guint i = 0; i < STEPS; i++) {
        step(&play);
    }
    finish(&play);
    for (guint i = 0; i < PARTITIONS; i++) {
        for (guint j = 0; j < play.seen[i]->len; j++) {
            g_assert_cmpuint(g_array_index(play.seen[i], guint, j), >, 0);
        }
        g_array_unref(play.seen[i]);
    }
    g_test_message("seed %u: %" G_GUINT64_FORMAT " repeated", seed,
                   play.repeated);
    g_assert_cmpuint(play.repeated, ==, play.allowed);
    for (guint i = 0; i < CONSUMERS_MAX; i++) {
        leave(&play, &play.consumers[i]);
    }
    g_rand_free(play.dice);
    log_close(play.log);
    log_cluster_close(cluster);
}

static void
test_memory(void)
{
    for (guint32 seed = 1; seed <= 50; seed++) {
        play_once(log_cluster_memory(), seed);
    }
}

static void
test_local(void)
{
    GError *error = NULL;
    char *dir = tmpdir_new();
    LogCluster *cluster = log_cluster_local(dir, &error);

    g_assert_no_error(error);
    play_once(cluster, 1);
    tmpdir_free(dir);
}

/* A place in some partitions is text that is read back, and no other. */
static void
test_bookmark(void)
{
    const guint64 next[3] = {NONE, 0, 300};
    g_autoptr(GString) text = g_string_new(NULL);
    guint64 back[3];
    Position event;

    bookmark_write(text, next, 3, 7);
    g_assert_cmpint(
        bookmark_read((WireBytes){(const guint8 *)text->str, text->len}, 7, 3,
                      back, &event),
        ==, BOOKMARK_SOME);
    g_assert_true(memcmp(back, next, sizeof back) == 0);
    g_string_append_c(text, 'A');
    g_assert_cmpint(
        bookmark_read((WireBytes){(const guint8 *)text->str, text->len}, 7, 3,
                      back, &event),
        ==, BOOKMARK_MALFORMED);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/members/memory", test_memory);
    g_test_add_func("/members/local", test_local);
    g_test_add_func("/members/bookmark", test_bookmark);
    return g_test_run();
}
