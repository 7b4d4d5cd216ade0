/*
 * B1. The clock runs from before the apply thread starts, so from before its
 * first fetch, until a checkpoint that holds the last delivery is written:
 * level L1, kill -9 loses none of it. CPU time is that of the whole process
 * less the reader's own thread.
 *
 * The reader asks on a fixed beat (an open loop): a page that comes late makes
 * the next ones late too, and that is counted, from when they were due.
 */
#include "tests/bench/bench.h"

#include "tests/bench/pages.h"
#include "tests/bench/sample.h"
#include "tests/bench/usage.h"
#include "thrift/limits.h"

#include <stdio.h>
#include <sys/prctl.h>
#include <time.h>

#define READER_RNG (G_GUINT64_CONSTANT(4) << 40)
#define PAGES_MAX (4 * 1000 * 1000)

typedef struct Reader {
    const Bench *bench; /* borrowed */
    State *state;       /* borrowed */
    pthread_t thread;
    _Atomic gboolean stopping;
    double *late_us; /* of each page, from when it was due; owned */
    gsize n;
    gint64 cpu_us;
} Reader;

static void
sleep_until(double us)
{
    struct timespec until = {.tv_sec = (time_t)(us / 1e6)};
    until.tv_nsec = (long)((us - (double)until.tv_sec * 1e6) * 1e3);
    (void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
}

static gpointer
reader_main(gpointer user_data)
{
    Reader *reader = user_data;
    const World *world = reader->bench->world;
    Pages pages;
    Rng rng;
    usage_pin(USAGE_LOAD_CORE);
    (void)prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
    rng_init(&rng, world->header->seed, READER_RNG);
    pages_init(&pages, reader->state);
    double beat = 1e6 / (double)reader->bench->readers;
    double due = usage_now_us();
    while (!atomic_load(&reader->stopping) && reader->n < PAGES_MAX) {
        if (usage_now_us() < due) {
            sleep_until(due);
        }
        UserId user = world_user_id(world, sample_reader(world, &rng));
        pages_read(&pages, user, G_MAXINT64, PAGE_LIMIT_DEFAULT);
        reader->late_us[reader->n++] = usage_now_us() - due;
        due += beat;
    }
    pages_clear(&pages);
    reader->cpu_us = usage_thread_cpu_us();
    return NULL;
}

static void
reader_start(Reader *reader, const Bench *bench, State *state)
{
    *reader = (Reader){.bench = bench, .state = state};
    if (bench->readers > 0) {
        reader->late_us = g_new(double, PAGES_MAX);
        (void)pthread_create(&reader->thread, NULL, reader_main, reader);
    }
}

static void
reader_stop(Reader *reader)
{
    if (reader->bench->readers > 0) {
        atomic_store(&reader->stopping, TRUE);
        pthread_join(reader->thread, NULL);
        usage_sort(reader->late_us, reader->n);
    }
}

static void
print_digest(const Bench *bench, State *state)
{
    if (bench->prefix == 0) {
        return;
    }
    StreamPlan plan = stream_plan(
        bench->world, (guint64)bench->fill * bench->world->header->users,
        (guint64)bench->prefix);
    g_autoptr(GArray) ids = g_array_new(FALSE, FALSE, sizeof(gint64));
    SampleDigest digest;
    Pages pages;
    pages_init(&pages, state);
    sample_digest_init(&digest, bench->tell);
    for (guint32 i = 0; i < sample_count(bench->world); i++) {
        UserId user = world_user_id(bench->world, sample_user(bench->world, i));
        g_array_set_size(ids, 0);
        pages_inbox(&pages, user, plan.fill_id, plan.last_id, ids);
        sample_digest_add(&digest, user,
                          (const gint64 *)(const void *)ids->data, ids->len);
    }
    pages_clear(&pages);
    guint64 value = sample_digest_end(&digest);
    printf("\"digest\":\"%016" G_GINT64_MODIFIER
           "x\",\"digest_entries\":%" G_GUINT64_FORMAT ",",
           value, digest.entries);
}

int
bench_apply(const Bench *bench)
{
    Rig *rig = bench_rig(bench, bench_end(bench));
    Reader reader;
    reader_start(&reader, bench, rig->state);
    gint64 counted = rig_metric(rig, "comb_cell_deliveries_total");
    gint64 sealed = rig_metric(rig, "comb_cell_sealed_total");
    guint64 written = usage_written();
    gint64 cpu = usage_cpu_us();
    double begin = usage_now_us();
    rig_start(rig);
    rig_wait(rig, bench_end(bench));
    rig_checkpoint(rig);
    double took = usage_now_us() - begin;
    cpu = usage_cpu_us() - cpu;
    reader_stop(&reader);
    counted = rig_metric(rig, "comb_cell_deliveries_total") - counted;
    sealed = rig_metric(rig, "comb_cell_sealed_total") - sealed;
    printf("{");
    print_digest(bench, rig->state);
    gint64 checkpoints = rig_metric(rig, "comb_cell_checkpoints_total");
    rig_close(rig);
    double deliveries = (double)bench->plan.deliveries;
    printf("\"deliveries\":%.0f,\"seconds\":%.4f,\"per_s\":%.0f,"
           "\"cpu_us\":%.4f,\"counted\":%" G_GINT64_FORMAT
           ",\"sealed\":%" G_GINT64_FORMAT ",\"checkpoints\":%" G_GINT64_FORMAT
           ",\"written\":%" G_GUINT64_FORMAT ",\"rss\":%" G_GUINT64_FORMAT
           ",\"pages\":%zu,\"page_p50_us\":%.1f,\"page_p99_us\":%.1f,"
           "\"page_max_us\":%.1f}\n",
           deliveries, took / 1e6, deliveries / took * 1e6,
           (double)(cpu - reader.cpu_us) / deliveries, counted, sealed,
           checkpoints, usage_written() - written, usage_status("VmHWM:"),
           reader.n, usage_percentile(reader.late_us, reader.n, 50),
           usage_percentile(reader.late_us, reader.n, 99),
           usage_percentile(reader.late_us, reader.n, 100));
    g_free(reader.late_us);
    return 0;
}

int
bench_digest(const Bench *bench)
{
    /* Nothing is released: what is there is read, under a running engine. */
    Rig *rig = bench_rig(bench, G_MAXUINT64);
    atomic_store(&rig->end, rig->next);
    rig_start(rig);
    while (!atomic_load(&rig->state->ready)) {
        g_usleep(1000);
    }
    printf("{");
    print_digest(bench, rig->state);
    printf("\"applied\":%" G_GUINT64_FORMAT "}\n", rig->next);
    rig_close(rig);
    return 0;
}

int
bench_expected(const Bench *bench)
{
    StreamPlan plan = stream_plan(
        bench->world, (guint64)bench->fill * bench->world->header->users,
        (guint64)bench->prefix);
    guint64 entries;
    guint64 digest = sample_expected(bench->world, plan.fill_posts, plan.posts,
                                     bench->tell, &entries);
    printf("{\"digest\":\"%016" G_GINT64_MODIFIER
           "x\",\"digest_entries\":%" G_GUINT64_FORMAT
           ",\"deliveries\":%" G_GUINT64_FORMAT "}\n",
           digest, entries, plan.deliveries);
    return 0;
}
