/* idrun.h: ids as steps, there and back, and bytes that are none. */
#include "cell/idrun.h"

#include <string.h>

#define RUN_MAX 2000
#define LOW(ms, low) ((gint64)(ms) << IDRUN_LOW_BITS | (low))

/* A run in a block of its very size, so that a byte too many is noticed. */
typedef struct Run {
    guint8 *bytes;
    gsize len;
} Run;

static Run
run_encode(const gint64 *ids, guint n)
{
    Run run = {g_malloc((gsize)n * IDRUN_STEP_BYTES_MAX), 0};
    gint64 before = 0;
    for (guint i = 0; i < n; i++) {
        guint8 step[IDRUN_STEP_BYTES_MAX];
        guint len = idrun_put(step, before, ids[i]);
        g_assert_cmpuint(len, <=, IDRUN_STEP_BYTES_MAX);
        memcpy(run.bytes + run.len, step, len);
        run.len += len;
        before = ids[i];
    }
    run.bytes = g_realloc(run.bytes, run.len);
    return run;
}

static void
check_round_trip(const gint64 *ids, guint n)
{
    Run run = run_encode(ids, n);
    gint64 back[RUN_MAX];
    g_assert_true(idrun_decode(run.bytes, run.bytes + run.len, n, back));
    g_assert_cmpint(memcmp(ids, back, n * sizeof *ids), ==, 0);
    g_free(run.bytes);
}

/* Ascending ids, in steps from one sequence number to decades. */
static guint
random_ids(GRand *rand, gint64 *ids)
{
    guint n = 0;
    gint64 id = 0;
    while (n < RUN_MAX) {
        gint64 step = (gint64)g_rand_int(rand) >> g_rand_int_range(rand, 0, 32);
        gint32 what = g_rand_int_range(rand, 0, 3);
        if (what == 0) { /* the milliseconds only */
            step = LOW(step, 0);
        } else if (what == 1) { /* anything */
            step = step << g_rand_int_range(rand, 0, 31) | step;
        } /* else little more than the low bits */
        if (step > G_MAXINT64 - id) {
            break;
        }
        id += MAX(step, 1);
        ids[n++] = id;
    }
    return n;
}

/* What is written is what is read, whatever the steps. */
static void
test_random(void)
{
    guint32 seed = (guint32)g_test_rand_int_range(1, G_MAXINT32);
    g_test_message("seed %u", seed);
    g_autoptr(GRand) rand = g_rand_new_with_seed(seed);
    gint64 ids[RUN_MAX];
    for (guint i = 0; i < 2000; i++) {
        guint n = random_ids(rand, ids);
        check_round_trip(ids, n);
    }
}

/* The least and the greatest id, one millisecond, and one set of low bits. */
static void
test_edges(void)
{
    static const gint64 ids[][4] = {
        {1, 2, IDRUN_LOW_MASK, IDRUN_LOW_MASK + 1},
        {1, G_MAXINT64 - 1, G_MAXINT64, 0},
        {G_MAXINT64, 0, 0, 0},
        {LOW(7, 0), LOW(7, 1), LOW(7, 127), LOW(7, 128)},
        {LOW(7, 9), LOW(8, 9), LOW(71, 9), LOW(72, 9)},
        {LOW(7, 9), LOW(8, 8), LOW(9, 0), LOW(10, IDRUN_LOW_MASK)},
        {IDRUN_LOW_MASK, LOW(1, IDRUN_LOW_MASK), G_MAXINT64, 0},
    };
    for (guint i = 0; i < G_N_ELEMENTS(ids); i++) {
        guint n = 0;
        while (n < G_N_ELEMENTS(ids[i]) && ids[i][n] != 0) {
            n++;
        }
        check_round_trip(ids[i], n);
    }
}

/* Every single id of one bit, or of all bits up to one, starts a run. */
static void
test_first(void)
{
    for (guint bit = 0; bit < 63; bit++) {
        gint64 id = G_GINT64_CONSTANT(1) << bit;
        check_round_trip(&id, 1);
        id += id - 1;
        check_round_trip(&id, 1);
    }
}

/* A step as two words is the step as bytes. */
static void
test_step_is_put(void)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(1);
    gint64 ids[RUN_MAX];
    guint lengths = 0;
    for (guint round = 0; round < 500; round++) {
        guint n = random_ids(rand, ids);
        for (guint i = 0; i < n; i++) {
            gint64 before = i > 0 ? ids[i - 1] : 0;
            guint8 bytes[16] = {0};
            guint len = idrun_put(bytes, before, ids[i]);
            IdStep step = idrun_step(before, ids[i]);
            guint64 words[2] = {GUINT64_TO_LE(step.word),
                                GUINT64_TO_LE(step.rest)};
            g_assert_cmpuint(step.n, ==, len);
            /* Nothing beyond the step: it is stored as whole words. */
            g_assert_cmpint(memcmp(words, bytes, sizeof words), ==, 0);
            lengths |= 1u << len;
        }
    }
    /* All lengths but the longest. */
    g_assert_cmphex(lengths, ==, 0x3fe);
    IdStep step = idrun_step(0, G_MAXINT64);
    g_assert_cmpuint(step.n, ==, IDRUN_STEP_BYTES_MAX);
    g_assert_cmphex(step.rest, ==, 0x7fff);
}

/* A run cut anywhere is no run of as many ids, and nothing is read past it. */
static void
test_truncated(void)
{
    static const gint64 ids[] = {3, LOW(1, 3), LOW(4000000, 200), G_MAXINT64};
    gint64 back[G_N_ELEMENTS(ids) + 1];
    Run run = run_encode(ids, G_N_ELEMENTS(ids));
    for (gsize len = 0; len < run.len; len++) {
        g_autofree guint8 *cut = g_malloc(MAX(len, 1));
        memcpy(cut, run.bytes, len);
        g_assert_false(idrun_decode(cut, cut + len, G_N_ELEMENTS(ids), back));
    }
    const guint8 *end = run.bytes + run.len;
    g_assert_false(idrun_decode(run.bytes, end, G_N_ELEMENTS(ids) - 1, back));
    g_assert_false(idrun_decode(run.bytes, end, G_N_ELEMENTS(ids) + 1, back));
    g_free(run.bytes);
}

/* Bytes of any kind give ascending ids or none, and end where they end. */
static void
test_garbage(void)
{
    guint32 seed = (guint32)g_test_rand_int_range(1, G_MAXINT32);
    g_test_message("seed %u", seed);
    g_autoptr(GRand) rand = g_rand_new_with_seed(seed);
    for (guint round = 0; round < 100000; round++) {
        gsize len = (gsize)g_rand_int_range(rand, 1, 24);
        g_autofree guint8 *bytes = g_malloc(len);
        for (gsize i = 0; i < len; i++) {
            bytes[i] = (guint8)g_rand_int(rand);
            bytes[i] |= round % 3 == 0 ? 0x80 : 0;
        }
        const guint8 *at = bytes;
        gint64 id = 0;
        gint64 before = 0;
        while ((id = idrun_get(&at, bytes + len, before)) != 0) {
            g_assert_cmpint(id, >, before);
            g_assert_true(at <= bytes + len);
            before = id;
        }
        g_assert_true(at <= bytes + len);
    }
}

/* Steps that lead nowhere: to 0, to the same id, too far, in endless bytes. */
static void
test_refused(void)
{
    static const struct {
        gint64 before;
        guint len;
        guint8 bytes[12];
    } steps[] = {
        {0, 1, {0x00}},
        {5, 1, {0x00}},
        {5, 2, {0x01, 0x05}},
        {5, 2, {0x01, 0x04}},
        {5, 1, {0x03}},
        {5, 5, {0x03, 0x80, 0x80, 0x80, 0x01}},
        {0, 7, {0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x02}},
        {G_MAXINT64, 1, {0x02}},
        {1, 12, {0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01}},
    };
    for (guint i = 0; i < G_N_ELEMENTS(steps); i++) {
        const guint8 *at = steps[i].bytes;
        g_assert_cmpint(idrun_get(&at, at + steps[i].len, steps[i].before), ==,
                        0);
    }
}

/* These bytes are in stores and tail files: they never change. */
static void
test_durable(void)
{
    static const gint64 ids[] = {
        1,
        LOW(1, 0),
        LOW(1, 5),
        LOW(1001, 5),
        LOW(3601001, 5),
        G_GINT64_CONSTANT(0x4000000000000080),
        G_MAXINT64,
    };
    static const guint8 bytes[] = {
        0x01, 0x01, 0x03, 0x00, 0x01, 0x05, 0xd0, 0x0f, 0x80, 0xba,
        0xb7, 0x03, 0xaf, 0xb6, 0xc8, 0xfc, 0xff, 0x7f, 0x80, 0x01,
        0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0x7f};
    Run run = run_encode(ids, G_N_ELEMENTS(ids));
    g_assert_cmpuint(run.len, ==, sizeof bytes);
    g_assert_cmpint(memcmp(run.bytes, bytes, sizeof bytes), ==, 0);
    g_free(run.bytes);
}

static guint
step_bytes(gint64 ms)
{
    const gint64 before = LOW(G_GINT64_CONSTANT(1700000000000), 77);
    guint8 bytes[IDRUN_STEP_BYTES_MAX];
    return idrun_put(bytes, before, before + LOW(ms, 0));
}

/* What memory was reckoned with: an hour's step is 4 bytes, a second's 2. */
static void
test_sizes(void)
{
    g_assert_cmpuint(step_bytes(1), ==, 1);
    g_assert_cmpuint(step_bytes(1000), ==, 2);
    g_assert_cmpuint(step_bytes(60 * 1000), ==, 3);
    g_assert_cmpuint(step_bytes(3600 * 1000), ==, 4);
    g_assert_cmpuint(step_bytes(G_GINT64_CONSTANT(1000) * 86400 * 365), ==, 6);
    guint8 bytes[IDRUN_STEP_BYTES_MAX];
    g_assert_cmpuint(idrun_put(bytes, 0, G_MAXINT64), ==, IDRUN_STEP_BYTES_MAX);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/idrun/random", test_random);
    g_test_add_func("/idrun/edges", test_edges);
    g_test_add_func("/idrun/first", test_first);
    g_test_add_func("/idrun/step-is-put", test_step_is_put);
    g_test_add_func("/idrun/truncated", test_truncated);
    g_test_add_func("/idrun/garbage", test_garbage);
    g_test_add_func("/idrun/refused", test_refused);
    g_test_add_func("/idrun/durable", test_durable);
    g_test_add_func("/idrun/sizes", test_sizes);
    return g_test_run();
}
