/*
 * section.h - what one part of a daemon tells on its status page
 *
 * A daemon has one part, comb-solo one for each of what runs in it. The page
 * escapes whatever is told here.
 */
#pragma once

#include "ops/kit/calls.h"

/* A name and a text for people. */
typedef struct SectionFact {
    char *name;
    char *text;
} SectionFact;

/* A partition of the log; -1 where it is not known. */
typedef struct SectionPartition {
    guint partition;
    gint64 first; /* the first offset that the log keeps */
    gint64 next;  /* the next one that is applied; -1 too: nobody applies */
    gint64 end;   /* the one after the last */
} SectionPartition;

/* Of the part's server; counters since the start. */
typedef struct SectionConnections {
    guint64 open;
    guint64 max;
    guint64 accepted;
    guint64 refused;
    guint64 faulty; /* closed for what they sent, or for TLS */
    guint64 stalled;
} SectionConnections;

typedef struct Section {
    char *name;          /* "router", "cell 0"; owned */
    GPtrArray *facts;    /* SectionFact; owned */
    GArray *partitions;  /* SectionPartition; empty: reads no log */
    gint64 lag_ms;       /* behind the log; -1: not known, or reads none */
    gint64 log_age_ms;   /* since the log told its ends; -1: never */
    gboolean has_server; /* @connections says something */
    SectionConnections connections;
    gboolean has_calls; /* @calls does */
    CallsView calls;
} Section;

/** section_new() - nothing told yet. Owns: the caller; section_free(). */
Section *section_new(const char *name);
void section_free(Section *section);

/** section_fact() - tell @name: a text of printf()'s. */
void section_fact(Section *section, const char *name, const char *format, ...)
    G_GNUC_PRINTF(3, 4);

/** section_bytes() - tell a size, as people read it. */
void section_bytes(Section *section, const char *name, gint64 bytes);

/** section_partition() - tell of a partition; in their order. */
void section_partition(Section *section, const SectionPartition *partition);
