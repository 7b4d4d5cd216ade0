/*
 * settings.h - settings declared as a table
 *
 * A daemon declares each setting with name, kind, default, bounds, unit and a
 * sentence, and the place in its options struct. Precedence: flag
 * (--data-dir=X), environment (COMB_CELL_DATA_DIR, the daemon's name and the
 * setting's in capitals), file (--config=FILE, a GKeyFile, group [cell]),
 * default. --describe-settings prints the table, --check-config checks and
 * exits, --version and --help do what they say.
 */
#pragma once

#include <glib.h>

typedef enum SettingKind {
    SETTING_STRING, /* char *, owned by the options; NULL where default NULL */
    SETTING_REQUIRED, /* char *, likewise; must be given and not empty */
    SETTING_INT,      /* gint64 */
    SETTING_BOOL,     /* gboolean: true or false */
} SettingKind;

typedef struct Setting {
    const char *name; /* lower case, dashes */
    SettingKind kind;
    gsize offset;         /* in the options struct */
    const char *fallback; /* the default as text; NULL: NULL, 0 or FALSE */
    gint64 min;           /* SETTING_INT: bounds, both allowed */
    gint64 max;
    const char *unit;     /* "ms", "bytes", "" ... */
    const char *sentence; /* what it does, for --help and the manual */
} Setting;

typedef enum SettingsOutcome {
    SETTINGS_RUN,     /* options are filled in: go on */
    SETTINGS_CHECKED, /* likewise, for --check-config: look at them, go no
                         further */
    SETTINGS_DONE,    /* --help, --version and the like were answered: exit 0 */
    SETTINGS_BAD,     /* *error says what is wrong: exit 2 */
} SettingsOutcome;

/**
 * settings_load() - fill @options from flags, environment, file, defaults
 *
 * @daemon:  "cell": names the environment prefix and the file's group.
 * @summary: one sentence for --help.
 * @table:   ends with a NULL name.
 * @argv:    main's, its strings are borrowed. Flags are removed; the name
 *           and what is left stay for the caller to use or refuse.
 * Owns:     after SETTINGS_RUN and SETTINGS_CHECKED, strings in @options
 *           belong to the caller: settings_clear(). Otherwise @options holds
 *           none.
 * Fails:    SETTINGS_BAD with COMB_ERROR_SETTING that names the setting, the
 *           value, its source and the bounds.
 */
SettingsOutcome settings_load(const char *daemon, const char *summary,
                              const Setting *table, gpointer options,
                              char ***argv, GError **error);

/** settings_clear() - free the strings in @options. */
void settings_clear(const Setting *table, gpointer options);

/**
 * settings_text() - what @setting is in @options, for people
 *
 * Effect: NULL where it is not given. A secret - its name ends in key,
 *         password, secret or token - is told as "given, not shown".
 * Owns:   the caller frees.
 */
char *settings_text(const Setting *setting, gconstpointer options);
