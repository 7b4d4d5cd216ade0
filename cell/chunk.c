#include "cell/chunk.h"

#include "cell/idrun.h"
#include "ops/kit/ensure.h"

#include <string.h>
#include <xxhash.h>

#define CHUNK_VERSION 2
#define CHUNK_HEAD_BYTES (1 + 2 + 4 + 8 + 8)
#define CHUNK_CHECK_BYTES 4

void
chunk_encode_run(GByteArray *out, gint64 first, WireBytes steps, guint n,
                 ChunkPlace place)
{
    ensure(n > 0 && n <= CHUNK_IDS_MAX);
    gsize start = out->len;
    guint8 version = CHUNK_VERSION;
    guint16 n_le = GUINT16_TO_LE((guint16)n);
    guint32 serial_le = GUINT32_TO_LE(place.serial);
    gint64 ends_le[2] = {GINT64_TO_LE(place.before), GINT64_TO_LE(first)};
    g_byte_array_append(out, &version, sizeof version);
    g_byte_array_append(out, (guint8 *)&n_le, sizeof n_le);
    g_byte_array_append(out, (guint8 *)&serial_le, sizeof serial_le);
    g_byte_array_append(out, (guint8 *)ends_le, sizeof ends_le);
    g_byte_array_append(out, steps.data, (guint)steps.len);
    guint32 check = XXH32(out->data + start, out->len - start, 0);
    check = GUINT32_TO_LE(check);
    g_byte_array_append(out, (guint8 *)&check, sizeof check);
}

void
chunk_encode(GByteArray *out, const gint64 *ids, guint n, ChunkPlace place)
{
    guint8 steps[CHUNK_IDS_MAX * IDRUN_STEP_BYTES_MAX];
    gsize bytes = 0;
    ensure(n > 0 && n <= CHUNK_IDS_MAX);
    for (guint i = 1; i < n; i++) {
        ensure(ids[i] > ids[i - 1]);
        bytes += idrun_put(steps + bytes, ids[i - 1], ids[i]);
    }
    chunk_encode_run(out, ids[0], (WireBytes){steps, bytes}, n, place);
}

static gint64
chunk_i64_at(const guint8 *at)
{
    gint64 le;
    memcpy(&le, at, sizeof le);
    return GINT64_FROM_LE(le);
}

static gboolean
chunk_get_ids(const guint8 *at, const guint8 *end, Chunk *chunk)
{
    for (guint i = 1; i < chunk->n; i++) {
        chunk->ids[i] = idrun_get(&at, end, chunk->ids[i - 1]);
        if (chunk->ids[i] == 0) {
            return FALSE;
        }
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
    memcpy(&ret_chunk->serial, bytes.data + 3, sizeof ret_chunk->serial);
    ret_chunk->n = GUINT16_FROM_LE(n);
    ret_chunk->serial = GUINT32_FROM_LE(ret_chunk->serial);
    ret_chunk->before = chunk_i64_at(bytes.data + 7);
    ret_chunk->ids[0] = chunk_i64_at(bytes.data + 15);
    return ret_chunk->n > 0 && ret_chunk->n <= CHUNK_IDS_MAX &&
           ret_chunk->ids[0] > 0 &&
           chunk_get_ids(bytes.data + CHUNK_HEAD_BYTES, end, ret_chunk);
}
