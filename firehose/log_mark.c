/*
 * The records before the positions are read by a reader of its own, one for
 * all partitions, through the interface that all drivers have. A position
 * that the log cannot serve is left for the opening of that reader to refuse,
 * in the driver's words.
 */
#include "firehose/log_mark.h"

#include "firehose/log_check.h"
#include "ops/kit/error.h"
#include "ops/kit/logger.h"

#include <xxhash.h>

/* So long a log may be silent that has what is asked for: 10 s. */
#define LOOK_MS 100
#define LOOKS_MAX 100
#define RECORDS_MAX 64

/* The records to be looked at. */
typedef struct Look {
    const guint64 *marks; /* per partition; borrowed */
    guint64 *from;        /* per partition, where to read; owned */
    gboolean *wanted;     /* per partition: its record is to come; owned */
    guint left;           /* how many are */
} Look;

guint64
log_mark(const LogRecord *record)
{
    const guint64 head[2] = {GUINT64_TO_LE(record->offset),
                             GUINT64_TO_LE((guint64)record->timestamp_ms)};
    guint64 mark = XXH64(head, sizeof head, 0);

    mark = XXH64(record->key.data, record->key.len, mark);
    mark = XXH64(record->value.data, record->value.len, mark);
    return mark != 0 ? mark : 1;
}

/* Where to read in a partition; its end where there is nothing to look at.
 *ret_odd: the reader will refuse the place. */
static gboolean
look_place(Look *look, Log *log, guint i, guint64 next, gboolean *ret_odd,
           GError **error)
{
    guint64 first;
    guint64 end;

    if (!log_bounds(log, i, &first, &end, error)) {
        return FALSE;
    }
    look->from[i] = end;
    if (look->marks[i] == 0 || next == 0) {
        return TRUE;
    }
    if (next < first || next > end) {
        look->from[i] = next;
        *ret_odd = TRUE;
    } else if (next == first) {
        logger_warn("firehose.log", "the last record read has expired",
                    "partition=%u offset=%" G_GUINT64_FORMAT
                    " reason=\"whether the log is the same cannot be seen\"",
                    i, next - 1);
    } else {
        look->from[i] = next - 1;
        look->wanted[i] = TRUE;
        look->left++;
    }
    return TRUE;
}

static gboolean
look_compare(Look *look, const LogRecord *record, GError **error)
{
    guint i = record->partition;

    if (!look->wanted[i] || record->offset != look->from[i]) {
        return TRUE;
    }
    if (log_mark(record) != look->marks[i]) {
        return log_check_other(i, record->offset, error);
    }
    look->wanted[i] = FALSE;
    look->left--;
    return TRUE;
}

static gboolean
look_read(Look *look, LogReader *reader, GError **error)
{
    guint looks = 0;

    while (look->left > 0) {
        const LogRecord *records;
        gsize n = 0;

        switch (log_reader_next(reader, LOOK_MS, RECORDS_MAX, &records, &n,
                                error)) {
        case LOG_READ_STOP:
            return FALSE;
        case LOG_READ_IDLE:
            if (++looks == LOOKS_MAX) {
                g_set_error(error, COMB_ERROR, COMB_ERROR_UNREACHABLE,
                            "the log does not give the records before the "
                            "positions of %u partitions",
                            look->left);
                return FALSE;
            }
            break;
        case LOG_READ_RECORDS:
            break;
        }
        for (gsize i = 0; i < n; i++) {
            if (!look_compare(look, &records[i], error)) {
                return FALSE;
            }
        }
    }
    return TRUE;
}

gboolean
log_marks_check(Log *log, const guint64 *next, const guint64 *marks,
                GError **error)
{
    guint partitions = log_partitions(log);
    g_autofree guint64 *from = g_new0(guint64, partitions);
    g_autofree gboolean *wanted = g_new0(gboolean, partitions);
    Look look = {marks, from, wanted, 0};
    gboolean odd = FALSE;
    gboolean good;
    LogReader *reader;

    for (guint i = 0; i < partitions; i++) {
        if (!look_place(&look, log, i, next[i], &odd, error)) {
            return FALSE;
        }
    }
    if (look.left == 0 && !odd) {
        return TRUE;
    }
    reader = log_reader_open(log, from, NULL, error);
    if (reader == NULL) {
        return FALSE;
    }
    good = look_read(&look, reader, error);
    log_reader_close(reader);
    return good;
}
