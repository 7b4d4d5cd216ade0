#include "cell/cursor.h"

#include <string.h>
#include <xxhash.h>

#define CURSOR_VERSION 1
#define CURSOR_BODY_BYTES 18
#define CURSOR_BYTES (CURSOR_TEXT_BYTES / 2)

static void
cursor_put_be(guint8 *at, guint64 v, guint bytes)
{
    for (guint i = 0; i < bytes; i++) {
        at[i] = (guint8)(v >> (8 * (bytes - 1 - i)));
    }
}

static guint64
cursor_get_be(const guint8 *at, guint bytes)
{
    guint64 v = 0;
    for (guint i = 0; i < bytes; i++) {
        v = v << 8 | at[i];
    }
    return v;
}

static guint64
cursor_check(const guint8 *bytes)
{
    return XXH64(bytes, CURSOR_BODY_BYTES, 0) >> 8;
}

void
cursor_write(CursorKind kind, UserId user, gint64 id,
             char ret_text[CURSOR_TEXT_BYTES + 1])
{
    static const char digits[] = "0123456789abcdef";
    guint8 bytes[CURSOR_BYTES];
    bytes[0] = CURSOR_VERSION;
    bytes[1] = (guint8)kind;
    cursor_put_be(bytes + 2, (guint64)user.v, 8);
    cursor_put_be(bytes + 10, (guint64)id, 8);
    cursor_put_be(bytes + CURSOR_BODY_BYTES, cursor_check(bytes), 7);
    for (guint i = 0; i < CURSOR_BYTES; i++) {
        ret_text[2 * i] = digits[bytes[i] >> 4];
        ret_text[2 * i + 1] = digits[bytes[i] & 15];
    }
    ret_text[CURSOR_TEXT_BYTES] = '\0';
}

/* Only the digits we write: no second spelling of one place. */
static gint
cursor_digit(guint8 c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static gboolean
cursor_unhex(WireBytes text, guint8 ret_bytes[CURSOR_BYTES])
{
    if (text.len != CURSOR_TEXT_BYTES) {
        return FALSE;
    }
    for (guint i = 0; i < CURSOR_BYTES; i++) {
        gint high = cursor_digit(text.data[2 * i]);
        gint low = cursor_digit(text.data[2 * i + 1]);
        if (high < 0 || low < 0) {
            return FALSE;
        }
        ret_bytes[i] = (guint8)(high << 4 | low);
    }
    return TRUE;
}

CursorOutcome
cursor_read(WireBytes text, CursorKind kind, UserId user, gint64 *ret_id)
{
    guint8 bytes[CURSOR_BYTES];
    if (!cursor_unhex(text, bytes) || bytes[0] != CURSOR_VERSION ||
        cursor_get_be(bytes + CURSOR_BODY_BYTES, 7) != cursor_check(bytes)) {
        return CURSOR_DAMAGED;
    }
    gint64 id = (gint64)cursor_get_be(bytes + 10, 8);
    if (id < 0) {
        return CURSOR_DAMAGED;
    }
    if (bytes[1] != (guint8)kind ||
        (gint64)cursor_get_be(bytes + 2, 8) != user.v) {
        return CURSOR_FOREIGN;
    }
    *ret_id = id;
    return CURSOR_GOOD;
}
