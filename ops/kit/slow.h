/*
 * slow.h - the slowest calls of the last hour, in bounded memory
 *
 * The slowest 20 of each ten minutes are kept, for an hour: so those of the
 * last hour are among them, whatever came before. What came from outside is
 * kept as it came, cut; whoever shows it escapes it.
 */
#pragma once

#include <glib.h>

#define SLOW_CALLS 20
#define SLOW_SPANS 7
#define SLOW_SPAN_US (G_GINT64_CONSTANT(600) * G_USEC_PER_SEC)
#define SLOW_HOUR_US (6 * SLOW_SPAN_US)
#define SLOW_CALLER_BYTES 64
#define SLOW_TRACE_BYTES 55

typedef struct SlowCall {
    gint64 us;                          /* how long it took */
    gint64 ended;                       /* monotonic us */
    gint64 wall_ms;                     /* the same, since 1970 */
    gint64 user;                        /* 0: none */
    guint method;                       /* an index of the server's */
    char caller[SLOW_CALLER_BYTES + 1]; /* as the context says; may be "" */
    char trace[SLOW_TRACE_BYTES + 1];   /* likewise, its traceparent */
} SlowCall;

typedef struct SlowSpan {
    gint64 number; /* begins at number * SLOW_SPAN_US */
    guint n;
    SlowCall call[SLOW_CALLS]; /* the slowest first */
} SlowSpan;

/* All zero: empty. */
typedef struct SlowList {
    SlowSpan span[SLOW_SPANS]; /* by number, modulo */
} SlowList;

/** slow_wants() - whether slow_add() would keep a call of @us at @now. */
gboolean slow_wants(const SlowList *list, gint64 us, gint64 now);

/** slow_add() - keep @call if it is among the slowest; copied. */
void slow_add(SlowList *list, const SlowCall *call);

/**
 * slow_merge() - the slowest of the hour before @now, of @list and @top
 *
 * @top: @n calls, the slowest first, of room for SLOW_CALLS.
 * Effect: gives how many there are now.
 */
guint slow_merge(const SlowList *list, gint64 now, SlowCall *top, guint n);
