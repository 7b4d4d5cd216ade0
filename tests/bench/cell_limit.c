/*
 * Two limits. The log's: reading a world's follows and posts as the cell does,
 * and doing nothing with them. The core's: appending 4 bytes to one of 1 M
 * slots of 64 bytes, drawn at random, in huge pages. No log, no decoding, no
 * look-up, no duplicate, no checkpoint: the memory system's own rate.
 */
#include "tests/bench/bench.h"

#include "tests/bench/usage.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#define SLOTS_N (1U << 20)
#define APPENDS 50000000U
#define SLOT_IDS 15U
#define FEED_BATCH 512
#define FEED_WAIT_MS 50

typedef struct Slot {
    guint32 n;
    guint32 id[SLOT_IDS];
} Slot;

G_STATIC_ASSERT(sizeof(Slot) == 64);

int
bench_limit(const Bench *bench)
{
    gsize bytes = SLOTS_N * sizeof(Slot);
    Rng rng;
    rng_init(&rng, (guint64)bench->seed, 0);
    usage_pin(USAGE_SERVER_CORE);
    void *area = mmap(NULL, bytes + (2 << 20), PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (area == MAP_FAILED) {
        fprintf(stderr, "comb-bench-cell: no memory\n");
        return 1;
    }
    gsize aligned = ((gsize)area + (2 << 20) - 1) & ~(gsize)((2 << 20) - 1);
    Slot *slots = (Slot *)aligned;
    (void)madvise(slots, bytes, MADV_HUGEPAGE);
    memset(slots, 0, bytes);
    double begin = usage_now_us();
    for (guint32 i = 0; i < APPENDS; i++) {
        Slot *slot = &slots[rng_below(&rng, SLOTS_N)];
        guint32 n = slot->n;
        slot->id[n] = i;
        slot->n = n + 1 == SLOT_IDS ? 0 : n + 1;
    }
    double took = usage_now_us() - begin;
    printf("{\"per_s\":%.0f}\n", APPENDS / took * 1e6);
    munmap(area, bytes + (2 << 20));
    return 0;
}

/* Records a second from @from to @to. */
static double
feed_rate(LogReader *reader, guint64 from, guint64 to)
{
    const LogRecord *records;
    gsize n;
    GError *error = NULL;
    double begin = usage_now_us();
    for (guint64 next = from; next < to; next += n) {
        if (log_reader_next(reader, FEED_WAIT_MS, FEED_BATCH, &records, &n,
                            &error) != LOG_READ_RECORDS) {
            rig_check(error);
            n = 0;
        }
    }
    return (double)(to - from) / (usage_now_us() - begin) * 1e6;
}

int
bench_feed(const Bench *bench)
{
    GError *error = NULL;
    guint64 edges = bench->world->header->edges;
    guint64 next = 0;
    usage_pin(USAGE_LOAD_CORE);
    LogCluster *cluster = log_cluster_local(bench->log, &error);
    rig_check(error);
    Log *posts = rig_posts_open(cluster);
    _Atomic guint64 end = edges;
    Log *log = worldlog_open(bench->world, posts, &end);
    LogReader *reader = log_reader_open(log, &next, NULL, &error);
    rig_check(error);
    usage_pin(USAGE_SERVER_CORE);
    printf("{\"follows_per_s\":%.0f,", feed_rate(reader, 0, edges));
    atomic_store(&end, bench_end(bench));
    double rate = feed_rate(reader, edges, bench_end(bench));
    printf("\"posts_per_s\":%.0f,\"deliveries_per_s\":%.0f}\n", rate,
           rate * world_fan_out(bench->world));
    log_reader_close(reader);
    log_close(log);
    log_close(posts);
    log_cluster_close(cluster);
    return 0;
}
