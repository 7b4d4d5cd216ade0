/*
 * topics.c - combctl firehose topics and check
 *
 * topics prints what the gateway says of each partition. check reads all that
 * there is and holds it against that: offsets without holes, times that never
 * go back. Records that cannot be decoded are counted and no failure: every
 * cell refuses the same ones.
 */
#include "ops/combctl/fetch.h"
#include "ops/combctl/progress.h"
#include "ops/combctl/text.h"
#include "ops/kit/error.h"

#include <jansson.h>
#include <stdio.h>

/* What was read of one partition. */
typedef struct Checked {
    gint64 records;
    gint64 undecodable;
    gint64 holes;       /* offsets that were not there */
    gint64 back;        /* records with an earlier time than the one before */
    gint64 next_offset; /* the one that must come; -1: any */
    gint64 first_ms;
    gint64 last_ms;
} Checked;

/* Gives a list of CombPartitionBounds, by partition; NULL with *error. */
static GPtrArray *
get_partitions(const Peer *gateway, GError **error)
{
    g_auto(Refusals) refusals = {0};
    GPtrArray *partitions = g_ptr_array_new_with_free_func(g_object_unref);

    if (!comb_firehose_client_get_partitions(
            gateway->service, &partitions, gateway->context, &refusals.invalid,
            &refusals.overloaded, &refusals.deadline, &refusals.unavailable,
            &refusals.denied, error)) {
        g_clear_pointer(&partitions, g_ptr_array_unref);
        (void)refusals_explain(&refusals, gateway, error);
    }
    return partitions;
}

/* ---- topics ---- */

static void
print_bounds_json(const CombPartitionBounds *bounds)
{
    json_auto_t *object =
        json_pack("{s:i, s:I, s:I}", "partition", bounds->partition,
                  "first_offset", (json_int_t)bounds->first_offset,
                  "end_offset", (json_int_t)bounds->end_offset);

    if (bounds->__isset_first_ms) {
        json_object_set_new(object, "first_ms", json_integer(bounds->first_ms));
        json_object_set_new(object, "last_ms", json_integer(bounds->last_ms));
    }
    json_dumpf(object, stdout, 0);
    putchar('\n');
}

static void
print_bounds(const CombPartitionBounds *bounds)
{
    g_autofree char *first =
        bounds->__isset_first_ms ? text_time(bounds->first_ms) : g_strdup("-");
    g_autofree char *last =
        bounds->__isset_last_ms ? text_time(bounds->last_ms) : g_strdup("-");
    g_autofree char *records =
        text_count((guint64)(bounds->end_offset - bounds->first_offset));

    printf("%9d %14" G_GINT64_FORMAT " %14" G_GINT64_FORMAT
           " %13s  %-20s  %s\n",
           bounds->partition, bounds->first_offset, bounds->end_offset, records,
           first, last);
}

static gboolean
run_topics(Ctl *ctl, const CtlCommand *command, char ***argv, GError **error)
{
    const CtlSyntax syntax = {.command = command};
    g_autoptr(GPtrArray) partitions = NULL;

    if (!ctl_parse(ctl, &syntax, argv, error)) {
        return FALSE;
    }
    g_autoptr(Peer) gateway = peer_open_gateway(ctl, error);
    if (gateway != NULL) {
        partitions = get_partitions(gateway, error);
    }
    if (partitions == NULL) {
        return FALSE;
    }
    if (!ctl->json) {
        printf("%9s %14s %14s %13s  %-20s  %s\n", "partition", "first offset",
               "end offset", "records", "first time", "last time");
    }
    for (guint i = 0; i < partitions->len; i++) {
        const CombPartitionBounds *bounds = g_ptr_array_index(partitions, i);
        if (ctl->json) {
            print_bounds_json(bounds);
        } else {
            print_bounds(bounds);
        }
    }
    return TRUE;
}

/* ---- check ---- */

static void
check_record(Checked *checked, const CombLoggedEvent *logged)
{
    if (checked->records == 0) {
        checked->first_ms = logged->logged_ms;
    } else {
        checked->holes += logged->offset - checked->next_offset;
        checked->back += logged->logged_ms < checked->last_ms ? 1 : 0;
    }
    checked->records++;
    checked->undecodable += logged->__isset_event ? 0 : 1;
    checked->next_offset = logged->offset + 1;
    checked->last_ms = logged->logged_ms;
}

static gboolean
check_batch(const CombFetchResult *batch, GArray *checked, GError **error)
{
    for (guint i = 0; i < batch->events->len; i++) {
        const CombLoggedEvent *logged = g_ptr_array_index(batch->events, i);
        if (logged->partition < 0 || (guint)logged->partition >= checked->len) {
            g_set_error(error, COMB_ERROR, COMB_ERROR_CORRUPT,
                        "a record of partition %d, of %u", logged->partition,
                        checked->len);
            return FALSE;
        }
        check_record(&g_array_index(checked, Checked, logged->partition),
                     logged);
    }
    return TRUE;
}

/* All that there is, from the earliest to the end as it is at the start. */
static gboolean
check_all(Fetch *fetch, GArray *checked, GError **error)
{
    g_autoptr(Progress) progress = progress_new(-1);
    gboolean at_end = FALSE;
    guint64 records = 0;

    while (!at_end) {
        g_autoptr(CombFetchResult) batch = fetch_more(fetch, error);
        if (batch == NULL || !check_batch(batch, checked, error)) {
            return FALSE;
        }
        records += batch->events->len;
        at_end = batch->at_end;
        g_autofree char *count = text_count(records);
        g_autofree char *words = g_strdup_printf("%s records", count);
        progress_say(progress, words);
    }
    return TRUE;
}

static void
print_checked_json(guint partition, const Checked *checked)
{
    json_auto_t *object = json_pack(
        "{s:i, s:I, s:I, s:I, s:I}", "partition", (int)partition, "records",
        (json_int_t)checked->records, "undecodable",
        (json_int_t)checked->undecodable, "missing", (json_int_t)checked->holes,
        "times_back", (json_int_t)checked->back);

    if (checked->records > 0) {
        json_object_set_new(object, "first_ms",
                            json_integer(checked->first_ms));
        json_object_set_new(object, "last_ms", json_integer(checked->last_ms));
    }
    json_dumpf(object, stdout, 0);
    putchar('\n');
}

static void
print_checked(guint partition, const Checked *checked)
{
    gboolean any = checked->records > 0;
    g_autofree char *first = any ? text_time(checked->first_ms) : g_strdup("-");
    g_autofree char *last = any ? text_time(checked->last_ms) : g_strdup("-");
    g_autofree char *records = text_count((guint64)checked->records);
    g_autofree char *bad = text_count((guint64)checked->undecodable);

    printf("%9u %13s %11s %8" G_GINT64_FORMAT " %10" G_GINT64_FORMAT
           "  %-20s  %s\n",
           partition, records, bad, checked->holes, checked->back, first, last);
}

/* Prints a line a partition. FALSE: the log is not as it must be. */
static gboolean
print_verdict(const Ctl *ctl, const GArray *checked, GError **error)
{
    gboolean good = TRUE;

    if (!ctl->json) {
        printf("%9s %13s %11s %8s %10s  %-20s  %s\n", "partition", "records",
               "undecodable", "missing", "times back", "first time",
               "last time");
    }
    for (guint i = 0; i < checked->len; i++) {
        const Checked *one = &g_array_index(checked, Checked, i);
        if (ctl->json) {
            print_checked_json(i, one);
        } else {
            print_checked(i, one);
        }
        good = good && one->holes == 0 && one->back == 0;
    }
    if (!good) {
        g_set_error_literal(error, COMB_ERROR, COMB_ERROR_CORRUPT,
                            "offsets are missing, or times go back");
    }
    return good;
}

static gboolean
run_check(Ctl *ctl, const CtlCommand *command, char ***argv, GError **error)
{
    const CtlSyntax syntax = {.command = command};
    g_autoptr(GArray) checked = g_array_new(FALSE, TRUE, sizeof(Checked));
    g_autoptr(GPtrArray) partitions = NULL;
    g_auto(Fetch) fetch = {0};

    if (!ctl_parse(ctl, &syntax, argv, error)) {
        return FALSE;
    }
    g_autoptr(Peer) gateway = peer_open_gateway(ctl, error);
    if (gateway != NULL) {
        partitions = get_partitions(gateway, error);
    }
    if (partitions == NULL) {
        return FALSE;
    }
    g_array_set_size(checked, partitions->len);
    fetch_init(&fetch, gateway);
    fetch_from(&fetch, "earliest", NULL);
    return check_all(&fetch, checked, error) &&
           print_verdict(ctl, checked, error);
}

const CtlCommand *
topics_commands(void)
{
    static const CtlCommand commands[] = {
        {"firehose topics", "", "what each partition of the log holds",
         run_topics, 0},
        {"firehose check", "", "read the whole log and check it", run_check, 0},
        {NULL, NULL, NULL, NULL, 0},
    };

    return commands;
}
