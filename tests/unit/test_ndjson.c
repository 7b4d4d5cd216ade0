/*
 * test_ndjson.c - lines of an imported file: what becomes an event, what not
 */
#include "ops/combctl/ndjson.h"

#include "ops/kit/error.h"
#include "thrift/client.h"

#include <string.h>

/* Reads @line into @event; NULL where that went well, else what is wrong. */
static char *
parse(const char *line, gboolean need_id, Names *names, CombEvent *event)
{
    g_autoptr(GError) error = NULL;

    if (ndjson_parse(line, strlen(line), need_id, names, event, &error)) {
        g_assert_no_error(error);
        return NULL;
    }
    g_assert_error(error, COMB_ERROR, COMB_ERROR_INPUT);
    return g_strdup(error->message);
}

static void
must_parse(const char *line, Names *names, CombEvent *event)
{
    g_autofree char *problem = parse(line, TRUE, names, event);

    g_assert_cmpstr(problem, ==, NULL);
}

static void
assert_body(const CombPost *post, const char *bytes, guint len)
{
    g_assert_true(post->__isset_body);
    g_assert_cmpuint(post->body->len, ==, len);
    g_assert_cmpint(memcmp(post->body->data, bytes, len), ==, 0);
}

/* Each kind with just what it wants. */
static void
test_kinds(void)
{
    static const struct {
        const char *line;
        CombEventKind kind;
        gint64 target_user; /* 0: none */
        gint64 target_post; /* 0: none */
        gboolean has_post;
    } rows[] = {
        {"{\"kind\":\"post\",\"id\":5,\"user\":7}", COMB_EVENT_KIND_POST, 0, 0,
         TRUE},
        {"{\"kind\":\"edit\",\"id\":5,\"user\":7,\"post\":3}",
         COMB_EVENT_KIND_EDIT, 0, 3, TRUE},
        {"{\"kind\":\"delete\",\"id\":5,\"user\":7,\"post\":3}",
         COMB_EVENT_KIND_DELETE, 0, 3, FALSE},
        {"{\"kind\":\"follow\",\"id\":5,\"user\":7,\"target\":8}",
         COMB_EVENT_KIND_FOLLOW, 8, 0, FALSE},
        {"{\"kind\":\"unfollow\",\"id\":5,\"user\":7,\"target\":8}",
         COMB_EVENT_KIND_UNFOLLOW, 8, 0, FALSE},
        {"{\"kind\":\"like\",\"id\":5,\"user\":7,\"post\":3}",
         COMB_EVENT_KIND_LIKE, 0, 3, FALSE},
        {"{\"kind\":\"unlike\",\"id\":5,\"user\":7,\"post\":3}",
         COMB_EVENT_KIND_UNLIKE, 0, 3, FALSE},
        {"{\"kind\":\"block\",\"id\":5,\"user\":7,\"target\":8}",
         COMB_EVENT_KIND_BLOCK, 8, 0, FALSE},
        {"{\"kind\":\"unblock\",\"id\":5,\"user\":7,\"target\":8}",
         COMB_EVENT_KIND_UNBLOCK, 8, 0, FALSE},
        {"{\"kind\":\"mute\",\"id\":5,\"user\":7,\"target\":8}",
         COMB_EVENT_KIND_MUTE, 8, 0, FALSE},
        {"{\"kind\":\"unmute\",\"id\":5,\"user\":7,\"target\":8}",
         COMB_EVENT_KIND_UNMUTE, 8, 0, FALSE},
        {"{\"kind\":\"read_mark\",\"id\":5,\"user\":7,\"post\":3}",
         COMB_EVENT_KIND_READ_MARK, 0, 3, FALSE},
        {"{\"kind\":\"delete_user\",\"id\":5,\"user\":7}",
         COMB_EVENT_KIND_DELETE_USER, 0, 0, FALSE},
    };
    g_autoptr(Names) names = names_open_empty();
    CombEvent *event = g_object_new(COMB_TYPE_EVENT, NULL);

    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        must_parse(rows[i].line, names, event);
        g_assert_cmpint(event->kind, ==, rows[i].kind);
        g_assert_cmpint(event->id, ==, 5);
        g_assert_cmpint(event->user, ==, 7);
        g_assert_cmpint(event->__isset_target_user, ==,
                        rows[i].target_user != 0);
        g_assert_cmpint(event->__isset_target_post, ==,
                        rows[i].target_post != 0);
        g_assert_cmpint(event->__isset_post, ==, rows[i].has_post);
        if (rows[i].target_user != 0) {
            g_assert_cmpint(event->target_user, ==, rows[i].target_user);
        }
        if (rows[i].target_post != 0) {
            g_assert_cmpint(event->target_post, ==, rows[i].target_post);
        }
    }
    g_object_unref(event);
}

/* A post with all there is; the next line of the same event has none of it. */
static void
test_whole_post(void)
{
    g_autoptr(Names) names = names_open_empty();
    CombEvent *event = g_object_new(COMB_TYPE_EVENT, NULL);
    const CombPost *post = event->post;

    must_parse("{\"kind\":\"post\",\"id\":5,\"user\":7,\"post_kind\":\"chat\","
               "\"body\":\"a\\u0000b\",\"tags\":[\"x\",\"\\u00fc\"],"
               "\"reply_to\":3,\"reblog_of\":4}",
               names, event);
    g_assert_cmpint(post->kind, ==, COMB_POST_KIND_CHAT);
    assert_body(post, "a\0b", 3);
    g_assert_cmpuint(post->tags->len, ==, 2);
    g_assert_cmpstr(g_ptr_array_index(post->tags, 1), ==, "ü");
    g_assert_cmpint(post->reply_to, ==, 3);
    g_assert_cmpint(post->reblog_of, ==, 4);

    must_parse("{\"kind\":\"post\",\"id\":6,\"user\":7}", names, event);
    g_assert_cmpint(post->kind, ==, COMB_POST_KIND_TEXT);
    g_assert_true(post->__isset_kind);
    g_assert_false(post->__isset_body);
    g_assert_false(post->__isset_tags);
    g_assert_cmpuint(post->tags->len, ==, 0);
    g_assert_false(post->__isset_reply_to);
    g_assert_false(post->__isset_reblog_of);
    g_object_unref(event);
}

/* Bytes that are no text come as base64. */
static void
test_base64(void)
{
    g_autoptr(Names) names = names_open_empty();
    CombEvent *event = g_object_new(COMB_TYPE_EVENT, NULL);

    must_parse("{\"kind\":\"post\",\"id\":5,\"user\":7,"
               "\"post_kind\":\"photo\",\"body_base64\":\"/9j/AA==\"}",
               names, event);
    assert_body(event->post, "\xff\xd8\xff\0", 4);
    g_object_unref(event);
}

/* Names are ids by the documented mapping, and are remembered. */
static void
test_names(void)
{
    g_autoptr(Names) names = names_open_empty();
    CombEvent *event = g_object_new(COMB_TYPE_EVENT, NULL);

    must_parse("{\"kind\":\"follow\",\"id\":5,\"user\":\"curl\","
               "\"target\":\"42\"}",
               names, event);
    g_assert_cmpint(event->user, ==, id_of_name("curl", 4).v);
    g_assert_cmpint(event->target_user, ==, id_of_name("42", 2).v);
    g_assert_cmpstr(names_find(names, (UserId){event->user}), ==, "curl");
    g_object_unref(event);
}

/* An id is wanted, or not. */
static void
test_need_id(void)
{
    g_autoptr(Names) names = names_open_empty();
    CombEvent *event = g_object_new(COMB_TYPE_EVENT, NULL);
    const char *line = "{\"kind\":\"delete_user\",\"user\":7}";
    g_autofree char *wanted = parse(line, TRUE, names, event);
    g_autofree char *not_wanted = parse(line, FALSE, names, event);

    g_assert_cmpstr(wanted, ==, "\"id\" is missing");
    g_assert_cmpstr(not_wanted, ==, NULL);
    g_assert_false(event->__isset_id);
    g_object_unref(event);
}

/* Each bad line, and the words that must be in what is said of it. */
static void
test_bad_lines(void)
{
    static const struct {
        const char *line;
        const char *said;
    } rows[] = {
        {"", "not a JSON object"},
        {"{", "not a JSON object"},
        {"[]", "not a JSON object"},
        {"{} x", "not a JSON object"},
        {"{\"kind\":\"post\",\"id\":5,\"id\":6,\"user\":7}", "duplicate"},
        {"{\"kind\":\"post\",\"id\":5,\"user\":\"\xff\"}", "decode"},
        {"{\"kind\":\"post\",\"id\":9223372036854775808,\"user\":7}",
         "integer"},
        {"{\"id\":5,\"user\":7}", "\"kind\" is missing"},
        {"{\"kind\":\"post\",\"id\":5}", "\"user\" is missing"},
        {"{\"kind\":\"follow\",\"id\":5,\"user\":7}", "\"target\" is missing"},
        {"{\"kind\":\"like\",\"id\":5,\"user\":7}", "\"post\" is missing"},
        {"{\"kind\":\"wave\",\"id\":5,\"user\":7}", "\"kind\" is no kind"},
        {"{\"kind\":4,\"id\":5,\"user\":7}", "\"kind\" is no kind"},
        {"{\"kind\":\"post\",\"id\":\"5\",\"user\":7}", "\"id\" is not"},
        {"{\"kind\":\"post\",\"id\":0,\"user\":7}", "\"id\" is 0"},
        {"{\"kind\":\"post\",\"id\":5.0,\"user\":7}", "\"id\" is not"},
        {"{\"kind\":\"post\",\"id\":5,\"user\":true}", "\"user\" is neither"},
        {"{\"kind\":\"post\",\"id\":5,\"user\":\"\"}", "\"user\" is empty"},
        {"{\"kind\":\"post\",\"id\":5,\"user\":7,\"colour\":1}",
         "\"colour\" is no key"},
        {"{\"kind\":\"like\",\"id\":5,\"user\":7,\"post\":3,\"body\":\"\"}",
         "\"body\" does not go with kind \"like\""},
        {"{\"kind\":\"post\",\"id\":5,\"user\":7,\"post\":3}",
         "\"post\" does not go"},
        {"{\"kind\":\"post\",\"id\":5,\"user\":7,\"post_kind\":\"song\"}",
         "\"post_kind\" is no kind"},
        {"{\"kind\":\"post\",\"id\":5,\"user\":7,\"body\":3}",
         "\"body\" is not"},
        {"{\"kind\":\"post\",\"id\":5,\"user\":7,\"body_base64\":\"abc\"}",
         "\"body_base64\" is not"},
        {"{\"kind\":\"post\",\"id\":5,\"user\":7,\"body_base64\":\"====\"}",
         "\"body_base64\" is not"},
        {"{\"kind\":\"post\",\"id\":5,\"user\":7,\"body\":\"\","
         "\"body_base64\":\"\"}",
         "exclude each other"},
        {"{\"kind\":\"post\",\"id\":5,\"user\":7,\"tags\":\"x\"}",
         "\"tags\" is not"},
        {"{\"kind\":\"post\",\"id\":5,\"user\":7,\"tags\":[1]}",
         "\"tags\" holds"},
        {"{\"kind\":\"post\",\"id\":5,\"user\":7,\"tags\":[\"a\\u0000\"]}",
         "\"tags\" holds"},
    };
    g_autoptr(Names) names = names_open_empty();
    CombEvent *event = g_object_new(COMB_TYPE_EVENT, NULL);

    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *problem = parse(rows[i].line, TRUE, names, event);
        if (problem == NULL || strstr(problem, rows[i].said) == NULL) {
            g_error("%s: said \"%s\", not \"%s\"", rows[i].line, problem,
                    rows[i].said);
        }
    }
    g_object_unref(event);
}

/* The words for kinds go both ways. */
static void
test_words(void)
{
    for (int i = COMB_POST_KIND_TEXT; i <= COMB_POST_KIND_ANSWER; i++) {
        CombPostKind kind = COMB_POST_KIND_TEXT;
        g_assert_true(
            ndjson_post_kind_of(ndjson_post_kind((CombPostKind)i), &kind));
        g_assert_cmpint(kind, ==, i);
    }
    g_assert_cmpstr(ndjson_post_kind((CombPostKind)9), ==, "?");
    g_assert_cmpstr(ndjson_post_kind((CombPostKind)0), ==, "?");
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    client_init();
    g_test_add_func("/ndjson/kinds", test_kinds);
    g_test_add_func("/ndjson/whole-post", test_whole_post);
    g_test_add_func("/ndjson/base64", test_base64);
    g_test_add_func("/ndjson/names", test_names);
    g_test_add_func("/ndjson/need-id", test_need_id);
    g_test_add_func("/ndjson/bad-lines", test_bad_lines);
    g_test_add_func("/ndjson/words", test_words);
    return g_test_run();
}
