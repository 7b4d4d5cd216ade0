/*
 * import_wait.c - until every cell has applied the log as it is now
 *
 * Each cell is asked for its status, more and more rarely, up to four times a
 * second. A cell that does not answer may be restarting: it counts as one
 * that gets no further, and the connection is made anew the next time.
 */
#include "ops/combctl/import_wait.h"

#include "ops/combctl/text.h"
#include "ops/kit/error.h"

#define POLL_FIRST_MS 20
#define POLL_MAX_MS 250

typedef struct Wait {
    const Ctl *ctl;   /* borrowed */
    CombCellMap *map; /* which cells there are */
    Peer **peers;     /* one a cell; NULL: not connected */
    GError *trouble;  /* of the cell that did not answer last */
    gint64 behind;    /* records that all cells together have to apply */
    gint64 applied;   /* records that all cells together have applied */
} Wait;

static void
wait_clear(Wait *wait)
{
    for (guint i = 0; wait->peers != NULL && i < wait->map->cells->len; i++) {
        g_clear_pointer(&wait->peers[i], peer_close);
    }
    g_free(wait->peers);
    g_clear_object(&wait->map);
    g_clear_error(&wait->trouble);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Wait, wait_clear)

/* Adds up what cell @i has to do. FALSE: it will never be done. */
static gboolean
ask_cell(Wait *wait, guint i, GError **error)
{
    const CombCellEntry *entry = g_ptr_array_index(wait->map->cells, i);
    g_autoptr(CombCellStatus) status = NULL;

    g_clear_error(&wait->trouble);
    if (wait->peers[i] == NULL) {
        wait->peers[i] = peer_open_cell(wait->ctl, entry, &wait->trouble);
    }
    if (wait->peers[i] != NULL) {
        status = peer_get_status(wait->peers[i], &wait->trouble);
    }
    if (status == NULL) {
        g_clear_pointer(&wait->peers[i], peer_close);
        wait->behind++;
        return TRUE;
    }
    if (status->__isset_stopped) {
        g_set_error(error, COMB_ERROR, COMB_ERROR_UNREACHABLE,
                    "cell %d has stopped applying: %s", entry->cell,
                    status->stopped);
        return FALSE;
    }
    for (guint p = 0; p < status->partitions->len; p++) {
        const CombPartitionStatus *partition =
            g_ptr_array_index(status->partitions, p);
        wait->behind += partition->log_end - partition->applied;
        wait->applied += partition->applied;
    }
    return TRUE;
}

static gboolean
ask_cells(Wait *wait, GError **error)
{
    wait->behind = 0;
    wait->applied = 0;
    for (guint i = 0; i < wait->map->cells->len; i++) {
        if (!ask_cell(wait, i, error)) {
            return FALSE;
        }
    }
    return TRUE;
}

/* Nothing moved for too long. */
static gboolean
fail_waiting(Wait *wait, guint retry_s, GError **error)
{
    if (wait->trouble != NULL) {
        g_propagate_error(error, g_steal_pointer(&wait->trouble));
    } else {
        g_set_error(
            error, COMB_ERROR, COMB_ERROR_UNREACHABLE,
            "the cells have applied nothing for %u s and are %" G_GINT64_FORMAT
            " events behind",
            retry_s, wait->behind);
    }
    g_prefix_error(error, "every event is in the log, but ");
    return FALSE;
}

static gboolean
wait_for_cells(Wait *wait, Interrupt *interrupt, Progress *progress,
               guint retry_s, GError **error)
{
    gint64 moved_us = g_get_monotonic_time();
    gint64 applied = -1;
    guint poll_ms = POLL_FIRST_MS;

    for (;;) {
        if (!ask_cells(wait, error)) {
            return FALSE;
        }
        if (wait->behind == 0) {
            return TRUE;
        }
        gint64 now_us = g_get_monotonic_time();
        moved_us = wait->applied > applied ? now_us : moved_us;
        applied = wait->applied;
        if (now_us - moved_us > (gint64)retry_s * G_USEC_PER_SEC) {
            return fail_waiting(wait, retry_s, error);
        }
        g_autofree char *count = text_count((guint64)wait->behind);
        g_autofree char *words =
            g_strdup_printf("waiting for the cells: %s events to go", count);
        progress_say(progress, words);
        if (interrupt_wait(interrupt, poll_ms)) {
            g_set_error_literal(error, COMB_ERROR, COMB_ERROR_UNREACHABLE,
                                "interrupted; every event is in the log");
            return FALSE;
        }
        poll_ms = MIN(poll_ms + poll_ms / 2, POLL_MAX_MS);
    }
}

gboolean
import_wait(const Ctl *ctl, Interrupt *interrupt, Progress *progress,
            guint retry_s, gboolean *ret_waited, GError **error)
{
    g_auto(Wait) wait = {.ctl = ctl};
    g_autoptr(Peer) gateway = peer_open_gateway(ctl, error);
    g_autoptr(GError) local = NULL;

    if (gateway == NULL) {
        return FALSE;
    }
    wait.map = peer_get_map(gateway, &local);
    if (wait.map == NULL) {
        *ret_waited = FALSE;
        if (g_error_matches(local, COMB_ERROR, COMB_ERROR_INPUT)) {
            return TRUE;
        }
        g_propagate_error(error, g_steal_pointer(&local));
        return FALSE;
    }
    wait.peers = g_new0(Peer *, wait.map->cells->len);
    if (!wait_for_cells(&wait, interrupt, progress, retry_s, error)) {
        return FALSE;
    }
    *ret_waited = TRUE;
    return TRUE;
}
