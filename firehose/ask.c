/*
 * Each field that is there is read and checked; the first that is wrong is
 * told by its name in the IDL.
 */
#include "firehose/ask.h"

#include "firehose/event.h"
#include "firehose/given.h"

/* Fields of struct FetchRequest. */
enum {
    ASK_SINCE = 1,
    ASK_POSITION = 2,
    ASK_OR_EARLIEST = 3,
    ASK_KINDS = 4,
    ASK_AUTHORS = 5,
    ASK_MAX_EVENTS = 6,
    ASK_WAIT_MS = 7,
    ASK_CLIENT = 8,
};

static gboolean
refuse(const Ask *ask, const char *field, const char *reason, gint64 limit)
{
    reply_invalid(ask->request, field, reason, limit);
    return FALSE;
}

static gboolean
read_since(Ask *ask, WireBytes text)
{
    g_autofree char *since = g_strndup((const char *)text.data, text.len);
    PlaceFault fault;

    return place_parse(since, ask->place.now_ms, &ask->place, &fault) ||
           refuse(ask, "request.since", fault.reason, fault.limit);
}

static gboolean
read_kinds(Ask *ask, WireReader *reader)
{
    WireType type;
    guint32 n = wire_read_list(reader, &type);

    if (type != WIRE_I32 || n == 0) {
        return refuse(ask, "request.kinds", "must be a list of EventKind", -1);
    }
    for (guint32 i = 0; i < n; i++) {
        gint32 kind = wire_read_i32(reader);

        if (event_kind_name(kind) == NULL) {
            return refuse(ask, "request.kinds",
                          "has one that is no kind of event", EVENT_KIND_MAX);
        }
        ask->tap.kinds |= 1U << (guint32)kind;
    }
    return TRUE;
}

static gboolean
read_authors(Ask *ask, WireReader *reader)
{
    WireType type;
    guint32 n = wire_read_list(reader, &type);

    if (type != WIRE_I64 || n == 0) {
        return refuse(ask, "request.authors", "must be a list of users", -1);
    }
    if (n > FETCH_AUTHORS_MAX) {
        return refuse(ask, "request.authors", "has too many users",
                      FETCH_AUTHORS_MAX);
    }
    ask->tap.authors = g_array_sized_new(FALSE, FALSE, sizeof(gint64), n);
    for (guint32 i = 0; i < n; i++) {
        gint64 user = wire_read_i64(reader);

        g_array_append_val(ask->tap.authors, user);
    }
    tap_sort_authors(ask->tap.authors);
    return TRUE;
}

/* A copy: the deadline may answer, and the request goes, while it is used. */
static void
read_position(Ask *ask, WireBytes bytes)
{
    Place *place = &ask->place;

    ask->position = g_bytes_new(bytes.data, bytes.len);
    place->kind = PLACE_POSITION;
    place->position.data =
        g_bytes_get_data(ask->position, &place->position.len);
}

static gboolean
read_client(Ask *ask, const FrameField *value)
{
    if (ask->place.kind == PLACE_POSITION) {
        return refuse(ask, "request.client_id", "does not go with position",
                      -1);
    }
    ask->client = given_client(ask->request, "request.client_id", value);
    ask->place.client = ask->client;
    return ask->client != NULL;
}

static gboolean
read_place(Ask *ask, const Given *given)
{
    WireReader since;
    WireReader reader;

    if (given_has(given, ASK_OR_EARLIEST, &reader)) {
        ask->place.or_earliest = wire_read_bool(&reader);
    }
    if (given_has(given, ASK_POSITION, &reader)) {
        if (given_has(given, ASK_SINCE, &since)) {
            return refuse(ask, "request.since", "does not go with position",
                          -1);
        }
        read_position(ask, wire_read_bytes(&reader));
    }
    return (!given_has(given, ASK_SINCE, &since) ||
            read_since(ask, wire_read_bytes(&since))) &&
           (given->field[ASK_CLIENT].type == WIRE_STOP ||
            read_client(ask, &given->field[ASK_CLIENT]));
}

static gboolean
read_bounds(Ask *ask, const Given *given)
{
    WireReader reader;

    if (given_has(given, ASK_MAX_EVENTS, &reader)) {
        ask->events_max = wire_read_i32(&reader);
    }
    if (ask->events_max < 1 || ask->events_max > FETCH_EVENTS_MAX) {
        return refuse(ask, "request.max_events", "must be from 1 to the limit",
                      FETCH_EVENTS_MAX);
    }
    if (given_has(given, ASK_WAIT_MS, &reader)) {
        ask->wait_ms = wire_read_i32(&reader);
    }
    return ask->wait_ms >= 0 ||
           refuse(ask, "request.wait_ms", "must not be negative", 0);
}

gboolean
ask_read(Request *request, Ask *ret_ask)
{
    static const WireType types[GIVEN_FIELD_MAX + 1] = {
        [ASK_SINCE] = WIRE_BINARY,     [ASK_POSITION] = WIRE_BINARY,
        [ASK_OR_EARLIEST] = WIRE_BOOL, [ASK_KINDS] = WIRE_LIST,
        [ASK_AUTHORS] = WIRE_LIST,     [ASK_MAX_EVENTS] = WIRE_I32,
        [ASK_WAIT_MS] = WIRE_I32,      [ASK_CLIENT] = WIRE_BINARY,
    };
    Ask *ask = ret_ask;
    WireReader reader;
    Given given;
    gboolean good;

    *ask = (Ask){
        .request = request,
        .place = {.kind = PLACE_NOW, .now_ms = g_get_real_time() / 1000},
        .tap = {.until_ms = G_MAXINT64},
        .events_max = FETCH_EVENTS_DEFAULT,
    };
    good =
        given_read(request, types, &given) && read_place(ask, &given) &&
        (!given_has(&given, ASK_KINDS, &reader) || read_kinds(ask, &reader)) &&
        (!given_has(&given, ASK_AUTHORS, &reader) ||
         read_authors(ask, &reader)) &&
        read_bounds(ask, &given);
    ask->tap.floor_ms = place_floor_ms(&ask->place);
    return good;
}

void
ask_clear(Ask *ask)
{
    if (ask->tap.authors != NULL) {
        g_array_unref(ask->tap.authors);
    }
    if (ask->position != NULL) {
        g_bytes_unref(ask->position);
    }
    g_free(ask->client);
}
