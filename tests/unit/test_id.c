/*
 * test_id.c - the layout of ids and the naming of users
 */
#include "thrift/id.h"

#include <string.h>

/* An id holds its milliseconds, sequence and node at fixed places. */
static void
test_layout(void)
{
    g_assert_cmpint(id_make(0, 0, 1), ==, 1);
    g_assert_cmpint(id_make(0, 1, 0), ==, 256);
    g_assert_cmpint(id_make(1, 0, 0), ==, 1 << 21);
    g_assert_cmpint(id_make(1732269600123, 5, 7), ==,
                    (G_GINT64_CONSTANT(1732269600123) << 21) + 5 * 256 + 7);
    g_assert_cmpint(
        id_make((G_GINT64_CONSTANT(1) << 42) - 1, ID_SEQUENCE_MAX, ID_NODE_MAX),
        ==, G_MAXINT64);
}

/* The time comes back out, from 1970 to the last millisecond. */
static void
test_time(void)
{
    static const gint64 times[] = {0, 1, 841000000000, 1732269600123,
                                   (G_GINT64_CONSTANT(1) << 42) - 1};

    for (gsize i = 0; i < G_N_ELEMENTS(times); i++) {
        g_assert_cmpint(id_ms(id_make(times[i], 0, 0)), ==, times[i]);
        g_assert_cmpint(id_ms(id_make(times[i], ID_SEQUENCE_MAX, ID_NODE_MAX)),
                        ==, times[i]);
    }
}

/* A later millisecond is a greater id, whatever the sequence and node. */
static void
test_order(void)
{
    g_assert_cmpint(id_make(1000, ID_SEQUENCE_MAX, ID_NODE_MAX), <,
                    id_make(1001, 0, 0));
    g_assert_cmpint(id_make(1000, 1, ID_NODE_MAX), <, id_make(1000, 2, 0));
}

/* Names have the ids they always had: these may never be edited. */
static void
test_names(void)
{
    static const struct {
        const char *name;
        gint64 id;
    } table[] = {
        {"", 8018337217222601113},
        {"a", 5930894301504237147},
        {"libc6", 2896848566735019267},
        {"dpkg", 7730753409866330101},
        {"0ad", 3304417659757006029},
        {"python3.11-minimal", 5308050903968564549},
        {"Zo\xc3\xab", 6304431168280109521},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(table); i++) {
        const char *name = table[i].name;

        g_assert_cmpint(id_of_name(name, strlen(name)).v, ==, table[i].id);
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/id/layout", test_layout);
    g_test_add_func("/id/time", test_time);
    g_test_add_func("/id/order", test_order);
    g_test_add_func("/id/names", test_names);
    return g_test_run();
}
