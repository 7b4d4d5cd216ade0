/*
 * fuzz_cursor.c - cursors: bytes as a place, and bytes as a cursor's text
 *
 * The first byte says as what. As a place: what is written is read again as
 * it was, is foreign to every other user and call, and with one character
 * changed it is never a good one. As text: what is accepted is written again
 * as the same text. A check that random bytes never have is put right first.
 */
#include "cell/cursor.h"
#include "ops/kit/ensure.h"

#include <string.h>
#include <xxhash.h>

#define BODY_BYTES 18
#define PLACE_BYTES 20
/* Where in the text the user is, and its digits. */
#define USER_AT 4
#define USER_DIGITS 16

int LLVMFuzzerTestOneInput(const guint8 *data, size_t len);

static WireBytes
as_bytes(const char *text)
{
    return (WireBytes){(const guint8 *)text, strlen(text)};
}

static gint64
take_i64(const guint8 *at)
{
    gint64 value;

    memcpy(&value, at, sizeof value);
    return value;
}

/* One character of @text changed: it is told, whatever the change. */
static void
check_damage(const char *text, guint8 where, guint8 what, UserId user)
{
    char changed[CURSOR_TEXT_BYTES + 1];
    gint64 id;

    memcpy(changed, text, sizeof changed);
    changed[where % CURSOR_TEXT_BYTES] = (char)what;
    if (memcmp(changed, text, sizeof changed) != 0) {
        WireBytes bytes = {(const guint8 *)changed, CURSOR_TEXT_BYTES};

        for (CursorKind kind = CURSOR_DASHBOARD; kind <= CURSOR_TIMELINE;
             kind++) {
            ensure(cursor_read(bytes, kind, user, &id) == CURSOR_DAMAGED);
        }
    }
}

/* Kind, user, id, and a change of the text. */
static void
try_place(const guint8 *data, gsize len)
{
    char text[CURSOR_TEXT_BYTES + 1];
    gint64 got;

    if (len < PLACE_BYTES) {
        return;
    }
    CursorKind kind = (data[0] & 1) != 0 ? CURSOR_DASHBOARD : CURSOR_TIMELINE;
    CursorKind other =
        kind == CURSOR_DASHBOARD ? CURSOR_TIMELINE : CURSOR_DASHBOARD;
    UserId user = {take_i64(data + 1)};
    gint64 id = take_i64(data + 9) & G_MAXINT64;

    cursor_write(kind, user, id, text);
    ensure(strlen(text) == CURSOR_TEXT_BYTES);
    ensure(cursor_read(as_bytes(text), kind, user, &got) == CURSOR_GOOD);
    ensure(got == id);
    ensure(cursor_read(as_bytes(text), other, user, &got) == CURSOR_FOREIGN);
    ensure(cursor_read(as_bytes(text), kind, (UserId){user.v ^ 1}, &got) ==
           CURSOR_FOREIGN);
    check_damage(text, data[17], data[18], user);
    ensure(cursor_read((WireBytes){(const guint8 *)text, data[19] % 50}, kind,
                       user, &got) == CURSOR_DAMAGED);
}

/* The user that @text says it is of; 0 where those are no digits. */
static UserId
user_in(WireBytes text)
{
    guint64 user = 0;

    if (text.len < USER_AT + USER_DIGITS) {
        return (UserId){0};
    }
    for (guint i = 0; i < USER_DIGITS; i++) {
        gint digit = g_ascii_xdigit_value((char)text.data[USER_AT + i]);

        user = user << 4 | (guint64)MAX(digit, 0);
    }
    return (UserId){(gint64)user};
}

static void
try_text(const guint8 *data, gsize len)
{
    WireBytes text = {data, len};
    UserId user = user_in(text);
    char again[CURSOR_TEXT_BYTES + 1];
    gint64 id;

    for (CursorKind kind = CURSOR_DASHBOARD; kind <= CURSOR_TIMELINE; kind++) {
        if (cursor_read(text, kind, user, &id) == CURSOR_GOOD) {
            ensure(id >= 0);
            cursor_write(kind, user, id, again);
            ensure(len == CURSOR_TEXT_BYTES && memcmp(again, data, len) == 0);
        }
    }
}

/* What a cursor has before its check: the text with a good check is tried. */
static void
try_body(const guint8 *data, gsize len)
{
    GString *text;

    if (len < BODY_BYTES) {
        return;
    }
    text = g_string_new(NULL);
    for (guint i = 0; i < BODY_BYTES; i++) {
        g_string_append_printf(text, "%02x", data[i]);
    }
    g_string_append_printf(text, "%014" G_GINT64_MODIFIER "x",
                           (guint64)XXH64(data, BODY_BYTES, 0) >> 8);
    try_text((const guint8 *)text->str, text->len);
    g_string_free(text, TRUE);
}

int
LLVMFuzzerTestOneInput(const guint8 *data, size_t len)
{
    static void (*const tries[])(const guint8 *data,
                                 gsize len) = {try_place, try_text, try_body};

    if (len > 0) {
        tries[data[0] % G_N_ELEMENTS(tries)](data + 1, len - 1);
    }
    return 0;
}
