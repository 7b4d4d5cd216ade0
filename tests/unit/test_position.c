/* Positions: what goes out comes back, and nothing else passes. */
#include "firehose/position.h"

#include <string.h>

/* Partition and offset survive at both ends of their ranges. */
static void
test_round(void)
{
    static const Position cases[] = {
        {0, 0}, {7, 123456789}, {G_MAXUINT32, G_MAXUINT64}};
    guint32 check = position_check("cluster/topic");

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        guint8 bytes[POSITION_BYTES];
        Position back;

        position_encode(cases[i], check, bytes);
        g_assert_cmpint(
            position_decode((WireBytes){bytes, sizeof(bytes)}, check, &back),
            ==, POSITION_OK);
        g_assert_cmpuint(back.partition, ==, cases[i].partition);
        g_assert_cmpuint(back.offset, ==, cases[i].offset);
    }
}

/* The bytes are what the header says: clients keep them for years. */
static void
test_format(void)
{
    static const guint8 expected[13] = {1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 1, 3};
    guint8 bytes[POSITION_BYTES];

    position_encode((Position){2, 0x103}, 0xaabbccdd, bytes);
    g_assert_true(memcmp(bytes, expected, 13) == 0);
    g_assert_true(memcmp(bytes + 13, "\xaa\xbb\xcc\xdd", 4) == 0);
}

/* Another log's position is told from nonsense. */
static void
test_refused(void)
{
    guint32 check = position_check("a");
    guint8 bytes[POSITION_BYTES + 1] = {0};
    Position back;

    g_assert_cmpuint(check, !=, position_check("b"));
    position_encode((Position){1, 2}, check, bytes);
    g_assert_cmpint(position_decode((WireBytes){bytes, POSITION_BYTES},
                                    position_check("b"), &back),
                    ==, POSITION_FOREIGN);
    for (gsize len = 0; len <= sizeof(bytes); len++) {
        g_assert_cmpint(
            position_decode((WireBytes){bytes, len}, check, &back), ==,
            len == POSITION_BYTES ? POSITION_OK : POSITION_MALFORMED);
    }
    bytes[0] = 2;
    g_assert_cmpint(
        position_decode((WireBytes){bytes, POSITION_BYTES}, check, &back), ==,
        POSITION_MALFORMED);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/position/round", test_round);
    g_test_add_func("/position/format", test_format);
    g_test_add_func("/position/refused", test_refused);
    return g_test_run();
}
