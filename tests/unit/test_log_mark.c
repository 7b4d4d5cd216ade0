/*
 * Another log under the same name (F13): truncated, truncated and written
 * anew up to a position or past it, a topic made again. The mark that a cell
 * keeps beside its position tells, and the cell stops before it applies
 * anything of the other log.
 *
 * The other log is another memory cluster; the cell is told the identity of
 * the first one, as Kafka would tell it of a topic with the same name.
 */
#include "cell/facts.h"
#include "cell/ingest.h"
#include "firehose/log_mark.h"
#include "ops/kit/error.h"
#include "tests/kit/log_behaviours.h"
#include "tests/kit/tmpdir.h"

#include <string.h>

#define PARTITIONS 2

static const LogTopic topic = {
    .name = LOG_FIREHOSE_TOPIC, .partitions = PARTITIONS, .retention_ms = -1};

/* A log in memory with @records, NULL at the end, in partition 0. */
static Log *
make_log(LogCluster *cluster, const char *const *records)
{
    Log *log = log_must_open(cluster, &topic);

    for (; *records != NULL; records++) {
        log_put(log, 0, "k", *records);
    }
    return log;
}

/* ---- marks ---- */

/* Whatever differs in a record or its place, the mark does. */
static void
test_mark(void)
{
    static const guint8 text[] = "honeycomb";
    const LogRecord records[] = {
        {0, 7, 1000, {text, 4}, {text + 4, 5}},
        {0, 8, 1000, {text, 4}, {text + 4, 5}},
        {0, 7, 1001, {text, 4}, {text + 4, 5}},
        {0, 7, 1000, {text, 5}, {text + 5, 4}},
        {0, 7, 1000, {text, 4}, {text + 4, 4}},
        {0, 7, 1000, {NULL, 0}, {text, 9}},
        {0, 7, 1000, {NULL, 0}, {NULL, 0}},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(records); i++) {
        g_assert_cmpuint(log_mark(&records[i]), ==, log_mark(&records[i]));
        g_assert_cmpuint(log_mark(&records[i]), !=, 0);
        for (gsize j = 0; j < i; j++) {
            g_assert_cmpuint(log_mark(&records[i]), !=, log_mark(&records[j]));
        }
    }
}

/* What is not known, or nothing, is no reason to stop; a position that the log
   cannot serve is. */
static void
test_not_known(void)
{
    static const char *const three[] = {"a", "b", "c", NULL};
    LogCluster *cluster = log_cluster_memory();
    Log *log = make_log(cluster, three);
    static const guint64 none[PARTITIONS] = {0, 0};
    static const guint64 marks[PARTITIONS] = {77, 0};
    static const guint64 places[][PARTITIONS] = {{0, 0}, {3, 0}, {4, 0}};
    g_autoptr(GError) error = NULL;

    for (gsize i = 0; i < G_N_ELEMENTS(places); i++) {
        g_assert_true(log_marks_check(log, places[i], none, NULL));
    }
    g_assert_true(log_marks_check(log, places[0], marks, NULL));
    g_assert_false(log_marks_check(log, places[1], marks, NULL));
    g_assert_false(log_marks_check(log, places[2], marks, &error));
    g_assert_error(error, COMB_ERROR, COMB_ERROR_GAP);
    g_assert_nonnull(strstr(error->message, "past the end"));
    log_close(log);
    log_cluster_close(cluster);
}

/* ---- a cell ---- */

typedef struct Rig {
    char *dir;
    char *identity; /* of the log it was founded on */
    State *state;
    Ingest *ingest;
} Rig;

static gboolean
rig_start(Rig *rig, Log *log, GError **error)
{
    static char host[] = "127.0.0.1";
    CellMapEntry entry = {0, host, 1};
    g_autoptr(CellMap) map = cellmap_even(1, &entry, 1);
    const StateOptions options = {.dir = rig->dir,
                                  .identity = {0, rig->identity, PARTITIONS}};
    guint64 next[PARTITIONS];

    rig->state = state_open(&options, next, NULL);
    g_assert_nonnull(rig->state);
    rig->ingest = ingest_new(rig->state, log, NULL, next);
    if (atomic_load(&rig->state->home) == NULL) {
        g_assert_true(ingest_found(rig->ingest, map, NULL));
    }
    return ingest_open(rig->ingest, error);
}

/* Stop as after a kill that kept the store. */
static void
rig_stop(Rig *rig)
{
    ingest_free(rig->ingest);
    g_assert_true(store_flush(rig->state->store, NULL));
    state_close(rig->state);
}

/* The cell has applied @before, and starts again on a log that has @after. The
   reason for which it stops; NULL: it goes on. The caller frees. */
static char *
change_log(const char *const *before, const char *const *after)
{
    LogCluster *clusters[2] = {log_cluster_memory(), log_cluster_memory()};
    Log *logs[2] = {make_log(clusters[0], before),
                    make_log(clusters[1], after)};
    Rig rig = {tmpdir_new(), g_strdup(log_identity(logs[0])), NULL, NULL};
    g_autoptr(GError) error = NULL;
    guint64 kept;

    g_assert_true(rig_start(&rig, logs[0], NULL));
    while (ingest_step(rig.ingest, 0, NULL) == INGEST_APPLIED) {
    }
    kept = fact_quarantine_count(rig.state->store);
    rig_stop(&rig);
    if (!rig_start(&rig, logs[1], &error)) {
        g_assert_error(error, COMB_ERROR, COMB_ERROR_GAP);
        g_assert_false(atomic_load(&rig.state->ready));
        g_assert_cmpuint(fact_quarantine_count(rig.state->store), ==, kept);
    }
    rig_stop(&rig);
    for (guint i = 0; i < 2; i++) {
        log_close(logs[i]);
        log_cluster_close(clusters[i]);
    }
    tmpdir_free(rig.dir);
    g_free(rig.identity);
    return error != NULL ? g_strdup(error->message) : NULL;
}

/* Each is named with its offset and the command that helps. */
static void
test_another_log(void)
{
    static const char *const two[] = {"a", "b", NULL};
    static const struct {
        const char *records[6];
        const char *words;
    } cases[] = {
        {{"a"}, "partition 0: offset 2 is past the end 1"},
        {{"a", "x"}, "partition 0: offset 1 has another record now"},
        {{"a", "x", "c"}, "partition 0: offset 1 has another record now"},
        {{"x", "x", "x", "x", "x"}, "offset 1 has another record now"},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *reason = change_log(two, cases[i].records);

        g_assert_nonnull(reason);
        g_assert_nonnull(strstr(reason, cases[i].words));
        g_assert_nonnull(strstr(reason, "rebuild from the log: mv "));
    }
}

/* A cell with nothing applied has nothing to compare. */
static void
test_empty_cell(void)
{
    static const char *const none[] = {NULL};
    static const char *const two[] = {"a", "b", NULL};
    g_autofree char *reason = change_log(none, two);

    g_assert_null(reason);
}

/* A store of before has no mark beside its position: not known, so it opens
   and goes on, and has one from the next batch on. */
static void
test_old_store(void)
{
    static const char *const two[] = {"a", "b", NULL};
    LogCluster *cluster = log_cluster_memory();
    Log *log = make_log(cluster, two);
    Rig rig = {tmpdir_new(), g_strdup(log_identity(log)), NULL, NULL};
    const guint64 row[2] = {GUINT64_TO_LE(2), 0};
    StoreBatch *batch;

    g_assert_true(rig_start(&rig, log, NULL));
    g_assert_cmpint(ingest_step(rig.ingest, 0, NULL), ==, INGEST_APPLIED);
    batch = store_batch_new(rig.state->store);
    store_batch_put(batch, key_position(0), row, sizeof row);
    g_assert_true(store_batch_commit(batch, NULL));
    store_batch_free(batch);
    rig_stop(&rig);
    g_assert_true(rig_start(&rig, log, NULL));
    g_assert_cmpuint(rig.state->stored[0], ==, 2);
    g_assert_cmpuint(rig.state->marks[0], ==, 0);
    log_put(log, 0, "k", "c");
    while (ingest_step(rig.ingest, 0, NULL) == INGEST_APPLIED) {
    }
    rig_stop(&rig);
    g_assert_true(rig_start(&rig, log, NULL));
    g_assert_cmpuint(rig.state->stored[0], ==, 3);
    g_assert_cmpuint(rig.state->marks[0], !=, 0);
    rig_stop(&rig);
    log_close(log);
    log_cluster_close(cluster);
    tmpdir_free(rig.dir);
    g_free(rig.identity);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/log-mark/mark", test_mark);
    g_test_add_func("/log-mark/not-known", test_not_known);
    g_test_add_func("/log-mark/another-log", test_another_log);
    g_test_add_func("/log-mark/empty-cell", test_empty_cell);
    g_test_add_func("/log-mark/old-store", test_old_store);
    return g_test_run();
}
