/*
 * log_behaviours_places.c - places of consumers, tried on each driver
 *
 * A test's clients carry the name of its topic, so that a broker which keeps
 * groups from an earlier run does not matter.
 */
#include "ops/kit/error.h"
#include "tests/kit/log_behaviours_private.h"

#include <string.h>

#define NONE LOG_NO_PLACE

static char *
client_name(const Fixture *fixture, const char *which)
{
    return g_strdup_printf("%s.%s", fixture->name, which);
}

static Log *
open_with_records(const Fixture *fixture, guint each)
{
    Log *log = log_must_open(fixture->cluster, &fixture->topic);

    for (guint i = 0; i < PARTITIONS * each; i++) {
        log_put(log, i % PARTITIONS, "k", "v");
    }
    return log;
}

static void
store(Log *log, const char *client, guint64 a, guint64 b, guint64 c)
{
    const guint64 next[PARTITIONS] = {a, b, c};
    GError *error = NULL;

    log_place_store(log, client, next, &error);
    g_assert_no_error(error);
}

static void
assert_place(Log *log, const char *client, guint64 a, guint64 b, guint64 c)
{
    guint64 next[PARTITIONS] = {7, 7, 7};
    GError *error = NULL;

    log_place_load(log, client, next, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(next[0], ==, a);
    g_assert_cmpuint(next[1], ==, b);
    g_assert_cmpuint(next[2], ==, c);
}

/* A partition is stored by itself, may go back, and is its client's alone. */
void
places_keep(Fixture *fixture)
{
    g_autofree char *one = client_name(fixture, "one");
    g_autofree char *other = client_name(fixture, "other");
    Log *log = open_with_records(fixture, 4);
    Log *again = log_must_open(fixture->cluster, &fixture->topic);

    assert_place(log, one, NONE, NONE, NONE);
    store(log, one, 1, NONE, 4);
    assert_place(log, one, 1, NONE, 4);
    store(log, one, NONE, 0, 2);
    assert_place(again, one, 1, 0, 2);
    assert_place(log, other, NONE, NONE, NONE);
    store(log, other, 3, 3, 3);
    store(log, other, NONE, NONE, NONE);
    assert_place(log, other, 3, 3, 3);
    assert_place(log, one, 1, 0, 2);
    log_close(again);
    log_close(log);
}

/* What is past the end is refused whole. */
void
places_refuse(Fixture *fixture)
{
    const guint64 past[PARTITIONS] = {1, 3, 1};
    g_autofree char *client = client_name(fixture, "one");
    Log *log = open_with_records(fixture, 2);
    GError *error = NULL;

    store(log, client, 2, 2, 2);
    g_assert_false(log_place_store(log, client, past, &error));
    g_assert_error(error, COMB_ERROR, COMB_ERROR_GAP);
    g_assert_nonnull(strstr(error->message, "partition 1: place 3 is past"));
    g_error_free(error);
    assert_place(log, client, 2, 2, 2);
    log_close(log);
}

/* After a restart they are there, and of this topic only. */
void
places_survive(Fixture *fixture)
{
    g_autofree char *client = client_name(fixture, "one");
    g_autofree char *second = g_strconcat(fixture->name, "-2", NULL);
    LogTopic topic = fixture->topic;
    Log *log = open_with_records(fixture, 2);

    store(log, client, 1, 2, NONE);
    log_close(log);
    log_cluster_close(fixture->cluster);
    fixture->cluster = fixture->under_test->open(fixture->under_test->data);

    log = log_must_open(fixture->cluster, &fixture->topic);
    assert_place(log, client, 1, 2, NONE);
    log_close(log);
    topic.name = second;
    log = log_must_open(fixture->cluster, &topic);
    assert_place(log, client, NONE, NONE, NONE);
    log_close(log);
}
