/*
 * test_wire.c - our codec against the format, and against the generated one
 *
 * The generated types write to and read from one end of a socket pair
 * through the client's transport; the test has the other end.
 */
#include "tests/unit/peer.h"
#include "thrift/client.h"
#include "thrift/client_transport.h"
#include "thrift/wire.h"

#include <comb_types_types.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void
assert_bytes(const GByteArray *bytes, const char *expected, gsize len)
{
    g_assert_cmpuint(bytes->len, ==, len);
    g_assert_true(memcmp(bytes->data, expected, len) == 0);
}

#define ASSERT_WRITES(call, expected)                                          \
    do {                                                                       \
        g_autoptr(GByteArray) out = g_byte_array_new();                        \
        call;                                                                  \
        assert_bytes(out, "" expected, sizeof(expected) - 1);                  \
    } while (0)

/* Each kind of value is written as the format says. */
static void
test_encodings(void)
{
    ASSERT_WRITES(wire_write_stop(out), "\0");
    ASSERT_WRITES(wire_write_i32(out, 1), "\0\0\0\1");
    ASSERT_WRITES(wire_write_i32(out, -2), "\xff\xff\xff\xfe");
    ASSERT_WRITES(wire_write_i64(out, 258), "\0\0\0\0\0\0\1\2");
    ASSERT_WRITES(wire_write_i64(out, G_MININT64), "\x80\0\0\0\0\0\0\0");
    ASSERT_WRITES(wire_write_bytes(out, "abc", 3), "\0\0\0\3abc");
    ASSERT_WRITES(wire_write_bytes(out, NULL, 0), "\0\0\0\0");
    ASSERT_WRITES(wire_write_field(out, WIRE_I64, 300), "\x0a\1\x2c");
    ASSERT_WRITES(wire_write_field(out, WIRE_I64, -1), "\x0a\xff\xff");
    ASSERT_WRITES(wire_write_list(out, WIRE_STRUCT, 2), "\x0c\0\0\0\2");
    ASSERT_WRITES(wire_write_map(out, WIRE_BINARY, WIRE_I64, 1),
                  "\x0b\x0a\0\0\0\1");
    ASSERT_WRITES(wire_field_bool(out, 1, TRUE), "\2\0\1\1");
    ASSERT_WRITES(wire_field_bool(out, 1, 4), "\2\0\1\1");
    ASSERT_WRITES(wire_field_bool(out, 1, FALSE), "\2\0\1\0");
    ASSERT_WRITES(wire_field_i32(out, 2, 7), "\x08\0\2\0\0\0\7");
    ASSERT_WRITES(wire_field_i64(out, 3, 7), "\x0a\0\3\0\0\0\0\0\0\0\7");
    ASSERT_WRITES(wire_field_bytes(out, 4, "\0x", 2), "\x0b\0\4\0\0\0\2\0x");
    ASSERT_WRITES(wire_field_string(out, 4, "hi"), "\x0b\0\4\0\0\0\2hi");
}

/* What was written is read again, and nothing is left. */
static void
test_round_trip(void)
{
    g_autoptr(GByteArray) out = g_byte_array_new();
    WireReader reader;
    WireField field;
    WireBytes bytes;
    WireType type;

    wire_field_bool(out, 1, TRUE);
    wire_field_i32(out, -2, G_MININT32);
    wire_field_i64(out, 3, G_MAXINT64);
    wire_field_string(out, 4, "four");
    wire_write_field(out, WIRE_LIST, 5);
    wire_write_list(out, WIRE_I32, 1);
    wire_write_i32(out, 55);
    wire_write_stop(out);
    wire_reader_init(&reader, out->data, out->len);
    g_assert_true(wire_read_field(&reader, &field));
    g_assert_true(wire_read_bool(&reader));
    g_assert_true(wire_read_field(&reader, &field));
    g_assert_cmpint(field.id, ==, -2);
    g_assert_cmpint(wire_read_i32(&reader), ==, G_MININT32);
    g_assert_true(wire_read_field(&reader, &field));
    g_assert_cmpint(wire_read_i64(&reader), ==, G_MAXINT64);
    g_assert_true(wire_read_field(&reader, &field));
    bytes = wire_read_bytes(&reader);
    g_assert_cmpuint(bytes.len, ==, 4);
    g_assert_true(memcmp(bytes.data, "four", 4) == 0);
    g_assert_true(wire_read_field(&reader, &field));
    g_assert_cmpuint(wire_read_list(&reader, &type), ==, 1);
    g_assert_cmpint(type, ==, WIRE_I32);
    g_assert_cmpint(wire_read_i32(&reader), ==, 55);
    g_assert_false(wire_read_field(&reader, &field));
    g_assert_false(reader.failed);
    g_assert_true(reader.at == reader.end);
}

/* A failed reader gives nothing more, even where bytes are left. */
static void
test_sticky(void)
{
    static const guint8 bytes[] = {0, 0, 0, 9, 'a', 0, 0, 0, 1};
    WireReader reader;
    WireField field;
    WireType type;

    wire_reader_init(&reader, bytes, sizeof(bytes));
    g_assert_cmpuint(wire_read_bytes(&reader).len, ==, 0);
    g_assert_true(reader.failed);
    g_assert_cmpint(wire_read_i32(&reader), ==, 0);
    g_assert_cmpint(wire_read_i64(&reader), ==, 0);
    g_assert_false(wire_read_bool(&reader));
    g_assert_false(wire_read_field(&reader, &field));
    g_assert_cmpuint(wire_read_list(&reader, &type), ==, 0);
    g_assert_cmpuint(wire_read_value(&reader, WIRE_BYTE).len, ==, 0);
}

/* No input at all is a failure for every read, and no crash. */
static void
test_empty(void)
{
    WireReader reader;
    WireField field;

    wire_reader_init(&reader, NULL, 0);
    g_assert_false(wire_read_field(&reader, &field));
    g_assert_true(reader.failed);
    wire_reader_init(&reader, NULL, 0);
    wire_skip(&reader, WIRE_STRUCT);
    g_assert_true(reader.failed);
}

/* A list's count is bounded by what its elements would take. */
static void
test_list_count(void)
{
    static const struct {
        const char *bytes;
        gsize len;
        gboolean fits;
    } table[] = {
        {"\x0a\0\0\0\0", 5, TRUE},
        {"\x0a\0\0\0\1\0\0\0\0\0\0\0", 12, FALSE},
        {"\x0a\0\0\0\1\0\0\0\0\0\0\0\0", 13, TRUE},
        {"\x0b\0\0\0\2\0\0\0\0\0\0\0", 12, FALSE},
        {"\x0b\0\0\0\2\0\0\0\0\0\0\0\0", 13, TRUE},
        {"\x0c\x7f\xff\xff\xff\0\0\0\0", 9, FALSE},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(table); i++) {
        WireReader reader;
        WireType type;

        wire_reader_init(&reader, table[i].bytes, table[i].len);
        wire_read_list(&reader, &type);
        g_test_message("row %zu", i);
        g_assert_true(reader.failed == !table[i].fits);
    }
}

/* A value is borrowed whole, a struct with its stop byte. */
static void
test_read_value(void)
{
    g_autoptr(GByteArray) out = g_byte_array_new();
    WireReader reader;
    WireBytes value;

    wire_field_string(out, 1, "x");
    wire_write_stop(out);
    wire_write_i32(out, 7);
    wire_reader_init(&reader, out->data, out->len);
    value = wire_read_value(&reader, WIRE_STRUCT);
    g_assert_true(value.data == out->data);
    g_assert_cmpuint(value.len, ==, out->len - 4);
    g_assert_cmpint(wire_read_i32(&reader), ==, 7);
}

/* ---- against the generated code ---- */

typedef struct Pair {
    ThriftProtocol *protocol; /* of the generated code's end */
    ClientTransport *transport;
    int fd; /* ours */
} Pair;

static void
open_pair(Pair *pair)
{
    int fds[2];

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), ==, 0);
    fcntl(fds[0], F_SETFL, O_NONBLOCK);
    pair->fd = fds[1];
    pair->transport = client_transport_new(fds[0], 5000);
    pair->protocol = THRIFT_PROTOCOL(client_protocol_new(pair->transport));
}

static void
close_pair(Pair *pair)
{
    g_object_unref(pair->protocol);
    g_object_unref(pair->transport);
    close(pair->fd);
}

/* What the generated code writes for @event. */
static GByteArray *
write_generated(ThriftStruct *event)
{
    GByteArray *bytes = g_byte_array_new();
    g_autoptr(GByteArray) message = NULL;
    g_autoptr(GError) error = NULL;
    Pair pair;
    gint32 header, body;

    open_pair(&pair);
    header = thrift_protocol_write_message_begin(pair.protocol, "m", T_CALL, 0,
                                                 &error);
    body = thrift_struct_write(event, pair.protocol, &error);
    thrift_transport_flush(pair.protocol->transport, &error);
    g_assert_no_error(error);
    message = peer_receive(pair.fd);
    g_assert_cmpint((gint)message->len, ==, header + body);
    g_byte_array_append(bytes, message->data + header, (guint)body);
    close_pair(&pair);
    return bytes;
}

/* Lets the generated code read the struct in @bytes into @event. */
static void
read_generated(const GByteArray *bytes, ThriftStruct *event)
{
    GByteArray *message = g_byte_array_new();
    WireBytes method = {(const guint8 *)"m", 1};
    g_autofree gchar *name = NULL;
    g_autoptr(GError) error = NULL;
    ThriftMessageType type;
    gint32 seqid;
    Pair pair;

    open_pair(&pair);
    frame_begin(message, FRAME_REPLY, method, 0);
    g_byte_array_append(message, bytes->data, bytes->len);
    peer_send(pair.fd, peer_frame(message));
    thrift_protocol_read_message_begin(pair.protocol, &name, &type, &seqid,
                                       &error);
    g_assert_no_error(error);
    thrift_struct_read(event, pair.protocol, &error);
    g_assert_no_error(error);
    close_pair(&pair);
}

/* The event of both directions, written by hand. */
static GByteArray *
event_by_hand(void)
{
    GByteArray *out = g_byte_array_new();

    wire_field_i32(out, 1, 1);
    wire_field_i64(out, 2, 1000000);
    wire_field_i32(out, 3, 1);
    wire_field_i64(out, 4, 77);
    wire_write_field(out, WIRE_STRUCT, 7);
    wire_field_i64(out, 1, 1000000);
    wire_field_i64(out, 2, 77);
    wire_field_i32(out, 3, 2);
    wire_field_bytes(out, 4, "bo\0dy", 5);
    wire_write_field(out, WIRE_LIST, 5);
    wire_write_list(out, WIRE_BINARY, 2);
    wire_write_bytes(out, "one", 3);
    wire_write_bytes(out, "two", 3);
    wire_field_i64(out, 6, 999);
    wire_write_stop(out);
    wire_write_stop(out);
    return out;
}

static CombEvent *
event_by_generated(void)
{
    CombPost *post =
        g_object_new(COMB_TYPE_POST, "id", (gint64)1000000, "author",
                     (gint64)77, "kind", 2, "reply_to", (gint64)999, NULL);
    CombEvent *event =
        g_object_new(COMB_TYPE_EVENT, "version", 1, "id", (gint64)1000000,
                     "kind", 1, "user", (gint64)77, "post", post, NULL);

    post->body = g_byte_array_new();
    g_byte_array_append(post->body, (const guint8 *)"bo\0dy", 5);
    post->__isset_body = TRUE;
    g_ptr_array_add(post->tags, g_strdup("one"));
    g_ptr_array_add(post->tags, g_strdup("two"));
    post->__isset_tags = TRUE;
    g_object_unref(post);
    return event;
}

/* An event with a post, body and tags: the same bytes from both codecs. */
static void
test_generated_writes(void)
{
    CombEvent *event = event_by_generated();
    g_autoptr(GByteArray) theirs = write_generated(THRIFT_STRUCT(event));
    g_autoptr(GByteArray) ours = event_by_hand();

    assert_bytes(theirs, (const char *)ours->data, ours->len);
    g_object_unref(event);
}

/* The generated code reads what ours writes. */
static void
test_generated_reads(void)
{
    CombEvent *event = g_object_new(COMB_TYPE_EVENT, NULL);
    g_autoptr(GByteArray) ours = event_by_hand();
    const CombPost *post;

    read_generated(ours, THRIFT_STRUCT(event));
    g_assert_cmpint(event->id, ==, 1000000);
    g_assert_cmpint(event->kind, ==, COMB_EVENT_KIND_POST);
    g_assert_false(event->__isset_target_user);
    g_assert_true(event->__isset_post);
    post = event->post;
    g_assert_cmpint(post->author, ==, 77);
    g_assert_cmpint(post->kind, ==, COMB_POST_KIND_PHOTO);
    assert_bytes(post->body, "bo\0dy", 5);
    g_assert_cmpuint(post->tags->len, ==, 2);
    g_assert_cmpstr(g_ptr_array_index(post->tags, 1), ==, "two");
    g_assert_cmpint(post->reply_to, ==, 999);
    g_assert_false(post->__isset_reblog_of);
    g_object_unref(event);
}

/* Fields that the generated code does not know are passed over. */
static void
test_generated_unknown(void)
{
    CombEvent *event = g_object_new(COMB_TYPE_EVENT, NULL);
    g_autoptr(GByteArray) out = g_byte_array_new();

    wire_write_field(out, WIRE_MAP, 99);
    wire_write_map(out, WIRE_BINARY, WIRE_I64, 1);
    wire_write_bytes(out, "k", 1);
    wire_write_i64(out, 1);
    wire_field_i64(out, 2, 5);
    wire_write_stop(out);
    read_generated(out, THRIFT_STRUCT(event));
    g_assert_cmpint(event->id, ==, 5);
    g_object_unref(event);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    client_init();
    g_test_add_func("/wire/encodings", test_encodings);
    g_test_add_func("/wire/round-trip", test_round_trip);
    g_test_add_func("/wire/sticky", test_sticky);
    g_test_add_func("/wire/empty", test_empty);
    g_test_add_func("/wire/list-count", test_list_count);
    g_test_add_func("/wire/read-value", test_read_value);
    g_test_add_func("/wire/generated-writes", test_generated_writes);
    g_test_add_func("/wire/generated-reads", test_generated_reads);
    g_test_add_func("/wire/generated-unknown", test_generated_unknown);
    return g_test_run();
}
