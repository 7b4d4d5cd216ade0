/*
 * topics.c - combctl firehose topics and check
 *
 * topics prints what the gateway says of each partition. check reads all that
 * there is and holds it against that: offsets without holes, times that never
 * go back, and what the gateways' seals say (firehose/format.md): records that
 * are damaged, missing or there twice. Records that cannot be decoded or are in
 * another partition than their user's are counted and no failure: every cell
 * refuses the same ones. Nor is one that is there twice, which changes nothing.
 */
#include "firehose/sealtrack.h"
#include "ops/combctl/fetch.h"
#include "ops/combctl/progress.h"
#include "ops/combctl/text.h"
#include "ops/kit/error.h"

#include <jansson.h>
#include <stdio.h>

/* What is counted of a partition. */
typedef enum CheckCount {
    CHECK_RECORDS,
    CHECK_UNDECODABLE, /* for any other reason than the next and a seal's */
    CHECK_MISPLACED,   /* not in the partition of their user */
    CHECK_UNSEALED,    /* events that no gateway wrote, or one of before */
    CHECK_REPEATED,    /* records of gateways that were there before */
    CHECK_DAMAGED,     /* a seal does not match */
    CHECK_LOST,        /* numbers missing in the sequences of gateways */
    CHECK_MISSING,     /* offsets that were not there */
    CHECK_BACK,        /* records with an earlier time than the one before */
    CHECK_COUNTS,      /* how many */
} CheckCount;

/* From here on one is a failure. */
#define CHECK_FAULTS CHECK_DAMAGED

/* As JSON and in the head of the table, and how wide that is. */
static const struct {
    const char *key;
    const char *title;
    int width;
} check_columns[CHECK_COUNTS] = {
    {"records", "records", 13},
    {"undecodable", "undecodable", 11},
    {"misplaced", "misplaced", 9},
    {"unsealed", "unsealed", 13},
    {"repeated", "repeated", 8},
    {"damaged", "damaged", 7},
    {"lost", "lost", 6},
    {"missing", "missing", 7},
    {"times_back", "times back", 10},
};

/* What was read of one partition. */
typedef struct Checked {
    gint64 counts[CHECK_COUNTS];
    gint64 next_offset; /* the one that must come, after the first */
    gint64 first_ms;
    gint64 last_ms;
} Checked;

/* A reading of all partitions. */
typedef struct Check {
    GPtrArray *bounds; /* CombPartitionBounds; owned */
    GArray *checked;   /* of Checked, by partition; owned */
    SealTrack *seals;  /* owned */
} Check;

static void
check_clear(Check *check)
{
    g_clear_pointer(&check->bounds, g_ptr_array_unref);
    g_clear_pointer(&check->checked, g_array_unref);
    g_clear_pointer(&check->seals, sealtrack_free);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Check, check_clear)

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

/* By the first word of the reason, a field's name. */
static CheckCount
check_refusal(const char *reason)
{
    if (g_str_has_prefix(reason, "event.seal ")) {
        return CHECK_DAMAGED;
    }
    return g_str_has_prefix(reason, "record.partition ") ? CHECK_MISPLACED
                                                         : CHECK_UNDECODABLE;
}

/* A producer that is met first in the middle may have begun before what is
   kept; where nothing has expired it has not. */
static void
check_seal(const Check *check, guint partition, const CombSeal *sealed)
{
    const CombPartitionBounds *bounds =
        g_ptr_array_index(check->bounds, partition);
    Checked *checked = &g_array_index(check->checked, Checked, partition);
    const Seal seal = {sealed->producer, sealed->sequence};
    gint64 from = 0;

    switch (sealtrack_note(check->seals, partition, seal, &from)) {
    case SEALTRACK_NEXT:
        break;
    case SEALTRACK_FIRST:
        checked->counts[CHECK_LOST] +=
            bounds->first_offset == 0 ? seal.sequence : 0;
        break;
    case SEALTRACK_AGAIN:
        checked->counts[CHECK_REPEATED]++;
        break;
    case SEALTRACK_HOLE:
        checked->counts[CHECK_LOST] += seal.sequence - from;
        break;
    }
}

static void
check_event(const Check *check, guint partition, const CombLoggedEvent *logged)
{
    gint64 *counts = g_array_index(check->checked, Checked, partition).counts;

    if (!logged->__isset_event) {
        counts[check_refusal(logged->undecodable)]++;
        return;
    }
    if (logged->event->__isset_seal) {
        check_seal(check, partition, logged->event->seal);
    } else {
        counts[CHECK_UNSEALED]++;
    }
}

static void
check_place(Checked *checked, const CombLoggedEvent *logged)
{
    if (checked->counts[CHECK_RECORDS]++ == 0) {
        checked->first_ms = logged->logged_ms;
    } else {
        checked->counts[CHECK_MISSING] += logged->offset - checked->next_offset;
        checked->counts[CHECK_BACK] +=
            logged->logged_ms < checked->last_ms ? 1 : 0;
    }
    checked->next_offset = logged->offset + 1;
    checked->last_ms = logged->logged_ms;
}

static gboolean
check_batch(const Check *check, const CombFetchResult *batch, GError **error)
{
    for (guint i = 0; i < batch->events->len; i++) {
        const CombLoggedEvent *logged = g_ptr_array_index(batch->events, i);
        guint partition = (guint)logged->partition;
        if (partition >= check->checked->len) {
            g_set_error(error, COMB_ERROR, COMB_ERROR_CORRUPT,
                        "a record of partition %d, of %u", logged->partition,
                        check->checked->len);
            return FALSE;
        }
        check_place(&g_array_index(check->checked, Checked, partition), logged);
        check_event(check, partition, logged);
    }
    return TRUE;
}

/* All that there is, from the earliest to the end as it is at the start. */
static gboolean
check_all(const Check *check, Fetch *fetch, GError **error)
{
    g_autoptr(Progress) progress = progress_new(-1);
    gboolean at_end = FALSE;
    guint64 records = 0;

    while (!at_end) {
        g_autoptr(CombFetchResult) batch = fetch_more(fetch, error);
        if (batch == NULL || !check_batch(check, batch, error)) {
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
    json_auto_t *object = json_pack("{s:i}", "partition", (int)partition);

    for (guint i = 0; i < CHECK_COUNTS; i++) {
        json_object_set_new(object, check_columns[i].key,
                            json_integer(checked->counts[i]));
    }
    if (checked->counts[CHECK_RECORDS] > 0) {
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
    gboolean any = checked->counts[CHECK_RECORDS] > 0;
    g_autofree char *first = any ? text_time(checked->first_ms) : g_strdup("-");
    g_autofree char *last = any ? text_time(checked->last_ms) : g_strdup("-");

    printf("%9u", partition);
    for (guint i = 0; i < CHECK_COUNTS; i++) {
        g_autofree char *count = text_count((guint64)checked->counts[i]);
        printf(" %*s", check_columns[i].width, count);
    }
    printf("  %-20s  %s\n", first, last);
}

static void
print_checked_head(void)
{
    printf("%9s", "partition");
    for (guint i = 0; i < CHECK_COUNTS; i++) {
        printf(" %*s", check_columns[i].width, check_columns[i].title);
    }
    printf("  %-20s  %s\n", "first time", "last time");
}

/* Prints a line a partition. FALSE: the log is not as it must be. */
static gboolean
print_verdict(const Ctl *ctl, const Check *check, GError **error)
{
    gint64 faults = 0;

    if (!ctl->json) {
        print_checked_head();
    }
    for (guint i = 0; i < check->checked->len; i++) {
        const Checked *one = &g_array_index(check->checked, Checked, i);
        if (ctl->json) {
            print_checked_json(i, one);
        } else {
            print_checked(i, one);
        }
        for (guint j = CHECK_FAULTS; j < CHECK_COUNTS; j++) {
            faults += one->counts[j];
        }
    }
    if (faults != 0) {
        g_set_error_literal(error, COMB_ERROR, COMB_ERROR_CORRUPT,
                            "records are damaged, lost or missing, or times go "
                            "back; lost may also be what a gateway gave up and "
                            "did not acknowledge");
    }
    return faults == 0;
}

static gboolean
run_check(Ctl *ctl, const CtlCommand *command, char ***argv, GError **error)
{
    const CtlSyntax syntax = {.command = command};
    g_auto(Check) check = {0};
    g_auto(Fetch) fetch = {0};

    if (!ctl_parse(ctl, &syntax, argv, error)) {
        return FALSE;
    }
    g_autoptr(Peer) gateway = peer_open_gateway(ctl, error);
    if (gateway != NULL) {
        check.bounds = get_partitions(gateway, error);
    }
    if (check.bounds == NULL) {
        return FALSE;
    }
    check.checked = g_array_new(FALSE, TRUE, sizeof(Checked));
    g_array_set_size(check.checked, check.bounds->len);
    check.seals = sealtrack_new(check.bounds->len);
    fetch_init(&fetch, gateway);
    fetch_from(&fetch, "earliest", NULL);
    return check_all(&check, &fetch, error) &&
           print_verdict(ctl, &check, error);
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
