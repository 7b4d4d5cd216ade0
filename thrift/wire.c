/*
 * wire.c - Thrift's strict binary encoding as bytes
 *
 * A value is a few big-endian bytes, or a size and what it promises. Every
 * read goes through take(), which is the one place that compares with the
 * end of the input; nothing is ever read, counted or looped over that take()
 * or a size check did not allow first.
 *
 * The failure mode is quiet and sticky: a failed reader stays failed, gives
 * zeroes, and makes no progress, so that a caller's loop over fields or over
 * a list's elements ends by itself and the one look at @failed comes after.
 *
 * A list may announce 2^31 elements in five bytes. Each element takes at
 * least a byte, so the count is compared with the bytes that are left, and
 * work stays linear in the input. Nesting is counted instead of trusted to
 * the stack.
 *
 * A field twice in one struct is refused where a value is passed over: which
 * of the two counts is for nobody to guess, and generated c_glib code frees
 * the first of two binary ones wrongly.
 */
#include "thrift/wire.h"

#include "ops/kit/ensure.h"

#include <string.h>

/* The least bytes a value takes; 0: no such type. Where @fixed, exactly so
   many. Indexed by WireType. */
static const struct {
    guint8 bytes;
    gboolean fixed;
} type_size[WIRE_LIST + 1] = {
    [WIRE_BOOL] = {1, TRUE},    [WIRE_BYTE] = {1, TRUE},
    [WIRE_DOUBLE] = {8, TRUE},  [WIRE_I16] = {2, TRUE},
    [WIRE_I32] = {4, TRUE},     [WIRE_I64] = {8, TRUE},
    [WIRE_BINARY] = {4, FALSE}, [WIRE_STRUCT] = {1, FALSE},
    [WIRE_MAP] = {6, FALSE},    [WIRE_SET] = {5, FALSE},
    [WIRE_LIST] = {5, FALSE},
};

static gsize
bytes_left(const WireReader *reader)
{
    return (gsize)(reader->end - reader->at);
}

static void
fail(WireReader *reader)
{
    reader->failed = TRUE;
    reader->at = reader->end;
}

/* The next @n bytes, or NULL. */
static const guint8 *
take(WireReader *reader, gsize n)
{
    const guint8 *at = reader->at;

    if (reader->failed || n > bytes_left(reader)) {
        fail(reader);
        return NULL;
    }
    reader->at += n;
    return at;
}

static guint8
read_byte(WireReader *reader)
{
    const guint8 *at = take(reader, 1);

    return at != NULL ? *at : 0;
}

/* A type that may stand for a value; anything else fails. */
static WireType
read_type(WireReader *reader)
{
    guint8 type = read_byte(reader);

    if (type > WIRE_LIST || type_size[type].bytes == 0) {
        fail(reader);
        return WIRE_STOP;
    }
    return (WireType)type;
}

/* A size or count that is not negative. */
static guint32
read_size(WireReader *reader)
{
    gint32 size = wire_read_i32(reader);

    if (size < 0) {
        fail(reader);
        return 0;
    }
    return (guint32)size;
}

/* A count of items of at least @item_bytes each that can be there. */
static guint32
read_count(WireReader *reader, gsize item_bytes)
{
    guint32 n = read_size(reader);

    if ((guint64)n * item_bytes > bytes_left(reader)) {
        fail(reader);
        return 0;
    }
    return n;
}

void
wire_reader_init(WireReader *reader, const void *data, gsize len)
{
    static const guint8 nothing[1];

    reader->at = data != NULL ? data : nothing;
    reader->end = reader->at + len;
    reader->failed = FALSE;
}

gboolean
wire_read_field(WireReader *reader, WireField *ret_field)
{
    const guint8 *at;

    if (reader->failed) {
        return FALSE;
    }
    if (reader->at < reader->end && *reader->at == WIRE_STOP) {
        reader->at++;
        return FALSE;
    }
    ret_field->type = read_type(reader);
    at = take(reader, 2);
    if (at == NULL) {
        return FALSE;
    }
    ret_field->id = (gint16)(at[0] << 8 | at[1]);
    return TRUE;
}

gboolean
wire_read_bool(WireReader *reader)
{
    return read_byte(reader) != 0;
}

gint32
wire_read_i32(WireReader *reader)
{
    const guint8 *at = take(reader, sizeof(gint32));
    gint32 value;

    if (at == NULL) {
        return 0;
    }
    memcpy(&value, at, sizeof(value));
    return GINT32_FROM_BE(value);
}

gint64
wire_read_i64(WireReader *reader)
{
    const guint8 *at = take(reader, sizeof(gint64));
    gint64 value;

    if (at == NULL) {
        return 0;
    }
    memcpy(&value, at, sizeof(value));
    return GINT64_FROM_BE(value);
}

WireBytes
wire_read_bytes(WireReader *reader)
{
    guint32 len = read_size(reader);
    const guint8 *data = take(reader, len);

    return (WireBytes){data, data != NULL ? len : 0};
}

guint32
wire_read_list(WireReader *reader, WireType *ret_type)
{
    *ret_type = read_type(reader);
    return read_count(reader, type_size[*ret_type].bytes);
}

static void skip_value(WireReader *reader, WireType type, guint depth);

/* Whether @id is new to @seen, a set of the ids below 64. */
static gboolean
note_field(guint64 *seen, gint16 id)
{
    guint64 bit;

    if (id < 0 || id > 63) {
        return TRUE;
    }
    bit = G_GUINT64_CONSTANT(1) << id;
    if ((*seen & bit) != 0) {
        return FALSE;
    }
    *seen |= bit;
    return TRUE;
}

static void
skip_struct(WireReader *reader, guint depth)
{
    guint64 seen = 0;
    WireField field;

    while (wire_read_field(reader, &field)) {
        if (!note_field(&seen, field.id)) {
            fail(reader);
            return;
        }
        skip_value(reader, field.type, depth);
    }
}

static void
skip_list(WireReader *reader, guint depth)
{
    WireType type;
    guint32 n = wire_read_list(reader, &type);

    if (type_size[type].fixed) {
        take(reader, (gsize)n * type_size[type].bytes);
        return;
    }
    for (guint32 i = 0; i < n && !reader->failed; i++) {
        skip_value(reader, type, depth);
    }
}

static void
skip_map(WireReader *reader, guint depth)
{
    WireType key = read_type(reader);
    WireType value = read_type(reader);
    guint32 n = read_count(reader, (gsize)type_size[key].bytes +
                                       type_size[value].bytes);

    for (guint32 i = 0; i < n && !reader->failed; i++) {
        skip_value(reader, key, depth);
        skip_value(reader, value, depth);
    }
}

/* Recursion is bounded by @depth, what may still be nested. */
static void
skip_value(WireReader *reader, WireType type, guint depth)
{
    if (type > WIRE_LIST || type_size[type].bytes == 0) {
        fail(reader);
    } else if (type_size[type].fixed) {
        take(reader, type_size[type].bytes);
    } else if (type == WIRE_BINARY) {
        wire_read_bytes(reader);
    } else if (depth == 0) {
        fail(reader);
    } else if (type == WIRE_STRUCT) {
        skip_struct(reader, depth - 1);
    } else if (type == WIRE_MAP) {
        skip_map(reader, depth - 1);
    } else {
        skip_list(reader, depth - 1);
    }
}

void
wire_skip(WireReader *reader, WireType type)
{
    skip_value(reader, type, WIRE_DEPTH_MAX);
}

void
wire_skip_within(WireReader *reader, WireType type, guint depth)
{
    ensure(depth <= WIRE_DEPTH_MAX);
    skip_value(reader, type, depth);
}

WireBytes
wire_read_value(WireReader *reader, WireType type)
{
    const guint8 *start = reader->at;

    wire_skip(reader, type);
    if (reader->failed) {
        return (WireBytes){NULL, 0};
    }
    return (WireBytes){start, (gsize)(reader->at - start)};
}

void
wire_write_field(GByteArray *out, WireType type, gint16 id)
{
    guint8 header[3] = {(guint8)type, (guint8)((guint16)id >> 8),
                        (guint8)((guint16)id & 0xff)};

    g_byte_array_append(out, header, sizeof(header));
}

void
wire_write_stop(GByteArray *out)
{
    guint8 stop = WIRE_STOP;

    g_byte_array_append(out, &stop, 1);
}

void
wire_write_i32(GByteArray *out, gint32 value)
{
    gint32 big = GINT32_TO_BE(value);

    g_byte_array_append(out, (const guint8 *)&big, sizeof(big));
}

void
wire_write_i64(GByteArray *out, gint64 value)
{
    gint64 big = GINT64_TO_BE(value);

    g_byte_array_append(out, (const guint8 *)&big, sizeof(big));
}

void
wire_write_bytes(GByteArray *out, const void *data, gsize len)
{
    ensure(len <= G_MAXINT32);
    wire_write_i32(out, (gint32)len);
    if (len > 0) {
        g_byte_array_append(out, data, (guint)len);
    }
}

void
wire_write_list(GByteArray *out, WireType type, guint32 n)
{
    guint8 element = (guint8)type;

    ensure(n <= G_MAXINT32);
    g_byte_array_append(out, &element, 1);
    wire_write_i32(out, (gint32)n);
}

void
wire_write_map(GByteArray *out, WireType key, WireType value, guint32 n)
{
    guint8 types[2] = {(guint8)key, (guint8)value};

    ensure(n <= G_MAXINT32);
    g_byte_array_append(out, types, sizeof(types));
    wire_write_i32(out, (gint32)n);
}

void
wire_field_bool(GByteArray *out, gint16 id, gboolean value)
{
    guint8 byte = value ? 1 : 0;

    wire_write_field(out, WIRE_BOOL, id);
    g_byte_array_append(out, &byte, 1);
}

void
wire_field_i32(GByteArray *out, gint16 id, gint32 value)
{
    wire_write_field(out, WIRE_I32, id);
    wire_write_i32(out, value);
}

void
wire_field_i64(GByteArray *out, gint16 id, gint64 value)
{
    wire_write_field(out, WIRE_I64, id);
    wire_write_i64(out, value);
}

void
wire_field_bytes(GByteArray *out, gint16 id, const void *data, gsize len)
{
    wire_write_field(out, WIRE_BINARY, id);
    wire_write_bytes(out, data, len);
}

void
wire_field_string(GByteArray *out, gint16 id, const char *value)
{
    wire_field_bytes(out, id, value, strlen(value));
}
