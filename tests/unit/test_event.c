/*
 * Events: what is taken, what is refused and by which words, and the one form
 * that the log holds. Events are built field by field, so that wrong ones can
 * be built as easily as right ones.
 */
#include "firehose/event.h"

#include <string.h>

/* What a test's event has; absent where 0, and bits of `with` for oddities. */
typedef struct Sketch {
    gint32 version;
    gint64 id;
    gint32 kind;
    gint64 user;
    gint64 target_user;
    gint64 target_post;
    gint64 post_id;
    gint64 author;
    gint32 post_kind;
    gsize body;       /* so many bytes 'b' */
    const char *text; /* or this body */
    guint tags;       /* so many tags... */
    gsize tag;        /* ...of so many bytes */
    const char *word; /* or one tag, this */
    gint64 reply_to;
    gint64 reblog_of;
    enum {
        PLAIN,
        NO_POST,
        UNKNOWN_FIELDS,
        STRAY_BYTE,
        TWICE_USER,
        WRONG_USER,
        WRONG_POST,
        WRONG_TAGS,
        TWICE_BODY,
        BIG_UNKNOWN,
    } odd;
} Sketch;

static void
put_i64(GByteArray *out, gint16 id, gint64 value)
{
    if (value != 0) {
        wire_field_i64(out, id, value);
    }
}

static void
put_i32(GByteArray *out, gint16 id, gint32 value)
{
    if (value != 0) {
        wire_field_i32(out, id, value);
    }
}

static void
put_tags(GByteArray *out, const Sketch *sketch)
{
    g_autofree char *tag = g_strnfill(sketch->tag, 't');

    if (sketch->odd == WRONG_TAGS) {
        wire_write_field(out, WIRE_LIST, 5);
        wire_write_list(out, WIRE_I32, 1);
        wire_write_i32(out, 7);
    } else if (sketch->word != NULL) {
        wire_write_field(out, WIRE_LIST, 5);
        wire_write_list(out, WIRE_BINARY, 1);
        wire_write_bytes(out, sketch->word, strlen(sketch->word));
    } else if (sketch->tags > 0) {
        wire_write_field(out, WIRE_LIST, 5);
        wire_write_list(out, WIRE_BINARY, sketch->tags);
        for (guint i = 0; i < sketch->tags; i++) {
            wire_write_bytes(out, tag, sketch->tag);
        }
    }
}

static void
put_post(GByteArray *out, const Sketch *sketch)
{
    g_autofree char *body = g_strnfill(sketch->body, 'b');

    wire_write_field(out, WIRE_STRUCT, 7);
    if (sketch->odd == UNKNOWN_FIELDS) {
        wire_field_string(out, 99, "of a newer post");
    }
    put_tags(out, sketch);
    put_i64(out, 1, sketch->post_id);
    put_i64(out, 2, sketch->author);
    put_i32(out, 3, sketch->post_kind);
    if (sketch->body > 0) {
        wire_field_bytes(out, 4, body, sketch->body);
    }
    if (sketch->text != NULL) {
        wire_field_string(out, 4, sketch->text);
    }
    if (sketch->odd == TWICE_BODY) {
        wire_field_string(out, 4, "a");
        wire_field_string(out, 4, "b");
    }
    put_i64(out, 6, sketch->reply_to);
    put_i64(out, 7, sketch->reblog_of);
    wire_write_stop(out);
}

/* Fields in an unusual order, as a client may send them. */
static GByteArray *
build(const Sketch *sketch)
{
    GByteArray *out = g_byte_array_new();
    gboolean post = sketch->kind == EVENT_POST || sketch->kind == EVENT_EDIT;

    if (sketch->odd == UNKNOWN_FIELDS) {
        wire_field_string(out, -5, "below zero");
    }
    if (sketch->odd == BIG_UNKNOWN) {
        g_autofree char *big = g_strnfill(EVENT_BYTES_MAX - 60, 'x');

        wire_field_string(out, 90, big);
    }
    if (sketch->odd == WRONG_POST) {
        wire_field_i32(out, 7, 1);
    } else if (post && sketch->odd != NO_POST) {
        put_post(out, sketch);
    }
    put_i64(out, 6, sketch->target_post);
    put_i64(out, 5, sketch->target_user);
    if (sketch->odd == WRONG_USER) {
        wire_field_i32(out, 4, (gint32)sketch->user);
    } else {
        put_i64(out, 4, sketch->user);
    }
    if (sketch->odd == TWICE_USER) {
        put_i64(out, 4, sketch->user);
    }
    put_i32(out, 3, sketch->kind);
    put_i64(out, 2, sketch->id);
    put_i32(out, 1, sketch->version);
    if (sketch->odd == UNKNOWN_FIELDS) {
        wire_field_string(out, 77, "of a newer event");
    }
    wire_write_stop(out);
    if (sketch->odd == STRAY_BYTE) {
        wire_write_stop(out);
    }
    return out;
}

static WireBytes
whole(const GByteArray *array)
{
    return (WireBytes){array->data, array->len};
}

static void
assert_bytes(const guint8 *data, gsize len, const void *expected, gsize n)
{
    g_assert_cmpuint(len, ==, n);
    g_assert_true(memcmp(data, expected, n) == 0);
}

static gboolean
contains(const GByteArray *array, const char *text)
{
    return memmem(array->data, array->len, text, strlen(text)) != NULL;
}

static const Sketch good[] = {
    {.kind = EVENT_POST, .user = 5},
    {.kind = EVENT_POST, .user = 5, .text = "na\xc3\xafve"},
    {.kind = EVENT_POST, .user = 5, .body = BODY_BYTES_MAX},
    {.kind = EVENT_POST, .user = 5, .text = "\xff\xfe", .post_kind = 2},
    {.kind = EVENT_POST, .user = 5, .post_kind = POST_KIND_MAX},
    {.kind = EVENT_POST, .user = 5, .tags = TAGS_MAX, .tag = TAG_BYTES_MAX},
    {.kind = EVENT_POST, .user = 5, .tags = 1, .tag = 1},
    {.kind = EVENT_POST, .user = 5, .reply_to = 1, .reblog_of = G_MAXINT64},
    {.kind = EVENT_POST, .user = 5, .id = 9, .post_id = 9, .author = 5},
    {.kind = EVENT_POST, .user = G_MAXINT64, .id = G_MAXINT64},
    {.kind = EVENT_POST, .user = 5, .version = 1},
    {.kind = EVENT_POST, .user = 5, .odd = UNKNOWN_FIELDS},
    {.kind = EVENT_EDIT, .user = 5, .target_post = 3, .text = "better"},
    {.kind = EVENT_EDIT, .user = 5, .target_post = 3, .post_id = 3},
    {.kind = EVENT_DELETE, .user = 5, .target_post = 3},
    {.kind = EVENT_FOLLOW, .user = 5, .target_user = 3},
    {.kind = EVENT_FOLLOW, .user = 5, .target_user = 5},
    {.kind = EVENT_FOLLOW, .user = 5, .target_user = 3, .target_post = -1},
    {.kind = EVENT_UNFOLLOW, .user = 5, .target_user = 3},
    {.kind = EVENT_LIKE, .user = 5, .target_post = 3},
    {.kind = EVENT_UNLIKE, .user = 5, .target_post = 3},
    {.kind = EVENT_BLOCK, .user = 5, .target_user = 3},
    {.kind = EVENT_UNBLOCK, .user = 5, .target_user = 3},
    {.kind = EVENT_MUTE, .user = 5, .target_user = 3},
    {.kind = EVENT_UNMUTE, .user = 5, .target_user = 3},
    {.kind = EVENT_READ_MARK, .user = 5, .target_post = 3},
    {.kind = EVENT_DELETE_USER, .user = 5},
};

typedef struct Bad {
    Sketch sketch;
    const char *field;
    gint64 limit;
} Bad;

#define POSTED .kind = EVENT_POST, .user = 5

static const Bad bad[] = {
    {{.user = 5}, "event.kind", EVENT_KIND_MAX},
    {{.kind = 14, .user = 5}, "event.kind", EVENT_KIND_MAX},
    {{.kind = -1, .user = 5}, "event.kind", EVENT_KIND_MAX},
    {{POSTED, .version = 2}, "event.version", 1},
    {{POSTED, .version = -1}, "event.version", 1},
    {{.kind = EVENT_POST}, "event.user", -1},
    {{.kind = EVENT_POST, .user = -5}, "event.user", 1},
    {{POSTED, .id = -1}, "event.id", 1},
    {{POSTED, .odd = STRAY_BYTE}, "event", -1},
    {{POSTED, .odd = TWICE_USER}, "event.user", -1},
    {{POSTED, .odd = WRONG_USER}, "event.user", -1},
    {{POSTED, .odd = WRONG_POST}, "event.post", -1},
    {{POSTED, .odd = BIG_UNKNOWN}, "event", EVENT_BYTES_MAX},
    {{POSTED, .odd = NO_POST}, "event.post", -1},
    {{POSTED, .id = 9, .post_id = 8}, "event.post.id", -1},
    {{POSTED, .author = 6}, "event.post.author", -1},
    {{POSTED, .post_kind = 9}, "event.post.kind", POST_KIND_MAX},
    {{POSTED, .post_kind = -1}, "event.post.kind", POST_KIND_MAX},
    {{POSTED, .body = BODY_BYTES_MAX + 1}, "event.post.body", BODY_BYTES_MAX},
    {{POSTED, .text = "cut \xc3"}, "event.post.body", -1},
    {{POSTED, .text = "\xed\xa0\x80"}, "event.post.body", -1},
    {{POSTED, .odd = TWICE_BODY}, "event", -1}, /* by wire_read_value() */
    {{POSTED, .tags = TAGS_MAX + 1, .tag = 1}, "event.post.tags", TAGS_MAX},
    {{POSTED, .tags = 1, .tag = TAG_BYTES_MAX + 1},
     "event.post.tags",
     TAG_BYTES_MAX},
    {{POSTED, .tags = 2, .tag = 0}, "event.post.tags", 1},
    {{POSTED, .word = "\xff"}, "event.post.tags", -1},
    {{POSTED, .odd = WRONG_TAGS}, "event.post.tags", -1},
    {{POSTED, .reply_to = -1}, "event.post.reply_to", 1},
    {{POSTED, .id = 9, .reply_to = 9}, "event.post.reply_to", -1},
    {{POSTED, .reblog_of = G_MININT64}, "event.post.reblog_of", 1},
    {{POSTED, .id = 9, .reblog_of = 9}, "event.post.reblog_of", -1},
    {{.kind = EVENT_EDIT, .user = 5}, "event.target_post", -1},
    {{.kind = EVENT_EDIT, .user = 5, .target_post = 3, .odd = NO_POST},
     "event.post",
     -1},
    {{.kind = EVENT_EDIT, .user = 5, .target_post = 3, .post_id = 4},
     "event.post.id",
     -1},
    {{.kind = EVENT_EDIT, .user = 5, .target_post = 3, .reply_to = 3},
     "event.post.reply_to",
     -1},
    {{.kind = EVENT_FOLLOW, .user = 5}, "event.target_user", -1},
    {{.kind = EVENT_FOLLOW, .user = 5, .target_user = -3},
     "event.target_user",
     1},
    {{.kind = EVENT_LIKE, .user = 5, .target_user = 3},
     "event.target_post",
     -1},
    {{.kind = EVENT_READ_MARK, .user = 5, .target_post = -3},
     "event.target_post",
     1},
};

static void
check_stamped(const Sketch *sketch, const Event *event)
{
    gint64 id = sketch->id != 0 ? sketch->id : 1000;

    g_assert_cmpint(event->id.v, ==, id);
    g_assert_cmpint(event->kind, ==, sketch->kind);
    g_assert_cmpint(event->user.v, ==, sketch->user);
    g_assert_cmpint(event->target_user.v, ==, sketch->target_user);
    if (sketch->target_post > 0) {
        g_assert_cmpint(event->target_post.v, ==, sketch->target_post);
    }
    if (event->post_bytes.len == 0) {
        return;
    }
    g_assert_cmpint(event->post.author.v, ==, sketch->user);
    g_assert_cmpint(event->post.id.v, ==,
                    sketch->kind == EVENT_EDIT ? sketch->target_post : id);
    g_assert_cmpint(event->post.kind, ==,
                    sketch->post_kind != 0 ? sketch->post_kind : POST_TEXT);
    if (sketch->text != NULL) {
        assert_bytes(event->post.body.data, event->post.body.len, sketch->text,
                     strlen(sketch->text));
    } else {
        g_assert_cmpuint(event->post.body.len, ==, sketch->body);
    }
    g_assert_cmpuint(event->post.n_tags, ==, sketch->tags);
    g_assert_cmpint(event->post.reply_to.v, ==, sketch->reply_to);
    g_assert_cmpint(event->post.reblog_of.v, ==, sketch->reblog_of);
}

/* Every kind is stamped, decodes from the log, and stamping again changes
   nothing. */
static void
test_good(void)
{
    for (gsize i = 0; i < G_N_ELEMENTS(good); i++) {
        g_autoptr(GByteArray) in = build(&good[i]);
        g_autoptr(GByteArray) out = g_byte_array_new();
        g_autoptr(GByteArray) again = g_byte_array_new();
        Event event;
        Event decoded;
        EventFault fault;
        Post post;

        g_test_message("good event %zu", i);
        g_byte_array_append(out, (const guint8 *)"before", 6);
        g_assert_true(
            event_stamp(whole(in), (EventId){1000}, out, &event, &fault));
        check_stamped(&good[i], &event);
        assert_bytes(out->data, 6, "before", 6);
        g_assert_true(event.bytes.data == out->data + 6);
        g_assert_cmpuint(event.bytes.len, ==, out->len - 6);
        g_assert_true(
            event_decode(event.bytes.data, event.bytes.len, &decoded, &fault));
        check_stamped(&good[i], &decoded);
        g_assert_true(
            event_stamp(event.bytes, (EventId){7}, again, &decoded, &fault));
        assert_bytes(again->data, again->len, event.bytes.data,
                     event.bytes.len);
        if (event.post_bytes.len > 0) {
            g_assert_true(post_decode(event.post_bytes, &post));
            g_assert_cmpint(post.id.v, ==, event.post.id.v);
        }
    }
}

/* Every fault names its field and its limit, and leaves the output alone. */
static void
test_bad(void)
{
    for (gsize i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GByteArray) in = build(&bad[i].sketch);
        g_autoptr(GByteArray) out = g_byte_array_new();
        Event event;
        EventFault fault = {0};

        g_test_message("bad event %zu", i);
        g_assert_false(
            event_stamp(whole(in), (EventId){1000}, out, &event, &fault));
        g_assert_cmpstr(fault.field, ==, bad[i].field);
        g_assert_nonnull(fault.reason);
        g_assert_cmpint(fault.limit, ==, bad[i].limit);
        g_assert_cmpuint(out->len, ==, 0);
    }
}

/* What the log must have and a client need not. */
static void
test_log_form(void)
{
    static const Bad cases[] = {
        {{POSTED, .post_id = 9, .author = 5}, "event.id", -1},
        {{POSTED, .id = 9, .author = 5}, "event.post.id", -1},
        {{POSTED, .id = 9, .post_id = 9}, "event.post.author", -1},
    };
    Event event;
    EventFault fault;

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GByteArray) in = build(&cases[i].sketch);

        g_assert_false(event_decode(in->data, in->len, &event, &fault));
        g_assert_cmpstr(fault.field, ==, cases[i].field);
    }
}

/* Unknown fields of the event and of the post reach the log. */
static void
test_unknown_fields(void)
{
    const Sketch sketch = {POSTED, .text = "hi", .odd = UNKNOWN_FIELDS};
    g_autoptr(GByteArray) in = build(&sketch);
    g_autoptr(GByteArray) out = g_byte_array_new();
    g_autoptr(GByteArray) post = g_byte_array_new();
    Event event;
    EventFault fault;

    g_assert_true(event_stamp(whole(in), (EventId){1000}, out, &event, &fault));
    g_assert_true(contains(out, "of a newer event"));
    g_assert_true(contains(out, "below zero"));
    g_byte_array_append(post, event.post_bytes.data,
                        (guint)event.post_bytes.len);
    g_assert_true(contains(post, "of a newer post"));
    g_assert_false(contains(post, "of a newer event"));
}

/* An event with a post of which an unknown field is a list of lists, @depth
   deep; a follow with such a field of its own where not @in_post. */
static GByteArray *
build_nested(guint depth, gboolean in_post)
{
    GByteArray *out = g_byte_array_new();

    wire_field_i32(out, 3, in_post ? EVENT_POST : EVENT_DELETE_USER);
    wire_field_i64(out, 4, 5);
    if (in_post) {
        wire_write_field(out, WIRE_STRUCT, 7);
    }
    wire_write_field(out, WIRE_LIST, 99);
    for (guint i = 1; i < depth; i++) {
        wire_write_list(out, WIRE_LIST, 1);
    }
    wire_write_list(out, WIRE_I64, 0);
    if (in_post) {
        wire_write_stop(out);
    }
    wire_write_stop(out);
    return out;
}

/* Unknown fields may be eight deep, the post itself counted: a page that holds
   it adds levels of its own, and must still scan. */
static void
test_nested(void)
{
    for (guint in_post = 0; in_post <= 1; in_post++) {
        for (guint depth = 1; depth <= 12; depth++) {
            g_autoptr(GByteArray) in = build_nested(depth, in_post == 1);
            g_autoptr(GByteArray) out = g_byte_array_new();
            Event event;
            EventFault fault;

            g_assert_cmpint(
                event_stamp(whole(in), (EventId){1000}, out, &event, &fault),
                ==, depth + in_post <= 8);
        }
    }
}

/* A record that was cut anywhere is refused, in both directions. */
static void
test_truncated(void)
{
    for (gsize i = 0; i < G_N_ELEMENTS(good); i++) {
        g_autoptr(GByteArray) in = build(&good[i]);
        g_autoptr(GByteArray) out = g_byte_array_new();
        Event event;
        EventFault fault;

        for (gsize len = 0; len < MIN(in->len, 300); len++) {
            g_autofree guint8 *cut = g_memdup2(in->data, len);

            g_assert_false(event_stamp((WireBytes){cut, len}, (EventId){1000},
                                       out, &event, &fault));
            g_assert_cmpuint(out->len, ==, 0);
            g_assert_false(event_decode(cut, len, &event, &fault));
        }
    }
}

/* A NUL is text, but not a tag. */
static void
test_nul(void)
{
    g_autoptr(GByteArray) out = g_byte_array_new();
    g_autoptr(GByteArray) in = g_byte_array_new();
    Event event;
    EventFault fault;

    for (guint in_tag = 0; in_tag < 2; in_tag++) {
        g_byte_array_set_size(in, 0);
        wire_field_i32(in, 3, EVENT_POST);
        wire_field_i64(in, 4, 5);
        wire_write_field(in, WIRE_STRUCT, 7);
        if (in_tag) {
            wire_write_field(in, WIRE_LIST, 5);
            wire_write_list(in, WIRE_BINARY, 1);
            wire_write_bytes(in, "a\0b", 3);
        } else {
            wire_field_bytes(in, 4, "a\0b\0", 4);
        }
        wire_write_stop(in);
        wire_write_stop(in);
        g_assert_cmpint(
            event_stamp(whole(in), (EventId){1}, out, &event, &fault), ==,
            !in_tag);
    }
}

/* The id is found wherever it is, and nonsense has none. */
static void
test_peek(void)
{
    const Sketch given = {POSTED, .id = 77, .odd = UNKNOWN_FIELDS};
    const Sketch absent = {POSTED};
    g_autoptr(GByteArray) with = build(&given);
    g_autoptr(GByteArray) without = build(&absent);

    g_assert_cmpint(event_peek_id(whole(with)), ==, 77);
    g_assert_cmpint(event_peek_id(whole(without)), ==, 0);
    g_assert_cmpint(event_peek_id((WireBytes){with->data, 9}), ==, 0);
}

/* A kind has a name, and nothing else does. */
static void
test_names(void)
{
    g_assert_cmpstr(event_kind_name(EVENT_POST), ==, "post");
    g_assert_cmpstr(event_kind_name(EVENT_DELETE_USER), ==, "delete_user");
    for (gint32 kind = 1; kind <= EVENT_KIND_MAX; kind++) {
        g_assert_nonnull(event_kind_name(kind));
    }
    g_assert_null(event_kind_name(0));
    g_assert_null(event_kind_name(-1));
    g_assert_null(event_kind_name(EVENT_KIND_MAX + 1));
}

/* Not a check but a figure: the cost of stamping a 500-byte post. */
static void
test_speed(void)
{
    const Sketch sketch = {POSTED, .body = 500, .tags = 3, .tag = 8};
    g_autoptr(GByteArray) in = build(&sketch);
    g_autoptr(GByteArray) out = g_byte_array_new();
    gint64 start = g_get_monotonic_time();
    Event event;
    EventFault fault;

    for (guint i = 0; i < 100000; i++) {
        g_byte_array_set_size(out, 0);
        g_assert_true(
            event_stamp(whole(in), (EventId){1}, out, &event, &fault));
    }
    g_test_message("stamping: %.2f us",
                   (double)(g_get_monotonic_time() - start) / 100000);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/event/good", test_good);
    g_test_add_func("/event/bad", test_bad);
    g_test_add_func("/event/log-form", test_log_form);
    g_test_add_func("/event/unknown-fields", test_unknown_fields);
    g_test_add_func("/event/nested", test_nested);
    g_test_add_func("/event/truncated", test_truncated);
    g_test_add_func("/event/nul", test_nul);
    g_test_add_func("/event/peek", test_peek);
    g_test_add_func("/event/names", test_names);
    g_test_add_func("/event/speed", test_speed);
    return g_test_run();
}
