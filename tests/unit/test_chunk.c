/* chunk.h: the codec of sealed inbox parts. */
#include "cell/chunk.h"

#include <string.h>

static const gint64 ids[] = {1,         2, 130, 131, G_GINT64_CONSTANT(1) << 40,
                             G_MAXINT64};

static GByteArray *
encoded(void)
{
    GByteArray *row = g_byte_array_new();
    chunk_encode(row, ids, G_N_ELEMENTS(ids), (ChunkPlace){5, 77});
    return row;
}

static gboolean
decode(const GByteArray *row, Chunk *ret_chunk)
{
    return chunk_decode((WireBytes){row->data, row->len}, ret_chunk);
}

/* What is encoded is decoded, the chain included. */
static void
test_round_trip(void)
{
    g_autoptr(GByteArray) row = encoded();
    Chunk chunk;
    g_assert_true(decode(row, &chunk));
    g_assert_cmpuint(chunk.n, ==, G_N_ELEMENTS(ids));
    g_assert_cmpint(chunk.before, ==, 77);
    g_assert_cmpuint(chunk.serial, ==, 5);
    g_assert_true(memcmp(chunk.ids, ids, sizeof ids) == 0);
}

/* A chunk may hold CHUNK_IDS_MAX ids, and one. */
static void
test_sizes(void)
{
    static const guint sizes[] = {1, 128, CHUNK_IDS_MAX};
    gint64 many[CHUNK_IDS_MAX];
    for (guint i = 0; i < CHUNK_IDS_MAX; i++) {
        many[i] = 5 + 3 * (gint64)i;
    }
    for (guint i = 0; i < G_N_ELEMENTS(sizes); i++) {
        g_autoptr(GByteArray) row = g_byte_array_new();
        Chunk chunk;
        chunk_encode(row, many, sizes[i], (ChunkPlace){1, 0});
        g_assert_true(decode(row, &chunk));
        g_assert_cmpuint(chunk.n, ==, sizes[i]);
        g_assert_true(memcmp(chunk.ids, many, chunk.n * sizeof *many) == 0);
    }
}

/* Every single flipped bit is noticed. */
static void
test_flipped_bits(void)
{
    g_autoptr(GByteArray) row = encoded();
    Chunk chunk;
    for (guint bit = 0; bit < row->len * 8; bit++) {
        row->data[bit / 8] ^= (guint8)(1 << bit % 8);
        g_assert_false(decode(row, &chunk));
        row->data[bit / 8] ^= (guint8)(1 << bit % 8);
    }
    g_assert_true(decode(row, &chunk));
}

/* Every truncation is noticed. */
static void
test_truncated(void)
{
    g_autoptr(GByteArray) row = encoded();
    Chunk chunk;
    for (guint len = 0; len < row->len; len++) {
        g_assert_false(chunk_decode((WireBytes){row->data, len}, &chunk));
    }
}

/* The format is durable: these bytes mean these ids for ever. */
static void
test_vector(void)
{
    static const guint8 want[] = {2, 3, 0, 7, 0, 0,    0,    9,    0,
                                  0, 0, 0, 0, 0, 0,    5,    0,    0x60,
                                  0, 0, 0, 0, 0, 0x0a, 0x81, 0x01, 7};
    /* 3 ms and 5; 5 ms later, the same low bits; 64 ms later, low bits 7 */
    const gint64 three[] = {(3 << 21) + 5, (8 << 21) + 5, (72 << 21) + 7};
    g_autoptr(GByteArray) row = g_byte_array_new();
    chunk_encode(row, three, 3, (ChunkPlace){7, 9});
    g_assert_cmpuint(row->len, ==, sizeof want + 4);
    g_assert_true(memcmp(row->data, want, sizeof want) == 0);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/chunk/round-trip", test_round_trip);
    g_test_add_func("/chunk/sizes", test_sizes);
    g_test_add_func("/chunk/flipped-bits", test_flipped_bits);
    g_test_add_func("/chunk/truncated", test_truncated);
    g_test_add_func("/chunk/vector", test_vector);
    return g_test_run();
}
