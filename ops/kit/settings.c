/*
 * Settings: one table gives the flags, the environment's names, the file's
 * keys, the help and the reference.
 *
 * settings_load() first lets GLib's option parser take the flags as text. The
 * questions (--help, --version, --describe-settings) are answered next, so
 * that they work whatever else is wrong. Then the file is read, its keys are
 * compared with the table, and for each setting the first source that has a
 * text wins: flag, environment, file, default. The text is parsed by one
 * function whatever its source, so that all sources have the same rules.
 *
 * Failures: nothing is guessed, cut or clamped. A malformed text ends the
 * load with a sentence that names the setting, the text, its source and what
 * would be right. A misspelt key or a missing group in the file is an error
 * too; a misspelt environment variable is not, because others may own the
 * prefix (Kubernetes makes COMB_CELL_PORT for a service called comb-cell).
 */
#include "ops/kit/settings.h"

#include "ops/kit/error.h"

#include <stdio.h>

/* What one settings_load() works on. */
typedef struct Load {
    const char *daemon;   /* borrowed */
    const Setting *table; /* borrowed */
    gsize n;              /* rows of the table */
    char **flags;         /* a text or NULL for each row */
    GKeyFile *file;       /* NULL without --config */
    char *config;         /* --config, or NULL */
    gboolean help;        /* the questions */
    gboolean version;
    gboolean describe;
    gboolean check;
} Load;

/* Where a setting's text came from. */
typedef struct Source {
    char *text; /* NULL: nobody gave one */
    char *name; /* for the operator: "--port", "COMB_CELL_PORT", ... */
} Source;

static void
source_clear(Source *source)
{
    g_free(source->text);
    g_free(source->name);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Source, source_clear)

static void
load_clear(Load *load)
{
    for (gsize i = 0; i < load->n; i++) {
        g_free(load->flags[i]);
    }
    g_free(load->flags);
    g_free(load->config);
    g_clear_pointer(&load->file, g_key_file_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Load, load_clear)

static gsize
table_length(const Setting *table)
{
    gsize n = 0;

    while (table[n].name) {
        n++;
    }
    return n;
}

/* COMB_CELL_DATA_DIR */
static char *
environment_name(const char *daemon, const char *setting)
{
    g_autofree char *joined = g_strconcat("COMB_", daemon, "_", setting, NULL);
    g_autofree char *upper = g_ascii_strup(joined, -1);

    return g_strdelimit(g_steal_pointer(&upper), "-", '_');
}

static char *
describe_bounds(const Setting *setting)
{
    switch (setting->kind) {
    case SETTING_INT:
        return g_strdup_printf("%" G_GINT64_FORMAT " to %" G_GINT64_FORMAT,
                               setting->min, setting->max);
    case SETTING_BOOL:
        return g_strdup("true or false");
    case SETTING_REQUIRED:
    case SETTING_STRING:
        break;
    }
    return g_strdup("");
}

/* "(ms; default 100; 1 to 10000)" */
static char *
describe_rules(const Setting *setting)
{
    g_autofree char *bounds = describe_bounds(setting);
    g_autoptr(GString) rules = g_string_new(" (");

    if (setting->unit && setting->unit[0]) {
        g_string_append_printf(rules, "%s; ", setting->unit);
    }
    if (setting->fallback) {
        g_string_append_printf(rules, "default %s",
                               setting->fallback[0] ? setting->fallback
                                                    : "empty");
    } else {
        g_string_append(rules, setting->kind == SETTING_REQUIRED
                                   ? "required"
                                   : "no default");
    }
    if (bounds[0]) {
        g_string_append_printf(rules, "; %s", bounds);
    }
    g_string_append_c(rules, ')');
    return g_strdup(rules->str);
}

/* --describe-settings: a Markdown table, for people and for the manual. */
static void
print_table(const Load *load)
{
    static const char *const kinds[] = {
        [SETTING_REQUIRED] = "text, required",
        [SETTING_STRING] = "text",
        [SETTING_INT] = "whole number",
        [SETTING_BOOL] = "boolean",
    };

    printf("| setting | kind | unit | default | bounds | environment | what "
           "it does |\n| --- | --- | --- | --- | --- | --- | --- |\n");
    for (gsize i = 0; i < load->n; i++) {
        const Setting *it = &load->table[i];
        g_autofree char *bounds = describe_bounds(it);
        g_autofree char *variable = environment_name(load->daemon, it->name);

        printf("| %s | %s | %s | %s | %s | %s | %s |\n", it->name,
               kinds[it->kind], it->unit ? it->unit : "",
               it->fallback ? it->fallback : "", bounds, variable,
               it->sentence);
    }
}

static const char *
value_name(const Setting *setting)
{
    switch (setting->kind) {
    case SETTING_INT:
        return "NUMBER";
    case SETTING_BOOL:
        return "true|false";
    case SETTING_REQUIRED:
    case SETTING_STRING:
        break;
    }
    return "TEXT";
}

static void
add_questions(GOptionContext *context, Load *load)
{
    const GOptionEntry entries[] = {
        {"help", 'h', 0, G_OPTION_ARG_NONE, &load->help, "Print this and exit",
         NULL},
        {"version", 0, 0, G_OPTION_ARG_NONE, &load->version,
         "Print the version and exit", NULL},
        {"config", 0, 0, G_OPTION_ARG_FILENAME, &load->config,
         "Read settings from this file's group too", "FILE"},
        {"check-config", 0, 0, G_OPTION_ARG_NONE, &load->check,
         "Check all settings and exit: 0 good, 2 bad", NULL},
        {"describe-settings", 0, 0, G_OPTION_ARG_NONE, &load->describe,
         "Print all settings as a Markdown table and exit", NULL},
        {0}};

    g_option_context_add_main_entries(context, entries, NULL);
}

/* @texts keeps the descriptions for as long as @context lives. */
static void
add_settings(GOptionContext *context, Load *load, GStringChunk *texts)
{
    g_autoptr(GArray) entries = g_array_new(TRUE, TRUE, sizeof(GOptionEntry));

    for (gsize i = 0; i < load->n; i++) {
        const Setting *it = &load->table[i];
        g_autofree char *rules = describe_rules(it);
        g_autofree char *text = g_strconcat(it->sentence, rules, NULL);
        /* FILENAME is GLib's word for bytes as given, in no charset. */
        GOptionEntry entry = {it->name,
                              0,
                              0,
                              G_OPTION_ARG_FILENAME,
                              &load->flags[i],
                              g_string_chunk_insert(texts, text),
                              value_name(it)};

        g_array_append_val(entries, entry);
    }
    g_option_context_add_main_entries(
        context, (const GOptionEntry *)(void *)entries->data, NULL);
}

static void
print_help(const Load *load, GOptionContext *context)
{
    g_autofree char *help = g_option_context_get_help(context, TRUE, NULL);

    printf("%sEach setting may also be given as COMB_", help);
    for (const char *c = load->daemon; *c; c++) {
        putchar(g_ascii_toupper(*c));
    }
    printf("_<NAME> in the environment,\nor in the group [%s] of the "
           "configuration file. Flags win, then the environment.\n",
           load->daemon);
}

static gboolean
parse_flags(Load *load, const char *summary, char ***argv, GError **error)
{
    g_autoptr(GStringChunk) texts = g_string_chunk_new(1024);
    g_autoptr(GOptionContext) context = g_option_context_new(NULL);
    g_autoptr(GError) wrong = NULL;
    int argc = (int)g_strv_length(*argv);

    g_option_context_set_summary(context, summary);
    g_option_context_set_help_enabled(context, FALSE);
    add_settings(context, load, texts);
    add_questions(context, load);
    if (!g_option_context_parse(context, &argc, argv, &wrong)) {
        g_set_error(error, COMB_ERROR, COMB_ERROR_SETTING, "%s (see --help)",
                    wrong->message);
        return FALSE;
    }
    if (load->help) {
        print_help(load, context);
    }
    return TRUE;
}

/* TRUE where a question was asked and has been answered. */
static gboolean
answer_question(const Load *load)
{
    if (load->version) {
        printf("comb-%s %s\n", load->daemon, COMB_VERSION);
    }
    if (load->describe) {
        print_table(load);
    }
    return load->help || load->version || load->describe;
}

static gboolean
check_key(const Load *load, const char *key, GError **error)
{
    for (gsize i = 0; i < load->n; i++) {
        if (g_str_equal(load->table[i].name, key)) {
            return TRUE;
        }
    }
    g_set_error(error, COMB_ERROR, COMB_ERROR_SETTING,
                "%s: no setting is called \"%s\" in [%s]; --describe-settings "
                "lists them",
                load->config, key, load->daemon);
    return FALSE;
}

static gboolean
read_file(Load *load, GError **error)
{
    g_autoptr(GError) wrong = NULL;
    g_auto(GStrv) keys = NULL;

    if (!load->config) {
        return TRUE;
    }
    load->file = g_key_file_new();
    if (g_key_file_load_from_file(load->file, load->config, G_KEY_FILE_NONE,
                                  &wrong)) {
        keys = g_key_file_get_keys(load->file, load->daemon, NULL, &wrong);
    }
    if (!keys) {
        g_set_error(error, COMB_ERROR, COMB_ERROR_SETTING, "--config: %s: %s",
                    load->config, wrong->message);
        return FALSE;
    }
    for (gsize i = 0; keys[i]; i++) {
        if (!check_key(load, keys[i], error)) {
            return FALSE;
        }
    }
    return TRUE;
}

/* The text of row @i and who gave it; flag, environment, file, default. */
static Source
find_text(const Load *load, gsize i)
{
    const Setting *setting = &load->table[i];
    g_autofree char *variable = environment_name(load->daemon, setting->name);
    const char *from_environment = g_getenv(variable);

    if (load->flags[i]) {
        return (Source){g_strdup(load->flags[i]),
                        g_strconcat("--", setting->name, NULL)};
    }
    if (from_environment) {
        return (Source){g_strdup(from_environment), g_steal_pointer(&variable)};
    }
    if (load->file &&
        g_key_file_has_key(load->file, load->daemon, setting->name, NULL)) {
        char *text =
            g_key_file_get_value(load->file, load->daemon, setting->name, NULL);

        /* Spaces at a line's end are invisible in an editor. */
        return (Source){g_strchomp(text), g_strdup(load->config)};
    }
    return (Source){g_strdup(setting->fallback), g_strdup("the default")};
}

static gboolean
parse_text(const Setting *setting, const char *text, gpointer place)
{
    switch (setting->kind) {
    case SETTING_INT:
        return g_ascii_string_to_signed(text, 10, setting->min, setting->max,
                                        place, NULL);
    case SETTING_BOOL:
        *(gboolean *)place = g_str_equal(text, "true");
        return *(gboolean *)place || g_str_equal(text, "false");
    case SETTING_REQUIRED:
    case SETTING_STRING:
        break;
    }
    *(char **)place = g_strdup(text);
    return TRUE;
}

static gboolean
fail_missing(const Load *load, const Setting *setting, GError **error)
{
    g_autofree char *variable = environment_name(load->daemon, setting->name);

    g_set_error(error, COMB_ERROR, COMB_ERROR_SETTING,
                "%s: is required; give --%s, %s or a line in the file",
                setting->name, setting->name, variable);
    return FALSE;
}

static gboolean
fill_setting(const Load *load, gsize i, gpointer options, GError **error)
{
    const Setting *setting = &load->table[i];
    g_auto(Source) source = find_text(load, i);
    g_autofree char *bounds = describe_bounds(setting);
    const char *unit = setting->unit ? setting->unit : "";

    if (setting->kind == SETTING_REQUIRED &&
        (!source.text || !source.text[0])) {
        return fail_missing(load, setting, error);
    }
    if (!source.text ||
        parse_text(setting, source.text,
                   G_STRUCT_MEMBER_P(options, setting->offset))) {
        return TRUE;
    }
    g_set_error(error, COMB_ERROR, COMB_ERROR_SETTING,
                "%s: \"%s\" from %s is not %s%s%s%s", setting->name,
                source.text, source.name,
                setting->kind == SETTING_INT ? "a whole number from " : "",
                bounds, unit[0] ? " " : "", unit);
    return FALSE;
}

/* What a setting is where nobody gives a text. */
static void
zero_options(const Load *load, gpointer options)
{
    for (gsize i = 0; i < load->n; i++) {
        gpointer place = G_STRUCT_MEMBER_P(options, load->table[i].offset);

        switch (load->table[i].kind) {
        case SETTING_INT:
            *(gint64 *)place = 0;
            break;
        case SETTING_BOOL:
            *(gboolean *)place = FALSE;
            break;
        case SETTING_REQUIRED:
        case SETTING_STRING:
            *(char **)place = NULL;
            break;
        }
    }
}

static gboolean
fill_options(const Load *load, gpointer options, GError **error)
{
    for (gsize i = 0; i < load->n; i++) {
        if (!fill_setting(load, i, options, error)) {
            settings_clear(load->table, options);
            return FALSE;
        }
    }
    return TRUE;
}

SettingsOutcome
settings_load(const char *daemon, const char *summary, const Setting *table,
              gpointer options, char ***argv, GError **error)
{
    g_auto(Load) load = {.daemon = daemon, .table = table};

    load.n = table_length(table);
    load.flags = g_new0(char *, load.n + 1);
    zero_options(&load, options);
    if (!parse_flags(&load, summary, argv, error)) {
        return SETTINGS_BAD;
    }
    if (answer_question(&load)) {
        return SETTINGS_DONE;
    }
    if (!read_file(&load, error) || !fill_options(&load, options, error)) {
        return SETTINGS_BAD;
    }
    return load.check ? SETTINGS_CHECKED : SETTINGS_RUN;
}

void
settings_clear(const Setting *table, gpointer options)
{
    for (const Setting *it = table; it->name; it++) {
        if (it->kind == SETTING_STRING || it->kind == SETTING_REQUIRED) {
            g_clear_pointer((char **)G_STRUCT_MEMBER_P(options, it->offset),
                            g_free);
        }
    }
}

static gboolean
is_secret(const char *name)
{
    static const char *const ends[] = {"key", "password", "secret", "token"};

    for (gsize i = 0; i < G_N_ELEMENTS(ends); i++) {
        if (g_str_has_suffix(name, ends[i])) {
            return TRUE;
        }
    }
    return FALSE;
}

char *
settings_text(const Setting *setting, gconstpointer options)
{
    const char *place = (const char *)options + setting->offset;
    const char *text = NULL;

    switch (setting->kind) {
    case SETTING_INT:
        return g_strdup_printf("%" G_GINT64_FORMAT "%s%s",
                               *(const gint64 *)(const void *)place,
                               setting->unit && setting->unit[0] ? " " : "",
                               setting->unit ? setting->unit : "");
    case SETTING_BOOL:
        return g_strdup(*(const gboolean *)(const void *)place ? "true"
                                                               : "false");
    case SETTING_REQUIRED:
    case SETTING_STRING:
        text = *(char *const *)(const void *)place;
        break;
    }
    return g_strdup(
        text != NULL && is_secret(setting->name) ? "given, not shown" : text);
}
