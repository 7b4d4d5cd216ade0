/*
 * log_check.c - when a log is not the one its reader knew
 *
 * A reader's position outlives the log it came from. Retention may have
 * passed it while the reader was away; a broker may have lost its tail, or
 * somebody made the topic anew: then the position lies past the end. Both
 * look like an idle log to a reader that just waits, so they are looked for
 * and named (I10). The numbers are in the message because the operator's
 * next step, a rebuild from a checkpoint or a peer, depends on them.
 */
#include "firehose/log_check.h"

#include "ops/kit/error.h"

gboolean
log_check_start(const char *topic, guint partition, guint64 next, guint64 first,
                guint64 end, GError **error)
{
    if (next == LOG_NO_PLACE) {
        return TRUE;
    }
    if (next < first) {
        g_set_error(error, COMB_ERROR, COMB_ERROR_GAP,
                    "topic '%s' partition %u: offset %" G_GUINT64_FORMAT
                    " has expired, the log begins at %" G_GUINT64_FORMAT,
                    topic, partition, next, first);
        return FALSE;
    }
    if (next > end) {
        g_set_error(error, COMB_ERROR, COMB_ERROR_GAP,
                    "topic '%s' partition %u: offset %" G_GUINT64_FORMAT
                    " is past the end %" G_GUINT64_FORMAT
                    ", the log was truncated or made anew",
                    topic, partition, next, end);
        return FALSE;
    }
    return TRUE;
}

gboolean
log_check_partitions(const char *topic, guint wanted, guint actual,
                     GError **error)
{
    if (wanted == 0 || wanted == actual) {
        return TRUE;
    }
    g_set_error(error, COMB_ERROR, COMB_ERROR_MISMATCH,
                "topic '%s' has %u partitions, not %u; their number is fixed "
                "when a topic is made",
                topic, actual, wanted);
    return FALSE;
}

gboolean
log_check_retention(const char *topic, gint64 wanted_ms, gint64 actual_ms,
                    GError **error)
{
    gboolean enough =
        actual_ms < 0 || (wanted_ms >= 0 && actual_ms >= wanted_ms);

    if (enough) {
        return TRUE;
    }
    g_set_error(error, COMB_ERROR, COMB_ERROR_UNSAFE,
                "topic '%s': retention.ms is %" G_GINT64_FORMAT
                " and must be %" G_GINT64_FORMAT
                " or more (-1: for ever), or records expire too early",
                topic, actual_ms, wanted_ms);
    return FALSE;
}

gboolean
log_check_compacted(const char *topic, gboolean wanted, gboolean actual,
                    GError **error)
{
    if (wanted == actual) {
        return TRUE;
    }
    g_set_error(error, COMB_ERROR, COMB_ERROR_MISMATCH,
                "topic '%s' is %s, not %s", topic,
                actual ? "compacted" : "not compacted",
                wanted ? "compacted" : "plain");
    return FALSE;
}

gboolean
log_check_absent(const char *topic, GError **error)
{
    g_set_error(error, COMB_ERROR, COMB_ERROR_INPUT,
                "there is no topic '%s'; the gateway makes it when it starts",
                topic);
    return FALSE;
}

gboolean
log_check_other(guint partition, guint64 offset, GError **error)
{
    g_set_error(error, COMB_ERROR, COMB_ERROR_GAP,
                "partition %u: offset %" G_GUINT64_FORMAT
                " has another record now, the log was written or made anew",
                partition, offset);
    return FALSE;
}

gboolean
log_check_hole(const char *topic, guint partition, guint64 next, guint64 found,
               GError **error)
{
    g_set_error(error, COMB_ERROR, COMB_ERROR_GAP,
                "topic '%s' partition %u: offset %" G_GUINT64_FORMAT
                " is missing, found %" G_GUINT64_FORMAT " instead",
                topic, partition, next, found);
    return FALSE;
}

gboolean
log_check_place(const char *client, guint partition, guint64 next, guint64 end,
                GError **error)
{
    if (next <= end) {
        return TRUE;
    }
    g_set_error(error, COMB_ERROR, COMB_ERROR_GAP,
                "client '%s' partition %u: place %" G_GUINT64_FORMAT
                " is past the end of the log, %" G_GUINT64_FORMAT,
                client, partition, next, end);
    return FALSE;
}

gboolean
log_check_idle(const char *client, GError **error)
{
    g_set_error(error, COMB_ERROR, COMB_ERROR_BUSY,
                "client '%s' has members that share the log now: they alone "
                "commit its place, and others may once they have ended",
                client);
    return FALSE;
}

gboolean
log_check_held(const char *client, GError **error)
{
    g_set_error(error, COMB_ERROR, COMB_ERROR_BUSY,
                "client '%s': the place is of a partition that this member "
                "does not have, or has lost: nothing is committed",
                client);
    return FALSE;
}
