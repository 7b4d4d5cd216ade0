/*
 * test_query.c - what GET /v1/stream asks for, and how it is refused
 */
#include "firehose/query.h"

#include "thrift/limits.h"

#include <string.h>

#define NOW_MS G_GINT64_CONSTANT(1764000000000)

static gboolean
parse(const char *text, Query *ret_query, QueryFault *ret_fault)
{
    const QueryInput input = {.text = text, .now_ms = NOW_MS};

    return query_parse(&input, ret_query, ret_fault);
}

/* Nothing asked: everything from now on, for ever, as NDJSON. */
static void
test_defaults(void)
{
    static const char *const texts[] = {NULL, ""};

    for (gsize i = 0; i < G_N_ELEMENTS(texts); i++) {
        QueryFault fault;
        Query query;

        g_assert_true(parse(texts[i], &query, &fault));
        g_assert_cmpint(query.place.kind, ==, PLACE_NOW);
        g_assert_cmpint(query.format, ==, QUERY_NDJSON);
        g_assert_cmpint(query.limit, ==, G_MAXINT64);
        g_assert_cmpint(query.tap.until_ms, ==, G_MAXINT64);
        g_assert_cmpint(query.tap.floor_ms, ==, G_MININT64);
        g_assert_cmpuint(query.tap.kinds, ==, 0);
        g_assert_null(query.tap.authors);
        g_assert_false(query.tap.to_end || query.place.or_earliest);
        query_clear(&query);
    }
}

/* Each parameter, together. */
static void
test_all(void)
{
    QueryFault fault;
    Query query;

    g_assert_true(parse("since=PT1H&or_earliest=1&until=1763999999999&follow=0"
                        "&kinds=post,follow&authors=9,3,9223372036854775807"
                        "&limit=7&format=sse",
                        &query, &fault));
    g_assert_cmpint(query.place.kind, ==, PLACE_TIME);
    g_assert_cmpint(query.place.time_ms, ==, NOW_MS - 3600000);
    g_assert_cmpint(query.tap.floor_ms, ==, NOW_MS - 3600000);
    g_assert_true(query.place.or_earliest && query.tap.to_end);
    g_assert_cmpint(query.tap.until_ms, ==, NOW_MS - 1);
    g_assert_cmpuint(query.tap.kinds, ==,
                     1U << EVENT_POST | 1U << EVENT_FOLLOW);
    g_assert_cmpuint(query.tap.authors->len, ==, 3);
    g_assert_cmpint(g_array_index(query.tap.authors, gint64, 0), ==, 3);
    g_assert_cmpint(g_array_index(query.tap.authors, gint64, 2), ==,
                    G_MAXINT64);
    g_assert_cmpint(query.limit, ==, 7);
    g_assert_cmpint(query.format, ==, QUERY_SSE);
    query_clear(&query);
}

/* A zone's plus that was not escaped is a plus, and one that was is, too. */
static void
test_zone(void)
{
    static const char *const texts[] = {
        "since=2025-11-24T10:00:00%2B02:00", "since=2025-11-24T10:00:00+02:00",
        "since=2025-11-24%2010:00:00+02:00", "since=2025-11-24%2008:00:00Z",
        "since=2025-11-24T08:00:00Z"};

    for (gsize i = 0; i < G_N_ELEMENTS(texts); i++) {
        QueryFault fault;
        Query query;

        g_test_message("%s", texts[i]);
        g_assert_true(parse(texts[i], &query, &fault));
        g_assert_cmpint(query.place.time_ms, ==, 1763971200000);
        query_clear(&query);
    }
}

/* What a browser sends when it comes back stands above the URL. */
static void
test_headers(void)
{
    QueryInput input = {.text = "since=PT1H",
                        .accept = "text/event-stream",
                        .last_event_id = "AgAB",
                        .now_ms = NOW_MS};
    QueryFault fault;
    Query query;

    g_assert_true(query_parse(&input, &query, &fault));
    g_assert_cmpint(query.place.kind, ==, PLACE_POSITION);
    g_assert_cmpstr(query.position, ==, "AgAB");
    g_assert_cmpuint(query.place.position.len, ==, 4);
    g_assert_cmpstr(query.place_field, ==, "Last-Event-ID");
    g_assert_cmpint(query.tap.floor_ms, ==, G_MININT64);
    g_assert_cmpint(query.format, ==, QUERY_SSE);
    query_clear(&query);
    input.text = "format=ndjson";
    input.last_event_id = "";
    g_assert_true(query_parse(&input, &query, &fault));
    g_assert_cmpint(query.format, ==, QUERY_NDJSON);
    g_assert_cmpint(query.place.kind, ==, PLACE_NOW);
    query_clear(&query);
}

/* Each mistake names its parameter and says what is wrong. */
static void
test_refused(void)
{
    static const struct {
        const char *text;
        const char *field;
        const char *reason;
        gint64 limit;
    } cases[] = {
        {"since", "query", "is not like", -1},
        {"sinc=now", "sinc", "is no parameter", -1},
        {"Since=now", "Since", "is no parameter", -1},
        {"limit=1&limit=1", "limit", "is given twice", -1},
        {"since=now&position=AgAB", "since", "does not go with position", -1},
        {"since=", "since", "is no time", -1},
        {"since=1764000000001", "since", "is in the future", NOW_MS},
        {"position=", "position", "is no position", -1},
        {"until=soon", "until", "is no time", -1},
        {"since=PT1H&until=PT1H", "until", "is not after since",
         NOW_MS - 3600000},
        {"follow=2", "follow", "is 0 or 1", 1},
        {"or_earliest=yes", "or_earliest", "is 0 or 1", 1},
        {"kinds=", "kinds", "is empty", -1},
        {"kinds=post,poke", "kinds", "has a word", -1},
        {"kinds=post,", "kinds", "has a word", -1},
        {"authors=", "authors", "is empty", -1},
        {"authors=0", "authors", "has a word", G_MAXINT64},
        {"authors=1,alice", "authors", "has a word", G_MAXINT64},
        {"authors=9223372036854775808", "authors", "has a word", G_MAXINT64},
        {"limit=0", "limit", "is a number", G_MAXINT64},
        {"limit=-1", "limit", "is a number", G_MAXINT64},
        {"client_id=", "client_id", "is a name of", CLIENT_ID_BYTES_MAX},
        {"client_id=a/b", "client_id", "is a name of", CLIENT_ID_BYTES_MAX},
        {"client_id=comb.cell.0", "client_id", "begins with comb.",
         CLIENT_ID_BYTES_MAX},
        {"group=1", "group", "needs client_id", -1},
        {"group=2&client_id=a", "group", "is 0 or 1", 1},
        {"client_id=a&position=AgAB", "client_id", "does not go with position",
         -1},
        {"format=xml", "format", "is ndjson or sse", -1},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        QueryFault fault;
        Query query;

        g_test_message("%s", cases[i].text);
        g_assert_false(parse(cases[i].text, &query, &fault));
        g_assert_cmpstr(fault.field, ==, cases[i].field);
        g_assert_true(g_str_has_prefix(fault.reason, cases[i].reason));
        g_assert_cmpint(fault.limit, ==, cases[i].limit);
    }
}

/* As many users as may be, and one more. */
static void
test_many_authors(void)
{
    g_autoptr(GString) text = g_string_new("authors=1");
    QueryFault fault;
    Query query;

    for (guint i = 1; i < TAP_AUTHORS_MAX; i++) {
        g_string_append_printf(text, ",%u", TAP_AUTHORS_MAX - i);
    }
    g_assert_true(parse(text->str, &query, &fault));
    g_assert_cmpuint(query.tap.authors->len, ==, TAP_AUTHORS_MAX);
    query_clear(&query);
    g_string_append(text, ",1");
    g_assert_false(parse(text->str, &query, &fault));
    g_assert_cmpstr(fault.reason, ==, "has too many users");
    g_assert_cmpint(fault.limit, ==, TAP_AUTHORS_MAX);
}

/* A client's place knows no floor, and gives way to Last-Event-ID. */
static void
test_client(void)
{
    QueryInput input = {.text = "client_id=a.B_9-&since=PT1H",
                        .now_ms = NOW_MS};
    QueryFault fault;
    Query query;

    g_assert_true(query_parse(&input, &query, &fault));
    g_assert_cmpstr(query.place.client, ==, "a.B_9-");
    g_assert_cmpint(query.place.kind, ==, PLACE_TIME);
    g_assert_cmpint(query.tap.floor_ms, ==, G_MININT64);
    query_clear(&query);
    input.last_event_id = "AgAB";
    g_assert_true(query_parse(&input, &query, &fault));
    g_assert_null(query.place.client);
    g_assert_cmpint(query.place.kind, ==, PLACE_POSITION);
    query_clear(&query);
    input.text = "client_id=a&group=1&since=PT1H";
    g_assert_true(query_parse(&input, &query, &fault));
    g_assert_true(query.group);
    g_assert_cmpint(query.place.kind, ==, PLACE_TIME);
    g_assert_cmpint(query.tap.floor_ms, ==, G_MININT64);
    query_clear(&query);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/query/defaults", test_defaults);
    g_test_add_func("/query/all", test_all);
    g_test_add_func("/query/zone", test_zone);
    g_test_add_func("/query/headers", test_headers);
    g_test_add_func("/query/client", test_client);
    g_test_add_func("/query/refused", test_refused);
    g_test_add_func("/query/many-authors", test_many_authors);
    return g_test_run();
}
