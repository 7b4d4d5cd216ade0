#include "cell/edgerow.h"

#include "cell/key.h"
#include "ops/kit/ensure.h"

#include <string.h>
#include <xxhash.h>

#define EDGE_ROW_VERSION 1

static guint32
edge_row_check(gint64 follower, gint64 first, const guint8 *value, gsize len)
{
    guint64 key = (guint64)follower * G_GUINT64_CONSTANT(0x9e3779b97f4a7c15) ^
                  (guint64)first;
    return XXH32(value, len, (guint32)(key ^ key >> 32));
}

static void
put_u64(guint8 *at, guint64 v)
{
    guint64 le = GUINT64_TO_LE(v);
    memcpy(at, &le, sizeof le);
}

static guint64
get_u64(const guint8 *at)
{
    guint64 le;
    memcpy(&le, at, sizeof le);
    return GUINT64_FROM_LE(le);
}

gsize
edge_row_encode(UserId follower, const EdgeRow *row, const EdgeEntry *entries,
                guint8 ret_value[EDGE_ROW_BYTES_MAX])
{
    ensure(row->n > 0 && row->n <= EDGE_ROW_MAX);
    put_u64(ret_value, EDGE_ROW_VERSION | (guint64)row->n << 32);
    put_u64(ret_value + 8, (guint64)row->next);
    guint8 *at = ret_value + EDGE_ROW_HEAD_BYTES;
    for (guint i = 0; i < row->n; i++) {
        put_u64(at, (guint64)entries[i].followee);
        put_u64(at + 8, entries[i].word);
        at += EDGE_ROW_ENTRY_BYTES;
    }
    gsize len = (gsize)(at - ret_value);
    guint32 check = edge_row_check(follower.v, row->first, ret_value, len);
    check = GUINT32_TO_LE(check);
    memcpy(at, &check, sizeof check);
    return len + sizeof check;
}

gboolean
edge_row_decode(WireBytes key, WireBytes value, EdgeRow *ret_row)
{
    const gsize around = EDGE_ROW_HEAD_BYTES + EDGE_ROW_CHECK_BYTES;
    if (!key_is(key, 'f', KEY_PAIR_BYTES) || value.len < around) {
        return FALSE;
    }
    guint64 head = get_u64(value.data);
    guint64 n = head >> 32;
    if ((guint32)head != EDGE_ROW_VERSION || n == 0 || n > EDGE_ROW_MAX ||
        value.len != around + n * EDGE_ROW_ENTRY_BYTES) {
        return FALSE;
    }
    gsize len = value.len - EDGE_ROW_CHECK_BYTES;
    guint32 check;
    memcpy(&check, value.data + len, sizeof check);
    ret_row->first = key_i64(key, KEY_PAIR_SECOND);
    ret_row->next = (gint64)get_u64(value.data + 8);
    ret_row->n = (guint)n;
    ret_row->entries = value.data + EDGE_ROW_HEAD_BYTES;
    return GUINT32_FROM_LE(check) == edge_row_check(key_i64(key, 1),
                                                    ret_row->first, value.data,
                                                    len) &&
           (ret_row->next == 0 || ret_row->next > ret_row->first);
}

EdgeEntry
edge_row_entry(const EdgeRow *row, guint at)
{
    const guint8 *entry = row->entries + at * EDGE_ROW_ENTRY_BYTES;
    return (EdgeEntry){(gint64)get_u64(entry), get_u64(entry + 8)};
}

guint
edge_row_find(const EdgeRow *row, gint64 followee)
{
    guint low = 0;
    guint high = row->n;
    while (low < high) {
        guint middle = (low + high) / 2;
        if (edge_row_entry(row, middle).followee < followee) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}
