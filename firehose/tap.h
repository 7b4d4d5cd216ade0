/*
 * tap.h - the events of the log from a place on, those that are wanted
 *
 * What a stream and a fetch have in common: a reader of all partitions, a
 * filter, an end, and at every moment the place from which a consumer goes on
 * without loss or repeat. A record that cannot be decoded is given out with
 * its reason, whatever the filter: nobody knows whose it was.
 *
 *     while (tap_fill(tap, timeout_ms, &error) == TAP_RECORDS) {
 *         while (tap_take(tap, &item)) { ... tap_next(tap) ... }
 *     }
 *
 * Thread: one at a time.
 */
#pragma once

#include "firehose/event.h"
#include "firehose/log.h"

/* Users in a filter, at most. */
#define TAP_AUTHORS_MAX FETCH_AUTHORS_MAX

/* So long after `until_ms` a partition without any later record counts as
   past it: a record gets its time a little before it can be read. */
#define TAP_UNTIL_GRACE_MS 1000

typedef struct Tap Tap;

typedef struct TapOptions {
    guint32 kinds;   /* 1 << EventKind, of those wanted; 0: all */
    GArray *authors; /* gint64, ascending: who acts; NULL: all */
    gint64 floor_ms; /* records of an earlier log time are passed over */
    gint64 until_ms; /* ends before the first record of this time or later,
                        in each partition; G_MAXINT64: never */
    gboolean to_end; /* ends at the end of the log as it is at the start */
} TapOptions;

typedef struct TapItem {
    const LogRecord *record; /* borrowed until the next tap_fill() */
    gboolean decoded;
    Event event;      /* where decoded; points into the record */
    EventFault fault; /* where not */
} TapItem;

typedef enum TapOutcome {
    TAP_RECORDS, /* tap_take(); it may find none that is wanted */
    TAP_IDLE,    /* nothing came within the time */
    TAP_END,     /* `until_ms` or `to_end` is reached */
    TAP_STOP,    /* the reader stopped: *error says why */
} TapOutcome;

/** tap_sort_authors() - put users in the order of TapOptions. */
void tap_sort_authors(GArray *authors);

/**
 * tap_open() - begin at @next
 *
 * @options: copied; its authors are borrowed until tap_close().
 * Fails:    as log_reader_open() and log_bounds().
 */
Tap *tap_open(Log *log, const guint64 *next, const TapOptions *options,
              GError **error);

/**
 * tap_set_filter() - another filter from here on
 *
 * @options: kinds, authors (borrowed) and floor_ms are taken over.
 */
void tap_set_filter(Tap *tap, const TapOptions *options);

/** tap_fill() - wait for records; returns at once while some are not taken. */
TapOutcome tap_fill(Tap *tap, gint timeout_ms, GError **error);

/** tap_take() - the next item that is wanted; FALSE: fill again. */
gboolean tap_take(Tap *tap, TapItem *ret_item);

/**
 * tap_next() - where to go on, by partition
 *
 * Effect: behind all that was taken, and all that was passed over before it.
 * Owns:   borrowed; the next call changes it.
 */
const guint64 *tap_next(const Tap *tap);

/** tap_close() - stop reading; items are gone with it. NULL is fine. */
void tap_close(Tap *tap);
