#include "cell/chunk.h"

#include "ops/kit/ensure.h"

#include <string.h>
#include <xxhash.h>

#define CHUNK_VERSION 1
#define CHUNK_HEAD_BYTES (1 + 2 + 8 + 8)
#define CHUNK_CHECK_BYTES 4

static void
chunk_put_step(GByteArray *out, guint64 step)
{
    guint8 bytes[10];
    guint n = 0;
    for (; step >= 0x80; step >>= 7) {
        bytes[n++] = (guint8)(step | 0x80);
    }
    bytes[n++] = (guint8)step;
    g_byte_array_append(out, bytes, n);
}

/* The varint at *at; 0, which no step is, where there is none. */
static guint64
chunk_get_step(const guint8 **at, const guint8 *end)
{
    guint64 step = 0;
    for (guint shift = 0; shift < 63 && *at < end; shift += 7) {
        guint8 byte = *(*at)++;
        step |= (guint64)(byte & 0x7f) << shift;
        if ((byte & 0x80) == 0) {
            return step;
        }
    }
    return 0;
}

void
chunk_encode(GByteArray *out, const gint64 *ids, guint n, gint64 before)
{
    ensure(n > 0 && n <= CHUNK_IDS_MAX);
    gsize start = out->len;
    guint8 version = CHUNK_VERSION;
    guint16 n_le = GUINT16_TO_LE((guint16)n);
    gint64 before_le = GINT64_TO_LE(before);
    gint64 first_le = GINT64_TO_LE(ids[0]);
    g_byte_array_append(out, &version, sizeof version);
    g_byte_array_append(out, (guint8 *)&n_le, sizeof n_le);
    g_byte_array_append(out, (guint8 *)&before_le, sizeof before_le);
    g_byte_array_append(out, (guint8 *)&first_le, sizeof first_le);
    for (guint i = 1; i < n; i++) {
        ensure(ids[i] > ids[i - 1]);
        chunk_put_step(out, (guint64)(ids[i] - ids[i - 1]));
    }
    guint32 check = XXH32(out->data + start, out->len - start, 0);
    check = GUINT32_TO_LE(check);
    g_byte_array_append(out, (guint8 *)&check, sizeof check);
}

static gboolean
chunk_get_steps(const guint8 *at, const guint8 *end, Chunk *chunk)
{
    for (guint i = 1; i < chunk->n; i++) {
        guint64 step = chunk_get_step(&at, end);
        gint64 last = chunk->ids[i - 1];
        if (step == 0 || step > (guint64)(G_MAXINT64 - last)) {
            return FALSE;
        }
        chunk->ids[i] = last + (gint64)step;
    }
    return at == end;
}

gboolean
chunk_decode(WireBytes bytes, Chunk *ret_chunk)
{
    if (bytes.len < CHUNK_HEAD_BYTES + CHUNK_CHECK_BYTES ||
        bytes.data[0] != CHUNK_VERSION) {
        return FALSE;
    }
    const guint8 *end = bytes.data + bytes.len - CHUNK_CHECK_BYTES;
    guint32 check;
    memcpy(&check, end, sizeof check);
    if (GUINT32_FROM_LE(check) !=
        XXH32(bytes.data, bytes.len - CHUNK_CHECK_BYTES, 0)) {
        return FALSE;
    }
    guint16 n;
    memcpy(&n, bytes.data + 1, sizeof n);
    ret_chunk->n = GUINT16_FROM_LE(n);
    memcpy(&ret_chunk->before, bytes.data + 3, sizeof ret_chunk->before);
    ret_chunk->before = GINT64_FROM_LE(ret_chunk->before);
    memcpy(&ret_chunk->ids[0], bytes.data + 11, sizeof ret_chunk->ids[0]);
    ret_chunk->ids[0] = GINT64_FROM_LE(ret_chunk->ids[0]);
    return ret_chunk->n > 0 && ret_chunk->n <= CHUNK_IDS_MAX &&
           ret_chunk->ids[0] > 0 &&
           chunk_get_steps(bytes.data + CHUNK_HEAD_BYTES, end, ret_chunk);
}
