/*
 * tail.c - combctl firehose tail
 *
 * Batch by batch from a place on, to the end of the log as it was at the
 * start, or on and on. Where it fails it says where it was, so that the next
 * run can go on.
 */
#include "ops/combctl/fetch.h"
#include "ops/combctl/logged.h"
#include "ops/combctl/ndjson.h"
#include "ops/combctl/text.h"
#include "thrift/limits.h"

#include <stdio.h>
#include <string.h>

#define WAIT_MS 2000

typedef struct Tail {
    Ctl *ctl;             /* borrowed */
    char *datetime;       /* flags; owned */
    char *duration;       /* likewise */
    gboolean earliest;    /* flag */
    gboolean latest;      /* flag */
    char *position;       /* flag; owned */
    gboolean or_earliest; /* flag */
    char *kinds;          /* flag; owned */
    char *authors;        /* flag; owned */
    gint64 limit;         /* events to print; 0: all */
    gboolean follow;      /* flag */
    gint64 printed;       /* so far */
} Tail;

static const char help[] =
    "Prints the events of the log. Where to begin is said in the words of\n"
    "kafka-consumer-groups --reset-offsets:\n"
    "\n"
    "  --from-datetime T   --to-datetime      the first event at or after T\n"
    "  --from-duration D   --by-duration      so long ago: PT1H30M, P7D\n"
    "  --from-earliest     --to-earliest      all that is kept\n"
    "  --from-latest       --to-latest        what comes from now on\n"
    "  --from-position P   --to-offset        behind a line of --json, or "
    "from\n"
    "                                         a published event on\n"
    "\n"
    "T is ISO 8601 with a zone, or milliseconds since 1970. Without any of\n"
    "these it follows from now on.";

static guint
count_places(const Tail *tail)
{
    return (guint)(tail->datetime != NULL) + (guint)(tail->duration != NULL) +
           (guint)(tail->position != NULL) + (guint)tail->earliest +
           (guint)tail->latest;
}

static gboolean
check_flags(Tail *tail, GError **error)
{
    guint places = count_places(tail);

    if (places > 1) {
        return ctl_usage_error(error, "one --from-... at most");
    }
    if (tail->duration != NULL && g_ascii_toupper(*tail->duration) != 'P') {
        return ctl_usage_error(error, "--from-duration is like PT1H30M or P7D");
    }
    if (tail->limit < 0) {
        return ctl_usage_error(error, "--limit is 1 or more");
    }
    tail->follow = tail->follow || places == 0 || tail->latest;
    return TRUE;
}

static gboolean
parse_flags(Tail *tail, const CtlCommand *command, char ***argv, GError **error)
{
    const GOptionEntry entries[] = {
        {"from-datetime", 0, 0, G_OPTION_ARG_STRING, &tail->datetime,
         "Begin at a time", "T"},
        {"from-duration", 0, 0, G_OPTION_ARG_STRING, &tail->duration,
         "Begin so long ago", "D"},
        {"from-earliest", 0, 0, G_OPTION_ARG_NONE, &tail->earliest,
         "Begin with the first that is kept", NULL},
        {"from-latest", 0, 0, G_OPTION_ARG_NONE, &tail->latest,
         "Begin at the end, and follow", NULL},
        {"from-position", 0, 0, G_OPTION_ARG_STRING, &tail->position,
         "Begin behind a position", "P"},
        {"or-earliest", 0, 0, G_OPTION_ARG_NONE, &tail->or_earliest,
         "Where events are no longer kept, begin with what is left", NULL},
        {"kinds", 0, 0, G_OPTION_ARG_STRING, &tail->kinds,
         "Only these kinds: post,follow,...", "K,K"},
        {"authors", 0, 0, G_OPTION_ARG_STRING, &tail->authors,
         "Only what these users do", "USER,USER"},
        {"limit", 0, 0, G_OPTION_ARG_INT64, &tail->limit,
         "Print so many events and end", "N"},
        {"follow", 0, 0, G_OPTION_ARG_NONE, &tail->follow,
         "Wait for more at the end", NULL},
        {NULL, 0, 0, G_OPTION_ARG_NONE, NULL, NULL, NULL},
    };
    const CtlSyntax syntax = {
        .command = command, .text = help, .entries = entries};

    return ctl_parse(tail->ctl, &syntax, argv, error) &&
           check_flags(tail, error);
}

/* ---- what is asked of the gateway ---- */

static gboolean
set_kinds(const Tail *tail, CombFetchRequest *request, GError **error)
{
    g_auto(GStrv) words =
        tail->kinds != NULL ? g_strsplit(tail->kinds, ",", -1) : NULL;

    for (char **word = words; word != NULL && *word != NULL; word++) {
        CombEventKind kind = 0;
        if (!ndjson_kind_of(*word, &kind)) {
            return ctl_usage_error(error, "--kinds: \"%s\" is no kind of event",
                                   *word);
        }
        gint32 number = (gint32)kind;
        g_array_append_val(request->kinds, number);
        request->__isset_kinds = TRUE;
    }
    return TRUE;
}

static gboolean
set_authors(const Tail *tail, CombFetchRequest *request, GError **error)
{
    g_auto(GStrv) words =
        tail->authors != NULL ? g_strsplit(tail->authors, ",", -1) : NULL;

    for (char **word = words; word != NULL && *word != NULL; word++) {
        UserId user;
        const char *name = NULL;
        if (!names_parse(*word, &user, &name)) {
            return ctl_usage_error(error, "--authors: \"%s\" is no user",
                                   *word);
        }
        if (name != NULL) {
            (void)names_remember(ctl_names(tail->ctl), name, strlen(name));
        }
        g_array_append_val(request->authors, user.v);
        request->__isset_authors = TRUE;
    }
    return TRUE;
}

static gboolean
set_request(const Tail *tail, Fetch *fetch, GError **error)
{
    CombFetchRequest *request = fetch->request;
    const char *since = tail->earliest ? "earliest" : "now";

    since = tail->datetime != NULL ? tail->datetime : since;
    since = tail->duration != NULL ? tail->duration : since;
    fetch_from(fetch, since, tail->position);
    request->or_earliest = tail->or_earliest;
    request->__isset_or_earliest = TRUE;
    request->wait_ms =
        tail->follow ? MIN(WAIT_MS, tail->ctl->timeout_ms / 2) : 0;
    request->__isset_wait_ms = TRUE;
    return set_kinds(tail, request, error) && set_authors(tail, request, error);
}

/* ---- printing ---- */

static void
print_batch(Tail *tail, const CombFetchResult *batch)
{
    for (guint i = 0; i < batch->events->len; i++) {
        const CombLoggedEvent *logged = g_ptr_array_index(batch->events, i);
        if (tail->ctl->json) {
            logged_print_json(logged);
        } else {
            logged_print_text(logged, ctl_names(tail->ctl));
        }
        tail->printed++;
    }
    (void)fflush(stdout);
}

/* As many as are wanted still, so that the position is never past them. */
static void
set_batch_size(const Tail *tail, CombFetchRequest *request)
{
    if (tail->limit > 0) {
        request->max_events =
            (gint32)MIN(tail->limit - tail->printed, FETCH_EVENTS_MAX);
    }
}

static void
say_place(const Tail *tail, const Fetch *fetch)
{
    g_autofree char *position = fetch_position(fetch);

    if (tail->printed > 0) {
        fprintf(stderr, "to go on: combctl firehose tail --from-position %s\n",
                position);
    }
}

static gboolean
print_all(Tail *tail, Fetch *fetch, GError **error)
{
    gboolean at_end = FALSE;

    while ((!at_end || tail->follow) &&
           (tail->limit == 0 || tail->printed < tail->limit)) {
        set_batch_size(tail, fetch->request);
        g_autoptr(CombFetchResult) batch = fetch_more(fetch, error);
        if (batch == NULL) {
            say_place(tail, fetch);
            return FALSE;
        }
        print_batch(tail, batch);
        at_end = batch->at_end;
    }
    return TRUE;
}

static void
tail_clear(Tail *tail)
{
    g_free(tail->datetime);
    g_free(tail->duration);
    g_free(tail->position);
    g_free(tail->kinds);
    g_free(tail->authors);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Tail, tail_clear)

static gboolean
run_tail(Ctl *ctl, const CtlCommand *command, char ***argv, GError **error)
{
    g_auto(Tail) tail = {.ctl = ctl};
    g_auto(Fetch) fetch = {0};

    if (!parse_flags(&tail, command, argv, error)) {
        return FALSE;
    }
    g_autoptr(Peer) gateway = peer_open_gateway(ctl, error);
    if (gateway == NULL) {
        return FALSE;
    }
    fetch_init(&fetch, gateway);
    return set_request(&tail, &fetch, error) && print_all(&tail, &fetch, error);
}

const CtlCommand *
tail_commands(void)
{
    static const CtlCommand commands[] = {
        {"firehose tail", "", "print the events of the log from a place on",
         run_tail, 0},
        {NULL, NULL, NULL, NULL, 0},
    };

    return commands;
}
