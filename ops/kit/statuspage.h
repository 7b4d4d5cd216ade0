/*
 * statuspage.h - what a daemon is and does, as one page of HTML
 *
 * A function from a struct to a text: no clock, no file, no lock in here. The
 * page needs no script and no other resource, and is readable by day, by
 * night and on a telephone. Whatever is in the struct is escaped.
 */
#pragma once

#include "ops/kit/buildinfo.h"
#include "ops/kit/section.h"
#include "ops/kit/usage.h"

/* A setting in use. */
typedef struct StatusSetting {
    const char *name;
    const char *text; /* NULL: not given */
} StatusSetting;

typedef struct StatusView {
    const char *daemon;  /* "cell" */
    const char *summary; /* what that is, a sentence */
    const BuildInfo *build;
    gint64 now_ms; /* since 1970, as all times here */
    gint64 pid;
    const char *unhealthy;         /* why, or NULL */
    const char *unready;           /* likewise */
    Usage usage;                   /* with when it started */
    const StatusSetting *settings; /* @n_settings, without secrets */
    guint n_settings;
    Section *const *sections; /* @n_sections; at least one */
    guint n_sections;
    guint refresh_s; /* reload after so long; 0: never */
} StatusView;

/** statuspage_refresh() - refresh=SECONDS of a query, 1 to 3600, or 0; NULL is
 * no query. */
guint statuspage_refresh(const char *query);

/** statuspage_render() - the page. Owns: the caller frees. */
char *statuspage_render(const StatusView *view);
