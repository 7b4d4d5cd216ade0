/*
 * places.c - combctl firehose commit, rewind and lag
 *
 * Where a consumer goes on, by the name that it gives as client_id. The flags
 * of rewind are those of kafka-consumer-groups --reset-offsets.
 */
#include "ops/combctl/connect.h"
#include "ops/combctl/text.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

G_DEFINE_AUTOPTR_CLEANUP_FUNC(CombRewindRequest, g_object_unref)

typedef struct Rewind {
    char *datetime;       /* flags; owned */
    char *duration;       /* likewise */
    char *position;       /* likewise */
    char *shift;          /* likewise */
    gboolean earliest;    /* flags */
    gboolean latest;      /* likewise */
    gboolean dry_run;     /* likewise */
    gboolean or_earliest; /* likewise */
} Rewind;

static void
rewind_clear(Rewind *rewind)
{
    g_free(rewind->datetime);
    g_free(rewind->duration);
    g_free(rewind->position);
    g_free(rewind->shift);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Rewind, rewind_clear)

static const char rewind_help[] =
    "Moves a consumer to another place, from which it reads when it begins\n"
    "anew. End it before: while consumers share the log under that name, only\n"
    "they commit. T is ISO 8601 with a zone, or milliseconds since 1970; D is\n"
    "like PT1H30M or P7D. A time is exact: in each partition the first event\n"
    "at or after it.";

static GByteArray *
bytes_of(const char *text)
{
    GByteArray *bytes = g_byte_array_new();

    return g_byte_array_append(bytes, (const guint8 *)text,
                               (guint)strlen(text));
}

/* ---- commit ---- */

static gboolean
send_commit(const Peer *gateway, const char *client, const char *position,
            GError **error)
{
    g_autoptr(GByteArray) bytes = bytes_of(position);
    g_auto(Refusals) refusals = {0};

    return comb_firehose_client_commit(
               gateway->service, client, bytes, gateway->context,
               &refusals.invalid, &refusals.overloaded, &refusals.deadline,
               &refusals.unavailable, &refusals.denied, error) ||
           refusals_explain(&refusals, gateway, error);
}

static gboolean
run_commit(Ctl *ctl, const CtlCommand *command, char ***argv, GError **error)
{
    const CtlSyntax syntax = {
        .command = command, .words_min = 2, .words_max = 2};

    if (!ctl_parse(ctl, &syntax, argv, error)) {
        return FALSE;
    }
    g_autoptr(Peer) gateway = peer_open_gateway(ctl, error);
    return gateway != NULL &&
           send_commit(gateway, (*argv)[0], (*argv)[1], error);
}

/* ---- rewind ---- */

static gboolean
check_rewind(const Rewind *rewind, GError **error)
{
    guint places =
        (guint)(rewind->datetime != NULL) + (guint)(rewind->duration != NULL) +
        (guint)(rewind->position != NULL) + (guint)(rewind->shift != NULL) +
        (guint)rewind->earliest + (guint)rewind->latest;

    if (places != 1) {
        return ctl_usage_error(error, "one of --to-datetime, --by-duration, "
                                      "--to-earliest, --to-latest, "
                                      "--to-position and --shift-by");
    }
    if (rewind->duration != NULL && g_ascii_toupper(*rewind->duration) != 'P') {
        return ctl_usage_error(error, "--by-duration is like PT1H30M or P7D");
    }
    return TRUE;
}

static gboolean
parse_rewind(Rewind *rewind, Ctl *ctl, const CtlCommand *command, char ***argv,
             GError **error)
{
    const GOptionEntry entries[] = {
        {"to-datetime", 0, 0, G_OPTION_ARG_STRING, &rewind->datetime,
         "To the first event at or after a time", "T"},
        {"by-duration", 0, 0, G_OPTION_ARG_STRING, &rewind->duration,
         "To so long ago", "D"},
        {"to-earliest", 0, 0, G_OPTION_ARG_NONE, &rewind->earliest,
         "To the first event that is kept", NULL},
        {"to-latest", 0, 0, G_OPTION_ARG_NONE, &rewind->latest,
         "To the end: what comes from now on", NULL},
        {"to-position", 0, 0, G_OPTION_ARG_STRING, &rewind->position,
         "Behind a position, or to a published event", "P"},
        {"shift-by", 0, 0, G_OPTION_ARG_STRING, &rewind->shift,
         "So many events on or back, in each partition", "N"},
        {"dry-run", 0, 0, G_OPTION_ARG_NONE, &rewind->dry_run,
         "Say what would be done", NULL},
        {"or-earliest", 0, 0, G_OPTION_ARG_NONE, &rewind->or_earliest,
         "Where events are no longer kept, go to what is left", NULL},
        {NULL, 0, 0, G_OPTION_ARG_NONE, NULL, NULL, NULL},
    };
    const CtlSyntax syntax = {.command = command,
                              .text = rewind_help,
                              .entries = entries,
                              .words_min = 1,
                              .words_max = 1};

    return ctl_parse(ctl, &syntax, argv, error) && check_rewind(rewind, error);
}

static const char *
words_of(const Rewind *rewind)
{
    if (rewind->earliest || rewind->latest) {
        return rewind->earliest ? "earliest" : "latest";
    }
    return rewind->datetime != NULL ? rewind->datetime : rewind->duration;
}

/* NULL: a flag is wrong. */
static CombRewindRequest *
make_request(const Rewind *rewind, const char *client, GError **error)
{
    g_autoptr(CombRewindRequest) request =
        g_object_new(COMB_TYPE_REWIND_REQUEST, NULL);

    request->client_id = g_strdup(client);
    request->to = g_strdup(words_of(rewind));
    request->__isset_to = request->to != NULL;
    if (rewind->position != NULL) {
        request->position = bytes_of(rewind->position);
        request->__isset_position = TRUE;
    }
    if (rewind->shift != NULL &&
        !g_ascii_string_to_signed(rewind->shift, 10, G_MININT64, G_MAXINT64,
                                  &request->shift_by, NULL)) {
        ctl_usage_error(error, "--shift-by is a number of events");
        return NULL;
    }
    request->__isset_shift_by = rewind->shift != NULL;
    request->dry_run = rewind->dry_run;
    request->__isset_dry_run = TRUE;
    request->or_earliest = rewind->or_earliest;
    request->__isset_or_earliest = TRUE;
    return g_steal_pointer(&request);
}

static void
print_change(const CombPlaceChange *change, gboolean json)
{
    json_auto_t *object =
        json_pack("{s:i, s:I}", "partition", change->partition, "new_offset",
                  (json_int_t)change->new_offset);
    g_autofree char *old =
        change->__isset_old_offset
            ? g_strdup_printf("%" G_GINT64_FORMAT, change->old_offset)
            : g_strdup("-");

    if (change->__isset_old_offset) {
        json_object_set_new(object, "old_offset",
                            json_integer(change->old_offset));
    }
    if (json) {
        json_dumpf(object, stdout, 0);
        putchar('\n');
    } else {
        printf("%9d %14s %14" G_GINT64_FORMAT "\n", change->partition, old,
               change->new_offset);
    }
}

static gboolean
send_rewind(const Ctl *ctl, const Peer *gateway,
            const CombRewindRequest *request, GError **error)
{
    g_autoptr(GPtrArray) changes =
        g_ptr_array_new_with_free_func(g_object_unref);
    g_auto(Refusals) refusals = {0};

    if (!comb_firehose_client_rewind(
            gateway->service, &changes, request, gateway->context,
            &refusals.invalid, &refusals.overloaded, &refusals.deadline,
            &refusals.unavailable, &refusals.denied, error)) {
        return refusals_explain(&refusals, gateway, error);
    }
    if (!ctl->json) {
        printf("%9s %14s %14s\n", "partition", "old offset", "new offset");
    }
    for (guint i = 0; i < changes->len; i++) {
        print_change(g_ptr_array_index(changes, i), ctl->json);
    }
    if (request->dry_run && !ctl->json) {
        puts("nothing was changed: --dry-run");
    }
    return TRUE;
}

static gboolean
run_rewind(Ctl *ctl, const CtlCommand *command, char ***argv, GError **error)
{
    g_auto(Rewind) rewind = {0};

    if (!parse_rewind(&rewind, ctl, command, argv, error)) {
        return FALSE;
    }
    g_autoptr(CombRewindRequest) request =
        make_request(&rewind, (*argv)[0], error);
    if (request == NULL) {
        return FALSE;
    }
    g_autoptr(Peer) gateway = peer_open_gateway(ctl, error);
    return gateway != NULL && send_rewind(ctl, gateway, request, error);
}

/* ---- lag ---- */

static void
print_lag_json(const CombPartitionLag *lag)
{
    json_auto_t *object = json_pack("{s:i, s:I}", "partition", lag->partition,
                                    "end_offset", (json_int_t)lag->end_offset);

    if (lag->__isset_committed_offset) {
        json_object_set_new(object, "committed_offset",
                            json_integer(lag->committed_offset));
        json_object_set_new(object, "events", json_integer(lag->events));
        json_object_set_new(object, "behind_ms", json_integer(lag->behind_ms));
    }
    json_dumpf(object, stdout, 0);
    putchar('\n');
}

static void
print_lag(const CombPartitionLag *lag)
{
    g_autofree char *events = text_count((guint64)lag->events);

    if (lag->__isset_committed_offset) {
        printf("%9d %14" G_GINT64_FORMAT " %14" G_GINT64_FORMAT
               " %13s %12.1f\n",
               lag->partition, lag->committed_offset, lag->end_offset, events,
               (double)lag->behind_ms / 1000);
    } else {
        printf("%9d %14s %14" G_GINT64_FORMAT " %13s %12s\n", lag->partition,
               "-", lag->end_offset, "-", "-");
    }
}

static gboolean
lag_of_client(const Ctl *ctl, const Peer *gateway, const char *client,
              GError **error)
{
    g_autoptr(GPtrArray) lags = g_ptr_array_new_with_free_func(g_object_unref);
    g_auto(Refusals) refusals = {0};

    if (!comb_firehose_client_get_lag(
            gateway->service, &lags, client, gateway->context,
            &refusals.invalid, &refusals.overloaded, &refusals.deadline,
            &refusals.unavailable, &refusals.denied, error)) {
        return refusals_explain(&refusals, gateway, error);
    }
    if (!ctl->json) {
        printf("%9s %14s %14s %13s %12s\n", "partition", "committed", "end",
               "events behind", "s behind");
    }
    for (guint i = 0; i < lags->len; i++) {
        (ctl->json ? print_lag_json : print_lag)(g_ptr_array_index(lags, i));
    }
    return TRUE;
}

static void
print_cell_lag(gboolean json, const CombCellStatus *status,
               const CombPartitionStatus *partition)
{
    gint64 events = MAX(partition->log_end - partition->applied, 0);
    gint64 behind_ms = events > 0 ? status->lag_ms : 0;
    g_autofree char *count = text_count((guint64)events);

    if (json) {
        json_auto_t *object =
            json_pack("{s:i, s:i, s:I, s:I, s:I, s:I}", "cell", status->cell,
                      "partition", partition->partition, "applied_offset",
                      (json_int_t)partition->applied, "end_offset",
                      (json_int_t)partition->log_end, "events",
                      (json_int_t)events, "behind_ms", (json_int_t)behind_ms);
        json_dumpf(object, stdout, 0);
        putchar('\n');
    } else {
        printf("%4d %9d %14" G_GINT64_FORMAT " %14" G_GINT64_FORMAT
               " %13s %12.1f\n",
               status->cell, partition->partition, partition->applied,
               partition->log_end, count, (double)behind_ms / 1000);
    }
}

static gboolean
lag_of_cell(const Ctl *ctl, const CombCellEntry *entry, GError **error)
{
    g_autoptr(CombCellStatus) status = NULL;
    g_autoptr(Peer) peer = peer_open_cell(ctl, entry, error);

    if (peer != NULL) {
        status = peer_get_status(peer, error);
    }
    if (status == NULL) {
        return FALSE;
    }
    for (guint i = 0; i < status->partitions->len; i++) {
        print_cell_lag(ctl->json, status,
                       g_ptr_array_index(status->partitions, i));
    }
    return TRUE;
}

/* As each cell says; one that does not answer is the last word. */
static gboolean
lag_of_cells(const Ctl *ctl, const Peer *gateway, GError **error)
{
    g_autoptr(CombCellMap) map = peer_get_map(gateway, error);
    GError *silent = NULL;

    if (map == NULL) {
        return FALSE;
    }
    if (!ctl->json) {
        printf("%4s %9s %14s %14s %13s %12s\n", "cell", "partition", "applied",
               "end", "events behind", "s behind");
    }
    for (guint i = 0; i < map->cells->len; i++) {
        lag_of_cell(ctl, g_ptr_array_index(map->cells, i),
                    silent == NULL ? &silent : NULL);
    }
    if (silent != NULL) {
        g_propagate_error(error, silent);
    }
    return silent == NULL;
}

static gboolean
run_lag(Ctl *ctl, const CtlCommand *command, char ***argv, GError **error)
{
    const CtlSyntax syntax = {
        .command = command,
        .text = "Of a consumer, what it has committed; without a name, of each "
                "cell\nof the map, what it has applied.",
        .words_max = 1};

    if (!ctl_parse(ctl, &syntax, argv, error)) {
        return FALSE;
    }
    g_autoptr(Peer) gateway = peer_open_gateway(ctl, error);
    if (gateway == NULL) {
        return FALSE;
    }
    return **argv != NULL ? lag_of_client(ctl, gateway, **argv, error)
                          : lag_of_cells(ctl, gateway, error);
}

const CtlCommand *
places_commands(void)
{
    static const CtlCommand commands[] = {
        {"firehose commit", "CLIENT POSITION",
         "note where a consumer of the log goes on", run_commit, 0},
        {"firehose rewind", "CLIENT --to-...",
         "move a consumer of the log to another place", run_rewind, 0},
        {"firehose lag", "[CLIENT]",
         "how far a consumer of the log is behind, or each cell", run_lag, 0},
        {NULL, NULL, NULL, NULL, 0},
    };

    return commands;
}
