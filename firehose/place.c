/*
 * A time becomes offsets by log_find_time(), which every driver answers
 * exactly. What is left to do here is to be sure that nothing is lost: a log
 * that has dropped records answers with its first one for any time before it,
 * as if that had been the first ever.
 *
 * So a time is refused for a partition whose first offset is not 0 where the
 * first record kept is not before the time. A partition that has dropped all it
 * had has no such record; there only the log's promise to keep records so long
 * can tell, and without it a quiet partition could never be read by time.
 * Where nothing was ever dropped a time before the first record is fine: what
 * there is comes whole.
 *
 * The log has no call for a record's time; place_time_of() finds it by asking
 * log_find_time() which times lie at or before the record. It is needed for
 * refusals and for the few who ask for times, so it may be slow.
 */
#include "firehose/place.h"

#include "firehose/bookmark.h"

#include <string.h>

#define DAY_MS G_GINT64_CONSTANT(86400000)

/* What a part of a duration counts. */
typedef struct DurationUnit {
    char letter;
    gboolean of_time; /* after the T */
    gint64 ms;
} DurationUnit;

/* In the order in which they are written, each at most once. */
static const DurationUnit units[] = {
    {'W', FALSE, 7 * DAY_MS}, {'D', FALSE, DAY_MS}, {'H', TRUE, 3600000},
    {'M', TRUE, 60000},       {'S', TRUE, 1000},
};

static gboolean
refuse(PlaceFault *ret_fault, const char *reason, gint64 limit)
{
    *ret_fault = (PlaceFault){reason, limit, FALSE};
    return FALSE;
}

/* ---- words ---- */

/* Thousandths after a point: "5" is 500. At most three digits count. */
static gint64
take_thousandths(const char **at)
{
    gint64 value = 0;
    gint64 unit = 100;

    if (**at != '.') {
        return 0;
    }
    for ((*at)++; g_ascii_isdigit(**at); (*at)++) {
        value += (**at - '0') * unit;
        unit /= 10;
    }
    return value;
}

/* GLib reads no durations. FALSE: it is none, or longer than the bound. */
static gboolean
parse_duration(const char *text, gint64 *ret_ms)
{
    const char *at = text + 1;
    gboolean of_time = FALSE;
    gint64 total = 0;
    gsize unit = 0;

    while (*at != '\0') {
        char *end = NULL;
        gint64 number;
        gint64 thousandths;

        if (!of_time && g_ascii_toupper(*at) == 'T') {
            of_time = TRUE;
            at++;
        }
        if (!g_ascii_isdigit(*at)) {
            return FALSE;
        }
        number = g_ascii_strtoll(at, &end, 10);
        at = end;
        thousandths = take_thousandths(&at);
        while (unit < G_N_ELEMENTS(units) &&
               (units[unit].letter != g_ascii_toupper(*at) ||
                units[unit].of_time != of_time)) {
            unit++;
        }
        if (unit == G_N_ELEMENTS(units) ||
            number > PLACE_TIME_MS_MAX / units[unit].ms ||
            (at[-1] != end[-1] && units[unit].letter != 'S')) {
            return FALSE;
        }
        total += number * units[unit].ms + thousandths;
        at++;
        unit++;
    }
    *ret_ms = total;
    return text[1] != '\0' && total <= PLACE_TIME_MS_MAX;
}

static gboolean
parse_number(const char *text, gint64 *ret_ms, PlaceFault *ret_fault)
{
    guint64 number;

    if (!g_ascii_string_to_unsigned(text, 10, 0, PLACE_TIME_MS_MAX, &number,
                                    NULL)) {
        return refuse(ret_fault, "is out of bounds: milliseconds since 1970",
                      PLACE_TIME_MS_MAX);
    }
    *ret_ms = (gint64)number;
    return TRUE;
}

static gboolean
parse_date(const char *text, gint64 *ret_ms, PlaceFault *ret_fault)
{
    g_autoptr(GDateTime) time = g_date_time_new_from_iso8601(text, NULL);

    if (time == NULL) {
        g_autoptr(GTimeZone) utc = g_time_zone_new_utc();
        g_autoptr(GDateTime) zoneless = g_date_time_new_from_iso8601(text, utc);

        return refuse(ret_fault,
                      zoneless != NULL
                          ? "has no time zone: end it with Z or +02:00"
                          : "is no time: give milliseconds since 1970, ISO "
                            "8601 with a zone, or a duration like PT1H30M",
                      -1);
    }
    *ret_ms = g_date_time_to_unix(time) * 1000 +
              (g_date_time_get_microsecond(time) + 999) / 1000;
    if (*ret_ms < 0 || *ret_ms > PLACE_TIME_MS_MAX) {
        return refuse(ret_fault, "is out of bounds: milliseconds since 1970",
                      PLACE_TIME_MS_MAX);
    }
    return TRUE;
}

gboolean
place_parse_time(const char *text, gint64 now_ms, gint64 *ret_ms,
                 PlaceFault *ret_fault)
{
    gint64 back_ms;

    if (*text != '\0' && text[strspn(text, "0123456789")] == '\0') {
        return parse_number(text, ret_ms, ret_fault);
    }
    if (g_ascii_toupper(*text) != 'P') {
        return parse_date(text, ret_ms, ret_fault);
    }
    if (!parse_duration(text, &back_ms)) {
        return refuse(ret_fault,
                      "is no duration of weeks, days, hours, minutes and "
                      "seconds, like P1DT12H or PT1H30M",
                      -1);
    }
    if (back_ms > now_ms) {
        return refuse(ret_fault, "goes back too far: before 1970", now_ms);
    }
    *ret_ms = now_ms - back_ms;
    return TRUE;
}

gboolean
place_parse(const char *text, gint64 now_ms, Place *ret_place,
            PlaceFault *ret_fault)
{
    PlaceKind kind = PLACE_TIME;
    gint64 time_ms = 0;

    if (strcmp(text, "now") == 0 || strcmp(text, "latest") == 0) {
        kind = PLACE_NOW;
    } else if (strcmp(text, "earliest") == 0) {
        kind = PLACE_EARLIEST;
    } else if (!place_parse_time(text, now_ms, &time_ms, ret_fault)) {
        return FALSE;
    } else if (time_ms > now_ms) {
        return refuse(ret_fault, "is in the future", now_ms);
    }
    ret_place->kind = kind;
    ret_place->time_ms = time_ms;
    ret_place->now_ms = now_ms;
    return TRUE;
}

gint64
place_floor_ms(const Place *place)
{
    return place->kind == PLACE_TIME && place->client == NULL ? place->time_ms
                                                              : G_MININT64;
}

/* ---- times of the log ---- */

gboolean
place_time_of(Log *log, guint partition, guint64 offset, gint64 *ret_ms,
              GError **error)
{
    gint64 low = 0; /* it is at or after this */
    gint64 high = PLACE_TIME_MS_MAX;

    while (low < high) {
        gint64 middle = low + (high - low + 1) / 2;
        guint64 found;

        if (!log_find_time(log, partition, middle, &found, error)) {
            return FALSE;
        }
        if (found <= offset) {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    *ret_ms = low;
    return TRUE;
}

/* The time from which on a partition has everything; 0 where that is so for
   @place. */
static PlaceOutcome
find_whole_since(const PlaceLog *in, const Place *place, guint partition,
                 gint64 *ret_ms, GError **error)
{
    guint64 first;
    guint64 end;
    guint64 found;

    *ret_ms = 0;
    if (!log_bounds(in->log, partition, &first, &end, error)) {
        return PLACE_FAILED;
    }
    if (first == 0) {
        return PLACE_FOUND;
    }
    if (first == end) {
        if (in->kept_ms >= 0 && place->time_ms < place->now_ms - in->kept_ms) {
            *ret_ms = place->now_ms - in->kept_ms;
        }
        return PLACE_FOUND;
    }
    if (!log_find_time(in->log, partition, place->time_ms, &found, error)) {
        return PLACE_FAILED;
    }
    if (found > first) {
        return PLACE_FOUND;
    }
    if (!place_time_of(in->log, partition, first, ret_ms, error)) {
        return PLACE_FAILED;
    }
    (*ret_ms)++; /* what was dropped may have been of the same millisecond */
    return PLACE_FOUND;
}

static PlaceOutcome
check_kept(const PlaceLog *in, const Place *place, PlaceFault *ret_fault,
           GError **error)
{
    gint64 earliest_ms = 0;

    for (guint i = 0; i < log_partitions(in->log); i++) {
        gint64 since_ms;

        if (find_whole_since(in, place, i, &since_ms, error) == PLACE_FAILED) {
            return PLACE_FAILED;
        }
        earliest_ms = MAX(earliest_ms, since_ms);
    }
    if (earliest_ms > place->time_ms) {
        refuse(ret_fault,
               "is before the earliest time from which all events are kept, "
               "which is the limit in milliseconds since 1970; or_earliest "
               "begins with what is left",
               earliest_ms);
        return PLACE_REFUSED;
    }
    return PLACE_FOUND;
}

/* ---- offsets ---- */

static PlaceOutcome
resolve_bounds(const PlaceLog *in, PlaceKind kind, guint64 *ret_next,
               GError **error)
{
    for (guint i = 0; i < log_partitions(in->log); i++) {
        guint64 first;
        guint64 end;

        if (!log_bounds(in->log, i, &first, &end, error)) {
            return PLACE_FAILED;
        }
        ret_next[i] = kind == PLACE_NOW ? end : first;
    }
    return PLACE_FOUND;
}

/* The found offsets come before the check: what expires in between is then
   refused, or met by the reader as a gap. */
static PlaceOutcome
resolve_time(const PlaceLog *in, const Place *place, guint64 *ret_next,
             PlaceFault *ret_fault, GError **error)
{
    for (guint i = 0; i < log_partitions(in->log); i++) {
        if (!log_find_time(in->log, i, place->time_ms, &ret_next[i], error)) {
            return PLACE_FAILED;
        }
    }
    return place->or_earliest ? PLACE_FOUND
                              : check_kept(in, place, ret_fault, error);
}

/* Offsets that a consumer brought must be there still. */
static PlaceOutcome
check_next(const PlaceLog *in, const Place *place, guint64 *next,
           PlaceFault *ret_fault, GError **error)
{
    for (guint i = 0; i < log_partitions(in->log); i++) {
        guint64 first;
        guint64 end;

        if (!log_bounds(in->log, i, &first, &end, error)) {
            return PLACE_FAILED;
        }
        if (next[i] > end) {
            refuse(ret_fault, "is past the end of the log", (gint64)end);
            return PLACE_REFUSED;
        }
        if (next[i] < first && !place->or_earliest) {
            refuse(ret_fault,
                   "is a place that the log no longer keeps; or_earliest "
                   "begins with what is left",
                   (gint64)first);
            return PLACE_REFUSED;
        }
        next[i] = MAX(next[i], first);
    }
    return PLACE_FOUND;
}

/* From a published event on: its partition there, the others at its time. */
static PlaceOutcome
resolve_event(const PlaceLog *in, Position event, guint64 *ret_next,
              PlaceFault *ret_fault, GError **error)
{
    guint64 first;
    guint64 end;
    gint64 time_ms;

    if (event.partition >= log_partitions(in->log)) {
        refuse(ret_fault, "is no position", -1);
        return PLACE_REFUSED;
    }
    if (!log_bounds(in->log, event.partition, &first, &end, error)) {
        return PLACE_FAILED;
    }
    if (event.offset < first || event.offset >= end) {
        refuse(ret_fault, "is of an event that the log does not have", -1);
        return PLACE_REFUSED;
    }
    if (!place_time_of(in->log, event.partition, event.offset, &time_ms,
                       error)) {
        return PLACE_FAILED;
    }
    for (guint i = 0; i < log_partitions(in->log); i++) {
        if (!log_find_time(in->log, i, time_ms, &ret_next[i], error)) {
            return PLACE_FAILED;
        }
    }
    ret_next[event.partition] = event.offset;
    return PLACE_FOUND;
}

static PlaceOutcome
resolve_position(const PlaceLog *in, const Place *place, guint64 *ret_next,
                 PlaceFault *ret_fault, GError **error)
{
    Position event = {0};

    switch (bookmark_read(place->position, in->check, log_partitions(in->log),
                          ret_next, &event)) {
    case BOOKMARK_ALL:
        return check_next(in, place, ret_next, ret_fault, error);
    case BOOKMARK_EVENT:
        return resolve_event(in, event, ret_next, ret_fault, error);
    case BOOKMARK_SOME:
        refuse(ret_fault,
               "is of a stream that shares the partitions: commit it, and "
               "begin with its client_id",
               -1);
        return PLACE_REFUSED;
    case BOOKMARK_FOREIGN:
        refuse(ret_fault, "is of another log", -1);
        return PLACE_REFUSED;
    case BOOKMARK_MALFORMED:
    default:
        refuse(ret_fault, "is no position", -1);
        return PLACE_REFUSED;
    }
}

/* As said in the words of the place, whoever asks. */
static PlaceOutcome
resolve_words(const PlaceLog *in, const Place *place, guint64 *ret_next,
              PlaceFault *ret_fault, GError **error)
{
    switch (place->kind) {
    case PLACE_TIME:
        return resolve_time(in, place, ret_next, ret_fault, error);
    case PLACE_POSITION:
        return resolve_position(in, place, ret_next, ret_fault, error);
    case PLACE_NOW:
    case PLACE_EARLIEST:
    default:
        return resolve_bounds(in, place->kind, ret_next, error);
    }
}

static gboolean
lacks_place(const guint64 *next, guint partitions)
{
    for (guint i = 0; i < partitions; i++) {
        if (next[i] == LOG_NO_PLACE) {
            return TRUE;
        }
    }
    return FALSE;
}

PlaceOutcome
place_resolve(const PlaceLog *in, const Place *place, guint64 *ret_next,
              PlaceFault *ret_fault, GError **error)
{
    guint partitions = log_partitions(in->log);
    g_autofree guint64 *committed = NULL;
    PlaceOutcome outcome;

    if (place->client == NULL) {
        return resolve_words(in, place, ret_next, ret_fault, error);
    }
    committed = g_new(guint64, partitions);
    if (!log_place_load(in->log, place->client, committed, error)) {
        return PLACE_FAILED;
    }
    if (lacks_place(committed, partitions)) {
        outcome = resolve_words(in, place, ret_next, ret_fault, error);
        if (outcome != PLACE_FOUND) {
            return outcome;
        }
    }
    for (guint i = 0; i < partitions; i++) {
        ret_next[i] = committed[i] == LOG_NO_PLACE ? ret_next[i] : committed[i];
    }
    outcome = check_next(in, place, ret_next, ret_fault, error);
    if (outcome == PLACE_REFUSED) {
        ret_fault->committed = TRUE;
    }
    return outcome;
}

guint64
place_shift(guint64 next, gint64 shift, guint64 first, guint64 end)
{
    guint64 by = shift < 0 ? 0 - (guint64)shift : (guint64)shift;

    if (shift < 0) {
        next = next > by ? next - by : 0;
    } else {
        next = by < end && next < end - by ? next + by : end;
    }
    return CLAMP(next, first, end);
}
