/*
 * test_limits.c - limits.h says what the IDL says
 */
#include "thrift/limits.h"

#include <comb_types_types.h>
#include <glib.h>

/* Each bound of limits.h is the constant of types.thrift. */
static void
test_equal(void)
{
    static const struct {
        const char *name;
        gint64 ours;
        gint64 theirs;
    } table[] = {
        {"page limit default", PAGE_LIMIT_DEFAULT, COMB_PAGE_LIMIT_DEFAULT},
        {"page limit max", PAGE_LIMIT_MAX, COMB_PAGE_LIMIT_MAX},
        {"posts max", POSTS_MAX, COMB_POSTS_MAX},
        {"body bytes max", BODY_BYTES_MAX, COMB_BODY_BYTES_MAX},
        {"tags max", TAGS_MAX, COMB_TAGS_MAX},
        {"tag bytes max", TAG_BYTES_MAX, COMB_TAG_BYTES_MAX},
        {"batch events max", BATCH_EVENTS_MAX, COMB_BATCH_EVENTS_MAX},
        {"ids max", IDS_MAX, COMB_IDS_MAX},
        {"fetch events default", FETCH_EVENTS_DEFAULT,
         COMB_FETCH_EVENTS_DEFAULT},
        {"fetch events max", FETCH_EVENTS_MAX, COMB_FETCH_EVENTS_MAX},
        {"fetch authors max", FETCH_AUTHORS_MAX, COMB_FETCH_AUTHORS_MAX},
        {"client id bytes max", CLIENT_ID_BYTES_MAX, COMB_CLIENT_ID_BYTES_MAX},
        {"at least max", AT_LEAST_MAX, COMB_AT_LEAST_MAX},
        {"quarantine max", QUARANTINE_MAX, COMB_QUARANTINE_MAX},
        {"at least wait ms max", AT_LEAST_WAIT_MS_MAX,
         COMB_AT_LEAST_WAIT_MS_MAX},
        {"frame bytes max", FRAME_BYTES_MAX, COMB_FRAME_BYTES_MAX},
        {"slots", SLOTS, COMB_SLOTS},
        {"cells: one slot each at most", CELL_MAX, COMB_SLOTS - 1},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(table); i++) {
        g_test_message("%s", table[i].name);
        g_assert_cmpint(table[i].ours, ==, table[i].theirs);
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/limits/equal", test_equal);
    return g_test_run();
}
