/*
 * fuzz_rows.c - any bytes as what a cell reads back from its disk
 *
 * The first byte says as what: a run of ids, a chunk, an edge row, a cursor.
 * Rows carry a check that random bytes never have, so it is put right first:
 * a check that happens to fit must not be all that stands before a crash. What
 * is taken must be as promised.
 */
#include "cell/chunk.h"
#include "cell/cursor.h"
#include "cell/edgerow.h"
#include "cell/idrun.h"
#include "cell/key.h"
#include "ops/kit/ensure.h"

#include <string.h>
#include <xxhash.h>

#define IDS_MAX_HERE 512

int LLVMFuzzerTestOneInput(const guint8 *data, size_t len);

static void
check_ascending(const gint64 *ids, guint n)
{
    for (guint i = 0; i < n; i++) {
        ensure(ids[i] > (i > 0 ? ids[i - 1] : 0));
    }
}

static void
try_run(const guint8 *data, gsize len)
{
    gint64 ids[IDS_MAX_HERE];
    guint n = len > 0 ? data[0] + 1u : 1;
    if (len > 0 && idrun_decode(data + 1, data + len, n, ids)) {
        IdCut cut;
        check_ascending(ids, n);
        ensure(idrun_cut(data + 1, len - 1, n, &cut));
        ensure(cut.first == ids[0] && cut.last == ids[n - 1]);
        ensure(cut.at == len - 1);
    }
}

/* @data with the XXH32 that its reader will ask for. */
static GByteArray *
with_check(const guint8 *data, gsize len, guint32 seed)
{
    GByteArray *row = g_byte_array_new();
    g_byte_array_append(row, data, (guint)len);
    guint32 check = GUINT32_TO_LE(XXH32(row->data, row->len, seed));
    g_byte_array_append(row, (guint8 *)&check, sizeof check);
    return row;
}

static void
try_chunk(const guint8 *data, gsize len)
{
    g_autoptr(GByteArray) row = with_check(data, len, 0);
    Chunk chunk;
    if (chunk_decode((WireBytes){row->data, row->len}, &chunk)) {
        check_ascending(chunk.ids, chunk.n);
        g_autoptr(GByteArray) again = g_byte_array_new();
        chunk_encode(again, chunk.ids, chunk.n,
                     (ChunkPlace){chunk.serial, chunk.before});
        Chunk same;
        ensure(chunk_decode((WireBytes){again->data, again->len}, &same));
        ensure(same.n == chunk.n && same.before == chunk.before);
        ensure(memcmp(same.ids, chunk.ids, chunk.n * sizeof *chunk.ids) == 0);
    }
}

static void
try_edges(const guint8 *data, gsize len)
{
    Key key = key_edges((UserId){7}, (UserId){0});
    /* As edgerow.c seeds it from follower and first. */
    guint64 seed = 7 * G_GUINT64_CONSTANT(0x9e3779b97f4a7c15);
    g_autoptr(GByteArray) row =
        with_check(data, len, (guint32)(seed ^ seed >> 32));
    EdgeRow edges;
    if (edge_row_decode((WireBytes){key.data, key.len},
                        (WireBytes){row->data, row->len}, &edges)) {
        ensure(edges.n > 0 && edges.n <= EDGE_ROW_MAX);
        for (guint i = 0; i < edges.n; i++) {
            EdgeEntry entry = edge_row_entry(&edges, i);
            ensure(edge_row_find(&edges, entry.followee) <= edges.n);
        }
    }
}

static void
try_cursor(const guint8 *data, gsize len)
{
    gint64 id;
    char text[CURSOR_TEXT_BYTES + 1];
    if (cursor_read((WireBytes){data, len}, CURSOR_DASHBOARD, (UserId){7},
                    &id) == CURSOR_GOOD) {
        cursor_write(CURSOR_DASHBOARD, (UserId){7}, id, text);
        ensure(len == CURSOR_TEXT_BYTES && memcmp(text, data, len) == 0);
    }
}

int
LLVMFuzzerTestOneInput(const guint8 *data, size_t len)
{
    static void (*const tries[])(const guint8 *data, gsize len) = {
        try_run, try_chunk, try_edges, try_cursor};
    if (len > 0) {
        tries[data[0] % G_N_ELEMENTS(tries)](data + 1, len - 1);
    }
    return 0;
}
