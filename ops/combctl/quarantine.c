/*
 * quarantine.c - combctl quarantine: what a cell has set aside, and why
 *
 * All cells of a log say the same once they have applied the same; one that
 * does not has lost something, which is why a cell is asked by its address.
 */
#include "ops/combctl/connect.h"
#include "ops/kit/error.h"
#include "thrift/limits.h"

#include <jansson.h>
#include <stdio.h>

#define LAST_DEFAULT 20

static GPtrArray *
ask(const Peer *cell, gint count, GError **error)
{
    g_auto(Refusals) refusals = {0};
    GPtrArray *records = g_ptr_array_new_with_free_func(g_object_unref);

    if (!comb_cell_client_list_quarantine(
            cell->service, &records, count, cell->context, &refusals.invalid,
            &refusals.overloaded, &refusals.deadline, &refusals.unavailable,
            &refusals.denied, error)) {
        g_clear_pointer(&records, g_ptr_array_unref);
        (void)refusals_explain(&refusals, cell, error);
    }
    return records;
}

static char *
head_hex(const CombQuarantinedRecord *record)
{
    GString *hex = g_string_new(NULL);

    for (guint i = 0; record->head != NULL && i < record->head->len; i++) {
        g_string_append_printf(hex, "%02x", record->head->data[i]);
    }
    return g_string_free(hex, FALSE);
}

static void
print_json(const CombQuarantinedRecord *record, const char *head)
{
    json_auto_t *object = json_pack(
        "{s:i, s:I, s:I, s:s, s:I, s:s}", "partition", record->partition,
        "offset", (json_int_t)record->offset, "logged_ms",
        (json_int_t)record->logged_ms, "reason", record->reason, "size",
        (json_int_t)record->size, "head_hex", head);

    json_dumpf(object, stdout, 0);
    putchar('\n');
}

static void
print_text(const CombQuarantinedRecord *record, const char *head)
{
    g_autoptr(GDateTime) time =
        g_date_time_new_from_unix_utc(record->logged_ms / 1000);
    g_autofree char *when = g_date_time_format(time, "%Y-%m-%dT%H:%M:%SZ");

    printf("%s  partition %d offset %" G_GINT64_FORMAT ", %" G_GINT64_FORMAT
           " bytes: %s\n    %s%s\n",
           when, record->partition, record->offset, record->size,
           record->reason, head,
           record->head != NULL && record->size > record->head->len ? "..."
                                                                    : "");
}

static gboolean
run_quarantine(Ctl *ctl, const CtlCommand *command, char ***argv,
               GError **error)
{
    g_autofree char *address = NULL;
    gint last = LAST_DEFAULT;
    const GOptionEntry entries[] = {
        {"cell", 0, 0, G_OPTION_ARG_FILENAME, &address, "Which cell",
         "HOST:PORT"},
        {"last", 0, 0, G_OPTION_ARG_INT, &last, "How many, 1 to 100 (20)", "N"},
        {NULL, 0, 0, G_OPTION_ARG_NONE, NULL, NULL, NULL},
    };
    const CtlSyntax syntax = {.command = command, .entries = entries};

    if (!ctl_parse(ctl, &syntax, argv, error)) {
        return FALSE;
    }
    if (address == NULL) {
        return ctl_usage_error(error, "--cell HOST:PORT is missing; combctl "
                                      "status shows where cells are");
    }
    if (last < 1 || last > QUARANTINE_MAX) {
        return ctl_usage_error(error, "--last is 1 to %d", QUARANTINE_MAX);
    }
    g_autoptr(Peer) cell = peer_open_cell_at(ctl, address, error);
    g_autoptr(GPtrArray) records = cell != NULL ? ask(cell, last, error) : NULL;
    for (guint i = 0; records != NULL && i < records->len; i++) {
        const CombQuarantinedRecord *record = g_ptr_array_index(records, i);
        g_autofree char *head = head_hex(record);
        (ctl->json ? print_json : print_text)(record, head);
    }
    return records != NULL;
}

const CtlCommand *
quarantine_commands(void)
{
    static const CtlCommand commands[] = {
        {"quarantine", "--cell HOST:PORT",
         "list the newest records that a cell could not apply", run_quarantine,
         0},
        {NULL, NULL, NULL, NULL, 0},
    };

    return commands;
}
