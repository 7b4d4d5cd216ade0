/*
 * log_seats.h - groups of consumers within this process
 *
 * What Kafka's group protocol is to several processes, for the logs that one
 * process has alone: partitions are handed out evenly among the members of a
 * client, few move when one comes or goes, and none is two members' at once.
 * A LogSeat (log_driver.h) is a member. Thread: any, unless said otherwise.
 */
#pragma once

#include "firehose/log_driver.h"

typedef struct LogSeats LogSeats;

/* Stores a place, as log_place_store() without the refusals. */
typedef gboolean (*LogSeatsStore)(Log *log, const char *client,
                                  const guint64 *next, GError **error);

/** log_seats_new() - no groups yet. Owns: gives. */
LogSeats *log_seats_new(void);

/** log_seats_free() - after all members have left. */
void log_seats_free(LogSeats *seats);

/** log_seats_take() - what LogDriver.seat_take does. */
LogSeat *log_seats_take(LogSeats *seats, Log *log, const char *client);

/** log_seats_poll() - what LogDriver.seat_poll does; never fails. */
LogSeatOutcome log_seats_poll(LogSeat *seat, gint timeout_ms,
                              gboolean *ret_mine, GError **error);

/**
 * log_seats_commit() - @store where the seat has all partitions of @next
 *
 * Effect: no partition moves meanwhile.
 * Fails:  COMB_ERROR_BUSY; as @store.
 */
gboolean log_seats_commit(LogSeat *seat, const guint64 *next,
                          LogSeatsStore store, GError **error);

/** log_seats_store() - @store where @client has no members. Fails: likewise. */
gboolean log_seats_store(LogSeats *seats, Log *log, const char *client,
                         const guint64 *next, LogSeatsStore store,
                         GError **error);

/** log_seats_leave() - give all partitions back; frees the seat. */
void log_seats_leave(LogSeat *seat);
