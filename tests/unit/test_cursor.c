/* cursor.h: places as text. */
#include "cell/cursor.h"

#include <string.h>

static const UserId reader = {G_GINT64_CONSTANT(0x1122334455667788)};

static CursorOutcome
read_text(const char *text, CursorKind kind, UserId user, gint64 *ret_id)
{
    WireBytes bytes = {(const guint8 *)text, strlen(text)};
    return cursor_read(bytes, kind, user, ret_id);
}

/* A cursor gives back its place. */
static void
test_round_trip(void)
{
    static const gint64 ids[] = {0, 1, 1700000000000, G_MAXINT64};
    for (guint i = 0; i < G_N_ELEMENTS(ids); i++) {
        char text[CURSOR_TEXT_BYTES + 1];
        gint64 id = -1;
        cursor_write(CURSOR_DASHBOARD, reader, ids[i], text);
        g_assert_cmpint(read_text(text, CURSOR_DASHBOARD, reader, &id), ==,
                        CURSOR_GOOD);
        g_assert_cmpint(id, ==, ids[i]);
    }
}

/* Another user's cursor, or another call's, is told from a damaged one. */
static void
test_foreign(void)
{
    char text[CURSOR_TEXT_BYTES + 1];
    gint64 id;
    cursor_write(CURSOR_DASHBOARD, reader, 5, text);
    g_assert_cmpint(read_text(text, CURSOR_DASHBOARD, (UserId){1}, &id), ==,
                    CURSOR_FOREIGN);
    g_assert_cmpint(read_text(text, CURSOR_TIMELINE, reader, &id), ==,
                    CURSOR_FOREIGN);
}

/* Every changed character is noticed, upper case included. */
static void
test_damaged(void)
{
    char text[CURSOR_TEXT_BYTES + 1];
    gint64 id;
    cursor_write(CURSOR_DASHBOARD, reader, 123456789, text);
    for (guint i = 0; i < CURSOR_TEXT_BYTES; i++) {
        for (int c = 1; c < 256; c++) {
            char was = text[i];
            if ((char)c == was) {
                continue;
            }
            text[i] = (char)c;
            g_assert_cmpint(read_text(text, CURSOR_DASHBOARD, reader, &id), ==,
                            CURSOR_DAMAGED);
            text[i] = was;
        }
    }
    g_assert_cmpint(read_text("", CURSOR_DASHBOARD, reader, &id), ==,
                    CURSOR_DAMAGED);
    g_assert_cmpint(read_text("00", CURSOR_DASHBOARD, reader, &id), ==,
                    CURSOR_DAMAGED);
}

/* Clients keep cursors for weeks: the form stays. */
static void
test_vector(void)
{
    char text[CURSOR_TEXT_BYTES + 1];
    cursor_write(CURSOR_TIMELINE, reader, 258, text);
    g_assert_true(
        g_str_has_prefix(text, "010211223344556677880000000000000102"));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/cursor/round-trip", test_round_trip);
    g_test_add_func("/cursor/foreign", test_foreign);
    g_test_add_func("/cursor/damaged", test_damaged);
    g_test_add_func("/cursor/vector", test_vector);
    return g_test_run();
}
