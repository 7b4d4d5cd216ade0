/*
 * main.c - combctl: the command line of Comb
 *
 * Global flags may stand before or after the command, so the words are read
 * in two passes: up to the command here, and the rest by the command itself
 * through ctl_parse(), which knows the global flags as well.
 *
 * Exit codes: 0 done; 1 failed, with one sentence on standard error; 2 the
 * command line is wrong.
 */
#include "ops/combctl/ctl.h"

#include "thrift/client.h"

#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

enum { EXIT_OK, EXIT_FAILED, EXIT_USAGE };

typedef const CtlCommand *(*CommandsOf)(void);

static const CommandsOf families[] = {
    import_commands,     post_commands,   read_commands, status_commands,
    map_commands,        bench_commands,  tail_commands, topics_commands,
    quarantine_commands, places_commands,
};

static GOptionGroup *
global_group(Ctl *ctl)
{
    const GOptionEntry entries[] = {
        {"router", 0, 0, G_OPTION_ARG_FILENAME, &ctl->router,
         "Where to read (COMB_ROUTER; 127.0.0.1:9100)", "HOST:PORT"},
        {"gateway", 0, 0, G_OPTION_ARG_FILENAME, &ctl->gateway,
         "Where to write (COMB_GATEWAY; 127.0.0.1:9110)", "HOST:PORT"},
        {"timeout-ms", 0, 0, G_OPTION_ARG_INT, &ctl->timeout_ms,
         "How long to wait for an answer (5000)", "N"},
        {"names", 0, 0, G_OPTION_ARG_FILENAME, &ctl->names_file,
         "Where users' names are remembered", "FILE"},
        {"tls-ca", 0, 0, G_OPTION_ARG_FILENAME, &ctl->files.ca,
         "Speak TLS to servers of these CAs (COMB_TLS_CA)", "FILE"},
        {"tls-cert", 0, 0, G_OPTION_ARG_FILENAME, &ctl->files.cert,
         "Show this certificate (COMB_TLS_CERT)", "FILE"},
        {"tls-key", 0, 0, G_OPTION_ARG_FILENAME, &ctl->files.key,
         "Its key (COMB_TLS_KEY)", "FILE"},
        {"json", 0, 0, G_OPTION_ARG_NONE, &ctl->json,
         "Print JSON, one object a line", NULL},
        {"version", 0, 0, G_OPTION_ARG_NONE, &ctl->version, "Print the version",
         NULL},
        {NULL, 0, 0, G_OPTION_ARG_NONE, NULL, NULL, NULL},
    };
    GOptionGroup *group = g_option_group_new(
        "global", "Flags of every command:", "Show the flags of every command",
        NULL, NULL);

    g_option_group_add_entries(group, entries);
    return group;
}

gboolean
ctl_usage_error(GError **error, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    *error =
        g_error_new_valist(G_OPTION_ERROR, G_OPTION_ERROR_FAILED, format, args);
    va_end(args);
    return FALSE;
}

/* Removes the @n words at @at, which are there. */
static void
drop_words(char **at, guint n)
{
    guint left = g_strv_length(at) - n;

    for (guint i = 0; i < n; i++) {
        g_free(at[i]);
    }
    memmove(at, at + n, (left + 1) * sizeof *at);
}

/* GLib leaves a "--" where words that look like flags follow it. */
static void
drop_dashes(char **argv)
{
    for (char **at = argv; *at != NULL; at++) {
        if (strcmp(*at, "--") == 0) {
            drop_words(at, 1);
            return;
        }
    }
}

static void
fill_path(char **path, const char *variable)
{
    const char *environment = g_getenv(variable);

    if (*path == NULL && environment != NULL && *environment != '\0') {
        *path = g_strdup(environment);
    }
}

/* Reads the files of TLS, where there are any: once, all flags are known. */
static gboolean
open_tls(Ctl *ctl, GError **error)
{
    g_autoptr(GError) wrong = NULL;

    fill_path(&ctl->files.ca, "COMB_TLS_CA");
    fill_path(&ctl->files.cert, "COMB_TLS_CERT");
    fill_path(&ctl->files.key, "COMB_TLS_KEY");
    if (!tls_files_check(&ctl->files, TLS_CLIENT, "tls", &wrong)) {
        return ctl_usage_error(error, "%s", wrong->message);
    }
    return tls_open(TLS_CLIENT, &ctl->files, &ctl->tls, error);
}

gboolean
ctl_parse(Ctl *ctl, const CtlSyntax *syntax, char ***argv, GError **error)
{
    g_autoptr(GOptionContext) context =
        g_option_context_new(syntax->command->usage);
    g_autofree char *program =
        g_strdup_printf("combctl %s", syntax->command->name);

    g_set_prgname(program);
    g_option_context_set_summary(context, syntax->text);
    g_option_context_add_group(context, global_group(ctl));
    if (syntax->entries != NULL) {
        g_option_context_add_main_entries(context, syntax->entries, NULL);
    }
    if (!g_option_context_parse_strv(context, argv, error)) {
        return FALSE;
    }
    drop_words(*argv, 1);
    drop_dashes(*argv);
    guint words = g_strv_length(*argv);
    if (words < syntax->words_min || words > syntax->words_max) {
        return ctl_usage_error(error, "usage: %s %s", program,
                               syntax->command->usage);
    }
    if (ctl->timeout_ms < 1 || ctl->timeout_ms > 600000) {
        return ctl_usage_error(error, "--timeout-ms is 1 to 600000");
    }
    return open_tls(ctl, error);
}

Names *
ctl_names(Ctl *ctl)
{
    g_autofree char *fallback = names_path();
    g_autoptr(GError) error = NULL;

    if (ctl->names != NULL) {
        return ctl->names;
    }
    ctl->names = names_open(
        ctl->names_file != NULL ? ctl->names_file : fallback, &error);
    if (ctl->names == NULL) {
        fprintf(stderr, "combctl: names are not known: %s\n", error->message);
        ctl->names = names_open_empty();
    }
    return ctl->names;
}

static void
print_help(void)
{
    fputs("usage: combctl [FLAGS] COMMAND ...\n\nCommands:\n", stdout);
    for (guint i = 0; i < G_N_ELEMENTS(families); i++) {
        for (const CtlCommand *c = families[i](); c->name != NULL; c++) {
            printf("  %-15s %s\n", c->name, c->summary);
        }
    }
    fputs("\nFlags of every command:\n"
          "  --router HOST:PORT   where to read (COMB_ROUTER; 127.0.0.1:9100)\n"
          "  --gateway HOST:PORT  where to write (COMB_GATEWAY; "
          "127.0.0.1:9110)\n"
          "  --tls-ca FILE        speak TLS, to servers of these CAs "
          "(COMB_TLS_CA)\n"
          "  --tls-cert FILE, --tls-key FILE\n"
          "                       show this certificate (COMB_TLS_CERT, "
          "COMB_TLS_KEY)\n"
          "  --timeout-ms N       how long to wait for an answer (5000)\n"
          "  --names FILE         where users' names are remembered\n"
          "  --json               print JSON, one object a line\n"
          "  --version\n"
          "  --help               after a command: its own flags\n"
          "\nA USER is a number, or a name: 2048 is the number, @2048 the "
          "name.\nComb stores numbers only; names are combctl's.\n",
          stdout);
}

/* Takes the flags before the command. FALSE: a usage error. */
static gboolean
parse_leading_flags(Ctl *ctl, char ***argv, GError **error)
{
    g_autoptr(GOptionContext) context = g_option_context_new(NULL);
    const GOptionEntry entries[] = {
        {"help", 'h', 0, G_OPTION_ARG_NONE, &ctl->help, "Print this", NULL},
        {NULL, 0, 0, G_OPTION_ARG_NONE, NULL, NULL, NULL},
    };

    g_option_context_set_help_enabled(context, FALSE);
    g_option_context_set_strict_posix(context, TRUE);
    g_option_context_add_main_entries(context, entries, NULL);
    g_option_context_add_group(context, global_group(ctl));
    return g_option_context_parse_strv(context, argv, error);
}

/* The command that @argv names, or NULL; takes its words out of @argv. */
static const CtlCommand *
find_command(char **argv)
{
    g_autofree char *two =
        argv[2] != NULL ? g_strdup_printf("%s %s", argv[1], argv[2]) : NULL;

    for (guint i = 0; i < G_N_ELEMENTS(families); i++) {
        for (const CtlCommand *c = families[i](); c->name != NULL; c++) {
            gboolean is_two = g_strcmp0(two, c->name) == 0;
            if (is_two || strcmp(argv[1], c->name) == 0) {
                drop_words(argv + 1, is_two ? 2 : 1);
                return c;
            }
        }
    }
    return NULL;
}

static gboolean
run_command(Ctl *ctl, char ***argv, GError **error)
{
    if (!parse_leading_flags(ctl, argv, error)) {
        return FALSE;
    }
    if (ctl->version) {
        puts("combctl " COMB_VERSION);
        return TRUE;
    }
    if (ctl->help) {
        print_help();
        return TRUE;
    }
    if ((*argv)[1] == NULL) {
        return ctl_usage_error(error,
                               "a command is missing; combctl --help lists "
                               "them");
    }
    g_autofree char *word = g_strdup((*argv)[1]);
    const CtlCommand *command = find_command(*argv);
    if (command == NULL) {
        return ctl_usage_error(error,
                               "there is no command \"%s\"; combctl --help "
                               "lists them",
                               word);
    }
    return command->run(ctl, command, argv, error);
}

/* Names are a comfort: losing them is said and fails nothing. */
static void
save_names(Names *names)
{
    g_autoptr(GError) error = NULL;

    if (names != NULL && !names_save(names, &error)) {
        fprintf(stderr, "combctl: names are not remembered: %s\n",
                error->message);
    }
}

int
main(int argc, char **argv)
{
    Ctl ctl = {.timeout_ms = 5000};
    g_autoptr(GError) error = NULL;
    g_auto(GStrv) words = g_strdupv(argv);

    (void)argc;
    setlocale(LC_ALL, "");
    (void)signal(SIGPIPE, SIG_IGN);
    client_init();
    gboolean done = run_command(&ctl, &words, &error);
    save_names(ctl.names);
    g_clear_pointer(&ctl.names, names_close);
    tls_close(ctl.tls);
    tls_files_clear(&ctl.files);
    g_free(ctl.names_file);
    g_free(ctl.router);
    g_free(ctl.gateway);
    if (fflush(stdout) != 0 && done) {
        fputs("combctl: standard output cannot be written\n", stderr);
        return EXIT_FAILED;
    }
    if (done) {
        return EXIT_OK;
    }
    fprintf(stderr, "combctl: %s\n", error->message);
    return error->domain == G_OPTION_ERROR ? EXIT_USAGE : EXIT_FAILED;
}
