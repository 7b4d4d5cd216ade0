/*
 * log_behaviours_members.c - members that share, tried on each driver
 */
#include "ops/kit/error.h"
#include "tests/kit/log_behaviours_private.h"

#include <string.h>

#define NONE LOG_NO_PLACE
#define PATIENCE_US (G_GINT64_CONSTANT(60) * G_USEC_PER_SEC)
#define POLL_MS 20

typedef struct Consumer {
    LogMember *member;
    guint64 next[PARTITIONS];
} Consumer;

static void
join(Log *log, const char *client, const guint64 *begin, Consumer *consumer)
{
    GError *error = NULL;

    consumer->member = log_member_join(log, client, begin, &error);
    g_assert_no_error(error);
    for (guint i = 0; i < PARTITIONS; i++) {
        consumer->next[i] = NONE;
    }
}

static guint
count(const Consumer *consumer)
{
    guint n = 0;

    for (guint i = 0; i < PARTITIONS; i++) {
        n += consumer->next[i] != NONE ? 1 : 0;
    }
    return n;
}

/* Until each has a partition, and all have them all. */
static void
settle(Consumer *consumers, guint n)
{
    gint64 until = g_get_monotonic_time() + PATIENCE_US;
    gboolean settled = FALSE;

    while (!settled) {
        guint held = 0;

        g_assert_cmpint(g_get_monotonic_time(), <, until);
        settled = TRUE;
        for (guint i = 0; i < n; i++) {
            GError *error = NULL;

            settled =
                log_member_poll(consumers[i].member, POLL_MS, consumers[i].next,
                                &error) == LOG_MEMBER_SAME &&
                settled && count(&consumers[i]) > 0;
            g_assert_no_error(error);
            held += count(&consumers[i]);
        }
        settled = settled && held == PARTITIONS;
    }
}

static void
assert_busy(GError **error)
{
    g_assert_error(*error, COMB_ERROR, COMB_ERROR_BUSY);
    g_clear_error(error);
}

/* Each partition is one's; only that one commits it; what it leaves goes to
   the other, at the place that was committed. What stays goes on as it is. */
void
members_share(Fixture *fixture)
{
    const guint64 begin[PARTITIONS] = {0, 0, 0};
    const guint64 all[PARTITIONS] = {1, 1, 1};
    g_autofree char *client = g_strconcat(fixture->name, ".m", NULL);
    Log *log = log_must_open(fixture->cluster, &fixture->topic);
    guint64 committed[PARTITIONS];
    Consumer two[2];
    GError *error = NULL;

    for (guint i = 0; i < PARTITIONS * 4; i++) {
        log_put(log, i % PARTITIONS, "k", "v");
    }
    join(log, client, begin, &two[0]);
    settle(two, 1);
    join(log, client, begin, &two[1]);
    settle(two, 2);
    g_assert_false(log_place_store(log, client, all, &error));
    assert_busy(&error);
    g_assert_false(log_member_commit(two[0].member, all, &error));
    assert_busy(&error);

    for (guint i = 0; i < PARTITIONS; i++) {
        committed[i] = two[1].next[i] == NONE ? NONE : 3;
        two[0].next[i] = two[0].next[i] == NONE ? NONE : 2;
    }
    g_assert_true(log_member_commit(two[1].member, committed, &error));
    g_assert_no_error(error);
    log_member_leave(two[1].member);
    settle(two, 1);
    for (guint i = 0; i < PARTITIONS; i++) {
        g_assert_cmpuint(two[0].next[i], ==, committed[i] == NONE ? 2 : 3);
    }
    log_member_leave(two[0].member);
    g_assert_true(log_place_store(log, client, all, &error));
    g_assert_no_error(error);
    log_close(log);
}

/* Where there is no place it begins as it says, and so does who comes after,
   although nothing was committed. */
void
members_begin(Fixture *fixture)
{
    const guint64 begin[PARTITIONS] = {1, 0, 2};
    const guint64 later[PARTITIONS] = {2, 2, 2};
    g_autofree char *client = g_strconcat(fixture->name, ".m", NULL);
    Log *log = log_must_open(fixture->cluster, &fixture->topic);
    Consumer one;

    for (guint i = 0; i < PARTITIONS * 2; i++) {
        log_put(log, i % PARTITIONS, "k", "v");
    }
    join(log, client, begin, &one);
    settle(&one, 1);
    g_assert_true(memcmp(one.next, begin, sizeof one.next) == 0);
    log_member_leave(one.member);
    join(log, client, later, &one);
    settle(&one, 1);
    g_assert_true(memcmp(one.next, begin, sizeof one.next) == 0);
    log_member_leave(one.member);
    log_close(log);
}
