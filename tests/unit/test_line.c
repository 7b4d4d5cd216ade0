/*
 * test_line.c - an event as a line: valid JSON, and to be imported again
 *
 * Each line goes through the reader of combctl import, and what comes out of
 * that, encoded, is the event that went in.
 */
#include "firehose/line.h"

#include "ops/combctl/ndjson.h"
#include "thrift/client.h"

#include <jansson.h>
#include <string.h>

#define USER 7
#define TARGET 8
#define ID (G_GINT64_CONSTANT(1732269600123) << 21)

/* The content of a post or an edit. */
typedef struct Content {
    gint32 kind;
    WireBytes body;
    const char *tags[3];
    gint64 reply_to;
    gint64 reblog_of;
} Content;

static void
put_content(GByteArray *out, const Content *content)
{
    guint n = 0;

    wire_write_field(out, WIRE_STRUCT, EVENT_FIELD_POST);
    wire_field_i32(out, 3, content->kind);
    wire_field_bytes(out, 4, content->body.data, content->body.len);
    while (content->tags[n] != NULL) {
        n++;
    }
    wire_write_field(out, WIRE_LIST, 5);
    wire_write_list(out, WIRE_BINARY, n);
    for (guint i = 0; i < n; i++) {
        wire_write_bytes(out, content->tags[i], strlen(content->tags[i]));
    }
    wire_field_i64(out, 6, content->reply_to);
    wire_field_i64(out, 7, content->reblog_of);
    wire_write_stop(out);
}

/* The record of an event, as the gateway logs it. */
static GByteArray *
make_record(gint32 kind, const Content *content)
{
    g_autoptr(GByteArray) in = g_byte_array_new();
    GByteArray *out = g_byte_array_new();
    EventFault fault = {0};
    Event event;

    wire_field_i64(in, EVENT_FIELD_ID, ID);
    wire_field_i32(in, EVENT_FIELD_KIND, kind);
    wire_field_i64(in, EVENT_FIELD_USER, USER);
    wire_field_i64(in, EVENT_FIELD_TARGET_USER, TARGET);
    wire_field_i64(in, EVENT_FIELD_TARGET_POST, ID + 1);
    put_content(in, content);
    wire_write_stop(in);
    g_assert_true(event_stamp((WireBytes){in->data, in->len}, (EventId){1}, out,
                              &event, &fault));
    return out;
}

static void
make_line(GString *line, const guint8 *data, gsize len)
{
    g_autoptr(GString) position = g_string_new("AgAB");
    const LogRecord record = {3, 17, 1764000000000, {NULL, 0}, {data, len}};
    TapItem item = {.record = &record};

    item.decoded = event_decode(data, len, &item.event, &item.fault);
    line_write(line, &item, position);
}

static json_t *
parse_line(const GString *line)
{
    json_error_t problem;
    json_t *object =
        json_loadb(line->str, line->len,
                   JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &problem);

    g_assert_nonnull(object);
    g_assert_cmpint(line->str[line->len - 1], ==, '\n');
    g_assert_null(memchr(line->str, '\n', line->len - 1));
    g_assert_cmpstr(json_string_value(json_object_get(object, "position")), ==,
                    "AgAB");
    return object;
}

/* What import reads out of the line is what was logged. */
static void
assert_imported(const GString *line, const Event *event)
{
    g_autoptr(Names) names = names_open_empty();
    CombEvent *read = g_object_new(COMB_TYPE_EVENT, NULL);
    g_autoptr(GError) error = NULL;
    const Post *post = &event->post;

    g_assert_true(
        ndjson_parse(line->str, line->len, TRUE, names, read, &error));
    g_assert_cmpint(read->id, ==, event->id.v);
    g_assert_cmpint(read->kind, ==, event->kind);
    g_assert_cmpint(read->user, ==, event->user.v);
    g_assert_true(!read->__isset_target_user ||
                  read->target_user == event->target_user.v);
    g_assert_cmpint(read->__isset_target_user, ==, event->target_user.v != 0);
    g_assert_cmpint(read->__isset_target_post, ==, event->target_post.v != 0);
    if (read->__isset_post) {
        g_assert_cmpint(read->post->kind, ==, post->kind);
        g_assert_cmpuint(read->post->body->len, ==, post->body.len);
        g_assert_true(post->body.len == 0 ||
                      memcmp(read->post->body->data, post->body.data,
                             post->body.len) == 0);
        g_assert_cmpuint(read->post->tags->len, ==, post->n_tags);
        g_assert_cmpint(read->post->__isset_reply_to, ==,
                        post->reply_to.v != 0);
        g_assert_cmpint(read->post->__isset_reblog_of, ==,
                        post->reblog_of.v != 0);
    }
    g_object_unref(read);
}

static void
check_event(gint32 kind, const Content *content)
{
    g_autoptr(GByteArray) record = make_record(kind, content);
    g_autoptr(GString) line = g_string_new(NULL);
    EventFault fault;
    Event event;

    g_assert_true(event_decode(record->data, record->len, &event, &fault));
    make_line(line, record->data, record->len);
    json_decref(parse_line(line));
    assert_imported(line, &event);
}

/* Every kind of event, with all that it may have. */
static void
test_kinds(void)
{
    const Content content = {POST_TEXT,
                             {(const guint8 *)"hello", 5},
                             {"news", "a\"b\\c", NULL},
                             ID + 2,
                             ID + 3};

    for (gint32 kind = 1; kind <= EVENT_KIND_MAX; kind++) {
        check_event(kind, &content);
    }
}

/* Any bytes in a body, of every kind of post that may have them. */
static void
test_bodies(void)
{
    g_autoptr(GRand) dice = g_rand_new_with_seed(1);
    guint8 body[64];

    for (guint i = 0; i < 5000; i++) {
        Content content = {.kind = 2 + (gint32)(i % 7), .body.data = body};
        gboolean ascii = g_rand_boolean(dice);

        content.body.len = (gsize)g_rand_int_range(dice, 0, sizeof body);
        for (gsize j = 0; j < content.body.len; j++) {
            body[j] = (guint8)g_rand_int_range(dice, 0, ascii ? 128 : 256);
        }
        check_event(EVENT_POST, &content);
    }
}

/* Bytes that are no event: still a line, with a reason. */
static void
test_undecodable(void)
{
    g_autoptr(GRand) dice = g_rand_new_with_seed(2);
    guint8 bytes[32];

    for (guint i = 0; i < 2000; i++) {
        g_autoptr(GString) line = g_string_new(NULL);
        json_auto_t *object = NULL;

        for (gsize j = 0; j < sizeof bytes; j++) {
            bytes[j] = (guint8)g_rand_int(dice);
        }
        make_line(line, bytes, (gsize)g_rand_int_range(dice, 0, sizeof bytes));
        object = parse_line(line);
        g_assert_cmpstr(json_string_value(json_object_get(object, "kind")), ==,
                        "undecodable");
        g_assert_nonnull(json_object_get(object, "reason"));
        g_assert_cmpint(json_integer_value(json_object_get(object, "offset")),
                        ==, 17);
    }
}

/* Reasons come from anywhere. */
static void
test_last(void)
{
    g_autoptr(GString) position = g_string_new("AgAB");
    g_autoptr(GString) line = g_string_new(NULL);
    g_autoptr(GString) fault = g_string_new(NULL);
    json_auto_t *object = NULL;
    json_auto_t *refusal = NULL;

    line_write_last(line, "stopped", "a \"gap\" \xff\n", position);
    object = parse_line(line);
    g_assert_cmpstr(json_string_value(json_object_get(object, "kind")), ==,
                    "stopped");
    line_write_fault(fault, "si\xff\"nce", "is bad", 5);
    refusal = json_loads(fault->str, 0, NULL);
    g_assert_cmpint(json_integer_value(json_object_get(refusal, "limit")), ==,
                    5);
    g_assert_nonnull(json_object_get(refusal, "field"));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    client_init();
    g_test_add_func("/line/kinds", test_kinds);
    g_test_add_func("/line/bodies", test_bodies);
    g_test_add_func("/line/undecodable", test_undecodable);
    g_test_add_func("/line/last", test_last);
    return g_test_run();
}
