/*
 * test_vectors.c - the encoder against tests/vectors/events.json
 *
 * The file is what others write their consumers by (firehose/format.md), so
 * what it says of a record must stay true for ever: every good one decodes to
 * the event that stands beside it and is what stamping makes of the client's
 * bytes, every bad one is refused in these words.
 */
#include "firehose/event.h"
#include "firehose/partition.h"
#include "firehose/seal.h"

#include <jansson.h>
#include <string.h>

#define GOOD_MIN 36 /* so that an empty file is no success */
#define BAD_MIN 50

static json_t *
vectors_read(void)
{
    json_error_t problem;
    json_t *file = json_load_file(VECTORS, 0, &problem);

    if (file == NULL) {
        g_error("%s: %s", VECTORS, problem.text);
    }
    return file;
}

static const char *
text_at(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    g_assert_nonnull(text);
    return text;
}

/* An absent number is 0, as in struct Event. */
static gint64
number_at(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

static void
hex_append(GByteArray *out, const char *hex)
{
    g_assert_cmpuint(strlen(hex) % 2, ==, 0);
    for (; *hex != '\0'; hex += 2) {
        guint8 byte = (guint8)(g_ascii_xdigit_value(hex[0]) * 16 +
                               g_ascii_xdigit_value(hex[1]));
        g_byte_array_append(out, &byte, 1);
    }
}

/* Hex, or a list of [hex, times]. */
static GByteArray *
bytes_of(const json_t *value)
{
    GByteArray *out = g_byte_array_new();
    size_t i;
    json_t *piece;

    if (json_is_string(value)) {
        hex_append(out, json_string_value(value));
    }
    json_array_foreach(value, i, piece)
    {
        const char *hex = json_string_value(json_array_get(piece, 0));
        json_int_t times = json_integer_value(json_array_get(piece, 1));

        while (times-- > 0) {
            hex_append(out, hex);
        }
    }
    return out;
}

static GByteArray *
bytes_at(const json_t *object, const char *key)
{
    return bytes_of(json_object_get(object, key));
}

/* g_assert_cmpmem() compares lengths as int. */
static void
assert_bytes(const void *data, gsize len, const void *wanted, gsize n)
{
    g_assert_cmpuint(len, ==, n);
    g_assert_true(len == 0 || memcmp(data, wanted, len) == 0);
}

static void
assert_same(const guint8 *data, gsize len, const GByteArray *wanted)
{
    assert_bytes(data, len, wanted->data, wanted->len);
}

static void
check_tags(const Post *post, const json_t *wanted)
{
    WireReader reader;
    size_t i;
    json_t *tag;

    g_assert_cmpuint(post->n_tags, ==, json_array_size(wanted));
    wire_reader_init(&reader, post->tags.data, post->tags.len);
    json_array_foreach(wanted, i, tag)
    {
        WireBytes have = wire_read_bytes(&reader);

        assert_bytes(have.data, have.len, json_string_value(tag),
                     json_string_length(tag));
    }
    g_assert_false(reader.failed);
}

static void
check_post(const Post *post, const json_t *wanted)
{
    g_autoptr(GByteArray) body = g_byte_array_new();
    const json_t *hex = json_object_get(wanted, "body_hex");

    if (hex != NULL) {
        hex_append(body, json_string_value(hex));
    }
    g_assert_cmpint(post->id.v, ==, number_at(wanted, "id"));
    g_assert_cmpint(post->author.v, ==, number_at(wanted, "author"));
    g_assert_cmpint(post->kind, ==, number_at(wanted, "kind"));
    g_assert_cmpint(post->reply_to.v, ==, number_at(wanted, "reply_to"));
    g_assert_cmpint(post->reblog_of.v, ==, number_at(wanted, "reblog_of"));
    assert_same(post->body.data, post->body.len, body);
    check_tags(post, json_object_get(wanted, "tags"));
}

/* Fields that the kind does not use are not read. */
static void
check_event(const Event *event, const json_t *wanted)
{
    const json_t *post = json_object_get(wanted, "post");

    g_assert_cmpint(number_at(wanted, "version"), ==, EVENT_VERSION);
    g_assert_cmpstr(event_kind_name((gint32)event->kind), ==,
                    text_at(wanted, "kind"));
    g_assert_cmpint(event->id.v, ==, number_at(wanted, "id"));
    g_assert_cmpint(event->user.v, ==, number_at(wanted, "user"));
    if (event->target_user.v != 0) {
        g_assert_cmpint(event->target_user.v, ==,
                        number_at(wanted, "target_user"));
    }
    if (event->target_post.v != 0) {
        g_assert_cmpint(event->target_post.v, ==,
                        number_at(wanted, "target_post"));
    }
    g_assert_true((post != NULL) == (event->post_bytes.len > 0));
    if (post != NULL) {
        check_post(&event->post, post);
    }
}

static void
check_key(const json_t *vector, const Event *event)
{
    g_autoptr(GByteArray) wanted = bytes_at(vector, "key");
    json_t *partitions = json_object_get(vector, "partition");
    const char *n;
    json_t *partition;
    guint8 key[PARTITION_KEY_BYTES];

    partition_key(event->user, key);
    assert_same(key, sizeof key, wanted);
    g_assert_cmpuint(json_object_size(partitions), >=, 3);
    json_object_foreach(partitions, n, partition)
    {
        guint64 count = g_ascii_strtoull(n, NULL, 10);

        g_assert_cmpint(partition_of(key, sizeof key, (guint)count), ==,
                        json_integer_value(partition));
    }
}

/* Stamping @from gives @value. */
static void
check_stamp(const GByteArray *from, gint64 id, const GByteArray *value)
{
    g_autoptr(GByteArray) out = g_byte_array_new();
    WireBytes bytes = {from->data, from->len};
    Event event;
    EventFault fault;

    g_assert_true(event_stamp(bytes, (EventId){id}, out, &event, &fault));
    assert_same(out->data, out->len, value);
}

/* Sealing @value gives what the vector says, and that decodes to the same
   event; stamped again it has no seal. */
static void
check_sealed(const json_t *vector, const GByteArray *value, gint64 id)
{
    const json_t *seal = json_object_get(vector, "seal");
    g_autoptr(GByteArray) wanted = bytes_at(vector, "sealed");
    g_autoptr(GByteArray) sealed = g_byte_array_new();
    Event event;
    EventFault fault;

    g_byte_array_append(sealed, value->data, value->len);
    seal_room(sealed);
    seal_set(sealed->data, sealed->len, number_at(seal, "producer"),
             number_at(seal, "sequence"));
    assert_same(sealed->data, sealed->len, wanted);
    g_assert_true(event_decode(wanted->data, wanted->len, &event, &fault));
    check_event(&event, json_object_get(vector, "event"));
    g_assert_cmpint(event.seal.producer, ==, number_at(seal, "producer"));
    g_assert_cmpint(event.seal.sequence, ==, number_at(seal, "sequence"));
    check_stamp(wanted, id, value);
}

static void
check_unknown(const json_t *vector, const GByteArray *value)
{
    size_t i;
    json_t *one;

    json_array_foreach(json_object_get(vector, "unknown"), i, one)
    {
        g_autoptr(GByteArray) bytes = bytes_of(one);

        g_assert_nonnull(
            memmem(value->data, value->len, bytes->data, bytes->len));
    }
}

/* What clients send becomes these records, and they mean these events. */
static void
test_good(void)
{
    json_auto_t *file = vectors_read();
    const json_t *list = json_object_get(file, "good");
    gint64 given = number_at(file, "given_id");
    guint kinds = 0;
    size_t i;
    json_t *vector;

    g_assert_cmpuint(json_array_size(list), >=, GOOD_MIN);
    json_array_foreach(list, i, vector)
    {
        g_autoptr(GByteArray) value = bytes_at(vector, "value");
        g_autoptr(GByteArray) sent = bytes_at(vector, "sent");
        Event event;
        EventFault fault;

        g_test_message("%s", text_at(vector, "name"));
        g_assert_true(event_decode(value->data, value->len, &event, &fault));
        check_event(&event, json_object_get(vector, "event"));
        check_key(vector, &event);
        check_stamp(sent, given, value);
        check_stamp(value, given + 1, value);
        check_sealed(vector, value, given + 1);
        check_unknown(vector, value);
        kinds |= 1U << event.kind;
    }
    g_assert_cmphex(kinds, ==, (2U << EVENT_KIND_MAX) - 2);
}

/* What is no event is refused in the words that a quarantine lists. */
static void
test_bad(void)
{
    json_auto_t *file = vectors_read();
    const json_t *list = json_object_get(file, "bad");
    size_t i;
    json_t *vector;

    g_assert_cmpuint(json_array_size(list), >=, BAD_MIN);
    json_array_foreach(list, i, vector)
    {
        g_autoptr(GByteArray) value = bytes_at(vector, "value");
        Event event;
        EventFault fault;

        g_test_message("%s", text_at(vector, "name"));
        g_assert_false(event_decode(value->data, value->len, &event, &fault));
        g_assert_cmpstr(fault.field, ==, text_at(vector, "field"));
        g_assert_cmpstr(fault.reason, ==, text_at(vector, "reason"));
        g_assert_cmpint(fault.limit, ==, number_at(vector, "limit"));
        g_assert_cmpstr(text_at(vector, "cell"), ==, "quarantine");
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/vectors/good", test_good);
    g_test_add_func("/vectors/bad", test_bad);
    return g_test_run();
}
