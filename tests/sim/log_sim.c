#include "tests/sim/log_sim.h"

#include "firehose/log_check.h"
#include "firehose/log_driver.h"
#include "ops/kit/ensure.h"
#include "ops/kit/error.h"

typedef struct Row {
    gint64 timestamp_ms;
    GBytes *key;
    GBytes *value;
} Row;

typedef struct LogSim {
    Log base;
    Dice dice;
    guint read_max;
    guint run_max;
    GPtrArray *parts; /* for each partition a GArray of Row */
    gint64 now_ms;    /* a clock that ticks with appends */
    guint break_in;   /* reads until one stops; 0: never */
    gboolean broke;   /* one has */
} LogSim;

typedef struct ReaderSim {
    LogReader base;
    Dice dice;
    guint64 *next;     /* per partition */
    GArray *records;   /* LogRecord, of the last read */
    GPtrArray *copies; /* keys and values in them */
} ReaderSim;

static void
row_clear(gpointer data)
{
    Row *row = data;
    g_bytes_unref(row->key);
    g_bytes_unref(row->value);
}

static void
rows_free(gpointer rows)
{
    g_array_unref(rows);
}

static GArray *
log_rows(const Log *log, guint partition)
{
    return g_ptr_array_index(((const LogSim *)log)->parts, partition);
}

static void
sim_close(Log *base)
{
    LogSim *log = (LogSim *)base;
    g_ptr_array_unref(log->parts);
    g_free(base->identity);
    g_free(log);
}

static void
sim_append(Log *base, const LogEntry *entries, gsize n, LogAckFunc acked,
           gpointer user_data)
{
    LogSim *log = (LogSim *)base;
    g_autofree LogAck *acks = g_new0(LogAck, n);
    for (gsize i = 0; i < n; i++) {
        GArray *rows = log_rows(base, entries[i].partition);
        log->now_ms += dice_below(&log->dice, 3);
        Row row = {log->now_ms,
                   g_bytes_new(entries[i].key.data, entries[i].key.len),
                   g_bytes_new(entries[i].value.data, entries[i].value.len)};
        g_array_append_val(rows, row);
        acks[i].offset = rows->len - 1;
    }
    acked(acks, n, user_data);
}

static gboolean
sim_bounds(Log *log, guint partition, guint64 *ret_first, guint64 *ret_end,
           GError **error)
{
    (void)error;
    *ret_first = 0;
    *ret_end = log_rows(log, partition)->len;
    return TRUE;
}

static gboolean
sim_find_time(Log *log, guint partition, gint64 time_ms, guint64 *ret_offset,
              GError **error)
{
    (void)error;
    const GArray *rows = log_rows(log, partition);
    guint at = 0;
    while (at < rows->len &&
           g_array_index(rows, Row, at).timestamp_ms < time_ms) {
        at++;
    }
    *ret_offset = at;
    return TRUE;
}

static LogReader *
sim_reader_open(Log *log, const guint64 *next, const char *group,
                GError **error)
{
    (void)group;
    for (guint i = 0; i < log->partitions; i++) {
        if (!log_check_start("sim", i, next[i], 0, log_rows(log, i)->len,
                             error)) {
            return NULL;
        }
    }
    ReaderSim *reader = g_new0(ReaderSim, 1);
    reader->base.log = log;
    reader->dice = dice_fork(&((LogSim *)log)->dice);
    reader->next = g_memdup2(next, log->partitions * sizeof *next);
    reader->records = g_array_new(FALSE, FALSE, sizeof(LogRecord));
    reader->copies = g_ptr_array_new_with_free_func(g_free);
    return &reader->base;
}

static WireBytes
reader_copy(ReaderSim *reader, GBytes *bytes)
{
    gsize len;
    gconstpointer data = g_bytes_get_data(bytes, &len);
    gpointer copy = g_memdup2(data, len);
    g_ptr_array_add(reader->copies, copy);
    return (WireBytes){copy, len};
}

static void
reader_take(ReaderSim *reader, guint partition)
{
    guint64 offset = reader->next[partition]++;
    const Row *row = &g_array_index(log_rows(reader->base.log, partition), Row,
                                    (guint)offset);
    LogRecord record = {partition, offset, row->timestamp_ms,
                        reader_copy(reader, row->key),
                        reader_copy(reader, row->value)};
    g_array_append_val(reader->records, record);
}

/* A partition that has more, by chance; @partitions where none has. */
static guint
reader_pick(ReaderSim *reader)
{
    guint partitions = reader->base.log->partitions;
    guint first = dice_below(&reader->dice, partitions);
    for (guint i = 0; i < partitions; i++) {
        guint at = (first + i) % partitions;
        if (reader->next[at] < log_rows(reader->base.log, at)->len) {
            return at;
        }
    }
    return partitions;
}

static LogReadOutcome
sim_reader_next(LogReader *base, gint timeout_ms, gsize max,
                const LogRecord **ret_records, gsize *ret_n, GError **error)
{
    (void)timeout_ms;
    ReaderSim *reader = (ReaderSim *)base;
    LogSim *log = (LogSim *)base->log;
    if (log->break_in > 0 && --log->break_in == 0) {
        log->broke = TRUE;
        g_set_error(error, COMB_ERROR, COMB_ERROR_IO, "simulated log failure");
        return LOG_READ_STOP;
    }
    g_array_set_size(reader->records, 0);
    g_ptr_array_set_size(reader->copies, 0);
    guint wanted = dice_range(&reader->dice, 1, (guint)MIN(max, log->read_max));
    while (reader->records->len < wanted) {
        guint at = reader_pick(reader);
        if (at == base->log->partitions) {
            break;
        }
        guint run = dice_range(&reader->dice, 1, log->run_max);
        for (; run > 0 && reader->records->len < wanted &&
               reader->next[at] < log_rows(base->log, at)->len;
             run--) {
            reader_take(reader, at);
        }
    }
    *ret_records = (const LogRecord *)(gconstpointer)reader->records->data;
    *ret_n = reader->records->len;
    return *ret_n > 0 ? LOG_READ_RECORDS : LOG_READ_IDLE;
}

static void
sim_reader_commit(LogReader *reader, const guint64 *next)
{
    (void)reader;
    (void)next;
}

static void
sim_reader_close(LogReader *base)
{
    ReaderSim *reader = (ReaderSim *)base;
    g_array_unref(reader->records);
    g_ptr_array_unref(reader->copies);
    g_free(reader->next);
    g_free(reader);
}

/* No cluster: there is one topic, and who has it has it open. */
static const LogDriver sim_driver = {
    .close = sim_close,
    .append = sim_append,
    .bounds = sim_bounds,
    .find_time = sim_find_time,
    .reader_open = sim_reader_open,
    .reader_next = sim_reader_next,
    .reader_commit = sim_reader_commit,
    .reader_close = sim_reader_close,
};

Log *
log_sim_open(const LogSimOptions *options, Dice dice)
{
    LogSim *log = g_new0(LogSim, 1);
    log->base.driver = &sim_driver;
    log->base.partitions = options->partitions;
    log->base.identity = g_strdup(options->identity);
    log->dice = dice;
    log->read_max = options->read_max;
    log->run_max = options->run_max;
    log->parts = g_ptr_array_new_with_free_func(rows_free);
    for (guint i = 0; i < options->partitions; i++) {
        GArray *rows = g_array_new(FALSE, FALSE, sizeof(Row));
        g_array_set_clear_func(rows, row_clear);
        g_ptr_array_add(log->parts, rows);
    }
    return &log->base;
}

guint64
log_sim_end(Log *log, guint partition)
{
    return log_rows(log, partition)->len;
}

void
log_sim_break(Log *log, guint nth)
{
    ((LogSim *)log)->break_in = nth;
}

gboolean
log_sim_broke(Log *base)
{
    LogSim *log = (LogSim *)base;
    gboolean broke = log->broke;
    log->broke = FALSE;
    return broke;
}
