/*
 * B3. The celebrity posts: the time from the log's acknowledgement until every
 * one of a sample of followers sees the post as a page.
 *
 * Reading a page takes longer than delivering to a thousand inboxes, so the
 * clock is stopped by some sentinels - the first user, the last, and others at
 * random - each asked again and again until it sees the post. Then the whole
 * sample is read once; an inbox that is still without the post stops the clock
 * later. "verified" is when that reading has ended: the truth lies between.
 *
 * First with nothing else to do, then with a load behind it: a thread appends
 * the world's posts at a pace, from the other core, to the same log.
 */
#include "tests/bench/bench.h"

#include "firehose/partition.h"
#include "tests/bench/pages.h"
#include "tests/bench/usage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FOLLOWERS 1000
#define SENTINELS 64
#define PAUSE_US 100000
#define GIVE_UP_US 60e6
#define TICK_US 5000
#define BURST_MAX 1000

typedef struct BigPost {
    const Bench *bench; /* borrowed */
    Rig *rig;
    pthread_mutex_t mutex; /* guards @stream */
    Stream *stream;        /* at the end of the log; owned */
    pthread_t pacer;
    _Atomic gboolean stopping;
    gboolean loaded; /* something is always pending */
    Rng rng;
    double *seen_ms; /* of each round; owned, likewise the others */
    double *verified_ms;
    double *settled_ms; /* until nothing is pending */
} BigPost;

/* ---- publishing ---- */

/* Appended with the stream held, so that ids ascend in the log. */
typedef struct Publication {
    _Atomic gint64 acked_ns; /* 0: not yet */
    GByteArray *event;
    guint8 key[PARTITION_KEY_BYTES];
} Publication;

static void
on_acked(const LogAck *acks, gsize n, gpointer user_data)
{
    _Atomic gint64 *acked_ns = user_data;
    if (n != 1 || acks[0].outcome != LOG_APPENDED) {
        fprintf(stderr, "comb-bench-cell: append: %s\n", acks[0].reason);
        exit(EXIT_FAILURE);
    }
    atomic_store(acked_ns, (gint64)(usage_now_us() * 1e3));
}

/* The id of a celebrity's post, and when it was acknowledged. */
static gint64
publish(BigPost *big, double *ret_acked_us)
{
    const World *world = big->bench->world;
    guint32 celebrity = world_celebrity(world);
    Publication post = {.event = g_byte_array_new()};
    partition_key(world_user_id(world, celebrity), post.key);
    pthread_mutex_lock(&big->mutex);
    StreamPost made = stream_make(big->stream, celebrity);
    stream_event(big->stream, &made, post.event);
    LogEntry entry = {
        0, {post.key, sizeof post.key}, {post.event->data, post.event->len}};
    log_append(big->rig->posts, &entry, 1, on_acked, &post.acked_ns);
    pthread_mutex_unlock(&big->mutex);
    while (atomic_load(&post.acked_ns) == 0) {
        g_usleep(5);
    }
    *ret_acked_us = (double)atomic_load(&post.acked_ns) / 1e3;
    g_byte_array_unref(post.event);
    return made.id;
}

/* ---- the load behind ---- */

static void
ignore_acks(const LogAck *acks, gsize n, gpointer user_data)
{
    (void)acks;
    (void)n;
    (void)user_data;
}

static void
append_burst(BigPost *big, guint n)
{
    LogEntry entries[BURST_MAX];
    guint8 keys[BURST_MAX][PARTITION_KEY_BYTES];
    gsize ends[BURST_MAX];
    g_autoptr(GByteArray) events = g_byte_array_new();
    pthread_mutex_lock(&big->mutex);
    for (guint i = 0; i < n; i++) {
        StreamPost post = stream_next(big->stream);
        stream_event(big->stream, &post, events);
        ends[i] = events->len;
        partition_key(world_user_id(big->bench->world, post.author), keys[i]);
    }
    for (guint i = 0; i < n; i++) {
        gsize from = i == 0 ? 0 : ends[i - 1];
        entries[i] = (LogEntry){0,
                                {keys[i], PARTITION_KEY_BYTES},
                                {events->data + from, ends[i] - from}};
    }
    log_append(big->rig->posts, entries, n, ignore_acks, NULL);
    pthread_mutex_unlock(&big->mutex);
}

static gpointer
pacer_main(gpointer user_data)
{
    BigPost *big = user_data;
    double fan_out = world_fan_out(big->bench->world);
    double per_us = (double)big->bench->rate / fan_out / 1e6;
    double begin = usage_now_us();
    double sent = 0;
    usage_pin(USAGE_LOAD_CORE);
    while (!atomic_load(&big->stopping)) {
        double due = (usage_now_us() - begin) * per_us - sent;
        guint n = (guint)MIN(due, BURST_MAX);
        if (n > 0) {
            append_burst(big, n);
            sent += n;
        }
        g_usleep(TICK_US);
    }
    return NULL;
}

/* ---- watching ---- */

static gboolean
sees(Pages *pages, UserId user, gint64 id)
{
    pages_read(pages, user, id + 1, 1);
    pages_ids(pages, user);
    return pages->ids->len == 1 && g_array_index(pages->ids, gint64, 0) == id;
}

/* When @user has seen the post. */
static double
await_one(Pages *pages, UserId user, gint64 id, double give_up)
{
    while (!sees(pages, user, id)) {
        if (usage_now_us() > give_up) {
            fprintf(stderr,
                    "comb-bench-cell: user %" G_GINT64_FORMAT
                    " does not see the post\n",
                    user.v);
            exit(EXIT_FAILURE);
        }
    }
    return usage_now_us();
}

static void
watch(BigPost *big, Pages *pages, gint64 id, double acked, guint round)
{
    const World *world = big->bench->world;
    guint32 users = world->header->users;
    double give_up = acked + GIVE_UP_US;
    double seen = 0;
    for (guint i = 0; i < SENTINELS; i++) {
        guint32 user =
            i == 0 ? users - 1 : (i == 1 ? 0 : rng_below(&big->rng, users));
        double at = await_one(pages, world_user_id(world, user), id, give_up);
        seen = i == 0 ? at : MAX(seen, at);
    }
    for (guint64 i = 0; i < FOLLOWERS; i++) {
        guint32 user = (guint32)(i * (users - 1) / (FOLLOWERS - 1));
        UserId who = world_user_id(world, user);
        if (!sees(pages, who, id)) {
            seen = await_one(pages, who, id, give_up);
        }
    }
    double verified = usage_now_us();
    while (!big->loaded && rig_pending(big->rig) > 0) {
        g_usleep(20);
    }
    big->seen_ms[round] = MAX(seen - acked, 0) / 1e3;
    big->verified_ms[round] = (verified - acked) / 1e3;
    big->settled_ms[round] = (usage_now_us() - acked) / 1e3;
}

static void
print_times(const char *name, const char *what, double *values, gsize n)
{
    usage_sort(values, n);
    for (guint percent = 50; percent <= 99; percent += 49) {
        printf("\"%s_%s_p%u_ms\":%.3f,", name, what, percent,
               usage_percentile(values, n, percent));
    }
}

static void
measure(BigPost *big, const char *name)
{
    guint rounds = (guint)big->bench->rounds;
    Pages pages;
    big->seen_ms = g_new0(double, rounds);
    big->verified_ms = g_new0(double, rounds);
    big->settled_ms = g_new0(double, rounds);
    pages_init(&pages, big->rig->state);
    for (guint round = 0; round < rounds; round++) {
        double acked;
        gint64 id = publish(big, &acked);
        watch(big, &pages, id, acked, round);
        g_usleep(PAUSE_US);
    }
    pages_clear(&pages);
    print_times(name, "seen", big->seen_ms, rounds);
    print_times(name, "verified", big->verified_ms, rounds);
    print_times(name, "settled", big->settled_ms, rounds);
    g_free(big->seen_ms);
    g_free(big->verified_ms);
    g_free(big->settled_ms);
}

static void
measure_loaded(BigPost *big)
{
    (void)pthread_create(&big->pacer, NULL, pacer_main, big);
    big->loaded = TRUE;
    g_usleep(G_USEC_PER_SEC);
    measure(big, "loaded");
    atomic_store(&big->stopping, TRUE);
    pthread_join(big->pacer, NULL);
}

int
bench_bigpost(const Bench *bench)
{
    BigPost big = {.bench = bench, .rig = bench_rig(bench, G_MAXUINT64)};
    pthread_mutex_init(&big.mutex, NULL);
    rng_init(&big.rng, bench->world->header->seed, 5);
    big.stream = stream_new(bench->world);
    for (guint64 i = 0; i < bench->plan.fill_posts + bench->plan.posts; i++) {
        (void)stream_next(big.stream);
    }
    rig_start(big.rig);
    rig_wait(big.rig, bench_end(bench));
    rig_checkpoint(big.rig);
    printf("{");
    measure(&big, "idle");
    if (bench->rate > 0) {
        measure_loaded(&big);
    }
    printf("\"rounds\":%" G_GINT64_FORMAT ",\"followers\":%u"
           ",\"rate\":%" G_GINT64_FORMAT ",\"rss\":%" G_GUINT64_FORMAT "}\n",
           bench->rounds, bench->world->header->users, bench->rate,
           usage_status("VmHWM:"));
    rig_close(big.rig);
    stream_free(big.stream);
    pthread_mutex_destroy(&big.mutex);
    return 0;
}
