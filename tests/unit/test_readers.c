/*
 * Readers beside the apply thread and the checkpoint thread: every page is
 * that of one prefix of the log, whole (I5). The prefix is not below the
 * page's as_of, nor below what any reader has seen before, nor past what was
 * appended when the page had been read.
 *
 * An inbox is tuned to be tiny, so that sealing, dropping of chunks, floors,
 * merges below the floor and fan-outs by slices go on all the time. Threads
 * are few and moments short: a thread of its own stops others with a signal,
 * anywhere, for longer than a batch takes.
 */
#include "tests/unit/readers_script.h"

#include "cell/apply.h"
#include "tests/kit/tmpdir.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define EVENTS 12000
/* Seeds of test_readers -m slow, for the windows that one seldom meets. */
#define SLOW_SEEDS 20
/* The log grows only as the readers read: a page for so many events. */
#define EVENTS_PER_PAGE 3
#define PAUSE_SIGNAL SIGUSR2
#define PAUSE_US_MAX 800
#define PAUSE_EVERY_US 100

/* Its slice: more than the followers of A and B, fewer than those of C. */
static const InboxTuning tiny = {
    .tail_ids_max = 24,
    .tail_ids_keep = 6,
    .chunk_ids = 10,
    .window_chunks = 4,
    .slice = 12,
    .follows_max = 3,
};

typedef struct Rig {
    Script *script;
    char *dir;
    LogCluster *cluster;
    Log *log;
    MapFeed *feed;
    State *state;
    Apply *apply;
    _Atomic guint appended; /* events that are in the log, or soon will be */
    _Atomic guint seen;     /* the greatest prefix a page was surely of */
    _Atomic guint pages;    /* read by all */
    _Atomic gboolean stop;
} Rig;

/* ---- a cell without its sockets ---- */

static Log *
open_topic(LogCluster *cluster, const char *name)
{
    LogTopic topic = {.name = name,
                      .partitions = 1,
                      .compacted = strcmp(name, LOG_CONTROL_TOPIC) == 0,
                      .retention_ms = -1};
    g_autoptr(GError) error = NULL;
    Log *log = log_open(cluster, &topic, TRUE, &error);
    g_assert_no_error(error);
    return log;
}

static Log *
open_control(gpointer user_data, GError **error)
{
    (void)error;
    return open_topic(user_data, LOG_CONTROL_TOPIC);
}

/* The memory log calls it before log_append() returns. */
static void
on_acked(const LogAck *acks, gsize n, gpointer user_data)
{
    (void)user_data;
    for (gsize i = 0; i < n; i++) {
        g_assert_cmpint(acks[i].outcome, ==, LOG_APPENDED);
    }
}

static void
append(Log *log, const GByteArray *value)
{
    LogEntry entry = {0,
                      {(const guint8 *)CELLMAP_KEY, strlen(CELLMAP_KEY)},
                      {value->data, value->len}};
    log_append(log, &entry, 1, on_acked, NULL);
}

static void
rig_publish_map(Rig *rig)
{
    static char host[] = "127.0.0.1";
    CellMapEntry entry = {0, host, 1};
    g_autoptr(CellMap) map = cellmap_even(1, &entry, 1);
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    cellmap_encode(map, bytes);
    Log *control = open_topic(rig->cluster, LOG_CONTROL_TOPIC);
    append(control, bytes);
    log_close(control);
}

static void
rig_init(Rig *rig, guint32 seed)
{
    g_autoptr(GError) error = NULL;
    guint64 next[1];
    rig->script = script_new(EVENTS, seed);
    rig->dir = tmpdir_new();
    rig->cluster = log_cluster_memory();
    rig->log = open_topic(rig->cluster, LOG_FIREHOSE_TOPIC);
    rig_publish_map(rig);
    rig->feed = mapfeed_start(open_control, NULL, NULL, rig->cluster);
    StateOptions options = {
        .dir = rig->dir,
        .identity = {0, log_identity(rig->log), 1},
        .feed = rig->feed,
        .tuning = &tiny,
        .cache_bytes = 64 << 10, /* so that facts come and go */
    };
    rig->state = state_open(&options, next, &error);
    g_assert_no_error(error);
    ApplyOptions apply = {.checkpoint_s = 1};
    rig->apply = apply_start(&apply, rig->state, rig->log, NULL, next);
}

static void
rig_clear(Rig *rig)
{
    apply_stop(rig->apply);
    state_close(rig->state);
    mapfeed_stop(rig->feed);
    log_close(rig->log);
    log_cluster_close(rig->cluster);
    tmpdir_free(rig->dir);
    script_free(rig->script);
}

/* ---- one page ---- */

/* What the counts of a reader's pages are of. */
typedef struct Tally {
    guint pages;   /* read */
    guint beside;  /* of them, while the log was not at its end */
    guint pending; /* of them, while a fan-out was under way */
    guint deep;    /* of them, begun below the floor */
    guint moves;   /* pages of another prefix than the one before */
} Tally;

typedef struct Reader {
    Rig *rig;
    guint reader; /* whose dashboard, of the script */
    GRand *rand;  /* the thread's */
    guint last;   /* the prefix of the page before */
    guint least;  /* no page is of a lesser prefix */
    gint64 as_of; /* of the page before */
    Tally tally;
} Reader;

static void
reader_fail(const Reader *reader, const PageQuery *query, const PageSeen *page,
            guint low, guint high)
{
    const Script *script = reader->rig->script;
    g_autofree char *at_low =
        script_explain(script, reader->reader, query, page, low);
    g_autofree char *at_high =
        script_explain(script, reader->reader, query, page, high);
    g_error("reader %u: a page of no prefix from %u to %u (as of %u): %s than "
            "%" G_GINT64_FORMAT ", limit %u\n  of %u: %s\n  of %u: %s",
            reader->reader, low, high, script_prefix_of(script, page->as_of),
            query->older ? "older" : "newer", query->from, query->limit, low,
            at_low, high, at_high);
}

/* Raise the prefix that all readers know of. Relaxed, lest this orders what
   the cell itself has to. */
static void
rig_note_seen(Rig *rig, guint prefix)
{
    guint seen = atomic_load_explicit(&rig->seen, memory_order_relaxed);
    while (seen < prefix && !atomic_compare_exchange_weak_explicit(
                                &rig->seen, &seen, prefix, memory_order_relaxed,
                                memory_order_relaxed)) {
    }
}

static void
reader_check(Reader *reader, const PageQuery *query, const PageSeen *page,
             guint high)
{
    const Script *script = reader->rig->script;
    g_assert_false(page->stale);
    g_assert_true(page->complete);
    g_assert_cmpint(page->as_of, >=, reader->as_of);
    guint as_of = script_prefix_of(script, page->as_of);
    g_assert_cmpuint(as_of, <=, high);
    guint low = MAX(reader->least, as_of);
    guint prefix = script_find(script, reader->reader, query, page, low, high);
    if (prefix == G_MAXUINT) {
        reader_fail(reader, query, page, low, high);
    }
    reader->tally.pages++;
    reader->tally.beside += prefix < EVENTS;
    reader->tally.moves += prefix > reader->last;
    reader->last = prefix;
    reader->least = prefix;
    reader->as_of = page->as_of;
    rig_note_seen(reader->rig, prefix);
}

/* Read and check; *ret_older is where the next older page begins. */
static void
reader_read(Reader *reader, PageQuery *query, gint64 *ret_older)
{
    Rig *rig = reader->rig;
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    g_auto(PageSeen) page = {0};
    guint seen = atomic_load_explicit(&rig->seen, memory_order_relaxed);
    reader->least = MAX(reader->least, seen);
    query->kind = CURSOR_DASHBOARD;
    query->user = script_reader(reader->reader);
    gboolean good = page_write(rig->state, query, bytes);
    guint high = atomic_load_explicit(&rig->appended, memory_order_relaxed);
    g_assert_true(good);
    g_assert_true(page_seen_read(g_steal_pointer(&bytes), &page));
    reader_check(reader, query, &page, high);
    reader->tally.pending +=
        metric_get(&rig->state->metrics[METRIC_FANOUT_PENDING]) > 0;
    WireBytes text = query->older ? page.older : page.newer;
    gint64 cursor;
    g_assert_cmpint(cursor_read(text, CURSOR_DASHBOARD, query->user, &cursor),
                    ==, CURSOR_GOOD);
    guint n = page.entries->len;
    gint64 last = n == 0 ? query->from
                         : g_array_index(page.entries, SeenEntry,
                                         query->older ? n - 1 : 0)
                               .id;
    g_assert_cmpint(cursor, ==, last);
    *ret_older = last;
    atomic_fetch_add_explicit(&rig->pages, 1, memory_order_relaxed);
}

/* ---- the threads ---- */

static guint
reader_roll(Reader *reader, gint32 low, gint32 high)
{
    return (guint)g_rand_int_range(reader->rand, low, high + 1);
}

/* Some pages downwards, each of its own moment, and one up again. */
static void
reader_walk(Reader *reader)
{
    PageQuery query = {.older = TRUE, .from = G_MAXINT64};
    gint64 next;
    for (guint left = reader_roll(reader, 2, 8); left > 0; left--) {
        query.limit = reader_roll(reader, 3, 40);
        reader_read(reader, &query, &next);
        query.from = next;
        reader->tally.deep++;
    }
    query.older = FALSE;
    query.limit = reader_roll(reader, 3, 100);
    reader_read(reader, &query, &next);
}

/* A few entries from a post of the long fan-out on, one of the last. A cut is
   most of what that costs. */
static void
reader_peek(Reader *reader)
{
    const Rig *rig = reader->rig;
    guint n = atomic_load_explicit(&rig->appended, memory_order_relaxed);
    gint64 post = script_slow_post(rig->script, n, reader_roll(reader, 0, 8));
    PageQuery query = {.older = TRUE, .from = G_MAXINT64};
    gint64 next;
    if (post != 0) {
        query.from = post + 1;
    }
    query.limit = reader_roll(reader, 1, 3);
    reader_read(reader, &query, &next);
}

static gpointer
reader_main(gpointer user_data)
{
    Reader *reader = user_data;
    while (!atomic_load_explicit(&reader->rig->stop, memory_order_relaxed)) {
        PageQuery query = {.older = TRUE, .from = G_MAXINT64};
        gint64 next;
        guint roll = reader_roll(reader, 0, 9);
        if (roll == 0) {
            reader_walk(reader);
        } else if (roll < 7) {
            reader_peek(reader);
        } else {
            query.limit = reader_roll(reader, 1, roll < 9 ? 40 : 100);
            reader_read(reader, &query, &next);
        }
    }
    return NULL;
}

static gpointer
checkpoint_main(gpointer user_data)
{
    Rig *rig = user_data;
    while (!atomic_load_explicit(&rig->stop, memory_order_relaxed)) {
        g_autoptr(GError) error = NULL;
        apply_checkpoint(rig->apply, &error);
        g_assert_no_error(error);
    }
    return NULL;
}

static void
on_pause(int signal)
{
    int before = errno;
    struct timespec now;
    (void)signal;
    clock_gettime(CLOCK_MONOTONIC, &now);
    now.tv_nsec = now.tv_nsec / 1000 % PAUSE_US_MAX * 1000;
    now.tv_sec = 0;
    nanosleep(&now, NULL);
    errno = before;
}

/* Stop one thread of this process: at random, but not the pauser's own. */
static void
pause_any(GRand *rand)
{
    g_autoptr(GDir) threads = g_dir_open("/proc/self/task", 0, NULL);
    const char *name;
    pid_t mine = (pid_t)syscall(SYS_gettid);
    pid_t chosen = mine;
    g_assert_nonnull(threads);
    for (gint32 n = 1; (name = g_dir_read_name(threads)) != NULL; n++) {
        if (g_rand_int_range(rand, 0, n) == 0) {
            chosen = (pid_t)g_ascii_strtoll(name, NULL, 10);
        }
    }
    if (chosen != mine) {
        syscall(SYS_tgkill, getpid(), chosen, PAUSE_SIGNAL);
    }
}

typedef struct Pauser {
    Rig *rig;
    const pthread_t *readers; /* SCRIPT_READERS of them */
} Pauser;

/* Stop the readers in turn, now and then another thread, wherever they are. */
static gpointer
pause_main(gpointer user_data)
{
    const Pauser *pauser = user_data;
    g_autoptr(GRand) rand = g_rand_new_with_seed(0);
    while (!atomic_load_explicit(&pauser->rig->stop, memory_order_relaxed)) {
        for (guint i = 0; i < SCRIPT_READERS; i++) {
            pthread_kill(pauser->readers[i], PAUSE_SIGNAL);
            g_usleep(PAUSE_EVERY_US);
        }
        pause_any(rand);
    }
    return NULL;
}

/* ---- the test ---- */

static void
rig_wait_applied(Rig *rig, guint next)
{
    while (atomic_load(&rig->state->next[0]) < next) {
        g_assert_null(state_stopped(rig->state));
        g_usleep(50);
    }
}

/* Append all, in bursts; batches are as large as the cell is behind. */
static void
rig_append_all(Rig *rig)
{
    const Script *script = rig->script;
    g_autoptr(GRand) rand = g_rand_new_with_seed(0);
    guint n = 0;
    while (n < EVENTS) {
        guint burst = (guint)g_rand_int_range(rand, 1, 16);
        guint behind = (guint)g_rand_int_range(rand, 0, 60);
        burst = MIN(burst, EVENTS - n);
        for (guint end = n + burst; n < end; n++) {
            atomic_store_explicit(&rig->appended, n + 1, memory_order_relaxed);
            append(rig->log, g_ptr_array_index(script->events, n));
        }
        rig_wait_applied(rig, n > behind ? n - behind : 0);
        while (atomic_load(&rig->pages) * EVENTS_PER_PAGE < n) {
            g_usleep(50);
        }
    }
}

static void
rig_start_pauses(void)
{
    struct sigaction action = {.sa_handler = on_pause, .sa_flags = SA_RESTART};
    g_assert_cmpint(sigaction(PAUSE_SIGNAL, &action, NULL), ==, 0);
}

/* What must have happened for the pages to have meant something. */
static void
check_tally(const Rig *rig, const Tally *tally)
{
    Metric *metrics = rig->state->metrics;
    gint64 sealed = metric_get(&metrics[METRIC_SEALED]);
    gint64 checkpoints = metric_get(&metrics[METRIC_CHECKPOINTS]);
    g_test_message("%u pages, %u beside the writer, %u of new prefixes, %u in "
                   "a fan-out, %u of walks; %" G_GINT64_FORMAT
                   " ids sealed, %" G_GINT64_FORMAT " checkpoints",
                   tally->pages, tally->beside, tally->moves, tally->pending,
                   tally->deep, sealed, checkpoints);
    g_assert_cmpuint(tally->beside, >=, EVENTS / EVENTS_PER_PAGE / 2);
    g_assert_cmpuint(tally->moves, >=, EVENTS / EVENTS_PER_PAGE / 10);
    g_assert_cmpuint(tally->pending, >=, 100);
    g_assert_cmpuint(tally->deep, >=, 100);
    g_assert_cmpint(sealed, >=, EVENTS / 2);
    g_assert_cmpint(checkpoints, >=, 3);
    for (guint i = 0; i < SCRIPT_READERS; i++) {
        guint32 user = inbox_find(rig->state->inbox, script_reader(i));
        g_assert_cmpint(inbox_floor(rig->state->inbox, user), >, 0);
    }
}

static void
check_prefixes(guint32 seed)
{
    Rig rig = {0};
    Reader readers[SCRIPT_READERS] = {0};
    pthread_t threads[SCRIPT_READERS + 2];
    Tally sum = {0};
    rig_init(&rig, seed);
    rig_start_pauses();
    for (guint i = 0; i < SCRIPT_READERS; i++) {
        readers[i] = (Reader){&rig, i, g_rand_new_with_seed(i), 0, 0, 0, {0}};
        pthread_create(&threads[i], NULL, reader_main, &readers[i]);
    }
    pthread_create(&threads[SCRIPT_READERS], NULL, checkpoint_main, &rig);
    Pauser pauser = {&rig, threads};
    pthread_create(&threads[SCRIPT_READERS + 1], NULL, pause_main, &pauser);
    rig_append_all(&rig);
    rig_wait_applied(&rig, EVENTS);
    atomic_store(&rig.stop, TRUE);
    /* The last first: it must not meet a thread that is gone. */
    for (guint i = G_N_ELEMENTS(threads); i > 0; i--) {
        pthread_join(threads[i - 1], NULL);
    }
    for (guint i = 0; i < SCRIPT_READERS; i++) {
        PageQuery query = {.older = TRUE, .from = G_MAXINT64, .limit = 100};
        gint64 next;
        readers[i].least = EVENTS;
        reader_read(&readers[i], &query, &next);
        sum.pages += readers[i].tally.pages;
        sum.beside += readers[i].tally.beside;
        sum.pending += readers[i].tally.pending;
        sum.deep += readers[i].tally.deep;
        sum.moves += readers[i].tally.moves;
        g_rand_free(readers[i].rand);
    }
    check_tally(&rig, &sum);
    rig_clear(&rig);
}

/* Every page is one of a prefix of the log, whoever writes beside it. */
static void
test_prefixes(void)
{
    guint32 seeds = g_test_slow() ? SLOW_SEEDS : 1;
    for (guint32 seed = 1; seed <= seeds; seed++) {
        check_prefixes(seed);
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/readers/prefixes", test_prefixes);
    return g_test_run();
}
