/*
 * One comes with every line of a stream, so writing costs no allocation. One
 * is read once a stream, so reading is strict the simple way: what was
 * understood is written again and must be the same text. No two texts mean
 * one place, and nothing is left over.
 */
#include "firehose/bookmark.h"

#include "firehose/log.h"
#include "ops/kit/ensure.h"

#include <string.h>

#define BOOKMARK_VERSION 2
#define BOOKMARK_VERSION_SOME 3
#define NUMBER_BYTES_MAX 10 /* LEB128 of 64 bits */
#define BYTES_MAX (5 + NUMBER_BYTES_MAX * (1 + BOOKMARK_PARTITIONS_MAX))
#define TEXT_MAX (BYTES_MAX * 4 / 3 + 8)

static guint8 *
put_number(guint8 *at, guint64 number)
{
    while (number >= 0x80) {
        *at++ = (guint8)(number | 0x80);
        number >>= 7;
    }
    *at++ = (guint8)number;
    return at;
}

/* FALSE: the bytes end in the middle, or it has more than 64 bits. */
static gboolean
take_number(const guint8 **at, const guint8 *end, guint64 *ret_number)
{
    guint64 number = 0;

    for (guint shift = 0; shift < 64 && *at < end; shift += 7) {
        guint8 byte = *(*at)++;

        number |= (guint64)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *ret_number = number;
            return TRUE;
        }
    }
    return FALSE;
}

/* Appends base64url of RFC 4648, which GLib lacks, without padding. */
static void
append_text(GString *out, const guint8 *bytes, gsize len)
{
    char text[TEXT_MAX];
    gint state = 0;
    gint save = 0;
    gsize n = g_base64_encode_step(bytes, len, FALSE, text, &state, &save);

    n += g_base64_encode_close(FALSE, text + n, &state, &save);
    while (n > 0 && text[n - 1] == '=') {
        n--;
    }
    for (gsize i = 0; i < n; i++) {
        text[i] = text[i] == '+' ? '-' : text[i] == '/' ? '_' : text[i];
    }
    g_string_append_len(out, text, (gssize)n);
}

/* The bytes of base64url; forgiving, the caller compares. At most BYTES_MAX. */
static gsize
text_bytes(WireBytes text, guint8 *ret_bytes)
{
    char plain[TEXT_MAX];
    gint state = 0;
    guint save = 0;

    for (gsize i = 0; i < text.len; i++) {
        char c = (char)text.data[i];

        plain[i] = c == '-' ? '+' : c == '_' ? '/' : c;
    }
    gsize n = g_base64_decode_step(plain, text.len, ret_bytes, &state, &save);
    return n + g_base64_decode_step("==", (4 - text.len % 4) % 4, ret_bytes + n,
                                    &state, &save);
}

static gboolean
lacks_some(const guint64 *next, guint n)
{
    for (guint i = 0; i < n; i++) {
        if (next[i] == LOG_NO_PLACE) {
            return TRUE;
        }
    }
    return FALSE;
}

void
bookmark_write(GString *out, const guint64 *next, guint n, guint32 check)
{
    guint8 bytes[BYTES_MAX];
    guint32 check_be = GUINT32_TO_BE(check);
    gboolean some = lacks_some(next, n);
    guint8 *at = bytes;

    ensure(n <= BOOKMARK_PARTITIONS_MAX);
    *at++ = some ? BOOKMARK_VERSION_SOME : BOOKMARK_VERSION;
    memcpy(at, &check_be, sizeof(check_be));
    at = put_number(at + sizeof(check_be), n);
    for (guint i = 0; i < n; i++) {
        at = put_number(at, some ? next[i] + 1 : next[i]);
    }
    append_text(out, bytes, (gsize)(at - bytes));
}

static BookmarkOutcome
read_event(WireBytes bytes, guint32 check, Position *ret_event)
{
    switch (position_decode(bytes, check, ret_event)) {
    case POSITION_OK:
        return BOOKMARK_EVENT;
    case POSITION_FOREIGN:
        return BOOKMARK_FOREIGN;
    case POSITION_MALFORMED:
    default:
        return BOOKMARK_MALFORMED;
    }
}

static BookmarkOutcome
read_all(WireBytes bytes, guint32 check, guint n, guint64 *ret_next)
{
    const guint8 *at = bytes.data;
    const guint8 *end = at + bytes.len;
    guint64 partitions;
    guint32 theirs;
    gboolean some;

    if (bytes.len < 1 + sizeof(theirs) ||
        (*at != BOOKMARK_VERSION && *at != BOOKMARK_VERSION_SOME)) {
        return BOOKMARK_MALFORMED;
    }
    some = *at == BOOKMARK_VERSION_SOME;
    memcpy(&theirs, at + 1, sizeof(theirs));
    if (GUINT32_FROM_BE(theirs) != check) {
        return BOOKMARK_FOREIGN;
    }
    at += 1 + sizeof(theirs);
    if (!take_number(&at, end, &partitions) || partitions != n) {
        return BOOKMARK_MALFORMED;
    }
    for (guint i = 0; i < n; i++) {
        if (!take_number(&at, end, &ret_next[i])) {
            return BOOKMARK_MALFORMED;
        }
        ret_next[i] = some ? ret_next[i] - 1 : ret_next[i];
    }
    return some ? BOOKMARK_SOME : BOOKMARK_ALL;
}

static gboolean
is_text_of(WireBytes text, const GString *again)
{
    return text.len == again->len &&
           memcmp(text.data, again->str, text.len) == 0;
}

BookmarkOutcome
bookmark_read(WireBytes text, guint32 check, guint n, guint64 *ret_next,
              Position *ret_event)
{
    g_autoptr(GString) again = g_string_new(NULL);
    guint8 bytes[BYTES_MAX + 8];
    BookmarkOutcome outcome;
    gsize len;

    if (text.len == POSITION_BYTES && text.data[0] < ' ') {
        return read_event(text, check, ret_event);
    }
    if (text.len < 2 || text.len > BYTES_MAX * 4 / 3) {
        return BOOKMARK_MALFORMED;
    }
    len = text_bytes(text, bytes);
    if (len == POSITION_BYTES && bytes[0] < BOOKMARK_VERSION) {
        append_text(again, bytes, len);
        outcome = read_event((WireBytes){bytes, len}, check, ret_event);
        return is_text_of(text, again) ? outcome : BOOKMARK_MALFORMED;
    }
    outcome = read_all((WireBytes){bytes, len}, check, n, ret_next);
    if (outcome == BOOKMARK_ALL || outcome == BOOKMARK_SOME) {
        bookmark_write(again, ret_next, n, check);
        return is_text_of(text, again) ? outcome : BOOKMARK_MALFORMED;
    }
    return outcome;
}
