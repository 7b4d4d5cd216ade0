/*
 * test_frame.c - the structural scan against honest and hostile messages
 */
#include "thrift/frame.h"

#include <string.h>

static GByteArray *
begin(FrameKind kind)
{
    GByteArray *message = g_byte_array_new();
    WireBytes method = {(const guint8 *)"getPosts", 8};

    frame_begin(message, kind, method, 0x01020304);
    return message;
}

static FrameOutcome
scan(const GByteArray *message)
{
    Frame frame;

    return frame_scan(message->data, message->len, &frame);
}

/* A struct field with one of everything, nested. */
static void
write_one_of_each(GByteArray *out)
{
    wire_field_bool(out, 1, TRUE);
    wire_field_i32(out, 2, -2);
    wire_field_i64(out, 3, 3);
    wire_field_string(out, 4, "four");
    wire_write_field(out, WIRE_LIST, 5);
    wire_write_list(out, WIRE_I64, 2);
    wire_write_i64(out, 1);
    wire_write_i64(out, 2);
    wire_write_field(out, WIRE_MAP, 6);
    wire_write_map(out, WIRE_BINARY, WIRE_I64, 1);
    wire_write_bytes(out, "k", 1);
    wire_write_i64(out, 9);
    wire_write_field(out, WIRE_SET, 7);
    wire_write_list(out, WIRE_STRUCT, 1);
    wire_field_i32(out, 1, 1);
    wire_write_stop(out);
    wire_write_stop(out);
}

static GByteArray *
full_message(void)
{
    GByteArray *message = begin(FRAME_CALL);

    wire_field_i64(message, 1, -5);
    wire_write_field(message, WIRE_STRUCT, 2);
    write_one_of_each(message);
    wire_field_i32(message, 15, 77);
    wire_field_i32(message, 16, 78);
    wire_field_i32(message, -1, 79);
    wire_write_stop(message);
    return message;
}

/* A message with one top-level field 1 of @type, whose bytes are @value. */
static GByteArray *
message_with(WireType type, const void *value, gsize len)
{
    GByteArray *message = begin(FRAME_CALL);

    wire_write_field(message, type, 1);
    g_byte_array_append(message, value, (guint)len);
    wire_write_stop(message);
    return message;
}

/* Header and top-level fields are noted, where they are. */
static void
test_fields(void)
{
    g_autoptr(GByteArray) message = full_message();
    WireReader reader;
    WireField field;
    Frame frame;

    g_assert_cmpint(frame_scan(message->data, message->len, &frame), ==,
                    FRAME_OK);
    g_assert_cmpint(frame.kind, ==, FRAME_CALL);
    g_assert_cmpint(frame.seqid, ==, 0x01020304);
    g_assert_true(memcmp(message->data + frame.seqid_at, "\1\2\3\4", 4) == 0);
    g_assert_cmpuint(frame.method.len, ==, 8);
    g_assert_true(memcmp(frame.method.data, "getPosts", 8) == 0);
    g_assert_cmpint(frame_i64(&frame, 1, 0), ==, -5);
    g_assert_cmpint(frame_i32(&frame, 15, 0), ==, 77);
    g_assert_true(frame_struct(&frame, 2, &reader));
    g_assert_true(wire_read_field(&reader, &field));
    g_assert_cmpint(field.type, ==, WIRE_BOOL);
}

/* An absent field, one of another type, and an id past the last are not there.
 */
static void
test_absent(void)
{
    g_autoptr(GByteArray) message = full_message();
    WireReader reader;
    Frame frame;

    g_assert_cmpint(frame_scan(message->data, message->len, &frame), ==,
                    FRAME_OK);
    g_assert_cmpint(frame_i64(&frame, 3, 8), ==, 8);
    g_assert_cmpint(frame_i64(&frame, 15, 8), ==, 8);
    g_assert_cmpint(frame_i32(&frame, 1, 8), ==, 8);
    g_assert_cmpint(frame_i32(&frame, 16, 8), ==, 8);
    g_assert_cmpint(frame_i32(&frame, G_MAXUINT, 8), ==, 8);
    g_assert_false(frame_struct(&frame, 1, &reader));
}

/* Cut at any byte, a message is refused; a byte too many is, too. */
static void
test_truncated(void)
{
    g_autoptr(GByteArray) message = full_message();
    guint8 extra = 0;

    for (guint len = 0; len < message->len; len++) {
        g_autofree guint8 *cut = g_malloc(MAX(len, 1));
        Frame frame;

        memcpy(cut, message->data, len);
        g_assert_cmpint(frame_scan(cut, len, &frame), !=, FRAME_OK);
    }
    g_assert_cmpint(scan(message), ==, FRAME_OK);
    g_byte_array_append(message, &extra, 1);
    g_assert_cmpint(scan(message), ==, FRAME_BAD_BODY);
}

/* Headers that are refused, and as what. */
static void
test_headers(void)
{
    static const struct {
        const char *bytes;
        gsize len;
        FrameOutcome outcome;
    } table[] = {
        {"", 0, FRAME_NOT_THRIFT},
        {"GET /v1/stream HTTP/1.1\r\n\r\n", 27, FRAME_NOT_THRIFT},
        {"\x80\x02\x00\x01\x00\x00\x00\x01m\x00\x00\x00\x00\x00", 14,
         FRAME_NOT_THRIFT},
        /* the old encoding: the name's length first */
        {"\x00\x00\x00\x01m\x01\x00\x00\x00\x00\x00", 11, FRAME_NOT_THRIFT},
        /* kinds 0, ONEWAY and 5 */
        {"\x80\x01\x00\x00\x00\x00\x00\x01m\x00\x00\x00\x00\x00", 14,
         FRAME_BAD_HEADER},
        {"\x80\x01\x00\x04\x00\x00\x00\x01m\x00\x00\x00\x00\x00", 14,
         FRAME_BAD_HEADER},
        {"\x80\x01\x00\x05\x00\x00\x00\x01m\x00\x00\x00\x00\x00", 14,
         FRAME_BAD_HEADER},
        /* a name of no bytes, of -1, of 2^31-1 */
        {"\x80\x01\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00", 13,
         FRAME_BAD_HEADER},
        {"\x80\x01\x00\x01\xff\xff\xff\xffm\x00\x00\x00\x00\x00", 14,
         FRAME_BAD_HEADER},
        {"\x80\x01\x00\x01\x7f\xff\xff\xffm\x00\x00\x00\x00\x00", 14,
         FRAME_BAD_HEADER},
        {"\x80\x01\x00\x01\x00\x00\x00\x01m\x00\x00\x00\x00\x00", 14, FRAME_OK},
        {"\x80\x01\x00\x03\x00\x00\x00\x01m\x00\x00\x00\x00\x00", 14, FRAME_OK},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(table); i++) {
        Frame frame;

        g_test_message("row %zu", i);
        g_assert_cmpint(frame_scan(table[i].bytes, table[i].len, &frame), ==,
                        table[i].outcome);
    }
}

/* A method's name has at most FRAME_METHOD_BYTES_MAX bytes. */
static void
test_long_method(void)
{
    for (gsize len = 63; len <= 66; len++) {
        g_autoptr(GByteArray) message = g_byte_array_new();
        g_autofree char *name = g_strnfill(len, 'm');
        WireBytes method = {(const guint8 *)name, len};

        frame_begin(message, FRAME_CALL, method, 0);
        wire_write_stop(message);
        g_assert_cmpint(scan(message), ==,
                        len <= FRAME_METHOD_BYTES_MAX ? FRAME_OK
                                                      : FRAME_BAD_HEADER);
    }
}

/* Sizes that promise more than is there, and types there are none of. */
static void
test_hostile_values(void)
{
    static const struct {
        WireType type;
        const char *bytes;
        gsize len;
    } table[] = {
        {WIRE_LIST, "\x03\x7f\xff\xff\xff", 5},
        {WIRE_LIST, "\x0c\x7f\xff\xff\xff", 5},
        {WIRE_LIST, "\x0a\x00\x00\x00\x02\0\0\0\0\0\0\0\1", 13},
        {WIRE_LIST, "\x0a\xff\xff\xff\xff", 5},
        {WIRE_LIST, "\x00\x00\x00\x00\x00", 5},
        {WIRE_LIST, "\x10\x00\x00\x00\x01\x00", 6},
        {WIRE_SET, "\x02\x10\x00\x00\x00", 5},
        {WIRE_MAP, "\x08\x08\x7f\xff\xff\xff", 6},
        {WIRE_MAP, "\x0d\x0d\xff\xff\xff\xff", 6},
        {WIRE_MAP, "\x01\x08\x00\x00\x00\x00", 6},
        {WIRE_BINARY, "\xff\xff\xff\xff", 4},
        {WIRE_BINARY, "\x7f\xff\xff\xff", 4},
        {WIRE_STRUCT, "\x05\x00\x01\x00", 4},
        /* a field twice, in a nested struct */
        {WIRE_STRUCT, "\x03\x00\x3f\x01\x03\x00\x3f\x01\x00", 9},
        {(WireType)1, "\x00", 1},
        {(WireType)16, "0123456789abcdef", 16},
        {(WireType)0xff, "\x00", 1},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(table); i++) {
        g_autoptr(GByteArray) message =
            message_with(table[i].type, table[i].bytes, table[i].len);

        g_test_message("row %zu", i);
        g_assert_cmpint(scan(message), ==, FRAME_BAD_BODY);
    }
}

/* Field 1, @depth containers of @type inside each other. */
static GByteArray *
nested(WireType type, guint depth)
{
    GByteArray *message = begin(FRAME_CALL);

    wire_write_field(message, type, 1);
    for (guint i = 1; i < depth; i++) {
        if (type == WIRE_STRUCT) {
            wire_write_field(message, type, 1);
        } else {
            wire_write_list(message, type, 1);
        }
    }
    if (type == WIRE_STRUCT) {
        for (guint i = 0; i < depth; i++) {
            wire_write_stop(message);
        }
    } else {
        wire_write_list(message, WIRE_I32, 0);
    }
    wire_write_stop(message);
    return message;
}

/* WIRE_DEPTH_MAX is read, one more is refused, and so are 100,000. */
static void
test_depth(void)
{
    static const WireType types[] = {WIRE_STRUCT, WIRE_LIST};

    for (gsize i = 0; i < G_N_ELEMENTS(types); i++) {
        g_autoptr(GByteArray) most = nested(types[i], WIRE_DEPTH_MAX);
        g_autoptr(GByteArray) deeper = nested(types[i], WIRE_DEPTH_MAX + 1);
        g_autoptr(GByteArray) bomb = nested(types[i], 100000);

        g_assert_cmpint(scan(most), ==, FRAME_OK);
        g_assert_cmpint(scan(deeper), ==, FRAME_BAD_BODY);
        g_assert_cmpint(scan(bomb), ==, FRAME_BAD_BODY);
    }
}

/* The same top-level field twice is refused, whatever the types. */
static void
test_duplicate(void)
{
    g_autoptr(GByteArray) same = begin(FRAME_CALL);
    g_autoptr(GByteArray) other = begin(FRAME_CALL);

    wire_field_i64(same, 1, 1);
    wire_field_i64(same, 1, 1);
    wire_write_stop(same);
    g_assert_cmpint(scan(same), ==, FRAME_BAD_BODY);
    wire_field_i64(other, 1, 1);
    wire_field_i32(other, 1, 1);
    wire_write_stop(other);
    g_assert_cmpint(scan(other), ==, FRAME_BAD_BODY);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/frame/fields", test_fields);
    g_test_add_func("/frame/absent", test_absent);
    g_test_add_func("/frame/truncated", test_truncated);
    g_test_add_func("/frame/headers", test_headers);
    g_test_add_func("/frame/long-method", test_long_method);
    g_test_add_func("/frame/hostile-values", test_hostile_values);
    g_test_add_func("/frame/depth", test_depth);
    g_test_add_func("/frame/duplicate", test_duplicate);
    return g_test_run();
}
