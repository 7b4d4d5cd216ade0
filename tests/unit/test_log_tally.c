/*
 * test_log_tally.c - many acknowledgements become one
 */
#include "firehose/log_tally.h"

#include <pthread.h>

#define THREADS 4
#define SLOTS 1000

typedef struct Heard {
    gint calls; /* atomic */
    gsize n;
    guint64 sum; /* of offsets */
    gboolean in_order;
} Heard;

static void
note_acks(const LogAck *acks, gsize n, gpointer user_data)
{
    Heard *heard = user_data;

    g_atomic_int_inc(&heard->calls);
    heard->n = n;
    heard->in_order = TRUE;
    for (gsize i = 0; i < n; i++) {
        heard->sum += acks[i].offset;
        heard->in_order = heard->in_order && acks[i].offset == i;
    }
}

typedef struct Share {
    LogTallySlot *slots[SLOTS]; /* one in THREADS is this thread's */
    guint from;
    guint lasts; /* how often it was told that it was the last */
} Share;

static void *
settle_share(void *data)
{
    Share *share = data;

    for (guint i = share->from; i < SLOTS; i += THREADS) {
        LogAck ack = {.outcome = LOG_APPENDED, .offset = i};

        share->lasts += log_tally_settle(share->slots[i], ack) ? 1 : 0;
    }
    return NULL;
}

/* However threads settle it, one call comes, with every ack in its place. */
static void
call_once(void)
{
    g_autofree Share *shares = g_new0(Share, THREADS);
    pthread_t threads[THREADS];
    Heard heard = {0};
    LogTally *tally = log_tally_new(SLOTS, note_acks, &heard);
    guint lasts = 0;

    for (guint i = 0; i < THREADS; i++) {
        shares[i].from = i;
        for (gsize j = 0; j < SLOTS; j++) {
            shares[i].slots[j] = log_tally_slot(tally, j);
        }
    }
    for (guint i = 0; i < THREADS; i++) {
        g_assert_cmpint(
            pthread_create(&threads[i], NULL, settle_share, &shares[i]), ==, 0);
    }
    for (guint i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        lasts += shares[i].lasts;
    }
    g_assert_cmpuint(lasts, ==, 1);
    g_assert_cmpint(heard.calls, ==, 1);
    g_assert_cmpuint(heard.n, ==, SLOTS);
    g_assert_true(heard.in_order);
}

/* Nothing is called before the last slot is settled. */
static void
wait_for_last(void)
{
    Heard heard = {0};
    LogTally *tally = log_tally_new(2, note_acks, &heard);
    LogTallySlot *first = log_tally_slot(tally, 0);
    LogTallySlot *second = log_tally_slot(tally, 1);

    g_assert_false(log_tally_settle(second, (LogAck){.offset = 1}));
    g_assert_cmpint(heard.calls, ==, 0);
    g_assert_true(log_tally_settle(first, (LogAck){.offset = 0}));
    g_assert_cmpint(heard.calls, ==, 1);
    g_assert_true(heard.in_order);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/log-tally/call-once", call_once);
    g_test_add_func("/log-tally/wait-for-last", wait_for_last);
    return g_test_run();
}
