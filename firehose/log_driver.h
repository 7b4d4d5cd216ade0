/*
 * log_driver.h - what a driver of log.h fills in
 *
 * Each driver's structs begin with these; log.c checks arguments and calls
 * through. Contracts are those of log.h. What log.c has made sure of:
 * partitions are in range, appends have one entry or more, none over
 * LOG_RECORD_BYTES_MAX, times are not negative, @create names partitions,
 * clients have a name and places are not past the end.
 */
#pragma once

#include "firehose/log.h"

/* A member's place in its group: what is different between drivers. */
typedef struct LogSeat LogSeat;

typedef enum LogSeatOutcome {
    LOG_SEAT_SAME,
    LOG_SEAT_WAIT,   /* read nothing until it is known what is whose */
    LOG_SEAT_MOVED,  /* @ret_mine is set; a partition that was mine before and
                        is again was nobody else's in between */
    LOG_SEAT_FAILED, /* *error */
} LogSeatOutcome;

typedef struct LogDriver {
    void (*cluster_close)(LogCluster *cluster);
    Log *(*open)(LogCluster *cluster, const LogTopic *topic, gboolean create,
                 GError **error);
    void (*close)(Log *log);
    void (*append)(Log *log, const LogEntry *entries, gsize n, LogAckFunc acked,
                   gpointer user_data);
    gboolean (*bounds)(Log *log, guint partition, guint64 *ret_first,
                       guint64 *ret_end, GError **error);
    gboolean (*find_time)(Log *log, guint partition, gint64 time_ms,
                          guint64 *ret_offset, GError **error);
    gboolean (*place_load)(Log *log, const char *client, guint64 *ret_next,
                           GError **error);
    gboolean (*place_store)(Log *log, const char *client, const guint64 *next,
                            GError **error);
    LogSeat *(*seat_take)(Log *log, const char *client, GError **error);
    LogSeatOutcome (*seat_poll)(LogSeat *seat, gint timeout_ms,
                                gboolean *ret_mine, GError **error);
    gboolean (*seat_commit)(LogSeat *seat, const guint64 *next, GError **error);
    void (*seat_leave)(LogSeat *seat);
    LogReader *(*reader_open)(Log *log, const guint64 *next, const char *group,
                              GError **error);
    LogReadOutcome (*reader_next)(LogReader *reader, gint timeout_ms, gsize max,
                                  const LogRecord **ret_records, gsize *ret_n,
                                  GError **error);
    void (*reader_commit)(LogReader *reader, const guint64 *next);
    void (*reader_close)(LogReader *reader);
} LogDriver;

struct LogCluster {
    const LogDriver *driver;
};

struct Log {
    const LogDriver *driver;
    guint partitions;
    char *identity; /* owned by the driver */
};

struct LogSeat {
    Log *log;
};

struct LogReader {
    Log *log;
};

/** log_places_check() - Fails: as log_place_store() of what is past the end. */
gboolean log_places_check(Log *log, const char *client, const guint64 *next,
                          GError **error);

/** log_ack_all() - call @acked with the same refusal for @n entries. */
void log_ack_all(LogAppendOutcome outcome, const char *reason, gsize n,
                 LogAckFunc acked, gpointer user_data);
