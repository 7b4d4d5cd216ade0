/*
 * place.h - where to start reading the firehose
 *
 * The words that a consumer says it with, and the offsets that they mean: one
 * for each partition. A time is exact: in every partition reading starts with
 * the first event whose log time is at or after it. Times are the log's, in
 * whole milliseconds.
 *
 * Never a quiet loss: where events of that time may have been there and the
 * log keeps them no longer, the answer is a refusal that says from when on
 * everything is there, unless the caller asked for what is left.
 */
#pragma once

#include "firehose/log.h"

/* The last time there is: the end of the year 9999. */
#define PLACE_TIME_MS_MAX G_GINT64_CONSTANT(253402300799999)

typedef enum PlaceKind {
    PLACE_NOW,      /* the end: what comes from now on */
    PLACE_EARLIEST, /* the first event that is kept */
    PLACE_TIME,     /* the first at or after a time */
    PLACE_POSITION, /* a bookmark (bookmark.h), or a published event */
} PlaceKind;

typedef struct Place {
    PlaceKind kind;
    gint64 time_ms;       /* PLACE_TIME: since 1970 */
    gint64 now_ms;        /* the clock when it was asked for */
    WireBytes position;   /* PLACE_POSITION: borrowed */
    const char *client;   /* borrowed: where this consumer has committed stands
                             above the rest; NULL: nobody. Not with a position */
    gboolean or_earliest; /* what is gone is passed over, not refused */
} Place;

/* Why a place is refused: names for InvalidRequest. */
typedef struct PlaceFault {
    const char *reason; /* static */
    gint64 limit;       /* -1: none */
    gboolean committed; /* it is what the client has committed that is */
} PlaceFault;

/* The log that is read. */
typedef struct PlaceLog {
    Log *log;
    guint32 check;  /* position_check() of it */
    gint64 kept_ms; /* what it promises to keep; negative: everything */
} PlaceLog;

typedef enum PlaceOutcome {
    PLACE_FOUND,
    PLACE_REFUSED, /* *ret_fault says why */
    PLACE_FAILED,  /* the log did not answer: *error */
} PlaceOutcome;

/**
 * place_parse_time() - a time, as consumers write it
 *
 * @text:  milliseconds since 1970; ISO 8601 with a zone
 *         ("2026-01-31T12:00:00Z"); or an ISO 8601 duration back from @now_ms
 *         ("PT1H30M", "P7D"; weeks to seconds, as kafka-consumer-groups
 *         --by-duration has them).
 * Effect: TRUE and *ret_ms, or FALSE and *ret_fault. A finer time than a
 *         millisecond is the next whole one.
 */
gboolean place_parse_time(const char *text, gint64 now_ms, gint64 *ret_ms,
                          PlaceFault *ret_fault);

/**
 * place_parse() - "now" or "latest", "earliest", or a time
 *
 * Effect: TRUE and the kind and times of *ret_place, or FALSE and *ret_fault:
 *         also where the time is after @now_ms.
 */
gboolean place_parse(const char *text, gint64 now_ms, Place *ret_place,
                     PlaceFault *ret_fault);

/**
 * place_resolve() - the offsets to start with
 *
 * @ret_next: per partition; set where PLACE_FOUND.
 * Effect: a time may find the end of a partition: then records that come
 *         later may still be before it (the log's clock is not ours) and are
 *         to be passed over, see place_floor_ms(). A position does not keep
 *         that bound.
 *         With a client the rest of the place is for partitions where it has
 *         committed nothing, and there is no floor.
 *         A position of a published event starts there with that event, and
 *         in the other partitions at its time.
 * Fails:  PLACE_FAILED: as log_bounds().
 * Thread: any; it waits for the log.
 */
PlaceOutcome place_resolve(const PlaceLog *in, const Place *place,
                           guint64 *ret_next, PlaceFault *ret_fault,
                           GError **error);

/**
 * place_shift() - @shift events from @next, within what is kept
 *
 * @first, @end: log_bounds().
 */
guint64 place_shift(guint64 next, gint64 shift, guint64 first, guint64 end);

/** place_floor_ms() - records with an earlier log time are not wanted. */
gint64 place_floor_ms(const Place *place);

/**
 * place_time_of() - the log time of the record at @offset, which is there
 *
 * Effect: found by halving log_find_time(): some 50 questions to the log.
 * Fails:  as log_find_time().
 */
gboolean place_time_of(Log *log, guint partition, guint64 offset,
                       gint64 *ret_ms, GError **error);
