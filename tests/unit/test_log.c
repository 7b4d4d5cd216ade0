/*
 * test_log.c - the log's own drivers
 *
 * What all drivers do alike is in tests/kit/log_behaviours.c; here it runs
 * over the memory and the local driver, and after it comes what only a log on
 * a disk can meet: expiry, holes, a second process, a full disk.
 */
#include "firehose/log_row.h"
#include "ops/kit/error.h"
#include "tests/kit/log_behaviours.h"

#include <glib/gstdio.h>
#include <rocksdb/c.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static const LogTopic plain = {
    .name = "t", .partitions = 1, .retention_ms = -1};

static LogCluster *
open_memory(gpointer data)
{
    (void)data;
    return log_cluster_memory();
}

static LogCluster *
open_local(gpointer data)
{
    GError *error = NULL;
    LogCluster *cluster = log_cluster_local(data, &error);

    g_assert_no_error(error);
    return cluster;
}

static char *
make_dir(void)
{
    char *dir = g_dir_make_tmp("comb-test-log-XXXXXX", NULL);

    g_assert_nonnull(dir);
    return dir;
}

static void
remove_dir(char *dir)
{
    GDir *names = g_dir_open(dir, 0, NULL);
    const char *name;

    while ((name = g_dir_read_name(names)) != NULL) {
        g_autofree char *path = g_build_filename(dir, name, NULL);

        g_assert_cmpint(g_remove(path), ==, 0);
    }
    g_dir_close(names);
    g_assert_cmpint(g_rmdir(dir), ==, 0);
    g_free(dir);
}

static guint64
get_first(Log *log)
{
    guint64 first;
    guint64 end;

    g_assert_true(log_bounds(log, 0, &first, &end, NULL));
    return first;
}

static void
wait_expired(Log *log, guint64 first)
{
    for (guint i = 0; i < 1000 && get_first(log) < first; i++) {
        g_usleep(10 * 1000);
    }
    g_assert_cmpuint(get_first(log), ==, first);
}

/* Expired records go, whoever was behind them is told, numbers go on. */
static void
expire_records(void)
{
    char *dir = make_dir();
    LogTopic topic = plain;
    LogCluster *cluster = open_local(dir);
    static const guint64 next[1] = {0};
    GError *error = NULL;
    LogReader *behind;
    guint64 end;
    guint64 first;
    Log *log;

    topic.retention_ms = 300;
    log = log_must_open(cluster, &topic);
    behind = log_must_read(log, NULL);
    for (guint i = 0; i < 5; i++) {
        g_assert_cmpuint(log_put(log, 0, "k", "v"), ==, i);
    }
    wait_expired(log, 5);
    g_assert_cmpuint(log_put(log, 0, "k", "v"), ==, 5);
    log_read_stop(behind, COMB_ERROR_GAP);
    g_assert_null(log_reader_open(log, next, NULL, &error));
    g_assert_error(error, COMB_ERROR, COMB_ERROR_GAP);
    g_assert_nonnull(strstr(error->message, "expired"));
    g_clear_error(&error);
    wait_expired(log, 6);
    log_reader_close(behind);
    log_close(log);
    log_cluster_close(cluster);

    cluster = open_local(dir);
    log = log_must_open(cluster, &topic);
    g_assert_true(log_bounds(log, 0, &first, &end, NULL));
    g_assert_cmpuint(first, ==, 6);
    g_assert_cmpuint(end, ==, 6);
    g_assert_cmpuint(log_put(log, 0, "k", "v"), ==, 6);
    log_close(log);
    log_cluster_close(cluster);
    remove_dir(dir);
}

/* What is younger than the retention stays. */
static void
keep_young(void)
{
    char *dir = make_dir();
    LogTopic topic = plain;
    LogCluster *cluster = open_local(dir);
    Log *log;

    topic.retention_ms = 4000;
    log = log_must_open(cluster, &topic);
    log_put(log, 0, "k", "old");
    g_usleep(2000 * 1000);
    log_put(log, 0, "k", "young");
    wait_expired(log, 1);
    log_close(log);
    log_cluster_close(cluster);
    remove_dir(dir);
}

/* Who wants a longer retention than there is must be refused, or make it. */
static void
check_retention(void)
{
    char *dir = make_dir();
    LogTopic topic = plain;
    LogCluster *cluster = open_local(dir);
    GError *error = NULL;
    Log *log;

    topic.retention_ms = 60000;
    log_close(log_must_open(cluster, &topic));
    topic.retention_ms = 120000;
    g_assert_null(log_open(cluster, &topic, FALSE, &error));
    g_assert_error(error, COMB_ERROR, COMB_ERROR_UNSAFE);
    g_assert_nonnull(strstr(error->message, "retention.ms is 60000"));
    g_clear_error(&error);
    log_close(log_must_open(cluster, &topic));
    log_cluster_close(cluster);

    cluster = open_local(dir);
    log = log_open(cluster, &topic, FALSE, &error);
    g_assert_no_error(error);
    log_close(log);
    topic.compacted = TRUE;
    g_assert_null(log_open(cluster, &topic, FALSE, &error));
    g_assert_error(error, COMB_ERROR, COMB_ERROR_MISMATCH);
    g_clear_error(&error);
    log_cluster_close(cluster);
    remove_dir(dir);
}

/* Behind the log's back: one raw write. */
static void
meddle(const char *dir, const LogRowKey *key, const char *value)
{
    rocksdb_options_t *options = rocksdb_options_create();
    rocksdb_writeoptions_t *writing = rocksdb_writeoptions_create();
    char *words = NULL;
    rocksdb_t *db = rocksdb_open(options, dir, &words);

    g_assert_cmpstr(words, ==, NULL);
    if (value == NULL) {
        rocksdb_delete(db, writing, (const char *)key->data, key->len, &words);
    } else {
        rocksdb_put(db, writing, (const char *)key->data, key->len, value,
                    strlen(value), &words);
    }
    g_assert_cmpstr(words, ==, NULL);
    rocksdb_close(db);
    rocksdb_writeoptions_destroy(writing);
    rocksdb_options_destroy(options);
}

/* Ten records, of which the sixth is replaced or deleted; then a reader. */
static void
read_meddled(const char *value, gint code)
{
    char *dir = make_dir();
    LogCluster *cluster = open_local(dir);
    Log *log = log_must_open(cluster, &plain);
    LogReader *reader;
    LogRowKey key;
    const LogRecord *records;
    gsize n;

    for (guint i = 0; i < 10; i++) {
        log_put(log, 0, "k", "v");
    }
    log_close(log);
    log_cluster_close(cluster);
    log_row_record_key(1, 0, 5, &key);
    meddle(dir, &key, value);

    cluster = open_local(dir);
    log = log_must_open(cluster, &plain);
    reader = log_must_read(log, NULL);
    g_assert_cmpint(log_reader_next(reader, 0, 100, &records, &n, NULL), ==,
                    LOG_READ_RECORDS);
    g_assert_cmpuint(n, ==, 5);
    log_read_stop(reader, code);
    log_reader_close(reader);
    log_close(log);
    log_cluster_close(cluster);
    remove_dir(dir);
}

/* A missing row stops the reader before it, not behind it. */
static void
stop_at_hole(void)
{
    read_meddled(NULL, COMB_ERROR_GAP);
}

/* A row that is no record stops the reader. */
static void
stop_at_damage(void)
{
    read_meddled("short", COMB_ERROR_CORRUPT);
}

/* A topic of a newer version is refused, not misread. */
static void
refuse_version(void)
{
    static const LogRowKey key = {.data = "Tt", .len = 2};
    char *dir = make_dir();
    LogCluster *cluster = open_local(dir);
    GError *error = NULL;

    log_close(log_must_open(cluster, &plain));
    log_cluster_close(cluster);
    meddle(dir, &key, "this is a row of some other version");
    g_assert_null(log_cluster_local(dir, &error));
    g_assert_error(error, COMB_ERROR, COMB_ERROR_MISMATCH);
    g_clear_error(&error);
    remove_dir(dir);
}

/* Who opens a log that is in use is told so. */
static void
refuse_second(void)
{
    char *dir = make_dir();
    LogCluster *cluster = open_local(dir);
    GError *error = NULL;

    g_assert_null(log_cluster_local(dir, &error));
    g_assert_error(error, COMB_ERROR, COMB_ERROR_IO);
    g_assert_nonnull(strstr(error->message, "another process"));
    g_clear_error(&error);
    log_cluster_close(cluster);
    remove_dir(dir);
}

/* A directory that cannot be is refused, by name. */
static void
refuse_directory(void)
{
    GError *error = NULL;

    g_assert_null(log_cluster_local("/dev/null/log", &error));
    g_assert_error(error, COMB_ERROR, COMB_ERROR_IO);
    g_assert_nonnull(strstr(error->message, "/dev/null/log"));
    g_clear_error(&error);
}

/* An identity is of one topic: no other has it, nor one in another log. */
static void
tell_apart(void)
{
    char *dir = make_dir();
    LogCluster *one = log_cluster_memory();
    LogCluster *two = open_local(dir);
    LogTopic other = plain;
    Log *logs[4];

    other.name = "other";
    logs[0] = log_must_open(one, &plain);
    logs[1] = log_must_open(one, &other);
    logs[2] = log_must_open(two, &plain);
    logs[3] = log_must_open(two, &other);
    for (guint i = 0; i < 4; i++) {
        for (guint j = 0; j < i; j++) {
            g_assert_cmpstr(log_identity(logs[i]), !=, log_identity(logs[j]));
        }
    }
    for (guint i = 0; i < 4; i++) {
        log_close(logs[i]);
    }
    log_cluster_close(one);
    log_cluster_close(two);
    remove_dir(dir);
}

#define SMALL_DISK_BYTES (12 * 1024 * 1024)
#define RECORD_BYTES (60 * 1024)

/* Appends a small record as soon as there is room; compaction may need it
   first. Returns its offset. */
static guint64
put_when_room(Log *log)
{
    LogEntry entry = {0, {(const guint8 *)"k", 1}, {(const guint8 *)"v", 1}};

    for (guint i = 0; i < 1000; i++) {
        LogAnswer answer = {0};
        LogAck ack;

        log_append_wait(log, &entry, 1, &answer);
        ack = answer.acks[0];
        log_answer_clear(&answer);
        if (ack.outcome == LOG_APPENDED) {
            return ack.offset;
        }
        g_assert_cmpint(ack.outcome, ==, LOG_APPEND_FULL);
        g_usleep(10 * 1000);
    }
    g_assert_not_reached();
}

/* Appends until one is refused as full; how many were taken. */
static guint
fill_log(Log *log)
{
    g_autofree guint8 *noise = g_malloc(RECORD_BYTES);
    LogEntry entry = {0, {noise, 8}, {noise, RECORD_BYTES}};

    for (guint i = 0; i < SMALL_DISK_BYTES / RECORD_BYTES; i++) {
        LogAnswer answer = {0};
        LogAppendOutcome outcome;

        for (guint j = 0; j < RECORD_BYTES; j++) {
            noise[j] = (guint8)g_random_int();
        }
        log_append_wait(log, &entry, 1, &answer);
        outcome = answer.acks[0].outcome;
        if (outcome != LOG_APPENDED) {
            g_assert_cmpint(outcome, ==, LOG_APPEND_FULL);
            g_assert_nonnull(
                strstr(answer.acks[0].reason, "no space left on device"));
            log_answer_clear(&answer);
            return i;
        }
        log_answer_clear(&answer);
    }
    g_assert_not_reached();
}

/* A full disk refuses appends, loses none, and is over when there is room. */
static void
meet_full_disk(void)
{
    char *dir = make_dir();
    g_autofree char *ballast = g_build_filename(dir, "ballast", NULL);
    g_autofree char *log_dir = g_build_filename(dir, "log", NULL);
    g_autofree char *size = g_strdup_printf("size=%d", SMALL_DISK_BYTES);
    g_autofree char *two_mib = g_malloc0(2 * 1024 * 1024);
    LogCluster *cluster;
    guint64 first;
    guint64 end;
    guint taken;
    Log *log;

    if (mount("comb-test", dir, "tmpfs", 0, size) != 0) {
        g_assert_cmpint(g_rmdir(dir), ==, 0);
        g_free(dir);
        g_test_skip("may not mount a small file system here");
        return;
    }
    g_assert_true(g_file_set_contents(ballast, two_mib, 2 * 1024 * 1024, NULL));
    cluster = open_local(log_dir);
    log = log_must_open(cluster, &plain);
    taken = fill_log(log);
    g_assert_cmpuint(taken, >, 10);
    g_assert_cmpint(g_remove(ballast), ==, 0);
    g_assert_cmpuint(put_when_room(log), ==, taken);
    log_close(log);
    log_cluster_close(cluster);

    cluster = open_local(log_dir);
    log = log_must_open(cluster, &plain);
    g_assert_true(log_bounds(log, 0, &first, &end, NULL));
    g_assert_cmpuint(first, ==, 0);
    g_assert_cmpuint(end, ==, taken + 1);
    log_close(log);
    log_cluster_close(cluster);
    g_assert_cmpint(umount(dir), ==, 0);
    g_assert_cmpint(g_rmdir(dir), ==, 0);
    g_free(dir);
}

/* Appends a large record; what became of it. */
static LogAppendOutcome
try_large(Log *log)
{
    g_autofree guint8 *value = g_malloc0(RECORD_BYTES);
    LogEntry entry = {0, {value, 8}, {value, RECORD_BYTES}};
    LogAnswer answer = {0};
    LogAppendOutcome outcome;

    log_append_wait(log, &entry, 1, &answer);
    outcome = answer.acks[0].outcome;
    g_assert_true(outcome == LOG_APPENDED || answer.acks[0].reason != NULL);
    log_answer_clear(&answer);
    return outcome;
}

/* A failed write is uncertain, all after it fail, reading goes on. */
static void
meet_failing_disk(void)
{
    char *dir = make_dir();
    LogCluster *cluster = open_local(dir);
    Log *log = log_must_open(cluster, &plain);
    LogReader *reader = log_must_read(log, NULL);
    struct rlimit before;
    struct rlimit tiny;
    const LogRecord *records;
    guint64 first;
    guint64 end;
    gsize n;

    log_put(log, 0, "k", "v");
    getrlimit(RLIMIT_FSIZE, &before);
    tiny = before;
    tiny.rlim_cur = 16 * 1024;
    signal(SIGXFSZ, SIG_IGN);
    g_assert_cmpint(setrlimit(RLIMIT_FSIZE, &tiny), ==, 0);
    g_assert_cmpint(try_large(log), ==, LOG_APPEND_UNCERTAIN);
    g_assert_cmpint(setrlimit(RLIMIT_FSIZE, &before), ==, 0);
    g_assert_cmpint(try_large(log), ==, LOG_APPEND_FAILED);
    g_assert_cmpint(log_reader_next(reader, 0, 9, &records, &n, NULL), ==,
                    LOG_READ_RECORDS);
    g_assert_cmpuint(n, ==, 1);
    log_reader_close(reader);
    log_close(log);
    log_cluster_close(cluster);

    cluster = open_local(dir);
    log = log_must_open(cluster, &plain);
    g_assert_true(log_bounds(log, 0, &first, &end, NULL));
    g_assert_cmpuint(end, >=, 1);
    g_assert_cmpint(try_large(log), ==, LOG_APPENDED);
    log_close(log);
    log_cluster_close(cluster);
    remove_dir(dir);
}

#define KILLS 5
#define ACKS_BEFORE_KILL 40

/* What the program does when started with --append DIR: until it is killed,
   append numbers, and print each when it has been acknowledged. */
G_NORETURN static void
append_for_ever(char *dir)
{
    LogCluster *cluster = open_local(dir);
    Log *log = log_must_open(cluster, &plain);
    guint64 number = 0;
    guint64 first;

    g_assert_true(log_bounds(log, 0, &first, &number, NULL));
    for (;; number++) {
        g_autofree char *text = g_strdup_printf("%" G_GUINT64_FORMAT, number);

        g_assert_cmpuint(log_put(log, 0, "k", text), ==, number);
        printf("%s\n", text);
        fflush(stdout);
    }
}

/* Runs it, kills it at the @n-th acknowledgement, and gives the last one. */
static guint64
kill_appending(const char *dir, guint n)
{
    const char *argv[] = {"/proc/self/exe", "--append", dir, NULL};
    GError *error = NULL;
    char line[64];
    guint64 last = 0;
    FILE *acks;
    GPid child;
    gint out;

    g_spawn_async_with_pipes(NULL, (char **)(gsize)argv, NULL,
                             G_SPAWN_DO_NOT_REAP_CHILD, NULL, NULL, &child,
                             NULL, &out, NULL, &error);
    g_assert_no_error(error);
    acks = fdopen(out, "r");
    for (guint i = 0; fgets(line, sizeof line, acks) != NULL; i++) {
        if (i == n) {
            kill(child, SIGKILL);
        }
        last = g_ascii_strtoull(line, NULL, 10);
    }
    fclose(acks);
    g_assert_cmpint(waitpid(child, NULL, 0), ==, child);
    return last;
}

/* A kill loses nothing that was acknowledged, nor makes a hole. */
static void
survive_kills(void)
{
    char *dir = make_dir();

    for (guint i = 0; i < KILLS; i++) {
        guint64 last = kill_appending(dir, ACKS_BEFORE_KILL + i);
        LogCluster *cluster = open_local(dir);
        Log *log = log_must_open(cluster, &plain);
        LogReader *reader = log_must_read(log, NULL);
        const LogRecord *records;
        guint64 seen = 0;
        gsize n;

        while (log_reader_next(reader, 0, 1000, &records, &n, NULL) ==
               LOG_READ_RECORDS) {
            for (gsize j = 0; j < n; j++, seen++) {
                g_autofree char *text = g_strndup(
                    (const char *)records[j].value.data, records[j].value.len);

                g_assert_cmpuint(g_ascii_strtoull(text, NULL, 10), ==, seen);
            }
        }
        g_assert_cmpuint(last, >=, ACKS_BEFORE_KILL);
        g_assert_cmpuint(seen, >, last);
        log_reader_close(reader);
        log_close(log);
        log_cluster_close(cluster);
    }
    remove_dir(dir);
}

static const struct {
    const char *path;
    void (*run)(void);
} local_tests[] = {
    {"/log/local/expire-records", expire_records},
    {"/log/local/keep-young", keep_young},
    {"/log/local/check-retention", check_retention},
    {"/log/local/stop-at-hole", stop_at_hole},
    {"/log/local/stop-at-damage", stop_at_damage},
    {"/log/local/refuse-version", refuse_version},
    {"/log/local/refuse-second", refuse_second},
    {"/log/local/refuse-directory", refuse_directory},
    {"/log/local/tell-apart", tell_apart},
    {"/log/local/meet-full-disk", meet_full_disk},
    {"/log/local/meet-failing-disk", meet_failing_disk},
    {"/log/local/survive-kills", survive_kills},
};

int
main(int argc, char **argv)
{
    char *dir;
    const LogUnderTest memory = {
        .driver = "memory", .open = open_memory, .reads_to_all = 3};
    LogUnderTest local = {.driver = "local",
                          .open = open_local,
                          .durable = TRUE,
                          .reads_to_all = 3};
    int status;

    if (argc == 3 && strcmp(argv[1], "--append") == 0) {
        append_for_ever(argv[2]);
    }
    dir = make_dir();
    local.data = dir;
    g_test_init(&argc, &argv, NULL);
    log_behaviours_add(&memory);
    log_behaviours_add(&local);
    for (gsize i = 0; i < G_N_ELEMENTS(local_tests); i++) {
        g_test_add_func(local_tests[i].path, local_tests[i].run);
    }
    status = g_test_run();
    remove_dir(dir);
    return status;
}
