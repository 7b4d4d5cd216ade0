/*
 * fuzz_query.c - any bytes as the query of a stream, and as a position
 *
 * Three lines: the query, the Accept header, Last-Event-ID. What is taken must
 * be within bounds; a refusal names a field and a reason, and tells them in
 * valid UTF-8. The bytes as a position: what is understood must be written
 * again as the same text.
 */
#include "firehose/bookmark.h"
#include "firehose/line.h"
#include "firehose/query.h"
#include "ops/kit/ensure.h"

#include <string.h>

#define NOW_MS G_GINT64_CONSTANT(1764000000000)
#define PARTITIONS 3
#define CHECK 0

int LLVMFuzzerTestOneInput(const guint8 *data, size_t len);

static void
check_query(const Query *query)
{
    const GArray *authors = query->tap.authors;

    ensure(query->place.kind != PLACE_TIME ||
           (query->place.time_ms >= 0 && query->place.time_ms <= NOW_MS &&
            query->tap.until_ms > query->place.time_ms));
    ensure((query->place.kind == PLACE_POSITION) == (query->position != NULL));
    ensure(query->limit >= 1);
    ensure(query->tap.kinds >> (EVENT_KIND_MAX + 1) == 0);
    ensure(authors == NULL ||
           (authors->len >= 1 && authors->len <= TAP_AUTHORS_MAX));
    for (guint i = 0; authors != NULL && i < authors->len; i++) {
        ensure(g_array_index(authors, gint64, i) >= 1);
        ensure(i == 0 || g_array_index(authors, gint64, i - 1) <=
                             g_array_index(authors, gint64, i));
    }
}

static void
check_fault(const QueryFault *fault)
{
    g_autoptr(GString) json = g_string_new(NULL);

    ensure(fault->reason != NULL && fault->field[0] != '\0');
    line_write_fault(json, fault->field, fault->reason, fault->limit);
    ensure(g_utf8_validate(json->str, (gssize)json->len, NULL));
    ensure(memchr(json->str, '\n', json->len - 1) == NULL);
}

static void
check_position(const guint8 *data, gsize len)
{
    g_autoptr(GString) again = g_string_new(NULL);
    guint64 next[PARTITIONS];
    Position event;

    switch (bookmark_read((WireBytes){data, len}, CHECK, PARTITIONS, next,
                          &event)) {
    case BOOKMARK_ALL:
    case BOOKMARK_SOME:
        break;
    case BOOKMARK_EVENT:
    case BOOKMARK_FOREIGN:
    case BOOKMARK_MALFORMED:
    default:
        return;
    }
    bookmark_write(again, next, PARTITIONS, CHECK);
    ensure(again->len == len && memcmp(again->str, data, len) == 0);
}

int
LLVMFuzzerTestOneInput(const guint8 *data, size_t len)
{
    g_autofree char *text = g_strndup((const char *)data, len);
    g_auto(GStrv) lines = g_strsplit(text, "\n", 3);
    guint n = g_strv_length(lines);
    const QueryInput input = {
        .text = n > 0 ? lines[0] : NULL,
        .accept = n > 1 ? lines[1] : NULL,
        .last_event_id = n > 2 ? lines[2] : NULL,
        .now_ms = NOW_MS,
    };
    QueryFault fault;
    Query query;

    check_position(data, len);
    if (query_parse(&input, &query, &fault)) {
        check_query(&query);
        query_clear(&query);
    } else {
        check_fault(&fault);
    }
    return 0;
}
