/*
 * import.c - combctl import: events from a file into the log
 *
 * A line is read (lines.h), becomes an event (ndjson.h) in the window's next
 * slot, and goes out (import_window.h). About every second what is in is
 * noted (import_state.h), after the names that were met (names.h), so that an
 * import that goes on later knows them.
 *
 * What can end it: the end of the file; a bad line, seen here or refused by
 * the gateway; a gateway that does not take events for --retry-s; an
 * interrupt. In each case what was sent is waited for first, and the way to
 * go on is told.
 */
#include "ops/combctl/ctl.h"
#include "ops/combctl/ids.h"
#include "ops/combctl/import_state.h"
#include "ops/combctl/import_wait.h"
#include "ops/combctl/import_window.h"
#include "ops/combctl/lines.h"
#include "ops/combctl/ndjson.h"
#include "ops/combctl/text.h"
#include "ops/kit/error.h"
#include "thrift/limits.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

/* Bad lines beyond these are counted and not shown. */
#define BAD_SHOWN_MAX 100
#define IDS_AT_ONCE 1000
#define NOTE_EVERY_US G_USEC_PER_SEC
#define LOOK_EVERY_LINES 256

typedef struct ImportFlags {
    gint batch;          /* events in a batch */
    gint window;         /* batches under way */
    gint retry_s;        /* patience with the gateway and the cells */
    gint64 from_line;    /* the first line to take; 0: not given */
    gboolean assign_ids; /* ids from the gateway for events without */
    gboolean skip_bad;   /* go on after a bad line */
    gboolean resume;     /* from where the last import of the file ended */
    gboolean no_wait;    /* do not wait for the cells */
} ImportFlags;

typedef struct Import {
    Ctl *ctl;             /* borrowed */
    ImportFlags flags;    /* from the command line */
    const char *file;     /* as given; "-": standard input */
    Interrupt *interrupt; /* asked to stop? */
    Lines *lines;         /* what is read */
    Window *window;       /* what is sent */
    ImportState *state;   /* NULL: no regular file */
    Progress *progress;   /* the line on the terminal */
    Peer *id_peer;        /* for --assign-ids */
    GArray *ids;          /* gint64, fetched and not all used; may be NULL */
    guint ids_used;       /* of those */
    guint64 passed;       /* lines in front that are not taken */
    guint64 skipped;      /* bad lines */
    guint64 bad_line;     /* the first of them; 0: none */
    char *bad_text;       /* and what is wrong with it */
    gboolean stopped;     /* by an interrupt */
    gint64 noted_us;      /* monotonic, of the last note */
} Import;

static void
import_clear(Import *import)
{
    g_clear_pointer(&import->window, window_close);
    g_clear_pointer(&import->lines, lines_close);
    g_clear_pointer(&import->state, import_state_close);
    g_clear_pointer(&import->progress, progress_free);
    g_clear_pointer(&import->interrupt, interrupt_free);
    g_clear_pointer(&import->id_peer, peer_close);
    g_clear_pointer(&import->ids, g_array_unref);
    g_free(import->bad_text);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Import, import_clear)

static void
note_bad_line(Import *import, guint64 line, const char *what)
{
    import->skipped++;
    if (import->bad_line == 0 || line < import->bad_line) {
        import->bad_line = line;
        g_free(import->bad_text);
        import->bad_text = g_strdup(what);
    }
    if (import->flags.skip_bad && import->skipped <= BAD_SHOWN_MAX) {
        progress_clear(import->progress);
        fprintf(stderr, "%s:%" G_GUINT64_FORMAT ": %s\n", import->file, line,
                what);
    }
}

static void
note_refused(guint64 line, const CombInvalidRequest *why, gpointer user_data)
{
    g_autofree char *text = refusals_text(why);

    note_bad_line(user_data, line, text);
}

/* The lines at the front that need not be taken again. */
static guint64
lines_in(const Import *import)
{
    guint64 in = MAX(window_lines_in(import->window), import->passed);
    gboolean held = import->bad_line != 0 && !import->flags.skip_bad;

    return held ? MIN(in, import->bad_line - 1) : in;
}

static gboolean
note_state(Import *import, GError **error)
{
    import->noted_us = g_get_monotonic_time();
    if (!names_save(import->ctl->names, error)) {
        return FALSE;
    }
    return import->state == NULL ||
           import_state_save(import->state, lines_in(import), error);
}

/* Now and then: draw the progress, note the state. */
static gboolean
look_around(Import *import, GError **error)
{
    progress_show(import->progress, lines_offset(import->lines),
                  window_acknowledged(import->window));
    if (g_get_monotonic_time() - import->noted_us < NOTE_EVERY_US) {
        return TRUE;
    }
    return note_state(import, error);
}

static gboolean
assign_id(Import *import, CombEvent *event, GError **error)
{
    if (import->ids == NULL || import->ids_used == import->ids->len) {
        g_clear_pointer(&import->ids, g_array_unref);
        import->ids = ids_fetch(import->id_peer, IDS_AT_ONCE, error);
        import->ids_used = 0;
    }
    if (import->ids == NULL) {
        return FALSE;
    }
    event->id = g_array_index(import->ids, gint64, import->ids_used++);
    event->__isset_id = TRUE;
    return TRUE;
}

static gboolean
is_blank(const char *line, gsize len)
{
    return len == 0 || (len == 1 && line[0] == '\r');
}

/* FALSE only where the import cannot go on; a bad line is noted. */
static gboolean
take_line(Import *import, const char *line, gsize len, GError **error)
{
    g_autoptr(GError) bad = NULL;
    CombEvent *event = window_next(import->window);
    guint64 number = lines_number(import->lines);

    if (number <= import->passed || is_blank(line, len)) {
        return TRUE;
    }
    if (!ndjson_parse(line, len, !import->flags.assign_ids, import->ctl->names,
                      event, &bad)) {
        note_bad_line(import, number, bad->message);
        return TRUE;
    }
    if (!event->__isset_id && !assign_id(import, event, error)) {
        return FALSE;
    }
    return window_keep(import->window, number, len, error);
}

static gboolean
read_failed(const Import *import, GError **error)
{
    g_set_error(error, COMB_ERROR, COMB_ERROR_IO, "%s: %s", import->file,
                g_strerror(errno));
    return FALSE;
}

/* To the end of the file, the first bad line, or an interrupt. */
static gboolean
take_lines(Import *import, GError **error)
{
    const char *line = NULL;
    gsize len = 0;

    while (import->bad_line == 0 || import->flags.skip_bad) {
        LinesOutcome outcome = lines_next(import->lines, &line, &len);
        if (outcome == LINES_FAILED) {
            return read_failed(import, error);
        }
        if (outcome == LINES_END || outcome == LINES_STOPPED) {
            import->stopped = outcome == LINES_STOPPED;
            return TRUE;
        }
        if (outcome == LINES_LONG) {
            note_bad_line(import, lines_number(import->lines),
                          "the line is longer than 1 MiB");
        } else if (!take_line(import, line, len, error)) {
            return FALSE;
        }
        if (lines_number(import->lines) % LOOK_EVERY_LINES == 0 &&
            !look_around(import, error)) {
            return FALSE;
        }
    }
    return TRUE;
}

/* How to go on, for the end of a sentence; @line: from there. Gives. */
static char *
how_to_go_on(const Import *import, guint64 line)
{
    g_autofree char *file = text_quote(import->file);

    if (import->bad_line == line || import->state == NULL) {
        return g_strdup_printf(
            "go on with: combctl import --from-line %" G_GUINT64_FORMAT " %s",
            line, file);
    }
    return g_strdup_printf("%" G_GUINT64_FORMAT
                           " lines are in; go on with: combctl import "
                           "--resume %s",
                           line - 1, file);
}

/* Says what ended the import early, and how to go on. Always FALSE. */
static gboolean
end_early(Import *import, GError **error)
{
    g_autoptr(GError) ignored = NULL;
    gboolean is_bad = *error == NULL && !import->stopped;
    g_autofree char *go_on =
        how_to_go_on(import, is_bad ? import->bad_line : lines_in(import) + 1);

    (void)note_state(import, &ignored);
    progress_clear(import->progress);
    if (*error != NULL) {
        g_autofree char *what = g_strdup((*error)->message);
        g_clear_error(error);
        g_set_error(error, COMB_ERROR, COMB_ERROR_UNREACHABLE, "%s; %s", what,
                    go_on);
        return FALSE;
    }
    if (import->stopped) {
        g_set_error(error, COMB_ERROR, COMB_ERROR_IO, "interrupted; %s", go_on);
        return FALSE;
    }
    g_set_error(error, COMB_ERROR, COMB_ERROR_INPUT,
                "%s:%" G_GUINT64_FORMAT ": %s; everything before this line is "
                "in; mend it and %s",
                import->file, import->bad_line, import->bad_text, go_on);
    return FALSE;
}

static void
print_json(const Import *import, double seconds, double inbox_seconds)
{
    json_auto_t *object =
        json_pack("{s:I, s:I, s:I, s:f}", "events",
                  (json_int_t)window_acknowledged(import->window), "skipped",
                  (json_int_t)import->skipped, "lines",
                  (json_int_t)lines_number(import->lines), "seconds", seconds);

    if (inbox_seconds >= 0) {
        json_object_set_new(object, "inbox_seconds", json_real(inbox_seconds));
    }
    json_dumpf(object, stdout, JSON_REAL_PRECISION(6));
    putchar('\n');
}

/* @inbox_seconds: negative where nobody waited. */
static void
print_summary(const Import *import, double seconds, double inbox_seconds)
{
    guint64 events = window_acknowledged(import->window);
    g_autofree char *count = text_count(events);
    g_autofree char *rate = text_count((guint64)((double)events / seconds));

    if (import->ctl->json) {
        print_json(import, seconds, inbox_seconds);
        return;
    }
    printf("%s events in %.1f s (%s/s), %" G_GUINT64_FORMAT " skipped\n", count,
           seconds, rate, import->skipped);
    if (inbox_seconds >= 0) {
        printf("in every inbox after %.1f s\n", inbox_seconds);
    }
}

/* How many lines in front are not taken. */
static gboolean
find_start(Import *import, GError **error)
{
    if (!import->flags.resume) {
        import->passed = (guint64)MAX(import->flags.from_line - 1, 0);
        return TRUE;
    }
    if (import->state == NULL) {
        return ctl_usage_error(error, "--resume wants a file; for standard "
                                      "input there is --from-line");
    }
    import->passed = import_state_load(import->state);
    if (import->passed > 0) {
        fprintf(stderr, "resuming behind line %" G_GUINT64_FORMAT "\n",
                import->passed);
    }
    return TRUE;
}

static gboolean
import_open(Import *import, GError **error)
{
    const ImportFlags *flags = &import->flags;

    import->interrupt = interrupt_new(error);
    if (import->interrupt == NULL) {
        return FALSE;
    }
    import->lines = lines_open(import->file, import->interrupt, error);
    if (import->lines == NULL) {
        return FALSE;
    }
    import->state = import_state_open(import->file, lines_fd(import->lines));
    WindowOptions options = {.ctl = import->ctl,
                             .interrupt = import->interrupt,
                             .batch = (guint)flags->batch,
                             .batches = (guint)flags->window,
                             .retry_s = (guint)flags->retry_s,
                             .refused = note_refused,
                             .user_data = import};
    import->window = window_open(&options, error);
    if (import->window == NULL || !find_start(import, error)) {
        return FALSE;
    }
    if (flags->assign_ids) {
        import->id_peer = peer_open_gateway(import->ctl, error);
    }
    import->progress = progress_new(
        import->state != NULL ? import_state_size(import->state) : -1);
    return !flags->assign_ids || import->id_peer != NULL;
}

static double
seconds_since(gint64 began_us)
{
    return (double)(g_get_monotonic_time() - began_us + 1) / 1e6;
}

static gboolean
import_run(Import *import, GError **error)
{
    gint64 began_us = g_get_monotonic_time();
    gboolean waited = FALSE;

    if (!take_lines(import, error) || !window_drain(import->window, error) ||
        import->stopped || (import->bad_line != 0 && !import->flags.skip_bad)) {
        return end_early(import, error);
    }
    double seconds = seconds_since(began_us);
    if (import->state != NULL) {
        import_state_remove(import->state);
    }
    if (!import->flags.no_wait &&
        !import_wait(import->ctl, import->interrupt, import->progress,
                     (guint)import->flags.retry_s, &waited, error)) {
        return FALSE;
    }
    progress_clear(import->progress);
    if (!waited && !import->flags.no_wait) {
        fputs("there is no cell map yet: not waited for the cells\n", stderr);
    }
    print_summary(import, seconds, waited ? seconds_since(began_us) : -1);
    return TRUE;
}

static const char import_text[] =
    "Reads events, one JSON object a line, from FILE, or from standard input\n"
    "for \"-\":\n"
    "\n"
    "  kind         post edit delete follow unfollow like unlike block "
    "unblock\n"
    "               mute unmute read_mark delete_user\n"
    "  id           of the event: time-ordered, unique (see combctl ids)\n"
    "  user         who acts: a number, or a name as a string\n"
    "  target       follow to unmute: whom; likewise\n"
    "  post         edit, delete, like, unlike, read_mark: the post's id\n"
    "  post_kind    post, edit: text (default) photo quote link chat audio\n"
    "               video answer\n"
    "  body         post, edit: a string; or body_base64: bytes\n"
    "  tags         post, edit: a list of strings\n"
    "  reply_to     post, edit: the parent's id\n"
    "  reblog_of    post, edit: the original's id\n"
    "\n"
    "Importing a file again changes nothing, since events carry their ids:\n"
    "with --assign-ids they do not, and it does.\n"
    "An import that was ended goes on with --resume.";

static gboolean
check_flags(const ImportFlags *flags, GError **error)
{
    if (flags->batch < 1 || flags->batch > BATCH_EVENTS_MAX) {
        return ctl_usage_error(error, "--batch is 1 to %d", BATCH_EVENTS_MAX);
    }
    if (flags->window < 1 || flags->window > 64) {
        return ctl_usage_error(error, "--window is 1 to 64");
    }
    if (flags->retry_s < 0 || flags->from_line < 0) {
        return ctl_usage_error(error,
                               "--retry-s and --from-line are not negative");
    }
    if (flags->resume && flags->from_line != 0) {
        return ctl_usage_error(error,
                               "--resume and --from-line exclude each other");
    }
    return TRUE;
}

static gboolean
parse_flags(Ctl *ctl, const CtlCommand *command, ImportFlags *flags,
            char ***argv, GError **error)
{
    gboolean wait = FALSE;
    const GOptionEntry entries[] = {
        {"batch", 0, 0, G_OPTION_ARG_INT, &flags->batch,
         "Events in a batch (500)", "N"},
        {"window", 0, 0, G_OPTION_ARG_INT, &flags->window,
         "Batches under way (8)", "N"},
        {"retry-s", 0, 0, G_OPTION_ARG_INT, &flags->retry_s,
         "Fail when nothing moves for so long (60)", "N"},
        {"assign-ids", 0, 0, G_OPTION_ARG_NONE, &flags->assign_ids,
         "Give an id to events without; not idempotent over runs", NULL},
        {"skip-bad", 0, 0, G_OPTION_ARG_NONE, &flags->skip_bad,
         "Go on after a bad line", NULL},
        {"resume", 0, 0, G_OPTION_ARG_NONE, &flags->resume,
         "Go on where the last import of FILE ended", NULL},
        {"from-line", 0, 0, G_OPTION_ARG_INT64, &flags->from_line,
         "Go on from line N", "N"},
        {"wait", 0, 0, G_OPTION_ARG_NONE, &wait,
         "Wait until every cell has applied it all (default)", NULL},
        {"no-wait", 0, 0, G_OPTION_ARG_NONE, &flags->no_wait, "Do not", NULL},
        {NULL, 0, 0, G_OPTION_ARG_NONE, NULL, NULL, NULL},
    };
    const CtlSyntax syntax = {.command = command,
                              .text = import_text,
                              .entries = entries,
                              .words_min = 1,
                              .words_max = 1};

    return ctl_parse(ctl, &syntax, argv, error) && check_flags(flags, error);
}

static gboolean
run_import(Ctl *ctl, const CtlCommand *command, char ***argv, GError **error)
{
    g_auto(Import) import = {
        .ctl = ctl, .flags = {.batch = 500, .window = 8, .retry_s = 60}};

    if (!parse_flags(ctl, command, &import.flags, argv, error)) {
        return FALSE;
    }
    import.file = (*argv)[0];
    (void)ctl_names(ctl);
    return import_open(&import, error) && import_run(&import, error);
}

const CtlCommand *
import_commands(void)
{
    static const CtlCommand commands[] = {
        {"import", "FILE|-", "put the events of a file into the log",
         run_import, 0},
        {NULL, NULL, NULL, NULL, 0},
    };

    return commands;
}
