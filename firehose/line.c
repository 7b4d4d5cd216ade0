/*
 * Written by hand, because a stream writes some hundred thousand of these a
 * second: numbers without printf, strings in runs between what has to be
 * escaped. What is not valid UTF-8 never gets into a string (RFC 8259).
 */
#include "firehose/line.h"

#include <string.h>

static const char *const post_kinds[POST_KIND_MAX + 1] = {
    "?", "text", "photo", "quote", "link", "chat", "audio", "video", "answer",
};

static void
put_text(GString *out, const char *text)
{
    g_string_append_len(out, text, (gssize)strlen(text));
}

static void
put_number(GString *out, gint64 number)
{
    char digits[24];
    char *at = digits + sizeof digits;
    guint64 left = number < 0 ? 0 - (guint64)number : (guint64)number;

    do {
        *--at = (char)('0' + left % 10);
        left /= 10;
    } while (left > 0);
    if (number < 0) {
        *--at = '-';
    }
    g_string_append_len(out, at, digits + sizeof digits - at);
}

/* ,"key":1 - @key comes with quotes, comma and colon. */
static void
put_member(GString *out, const char *key, gint64 number)
{
    put_text(out, key);
    put_number(out, number);
}

static gboolean
is_plain(guint8 c)
{
    return c >= ' ' && c != '"' && c != '\\';
}

static void
put_escaped(GString *out, guint8 c)
{
    switch (c) {
    case '"':
    case '\\':
        g_string_append_c(out, '\\');
        g_string_append_c(out, (char)c);
        break;
    case '\n':
        put_text(out, "\\n");
        break;
    case '\t':
        put_text(out, "\\t");
        break;
    default:
        g_string_append_printf(out, "\\u%04x", c);
        break;
    }
}

/* @bytes are UTF-8. */
static void
put_string(GString *out, WireBytes bytes)
{
    gsize from = 0;

    g_string_append_c(out, '"');
    for (gsize i = 0; i < bytes.len; i++) {
        if (is_plain(bytes.data[i])) {
            continue;
        }
        g_string_append_len(out, (const char *)bytes.data + from,
                            (gssize)(i - from));
        put_escaped(out, bytes.data[i]);
        from = i + 1;
    }
    g_string_append_len(out, (const char *)bytes.data + from,
                        (gssize)(bytes.len - from));
    g_string_append_c(out, '"');
}

/* Any text, from wherever it is. */
static void
put_any(GString *out, const char *text)
{
    g_autofree char *valid = g_utf8_make_valid(text, -1);

    put_string(out, (WireBytes){(const guint8 *)valid, strlen(valid)});
}

static void
put_body(GString *out, WireBytes body)
{
    if (body.data == NULL) {
        return;
    }
    if (g_utf8_validate_len((const char *)body.data, body.len, NULL)) {
        put_text(out, ",\"body\":");
        put_string(out, body);
        return;
    }
    g_autofree char *text = g_base64_encode(body.data, body.len);
    put_text(out, ",\"body_base64\":\"");
    put_text(out, text);
    g_string_append_c(out, '"');
}

/* event_decode() has seen that they are UTF-8. */
static void
put_tags(GString *out, const Post *post)
{
    WireReader reader;

    if (post->n_tags == 0) {
        return;
    }
    wire_reader_init(&reader, post->tags.data, post->tags.len);
    put_text(out, ",\"tags\":");
    for (guint i = 0; i < post->n_tags; i++) {
        g_string_append_c(out, i == 0 ? '[' : ',');
        put_string(out, wire_read_bytes(&reader));
    }
    g_string_append_c(out, ']');
}

static void
put_post(GString *out, const Post *post)
{
    put_text(out, ",\"post_kind\":\"");
    put_text(out, post_kinds[post->kind]);
    g_string_append_c(out, '"');
    put_body(out, post->body);
    put_tags(out, post);
    if (post->reply_to.v != 0) {
        put_member(out, ",\"reply_to\":", post->reply_to.v);
    }
    if (post->reblog_of.v != 0) {
        put_member(out, ",\"reblog_of\":", post->reblog_of.v);
    }
}

static void
put_event(GString *out, const Event *event)
{
    put_text(out, event_kind_name((gint32)event->kind));
    put_member(out, "\",\"id\":", event->id.v);
    put_member(out, ",\"user\":", event->user.v);
    if (event->target_user.v != 0) {
        put_member(out, ",\"target\":", event->target_user.v);
    }
    if (event->target_post.v != 0) {
        put_member(out, ",\"post\":", event->target_post.v);
    }
    if (event->kind == EVENT_POST || event->kind == EVENT_EDIT) {
        put_post(out, &event->post);
    }
}

static void
put_position(GString *out, const GString *position)
{
    put_text(out, "{\"position\":\"");
    g_string_append_len(out, position->str, (gssize)position->len);
    g_string_append_c(out, '"');
}

void
line_write(GString *out, const TapItem *item, const GString *position)
{
    put_position(out, position);
    put_member(out, ",\"partition\":", item->record->partition);
    put_member(out, ",\"offset\":", (gint64)item->record->offset);
    put_member(out, ",\"logged_ms\":", item->record->timestamp_ms);
    put_text(out, ",\"kind\":\"");
    if (item->decoded) {
        put_event(out, &item->event);
    } else {
        put_text(out, "undecodable\",\"reason\":\"");
        put_text(out, item->fault.field);
        g_string_append_c(out, ' ');
        put_text(out, item->fault.reason);
        g_string_append_c(out, '"');
    }
    put_text(out, "}\n");
}

void
line_write_last(GString *out, const char *kind, const char *reason,
                const GString *position)
{
    put_position(out, position);
    put_text(out, ",\"kind\":\"");
    put_text(out, kind);
    put_text(out, "\",\"reason\":");
    put_any(out, reason);
    put_text(out, "}\n");
}

void
line_write_assigned(GString *out, const guint64 *next, guint n,
                    const GString *position)
{
    const char *before = "";

    put_position(out, position);
    put_text(out, ",\"kind\":\"assigned\",\"partitions\":[");
    for (guint i = 0; i < n; i++) {
        if (next[i] != LOG_NO_PLACE) {
            put_member(out, before, i);
            before = ",";
        }
    }
    put_text(out, "]}\n");
}

void
line_write_fault(GString *out, const char *field, const char *reason,
                 gint64 limit)
{
    put_text(out, "{");
    if (field != NULL) {
        put_text(out, "\"field\":");
        put_any(out, field);
        put_text(out, ",");
    }
    put_text(out, "\"reason\":");
    put_any(out, reason);
    if (limit >= 0) {
        put_member(out, ",\"limit\":", limit);
    }
    put_text(out, "}\n");
}
