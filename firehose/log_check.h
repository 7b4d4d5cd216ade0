/*
 * log_check.h - what every driver checks alike, with the same words
 *
 * An operator who moves from the local log to Kafka meets the same sentences,
 * and a test of one driver is a test of the checks of all.
 */
#pragma once

#include "firehose/log.h"

/**
 * log_check_start() - may a reader start at @next in a partition?
 *
 * @first, @end: log_bounds() of the partition.
 * Fails: COMB_ERROR_GAP where the record is no longer, or not yet, there.
 */
gboolean log_check_start(const char *topic, guint partition, guint64 next,
                         guint64 first, guint64 end, GError **error);

/** log_check_partitions() - Fails: COMB_ERROR_MISMATCH, unless @wanted is 0. */
gboolean log_check_partitions(const char *topic, guint wanted, guint actual,
                              GError **error);

/** log_check_retention() - Fails: COMB_ERROR_UNSAFE where @actual is shorter.
 */
gboolean log_check_retention(const char *topic, gint64 wanted_ms,
                             gint64 actual_ms, GError **error);

/** log_check_compacted() - Fails: COMB_ERROR_MISMATCH where they differ. */
gboolean log_check_compacted(const char *topic, gboolean wanted,
                             gboolean actual, GError **error);

/** log_check_absent() - Fails: always, COMB_ERROR_INPUT: no such topic. */
gboolean log_check_absent(const char *topic, GError **error);

/** log_check_other() - Fails: always, COMB_ERROR_GAP: another record is there.
 */
gboolean log_check_other(guint partition, guint64 offset, GError **error);

/** log_check_hole() - Fails: always, COMB_ERROR_GAP: found @found, not @next.
 */
gboolean log_check_hole(const char *topic, guint partition, guint64 next,
                        guint64 found, GError **error);

/** log_check_place() - Fails: COMB_ERROR_GAP where @next is past @end. */
gboolean log_check_place(const char *client, guint partition, guint64 next,
                         guint64 end, GError **error);

/** log_check_idle() - Fails: always, COMB_ERROR_BUSY: @client has members. */
gboolean log_check_idle(const char *client, GError **error);

/** log_check_held() - Fails: always, COMB_ERROR_BUSY: not this member's. */
gboolean log_check_held(const char *client, GError **error);
