#include "cell/idrun.h"

#include <string.h>

guint
idrun_put(guint8 *at, gint64 before, gint64 id)
{
    IdStep step = idrun_step(before, id);
    guint64 words[2] = {GUINT64_TO_LE(step.word), GUINT64_TO_LE(step.rest)};
    memcpy(at, words, step.n);
    return step.n;
}

/* A varint of up to 49 bits; G_MAXUINT64 where there is none. */
static inline guint64
idrun_varint(const guint8 **at, const guint8 *end)
{
    guint64 v = 0;
    for (guint shift = 0; shift < 49 && *at < end; shift += 7) {
        guint8 byte = *(*at)++;
        v |= (guint64)(byte & 0x7f) << shift;
        if ((byte & 0x80) == 0) {
            return v;
        }
    }
    return G_MAXUINT64;
}

gint64
idrun_get(const guint8 **at, const guint8 *end, gint64 before)
{
    guint64 head = idrun_varint(at, end);
    guint64 low = (guint64)(before & IDRUN_LOW_MASK);
    if (head == G_MAXUINT64) {
        return 0;
    }
    if ((head & 1) != 0) {
        low = idrun_varint(at, end);
    }
    guint64 ms = (guint64)(before >> IDRUN_LOW_BITS) + (head >> 1);
    if (low > (guint64)IDRUN_LOW_MASK || ms >> (63 - IDRUN_LOW_BITS) != 0) {
        return 0;
    }
    gint64 id = (gint64)(ms << IDRUN_LOW_BITS | low);
    return id > before ? id : 0;
}

gboolean
idrun_decode(const guint8 *at, const guint8 *end, guint n, gint64 *ret_ids)
{
    gint64 id = 0;
    for (guint i = 0; i < n; i++) {
        id = idrun_get(&at, end, id);
        if (id == 0) {
            return FALSE;
        }
        ret_ids[i] = id;
    }
    return at == end;
}

gboolean
idrun_cut(const guint8 *run, gsize bytes, guint n, IdCut *ret_cut)
{
    const guint8 *at = run;
    const guint8 *end = run + bytes;
    gint64 id = idrun_get(&at, end, 0);
    *ret_cut = (IdCut){.first = id, .second = (gsize)(at - run)};
    for (guint i = 1; i < n && id != 0; i++) {
        id = idrun_get(&at, end, id);
    }
    ret_cut->at = (gsize)(at - run);
    ret_cut->last = id;
    return id != 0;
}
