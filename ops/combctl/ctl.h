/*
 * ctl.h - what the commands of combctl share
 *
 * A command parses its own flags with ctl_parse(), which knows the global
 * ones too, does its work and prints to standard output. It fails with one
 * GError: main() prints the sentence and picks the exit code.
 */
#pragma once

#include "ops/combctl/names.h"
#include "thrift/tls.h"

#include <glib.h>

typedef struct Ctl {
    char *router;     /* HOST:PORT of the Dashboard service; NULL: as told
                         by the environment, or the default */
    char *gateway;    /* of the Firehose service; likewise */
    char *names_file; /* NULL: in the state directory */
    gint timeout_ms;  /* for connecting and for each answer */
    gboolean json;    /* print JSON instead of text */
    gboolean help;    /* --help before the command */
    gboolean version; /* --version */
    TlsFiles files;   /* of --tls-ca and the like; as told by the environment
                         where a flag is missing */
    Tls *tls;         /* of them; NULL: plain text, or not parsed yet */
    Names *names;     /* NULL until ctl_names() */
} Ctl;

typedef struct CtlCommand CtlCommand;

typedef gboolean (*CtlRun)(Ctl *ctl, const CtlCommand *command, char ***argv,
                           GError **error);

struct CtlCommand {
    const char *name;    /* as it is typed: one word or two */
    const char *usage;   /* what follows the name */
    const char *summary; /* one line for --help */
    CtlRun run;          /* does it */
    gint variant;        /* for a function that serves several commands */
};

/* One command's flags and help. */
typedef struct CtlSyntax {
    const CtlCommand *command;
    const char *text; /* paragraphs under the usage line; may be NULL */
    const GOptionEntry *entries; /* the command's own flags; may be NULL */
    guint words_min;             /* words that must be left */
    guint words_max;             /* words that may be left */
} CtlSyntax;

/**
 * ctl_parse() - take the flags out of @argv
 *
 * Effect: what is left in *argv are the words, the command's name removed.
 *         --help prints and exits.
 * Fails:  G_OPTION_ERROR: a usage error, exit code 2.
 */
gboolean ctl_parse(Ctl *ctl, const CtlSyntax *syntax, char ***argv,
                   GError **error);

/** ctl_usage_error() - a usage error with a sentence; always FALSE. */
gboolean ctl_usage_error(GError **error, const char *format, ...)
    G_GNUC_PRINTF(2, 3);

/**
 * ctl_names() - what is known of users' names, read when first asked for
 *
 * Owns:  borrowed, until main() ends.
 * Fails: never: a file that cannot be read is said on standard error, once,
 *        and is as good as none.
 */
Names *ctl_names(Ctl *ctl);

/* The commands of each file; a table ends with a NULL name. */
const CtlCommand *bench_commands(void);
const CtlCommand *import_commands(void);
const CtlCommand *map_commands(void);
const CtlCommand *places_commands(void);
const CtlCommand *post_commands(void);
const CtlCommand *quarantine_commands(void);
const CtlCommand *read_commands(void);
const CtlCommand *status_commands(void);
const CtlCommand *tail_commands(void);
const CtlCommand *topics_commands(void);
