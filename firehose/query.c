/*
 * libevent takes the text apart; a table says which parameters there are and
 * how each is read. Strict: an unknown parameter, or one twice, is refused,
 * because a filter with a typo in its name would let everything through.
 */
#include "firehose/query.h"

#include "thrift/limits.h"

#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <string.h>
#include <sys/queue.h>

/* While it is read. */
typedef struct Reading {
    Query *query;
    QueryFault *fault;
    gint64 now_ms;
    gboolean has_format; /* it was given */
} Reading;

static gboolean
refuse(const Reading *reading, const char *reason, gint64 limit)
{
    reading->fault->reason = reason;
    reading->fault->limit = limit;
    return FALSE;
}

/* A "+02:00" that was not escaped has become " 02:00". */
static char *
mend_zone(const char *value)
{
    char *text = g_strdup(value);
    char *space = strrchr(text, ' ');

    if (space != NULL && strchr(text, ':') < space) {
        *space = '+';
    }
    return text;
}

static gboolean
read_since(Reading *reading, const char *value)
{
    g_autofree char *text = mend_zone(value);
    Query *query = reading->query;
    PlaceFault fault;

    if (query->position != NULL) {
        return refuse(reading, "does not go with position", -1);
    }
    return place_parse(text, reading->now_ms, &query->place, &fault) ||
           refuse(reading, fault.reason, fault.limit);
}

static gboolean
read_position(Reading *reading, const char *value)
{
    Query *query = reading->query;

    if (*value == '\0') {
        return refuse(reading, "is no position", -1);
    }
    g_free(query->position);
    query->position = g_strdup(value);
    query->place.kind = PLACE_POSITION;
    query->place_field = "position";
    query->place.position =
        (WireBytes){(const guint8 *)query->position, strlen(value)};
    return TRUE;
}

static gboolean
read_client(Reading *reading, const char *value)
{
    const char *fault = log_client_fault(value);
    Query *query = reading->query;

    if (fault != NULL) {
        return refuse(reading, fault, CLIENT_ID_BYTES_MAX);
    }
    if (query->position != NULL) {
        return refuse(reading, "does not go with position", -1);
    }
    query->client = g_strdup(value);
    query->place.client = query->client;
    return TRUE;
}

static gboolean
read_flag(Reading *reading, const char *value, gboolean *ret_flag)
{
    if (strcmp(value, "0") != 0 && strcmp(value, "1") != 0) {
        return refuse(reading, "is 0 or 1", 1);
    }
    *ret_flag = *value == '1';
    return TRUE;
}

static gboolean
read_group(Reading *reading, const char *value)
{
    Query *query = reading->query;

    if (!read_flag(reading, value, &query->group)) {
        return FALSE;
    }
    if (query->group && query->client == NULL) {
        return refuse(reading, "needs client_id", -1);
    }
    if (query->group) {
        query->place.client = NULL;
    }
    return TRUE;
}

static gboolean
read_or_earliest(Reading *reading, const char *value)
{
    return read_flag(reading, value, &reading->query->place.or_earliest);
}

static gboolean
read_follow(Reading *reading, const char *value)
{
    gboolean follow = TRUE;

    if (!read_flag(reading, value, &follow)) {
        return FALSE;
    }
    reading->query->tap.to_end = !follow;
    return TRUE;
}

static gboolean
read_until(Reading *reading, const char *value)
{
    g_autofree char *text = mend_zone(value);
    PlaceFault fault;

    return place_parse_time(text, reading->now_ms,
                            &reading->query->tap.until_ms, &fault) ||
           refuse(reading, fault.reason, fault.limit);
}

static gint32
kind_of(const char *word)
{
    for (gint32 kind = 1; kind <= EVENT_KIND_MAX; kind++) {
        if (strcmp(event_kind_name(kind), word) == 0) {
            return kind;
        }
    }
    return 0;
}

static gboolean
read_kinds(Reading *reading, const char *value)
{
    g_auto(GStrv) words = g_strsplit(value, ",", -1);

    for (char **word = words; *word != NULL; word++) {
        gint32 kind = kind_of(*word);

        if (kind == 0) {
            return refuse(reading, "has a word that is no kind of event", -1);
        }
        reading->query->tap.kinds |= 1U << kind;
    }
    return *words != NULL || refuse(reading, "is empty", -1);
}

static gboolean
read_authors(Reading *reading, const char *value)
{
    g_auto(GStrv) words = g_strsplit(value, ",", TAP_AUTHORS_MAX + 1);
    GArray *authors = g_array_new(FALSE, FALSE, sizeof(gint64));

    reading->query->tap.authors = authors;
    for (char **word = words; *word != NULL; word++) {
        guint64 user;

        if (authors->len == TAP_AUTHORS_MAX) {
            return refuse(reading, "has too many users", TAP_AUTHORS_MAX);
        }
        if (!g_ascii_string_to_unsigned(*word, 10, 1, G_MAXINT64, &user,
                                        NULL)) {
            return refuse(reading, "has a word that is no user's number",
                          G_MAXINT64);
        }
        g_array_append_val(authors, user);
    }
    tap_sort_authors(authors);
    return authors->len > 0 || refuse(reading, "is empty", -1);
}

static gboolean
read_limit(Reading *reading, const char *value)
{
    guint64 limit;

    if (!g_ascii_string_to_unsigned(value, 10, 1, G_MAXINT64, &limit, NULL)) {
        return refuse(reading, "is a number from 1 to the limit", G_MAXINT64);
    }
    reading->query->limit = (gint64)limit;
    return TRUE;
}

static gboolean
read_format(Reading *reading, const char *value)
{
    if (strcmp(value, "ndjson") != 0 && strcmp(value, "sse") != 0) {
        return refuse(reading, "is ndjson or sse", -1);
    }
    reading->has_format = TRUE;
    reading->query->format = *value == 's' ? QUERY_SSE : QUERY_NDJSON;
    return TRUE;
}

typedef struct Parameter {
    const char *name;
    gboolean (*read)(Reading *reading, const char *value);
} Parameter;

/* Read in this order. */
static const Parameter parameters[] = {
    {"or_earliest", read_or_earliest},
    {"position", read_position},
    {"since", read_since},
    {"client_id", read_client},
    {"group", read_group},
    {"until", read_until},
    {"follow", read_follow},
    {"kinds", read_kinds},
    {"authors", read_authors},
    {"limit", read_limit},
    {"format", read_format},
};

static gboolean
is_known(const char *name)
{
    for (gsize i = 0; i < G_N_ELEMENTS(parameters); i++) {
        if (strcmp(parameters[i].name, name) == 0) {
            return TRUE;
        }
    }
    return FALSE;
}

static gboolean
refuse_field(const Reading *reading, const char *field, const char *reason)
{
    g_strlcpy(reading->fault->field, field, sizeof reading->fault->field);
    return refuse(reading, reason, -1);
}

static gboolean
check_names(const Reading *reading, const struct evkeyvalq *given)
{
    const struct evkeyval *one;
    const struct evkeyval *other;

    TAILQ_FOREACH(one, given, next)
    {
        if (!is_known(one->key)) {
            return refuse_field(reading, one->key, "is no parameter");
        }
        TAILQ_FOREACH(other, given, next)
        {
            if (other != one && strcmp(one->key, other->key) == 0) {
                return refuse_field(reading, one->key, "is given twice");
            }
        }
    }
    return TRUE;
}

static gboolean
read_parameters(Reading *reading, const struct evkeyvalq *given)
{
    if (!check_names(reading, given)) {
        return FALSE;
    }
    for (gsize i = 0; i < G_N_ELEMENTS(parameters); i++) {
        const char *value = evhttp_find_header(given, parameters[i].name);

        g_strlcpy(reading->fault->field, parameters[i].name,
                  sizeof reading->fault->field);
        if (value != NULL && !parameters[i].read(reading, value)) {
            return FALSE;
        }
    }
    return TRUE;
}

static gboolean
read_headers(Reading *reading, const QueryInput *input)
{
    if (!reading->has_format && input->accept != NULL &&
        strstr(input->accept, "text/event-stream") != NULL) {
        reading->query->format = QUERY_SSE;
    }
    if (input->last_event_id == NULL || *input->last_event_id == '\0' ||
        reading->query->group) {
        return TRUE;
    }
    (void)read_position(reading, input->last_event_id);
    reading->query->place_field = "Last-Event-ID";
    reading->query->place.client = NULL;
    return TRUE;
}

static gboolean
check_order(const Reading *reading)
{
    const Query *query = reading->query;

    if (query->place.kind == PLACE_TIME &&
        query->tap.until_ms <= query->place.time_ms) {
        g_strlcpy(reading->fault->field, "until", sizeof reading->fault->field);
        return refuse(reading, "is not after since", query->place.time_ms);
    }
    return TRUE;
}

gboolean
query_parse(const QueryInput *input, Query *ret_query, QueryFault *ret_fault)
{
    Query query = {
        .place = {.kind = PLACE_NOW, .now_ms = input->now_ms},
        .place_field = "since",
        .tap = {.until_ms = G_MAXINT64},
        .limit = G_MAXINT64,
    };
    Reading reading = {&query, ret_fault, input->now_ms, FALSE};
    struct evkeyvalq given = {0};
    gboolean good;

    *ret_fault = (QueryFault){.field = "query"};
    TAILQ_INIT(&given);
    if (input->text != NULL && *input->text != '\0' &&
        evhttp_parse_query_str(input->text, &given) != 0) {
        return refuse(&reading, "is not like name=value&name=value", -1);
    }
    good = read_parameters(&reading, &given) && read_headers(&reading, input) &&
           check_order(&reading);
    query.tap.floor_ms =
        query.group ? G_MININT64 : place_floor_ms(&query.place);
    evhttp_clear_headers(&given);
    if (!good) {
        query_clear(&query);
        return FALSE;
    }
    *ret_query = query;
    return TRUE;
}

void
query_clear(Query *query)
{
    g_free(query->position);
    g_free(query->client);
    if (query->tap.authors != NULL) {
        g_array_unref(query->tap.authors);
    }
}
