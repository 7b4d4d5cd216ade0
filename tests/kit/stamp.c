/*
 * stamp.c - comb-stamp: what the real encoder makes of an event
 *
 *     echo 'ID HEX' | comb-stamp      {"key": HEX, "value": HEX}
 *     echo '- HEX' | comb-stamp       as a cell reads it, nothing stamped
 *
 * Each line is an event as a client encodes it, in hex, and the id that the
 * gateway would give it. A refusal is {"field", "reason", "limit"}.
 * tests/vectors/make.py writes the test vectors with it.
 */
#include "firehose/event.h"
#include "firehose/partition.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static GByteArray *
hex_read(const char *hex)
{
    GByteArray *bytes = g_byte_array_new();

    for (; g_ascii_isxdigit(hex[0]) && g_ascii_isxdigit(hex[1]); hex += 2) {
        guint8 byte = (guint8)(g_ascii_xdigit_value(hex[0]) * 16 +
                               g_ascii_xdigit_value(hex[1]));
        g_byte_array_append(bytes, &byte, 1);
    }
    return bytes;
}

static char *
hex_write(const guint8 *bytes, gsize len)
{
    GString *hex = g_string_new(NULL);

    for (gsize i = 0; i < len; i++) {
        g_string_append_printf(hex, "%02x", bytes[i]);
    }
    return g_string_free(hex, FALSE);
}

static json_t *
tell_fault(const EventFault *fault)
{
    return json_pack("{s:s, s:s, s:I}", "field", fault->field, "reason",
                     fault->reason, "limit", (json_int_t)fault->limit);
}

static json_t *
tell_event(const Event *event)
{
    guint8 key[PARTITION_KEY_BYTES];

    partition_key(event->user, key);
    g_autofree char *key_hex = hex_write(key, sizeof key);
    g_autofree char *value = hex_write(event->bytes.data, event->bytes.len);
    return json_pack("{s:s, s:s}", "key", key_hex, "value", value);
}

static json_t *
answer(const char *line)
{
    g_auto(GStrv) words = g_strsplit(line, " ", 2);
    g_autoptr(GByteArray) out = g_byte_array_new();
    Event event;
    EventFault fault;
    gboolean good;

    if (g_strv_length(words) != 2) {
        return json_null();
    }
    g_autoptr(GByteArray) in = hex_read(words[1]);
    if (strcmp(words[0], "-") == 0) {
        good = event_decode(in->data, in->len, &event, &fault);
    } else {
        EventId id = {g_ascii_strtoll(words[0], NULL, 10)};
        WireBytes bytes = {in->data, in->len};
        good = event_stamp(bytes, id, out, &event, &fault);
    }
    return good ? tell_event(&event) : tell_fault(&fault);
}

int
main(void)
{
    g_autofree char *line = NULL;
    size_t size = 0;

    while (getline(&line, &size, stdin) > 0) {
        json_auto_t *told = answer(line);
        json_dumpf(told, stdout, JSON_ENCODE_ANY);
        putchar('\n');
    }
    return 0;
}
