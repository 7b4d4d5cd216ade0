/*
 * status.c - combctl status and ids
 *
 * The cells are those of the gateway's map; each is asked directly. One that
 * does not answer is a line that says so, and the command fails at the end.
 */
#include "ops/combctl/connect.h"
#include "ops/combctl/ids.h"
#include "ops/combctl/text.h"
#include "ops/kit/error.h"
#include "thrift/limits.h"

#include <jansson.h>
#include <stdio.h>

/* What one cell said. */
typedef struct Answer {
    const CombCellEntry *entry; /* borrowed from the map */
    CombCellStatus *status;     /* NULL: no answer */
    GError *error;              /* why */
} Answer;

static void
answer_free(gpointer data)
{
    Answer *answer = data;

    g_clear_object(&answer->status);
    g_clear_error(&answer->error);
    g_free(answer);
}

static Answer *
ask_cell(const Ctl *ctl, const CombCellEntry *entry)
{
    Answer *answer = g_new0(Answer, 1);
    g_autoptr(Peer) peer = peer_open_cell(ctl, entry, &answer->error);

    answer->entry = entry;
    if (peer != NULL) {
        answer->status = peer_get_status(peer, &answer->error);
    }
    return answer;
}

/* Records that are in the log and not applied. */
static gint64
count_behind(const CombCellStatus *status)
{
    gint64 behind = 0;

    for (guint i = 0; i < status->partitions->len; i++) {
        const CombPartitionStatus *partition =
            g_ptr_array_index(status->partitions, i);
        behind += partition->log_end - partition->applied;
    }
    return behind;
}

static void
print_partitions(const CombCellStatus *status)
{
    printf("      partitions");
    for (guint i = 0; i < status->partitions->len; i++) {
        const CombPartitionStatus *partition =
            g_ptr_array_index(status->partitions, i);
        printf(" %d: %" G_GINT64_FORMAT "/%" G_GINT64_FORMAT,
               partition->partition, partition->applied, partition->log_end);
    }
    putchar('\n');
}

/* "      kept 3 like, 1 edit"; nothing where none was kept. */
static void
print_kept(const CombCellStatus *status)
{
    GHashTableIter iter;
    gpointer kind = NULL;
    gpointer count = NULL;
    const char *separator = "      kept for later";

    g_hash_table_iter_init(&iter, status->kept);
    while (g_hash_table_iter_next(&iter, &kind, &count)) {
        if (*(gint64 *)count != 0) {
            printf("%s %" G_GINT64_FORMAT " %s", separator, *(gint64 *)count,
                   (char *)kind);
            separator = ",";
        }
    }
    if (*separator == ',') {
        putchar('\n');
    }
}

static void
print_answer(const Answer *answer)
{
    g_autofree char *endpoint =
        g_strdup_printf("%s:%d", answer->entry->host, answer->entry->port);
    const CombCellStatus *status = answer->status;

    printf("%4d  %-21s  ", answer->entry->cell, endpoint);
    if (status == NULL) {
        printf("%s\n", answer->error->message);
        return;
    }
    g_autofree char *users = text_count((guint64)status->users);
    g_autofree char *edges = text_count((guint64)status->edges);
    g_autofree char *posts = text_count((guint64)status->posts_applied);
    g_autofree char *deliveries = text_count((guint64)status->deliveries);
    g_autofree char *behind = text_count((guint64)count_behind(status));
    g_autofree char *bad = text_count((guint64)status->quarantined);
    printf("%11s %12s %12s %14s %8s %10s\n", users, edges, posts, deliveries,
           behind, bad);
    print_partitions(status);
    print_kept(status);
    if (status->__isset_stopped) {
        printf("      STOPPED: %s\n", status->stopped);
    }
}

static json_t *
counts_json(GHashTable *counts)
{
    GHashTableIter iter;
    gpointer kind = NULL;
    gpointer count = NULL;
    json_t *object = json_object();

    g_hash_table_iter_init(&iter, counts);
    while (g_hash_table_iter_next(&iter, &kind, &count)) {
        json_object_set_new(object, kind, json_integer(*(gint64 *)count));
    }
    return object;
}

static json_t *
partitions_json(const CombCellStatus *status)
{
    json_t *list = json_array();

    for (guint i = 0; i < status->partitions->len; i++) {
        const CombPartitionStatus *partition =
            g_ptr_array_index(status->partitions, i);
        json_array_append_new(list, json_pack("{s:i, s:I, s:I}", "partition",
                                              partition->partition, "applied",
                                              (json_int_t)partition->applied,
                                              "log_end",
                                              (json_int_t)partition->log_end));
    }
    return list;
}

static void
print_answer_json(const Answer *answer)
{
    const CombCellStatus *status = answer->status;
    json_auto_t *object =
        json_pack("{s:i, s:s, s:i}", "cell", answer->entry->cell, "host",
                  answer->entry->host, "port", answer->entry->port);

    if (status == NULL) {
        json_object_set_new(object, "unreachable",
                            json_string(answer->error->message));
    } else {
        json_auto_t *rest = json_pack(
            "{s:s, s:I, s:I, s:I, s:I, s:I, s:o, s:o, s:o, s:I, s:I, s:I, "
            "s:s*}",
            "version", status->version, "epoch", (json_int_t)status->epoch,
            "users", (json_int_t)status->users, "edges",
            (json_int_t)status->edges, "posts_applied",
            (json_int_t)status->posts_applied, "deliveries",
            (json_int_t)status->deliveries, "events",
            counts_json(status->events), "kept", counts_json(status->kept),
            "partitions", partitions_json(status), "quarantined",
            (json_int_t)status->quarantined, "lag_ms",
            (json_int_t)status->lag_ms, "uptime_ms",
            (json_int_t)status->uptime_ms, "stopped",
            status->__isset_stopped ? status->stopped : NULL);
        json_object_update(object, rest);
    }
    json_dumpf(object, stdout, 0);
    putchar('\n');
}

/* The whole answer, and how many cells gave none. */
static guint
print_answers(const Ctl *ctl, const GPtrArray *answers)
{
    guint silent = 0;

    if (!ctl->json) {
        printf("%4s  %-21s  %11s %12s %12s %14s %8s %10s\n", "cell", "endpoint",
               "users", "edges", "posts", "deliveries", "behind",
               "quarantined");
    }
    for (guint i = 0; i < answers->len; i++) {
        const Answer *answer = g_ptr_array_index(answers, i);
        if (ctl->json) {
            print_answer_json(answer);
        } else {
            print_answer(answer);
        }
        silent += answer->status == NULL ? 1 : 0;
    }
    return silent;
}

static gboolean
run_status(Ctl *ctl, const CtlCommand *command, char ***argv, GError **error)
{
    const CtlSyntax syntax = {.command = command};
    g_autoptr(GPtrArray) answers = g_ptr_array_new_with_free_func(answer_free);
    g_autoptr(CombCellMap) map = NULL;

    if (!ctl_parse(ctl, &syntax, argv, error)) {
        return FALSE;
    }
    g_autoptr(Peer) gateway = peer_open_gateway(ctl, error);
    if (gateway != NULL) {
        map = peer_get_map(gateway, error);
    }
    if (map == NULL) {
        return FALSE;
    }
    for (guint i = 0; i < map->cells->len; i++) {
        g_ptr_array_add(answers,
                        ask_cell(ctl, g_ptr_array_index(map->cells, i)));
    }
    guint silent = print_answers(ctl, answers);
    if (silent > 0) {
        g_set_error(error, COMB_ERROR, COMB_ERROR_UNREACHABLE,
                    "%u of %u cells did not answer", silent, answers->len);
    }
    return silent == 0;
}

static void
print_ids(const Ctl *ctl, const GArray *ids)
{
    for (guint i = 0; i < ids->len; i++) {
        const char *before = i == 0 ? "{\"ids\": [" : ", ";
        printf("%s%" G_GINT64_FORMAT "%s", ctl->json ? before : "",
               g_array_index(ids, gint64, i), ctl->json ? "" : "\n");
    }
    if (ctl->json) {
        puts("]}");
    }
}

static gboolean
run_ids(Ctl *ctl, const CtlCommand *command, char ***argv, GError **error)
{
    const CtlSyntax syntax = {
        .command = command, .words_min = 1, .words_max = 1};
    g_autoptr(GArray) ids = NULL;
    guint64 count = 0;

    if (!ctl_parse(ctl, &syntax, argv, error)) {
        return FALSE;
    }
    if (!g_ascii_string_to_unsigned((*argv)[0], 10, 1, IDS_MAX, &count, NULL)) {
        return ctl_usage_error(error, "N is 1 to %d", IDS_MAX);
    }
    g_autoptr(Peer) gateway = peer_open_gateway(ctl, error);
    if (gateway != NULL) {
        ids = ids_fetch(gateway, (gint)count, error);
    }
    if (ids == NULL) {
        return FALSE;
    }
    print_ids(ctl, ids);
    return TRUE;
}

const CtlCommand *
status_commands(void)
{
    static const CtlCommand commands[] = {
        {"status", "", "ask every cell how it is", run_status, 0},
        {"ids", "N", "take fresh ids from the gateway", run_ids, 0},
        {NULL, NULL, NULL, NULL, 0},
    };

    return commands;
}
