/*
 * readers_script.h - a sequence of events, and each dashboard after each prefix
 *
 * Of test_readers.c: its readers see a cell that is somewhere in the sequence
 * and ask here whether a page is that of one place in it. Everything is a
 * function of the seed. The sequence: readers follow author A for good and B
 * on and off; C, whom more users follow than a slice of a fan-out reaches, is
 * followed by some readers; all three post, and delete of what they posted
 * lately; now and then a post comes late, below ids that came before it, and
 * an event comes again.
 */
#pragma once

#include "cell/page.h"
#include "tests/kit/page_seen.h"

#define SCRIPT_READERS 4

typedef enum ScriptAuthor {
    SCRIPT_A,        /* whom all readers follow */
    SCRIPT_B,        /* whom they follow, unfollow and follow again */
    SCRIPT_C,        /* of a long fan-out; followed by some readers */
    SCRIPT_STRANGER, /* whom nobody follows */
    SCRIPT_AUTHORS,
} ScriptAuthor;

typedef struct ScriptPost {
    gint64 id;
    ScriptAuthor author;
    guint born;      /* the event that brought it */
    guint dead;      /* the event that deleted it; G_MAXUINT: none */
    WireBytes bytes; /* as encoded; borrowed from the event */
} ScriptPost;

/* A post of C. */
typedef struct SlowPost {
    guint born;
    gint64 id;
} SlowPost;

typedef struct Script {
    GRand *rand;
    GPtrArray *events; /* GByteArray: encoded Event */
    GArray *users;     /* gint64, of each event: who acts */
    GArray *newest;    /* gint64, of each event: the greatest id so far */
    GArray *posts;     /* ScriptPost, ascending by id once all are made */
    GArray *turns[SCRIPT_READERS][SCRIPT_AUTHORS]; /* guint: events by which
                                                      the reader followed,
                                                      unfollowed, ... */
    GArray *slow; /* SlowPost, in order of the log */
    gint64 ms;    /* time of the newest event */
    guint lates;  /* posts that came late; makes their ids unique */
} Script;

/** script_new() - @n events. Thread: any may read it. */
Script *script_new(guint n, guint32 seed);
void script_free(Script *script);

/** script_reader() - the user id of one of SCRIPT_READERS. */
UserId script_reader(guint reader);

/** script_prefix_of() - how many events at least a state "as of" @id has. */
guint script_prefix_of(const Script *script, gint64 id);

/**
 * script_slow_post() - a post of C: of the first @prefix events the
 * newest but @back, 0 where there is none
 */
gint64 script_slow_post(const Script *script, guint prefix, guint back);

/**
 * script_find() - the least prefix of which the page is the answer
 *
 * @query:     what was asked, of the user of @reader.
 * @low, @high: prefixes to look at, both included.
 * Effect:     G_MAXUINT where there is none.
 */
guint script_find(const Script *script, guint reader, const PageQuery *query,
                  const PageSeen *page, guint low, guint high);

/** script_explain() - how the page differs from that of @prefix. Owns: free. */
char *script_explain(const Script *script, guint reader, const PageQuery *query,
                     const PageSeen *page, guint prefix);
