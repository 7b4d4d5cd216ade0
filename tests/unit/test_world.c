/*
 * The benchmarks' world: figures are compared over years, so the same seed must
 * give the same world; and it must be the world that is promised, or the
 * figures are of something else.
 */
#include "firehose/event.h"
#include "firehose/partition.h"
#include "tests/bench/sample.h"
#include "tests/bench/worldlog.h"
#include "tests/kit/tmpdir.h"

#include <stdatomic.h>
#include <string.h>

#define USERS 4000
#define POSTS 50

typedef struct Rig {
    char *dir;
    World *world;
} Rig;

static World *
make(const char *dir, guint64 seed)
{
    g_autofree char *path = g_build_filename(dir, "graph", NULL);
    WorldOptions options = {USERS, seed};
    GError *error = NULL;
    World *world = world_make(path, &options, &error);
    g_assert_no_error(error);
    return world;
}

static void
rig_up(Rig *rig, gconstpointer data)
{
    (void)data;
    rig->dir = tmpdir_new();
    rig->world = make(rig->dir, 1);
}

static void
rig_down(Rig *rig, gconstpointer data)
{
    (void)data;
    world_close(rig->world);
    tmpdir_free(rig->dir);
}

/* The numbers are those of the published generators. */
static void
test_rng(void)
{
    g_assert_cmpuint(rng_mix(1234567), ==,
                     G_GUINT64_CONSTANT(6457827717110365317));
    Rng rng = {{1, 2, 3, 4}};
    g_assert_cmpuint(rng_next(&rng), ==, 11520);
    g_assert_cmpuint(rng_next(&rng), ==, 0);
    g_assert_cmpuint(rng_next(&rng), ==, 1509978240);
}

/* An index comes as often as its weight says; one without weight never. */
static void
test_alias(void)
{
    const double weights[] = {1, 0, 5, 2};
    guint n[4] = {0};
    Rng rng;
    rng_init(&rng, 1, 1);
    g_autofree Alias *alias = alias_new(weights, 4);
    for (guint i = 0; i < 80000; i++) {
        n[alias_draw(alias, &rng)]++;
    }
    g_assert_cmpuint(n[1], ==, 0);
    g_assert_cmpfloat_with_epsilon(n[0], 10000, 500);
    g_assert_cmpfloat_with_epsilon(n[2], 50000, 500);
    g_assert_cmpfloat_with_epsilon(n[3], 20000, 500);
}

/* One seed, one world, also when it is opened again; another seed, another. */
static void
test_same_again(Rig *rig, gconstpointer data)
{
    (void)data;
    guint64 digest = rig->world->header->digest;
    world_close(rig->world);
    g_autofree char *path = g_build_filename(rig->dir, "graph", NULL);
    rig->world = world_open(path, NULL);
    g_assert_cmpuint(rig->world->header->digest, ==, digest);
    guint32 followed[10];
    memcpy(followed, rig->world->follows, sizeof followed);
    world_close(rig->world);
    rig->world = make(rig->dir, 2);
    g_assert_cmpuint(rig->world->header->digest, !=, digest);
    g_assert_true(memcmp(followed, rig->world->follows, sizeof followed) != 0);
    world_close(rig->world);
    rig->world = make(rig->dir, 1);
    g_assert_cmpuint(rig->world->header->digest, ==, digest);
}

/* The mean is near the promised one (the caps of a small world take some), the
   most popular has at most a tenth, and fame is uneven. */
static void
test_degrees(Rig *rig, gconstpointer data)
{
    (void)data;
    const World *world = rig->world;
    double mean = (double)world->header->edges / USERS - 1;
    g_assert_cmpfloat(mean, >, 120);
    g_assert_cmpfloat(mean, <, 160);
    gsize most = 0;
    guint below_mean = 0;
    for (guint32 author = 0; author < USERS; author++) {
        gsize n;
        world_followers(world, author, &n);
        most = MAX(most, n);
        below_mean += (double)n < mean;
    }
    g_assert_cmpuint(most, >, USERS / 20);
    g_assert_cmpuint(most, <, USERS / 8);
    g_assert_cmpuint(below_mean, >, USERS * 6 / 10);
    g_assert_cmpfloat(world_fan_out(world), >, mean);
}

/* Nobody follows anybody twice, or himself; everybody the celebrity; and both
   directions are the same edges. */
static void
test_edges(Rig *rig, gconstpointer data)
{
    (void)data;
    const World *world = rig->world;
    guint32 celebrity = world_celebrity(world);
    g_autofree guint32 *seen_by = g_new0(guint32, USERS + 1);
    g_autofree gsize *count = g_new0(gsize, USERS + 1);
    for (guint32 user = 0; user < USERS; user++) {
        gsize n;
        const guint32 *follows = world_follows(world, user, &n);
        for (gsize i = 0; i < n; i++) {
            g_assert_cmpuint(follows[i], <=, celebrity);
            g_assert_cmpuint(follows[i], !=, user);
            g_assert_cmpuint(seen_by[follows[i]], !=, user + 1);
            seen_by[follows[i]] = user + 1;
            count[follows[i]]++;
        }
        g_assert_cmpuint(follows[n - 1], ==, celebrity);
    }
    for (guint32 author = 0; author <= celebrity; author++) {
        gsize n;
        const guint32 *followers = world_followers(world, author, &n);
        g_assert_cmpuint(n, ==, count[author]);
        for (gsize i = 1; i < n; i++) {
            g_assert_cmpuint(followers[i - 1], <, followers[i]);
        }
    }
}

/* Ids ascend, authors who post more have more followers, and a plan's ends are
   where another walk over the posts finds them. */
static void
test_stream(Rig *rig, gconstpointer data)
{
    (void)data;
    StreamPlan plan = stream_plan(rig->world, 10000, 20000);
    g_autoptr(Stream) stream = stream_new(rig->world);
    gint64 last = id_make(WORLD_POSTS_MS, 0, 0);
    guint64 fill = 0;
    guint64 measured = 0;
    for (guint64 i = 0; i < plan.fill_posts + plan.posts; i++) {
        StreamPost post = stream_next(stream);
        g_assert_cmpint(post.id, >, last);
        last = post.id;
        *(i < plan.fill_posts ? &fill : &measured) += post.fan_out;
        if (i + 1 == plan.fill_posts) {
            g_assert_cmpint(post.id, ==, plan.fill_id);
        }
    }
    g_assert_cmpint(last, ==, plan.last_id);
    g_assert_cmpuint(fill, ==, plan.fill_deliveries);
    g_assert_cmpuint(measured, ==, plan.deliveries);
    double per_post =
        (double)(fill + measured) / (double)(plan.fill_posts + plan.posts);
    g_assert_cmpfloat(per_post, >, world_fan_out(rig->world) * 0.6);
    g_assert_cmpfloat(per_post, <, world_fan_out(rig->world) * 1.6);
}

/* An inbox is what a look at every post and its author's followers says. */
static void
test_inboxes(Rig *rig, gconstpointer data)
{
    (void)data;
    guint32 users[] = {0, 7, USERS - 1};
    g_autoptr(GPtrArray) inboxes =
        sample_inboxes(rig->world, users, 3, 10, 100);
    for (guint i = 0; i < 3; i++) {
        const GArray *inbox = g_ptr_array_index(inboxes, i);
        gsize n;
        const guint32 *follows = world_follows(rig->world, users[i], &n);
        g_autoptr(Stream) stream = stream_new(rig->world);
        guint at = 0;
        for (guint k = 0; k < 110; k++) {
            StreamPost post = stream_next(stream);
            gboolean wanted = FALSE;
            for (gsize m = 0; k >= 10 && m < n; m++) {
                wanted = wanted || follows[m] == post.author;
            }
            if (wanted) {
                g_assert_cmpuint(at, <, inbox->len);
                g_assert_cmpint(g_array_index(inbox, gint64, at++), ==,
                                post.id);
            }
        }
        g_assert_cmpuint(at, ==, inbox->len);
    }
}

/* ---- the log ---- */

static void
on_acked(const LogAck *acks, gsize n, gpointer user_data)
{
    g_assert_cmpuint(n, ==, POSTS);
    g_assert_cmpint(acks[0].outcome, ==, LOG_APPENDED);
    atomic_store((_Atomic gboolean *)user_data, TRUE);
}

static Log *
open_posts(LogCluster *cluster, const World *world)
{
    LogTopic topic = {
        .name = LOG_FIREHOSE_TOPIC, .partitions = 1, .retention_ms = -1};
    Log *posts = log_open(cluster, &topic, TRUE, NULL);
    LogEntry entries[POSTS];
    _Atomic gboolean acked = FALSE;
    g_autoptr(Stream) stream = stream_new(world);
    g_autoptr(GPtrArray) events =
        g_ptr_array_new_with_free_func((GDestroyNotify)g_byte_array_unref);
    for (guint i = 0; i < POSTS; i++) {
        GByteArray *event = g_byte_array_new();
        StreamPost post = stream_next(stream);
        stream_event(stream, &post, event);
        g_ptr_array_add(events, event);
        entries[i] = (LogEntry){0, {NULL, 0}, {event->data, event->len}};
    }
    log_append(posts, entries, POSTS, on_acked, &acked);
    g_assert_true(acked);
    return posts;
}

static void
check_record(const World *world, const LogRecord *record, guint32 *user,
             Stream *stream)
{
    Event event;
    EventFault fault;
    g_assert_true(
        event_decode(record->value.data, record->value.len, &event, &fault));
    if (record->offset >= world->header->edges) {
        StreamPost post = stream_next(stream);
        g_assert_cmpint(event.kind, ==, EVENT_POST);
        g_assert_cmpint(event.id.v, ==, post.id);
        g_assert_cmpint(event.user.v, ==, world_user_id(world, post.author).v);
        return;
    }
    while (world->follows_at[*user + 1] <= record->offset) {
        (*user)++;
    }
    guint8 key[PARTITION_KEY_BYTES];
    partition_key(event.user, key);
    g_assert_cmpuint(record->key.len, ==, sizeof key);
    g_assert_true(memcmp(record->key.data, key, sizeof key) == 0);
    g_assert_cmpint(event.kind, ==, EVENT_FOLLOW);
    g_assert_cmpint(event.user.v, ==, world_user_id(world, *user).v);
    g_assert_cmpint(event.target_user.v, ==,
                    world_user_id(world, world->follows[record->offset]).v);
}

/* Every edge and then every post, at dense offsets, valid events all; nothing
   past the end that is held back, until it is released. */
static void
test_log(Rig *rig, gconstpointer data)
{
    (void)data;
    const World *world = rig->world;
    guint64 edges = world->header->edges;
    LogCluster *cluster = log_cluster_memory();
    Log *posts = open_posts(cluster, world);
    _Atomic guint64 end = edges + POSTS / 2;
    Log *log = worldlog_open(world, posts, &end);
    g_autoptr(Stream) stream = stream_new(world);
    guint64 next = 0;
    guint32 user = 0;
    LogReader *reader = log_reader_open(log, &next, NULL, NULL);
    const LogRecord *records;
    gsize n;
    while (next < edges + POSTS) {
        switch (log_reader_next(reader, 1, 1000, &records, &n, NULL)) {
        case LOG_READ_RECORDS:
            for (gsize i = 0; i < n; i++) {
                g_assert_cmpuint(records[i].offset, ==, next++);
                check_record(world, &records[i], &user, stream);
            }
            g_assert_cmpuint(next, <=, atomic_load(&end));
            break;
        case LOG_READ_IDLE:
            g_assert_cmpuint(next, ==, edges + POSTS / 2);
            atomic_store(&end, G_MAXUINT64);
            break;
        case LOG_READ_STOP:
            g_assert_not_reached();
        }
    }
    guint64 first;
    guint64 last;
    g_assert_true(log_bounds(log, 0, &first, &last, NULL));
    g_assert_cmpuint(last, ==, edges + POSTS);
    log_reader_close(reader);
    log_close(log);
    log_close(posts);
    log_cluster_close(cluster);
}

/* A reader may begin anywhere: in the middle of a user's edges too. */
static void
test_log_middle(Rig *rig, gconstpointer data)
{
    (void)data;
    const World *world = rig->world;
    LogCluster *cluster = log_cluster_memory();
    Log *posts = open_posts(cluster, world);
    Log *log = worldlog_open(world, posts, NULL);
    g_autoptr(Stream) stream = stream_new(world);
    guint64 from = world->header->edges / 2 + 1;
    guint32 user = 0;
    LogReader *reader = log_reader_open(log, &from, NULL, NULL);
    const LogRecord *records;
    gsize n;
    g_assert_cmpint(log_reader_next(reader, 1, 100, &records, &n, NULL), ==,
                    LOG_READ_RECORDS);
    for (gsize i = 0; i < n; i++) {
        g_assert_cmpuint(records[i].offset, ==, from + i);
        check_record(world, &records[i], &user, stream);
    }
    log_reader_close(reader);
    log_close(log);
    log_close(posts);
    log_cluster_close(cluster);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/world/rng", test_rng);
    g_test_add_func("/world/alias", test_alias);
#define ADD(path, function)                                                    \
    g_test_add(path, Rig, NULL, rig_up, function, rig_down)
    ADD("/world/same-again", test_same_again);
    ADD("/world/degrees", test_degrees);
    ADD("/world/edges", test_edges);
    ADD("/world/stream", test_stream);
    ADD("/world/inboxes", test_inboxes);
    ADD("/world/log", test_log);
    ADD("/world/log-middle", test_log_middle);
#undef ADD
    return g_test_run();
}
