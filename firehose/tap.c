/*
 * Each partition has an offset to go on with and one to stop at. The latter
 * is known from the start (to_end), or once a record of the end time or later
 * is met, or once that time has passed and log_find_time() says it. What is
 * read at or behind it is dropped without moving on, so that the place given
 * out is never past the end that was asked for.
 *
 * The reader gives some thousand records at once; they are looked at one by
 * one as they are taken, so that what was not taken does not count as read.
 */
#include "firehose/tap.h"

#include "ops/kit/ensure.h"

#define FILL_RECORDS_MAX 4096

struct Tap {
    Log *log;
    LogReader *reader;
    TapOptions options;
    guint partitions;
    guint64 *next;            /* by partition: to go on with */
    guint64 *stop;            /* by partition: not to be read; G_MAXUINT64 */
    gboolean has_stops;       /* all of them are known */
    const LogRecord *records; /* of the last fill, borrowed */
    gsize n;
    gsize at; /* the first that was not looked at */
};

static gint
compare_users(gconstpointer a, gconstpointer b)
{
    gint64 left = *(const gint64 *)a;
    gint64 right = *(const gint64 *)b;

    return (left > right) - (left < right);
}

void
tap_sort_authors(GArray *authors)
{
    g_array_sort(authors, compare_users);
}

static gboolean
find_stops_at_end(Tap *tap, GError **error)
{
    for (guint i = 0; i < tap->partitions; i++) {
        guint64 first;

        if (!log_bounds(tap->log, i, &first, &tap->stop[i], error)) {
            return FALSE;
        }
    }
    tap->has_stops = TRUE;
    return TRUE;
}

/* Once `until_ms` lies back far enough. */
static gboolean
find_stops_at_time(Tap *tap, GError **error)
{
    for (guint i = 0; i < tap->partitions; i++) {
        guint64 stop;

        if (!log_find_time(tap->log, i, tap->options.until_ms, &stop, error)) {
            return FALSE;
        }
        tap->stop[i] = MIN(tap->stop[i], stop);
    }
    tap->has_stops = TRUE;
    return TRUE;
}

Tap *
tap_open(Log *log, const guint64 *next, const TapOptions *options,
         GError **error)
{
    Tap *tap = g_new0(Tap, 1);

    tap->log = log;
    tap->options = *options;
    tap->partitions = log_partitions(log);
    tap->next = g_memdup2(next, tap->partitions * sizeof *next);
    tap->stop = g_new(guint64, tap->partitions);
    for (guint i = 0; i < tap->partitions; i++) {
        tap->stop[i] = G_MAXUINT64;
    }
    if (!options->to_end || find_stops_at_end(tap, error)) {
        tap->reader = log_reader_open(log, next, NULL, error);
    }
    if (tap->reader == NULL) {
        tap_close(tap);
        return NULL;
    }
    return tap;
}

void
tap_set_filter(Tap *tap, const TapOptions *options)
{
    tap->options.kinds = options->kinds;
    tap->options.authors = options->authors;
    tap->options.floor_ms = options->floor_ms;
}

static gboolean
has_ended(const Tap *tap)
{
    for (guint i = 0; i < tap->partitions; i++) {
        if (tap->next[i] < tap->stop[i]) {
            return FALSE;
        }
    }
    return TRUE;
}

static gboolean
until_has_passed(const Tap *tap)
{
    return tap->options.until_ms <
           g_get_real_time() / 1000 - TAP_UNTIL_GRACE_MS;
}

TapOutcome
tap_fill(Tap *tap, gint timeout_ms, GError **error)
{
    if (tap->at < tap->n) {
        return TAP_RECORDS;
    }
    if (!tap->has_stops && until_has_passed(tap) &&
        !find_stops_at_time(tap, error)) {
        return TAP_STOP;
    }
    if (has_ended(tap)) {
        return TAP_END;
    }
    tap->at = tap->n = 0;
    switch (log_reader_next(tap->reader, timeout_ms, FILL_RECORDS_MAX,
                            &tap->records, &tap->n, error)) {
    case LOG_READ_RECORDS:
        return TAP_RECORDS;
    case LOG_READ_IDLE:
        return TAP_IDLE;
    case LOG_READ_STOP:
    default:
        return TAP_STOP;
    }
}

static gboolean
has_author(const GArray *authors, gint64 user)
{
    guint low = 0;
    guint high = authors->len;

    while (low < high) {
        guint middle = low + (high - low) / 2;
        gint64 author = g_array_index(authors, gint64, middle);

        if (author == user) {
            return TRUE;
        }
        if (author < user) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return FALSE;
}

static gboolean
is_wanted(const TapOptions *options, const Event *event)
{
    return (options->kinds == 0 ||
            (options->kinds >> (guint)event->kind & 1) != 0) &&
           (options->authors == NULL ||
            has_author(options->authors, event->user.v));
}

/* Moves past @record; FALSE where it is behind the end. */
static gboolean
pass(Tap *tap, const LogRecord *record)
{
    guint partition = record->partition;

    if (record->timestamp_ms >= tap->options.until_ms) {
        tap->stop[partition] = MIN(tap->stop[partition], record->offset);
    }
    if (record->offset >= tap->stop[partition]) {
        return FALSE;
    }
    tap->next[partition] = record->offset + 1;
    return TRUE;
}

gboolean
tap_take(Tap *tap, TapItem *ret_item)
{
    while (tap->at < tap->n) {
        const LogRecord *record = &tap->records[tap->at++];

        if (!pass(tap, record) ||
            record->timestamp_ms < tap->options.floor_ms) {
            continue;
        }
        ret_item->record = record;
        ret_item->decoded = event_of_record(record, tap->partitions,
                                            &ret_item->event, &ret_item->fault);
        if (!ret_item->decoded || is_wanted(&tap->options, &ret_item->event)) {
            return TRUE;
        }
    }
    return FALSE;
}

const guint64 *
tap_next(const Tap *tap)
{
    return tap->next;
}

void
tap_close(Tap *tap)
{
    if (tap == NULL) {
        return;
    }
    if (tap->reader != NULL) {
        log_reader_close(tap->reader);
    }
    g_free(tap->next);
    g_free(tap->stop);
    g_free(tap);
}
