/*
 * slow.c - see slow.h
 */
#include "ops/kit/slow.h"

#include <string.h>

static const SlowSpan *
span_of(const SlowList *list, gint64 now)
{
    return &list->span[(now / SLOW_SPAN_US) % SLOW_SPANS];
}

gboolean
slow_wants(const SlowList *list, gint64 us, gint64 now)
{
    const SlowSpan *span = span_of(list, now);

    return span->number != now / SLOW_SPAN_US || span->n < SLOW_CALLS ||
           us > span->call[SLOW_CALLS - 1].us;
}

/* Puts @call into @sorted, of room for SLOW_CALLS; gives how many. */
static guint
insert(SlowCall *sorted, guint n, const SlowCall *call)
{
    guint at = n;

    while (at > 0 && sorted[at - 1].us < call->us) {
        at--;
    }
    if (at == SLOW_CALLS) {
        return n;
    }
    n = MIN(n + 1, SLOW_CALLS);
    memmove(&sorted[at + 1], &sorted[at], (n - at - 1) * sizeof(*sorted));
    sorted[at] = *call;
    return n;
}

void
slow_add(SlowList *list, const SlowCall *call)
{
    gint64 number = call->ended / SLOW_SPAN_US;
    SlowSpan *span = &list->span[number % SLOW_SPANS];

    if (span->number != number) {
        span->number = number;
        span->n = 0;
    }
    span->n = insert(span->call, span->n, call);
}

guint
slow_merge(const SlowList *list, gint64 now, SlowCall *top, guint n)
{
    for (guint i = 0; i < SLOW_SPANS; i++) {
        const SlowSpan *span = &list->span[i];

        for (guint j = 0; j < span->n; j++) {
            if (span->call[j].ended > now - SLOW_HOUR_US) {
                n = insert(top, n, &span->call[j]);
            }
        }
    }
    return n;
}
