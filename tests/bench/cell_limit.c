/*
 * What a core can do at most: appending 4 bytes to one of 1 M slots of 64
 * bytes, drawn at random, in huge pages. No log, no decoding, no look-up, no
 * duplicate, no checkpoint: the memory system's own rate.
 */
#include "tests/bench/bench.h"

#include "tests/bench/usage.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#define SLOTS_N (1U << 20)
#define APPENDS 50000000U
#define SLOT_IDS 15U

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
