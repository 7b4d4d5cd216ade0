/*
 * The life of a read: the server has scanned the frame; the handler reads the
 * context, asks whether the cell is ready and the user's home, reads the page
 * request, and has the page written straight into the answer. Everything that
 * is wrong with a request is answered by name and limit; only a damaged store
 * is answered Unavailable. A call whose at_least is not applied yet is parked
 * (waits.h) and read again from the start, with the reason where in vain.
 */
#include "cell/serve.h"

#include "cell/cut.h"
#include "cell/errands.h"
#include "cell/facts.h"
#include "cell/page.h"
#include "cell/quarantine.h"
#include "cell/waits.h"
#include "thrift/context.h"

#include <string.h>

#define SERVE_CONNECTIONS_MAX 10000
#define SERVE_IN_FLIGHT_MAX 128
#define SERVE_ADMIN_QUEUE_MAX 32
#define SERVE_RETRY_MS 200
#define SERVE_DRAIN_MS 5000
/* A call that waits is answered before its deadline, so that the answer is of
   use: by an eighth of its time, at most by this. */
#define SERVE_ANSWER_US (G_USEC_PER_SEC / 4)

#define DIRECTION_OLDER 1
#define DIRECTION_NEWER 2

struct Serve {
    State *state;           /* borrowed */
    LogEnds *ends;          /* borrowed */
    Server *server;         /* owned */
    Errands *admin;         /* owned; takes Requests */
    Waits *waits;           /* owned; calls with at_least */
    _Atomic(Apply *) apply; /* borrowed; NULL before it runs */
};

/* ---- what every read asks first ---- */

/* FALSE after the request was answered. */
static gboolean
serve_check_ready(Serve *serve, Request *request, Context *ret_context)
{
    if (!context_read(request, ret_context)) {
        return FALSE;
    }
    State *state = serve->state;
    const char *reason = store_failure(state->store);
    if (reason == NULL && !atomic_load(&state->ready)) {
        const char *stopped = state_stopped(state);
        reason = stopped != NULL ? stopped : "the cell is catching up";
    }
    if (reason != NULL) {
        state_add(state, METRIC_REFUSED, 1);
        reply_unavailable(request, reason, SERVE_RETRY_MS);
    }
    return reason == NULL;
}

/* Argument 1, a user; FALSE after the request was answered. */
static gboolean
serve_read_user(Serve *serve, Request *request, const char *name,
                UserId *ret_user)
{
    gint64 id = frame_i64(request_frame(request), 1, 0);
    if (id < 1) {
        state_add(serve->state, METRIC_REFUSED, 1);
        reply_invalid(request, name, "must be given and positive", 1);
        return FALSE;
    }
    *ret_user = (UserId){id};
    return TRUE;
}

static gboolean
serve_check_home(Serve *serve, Request *request, UserId user)
{
    State *state = serve->state;
    guint cell = state->identity.cell;
    g_autoptr(CellMap) map = mapfeed_get(state->feed);
    if (map == NULL || cellmap_home(map, user) != cell) {
        state_add(state, METRIC_REFUSED, 1);
        reply_not_homed(request, cell, map != NULL ? cellmap_epoch(map) : 0);
        return FALSE;
    }
    if (!state_is_homed(state, user)) {
        state_add(state, METRIC_REFUSED, 1);
        reply_unavailable(request,
                          "the map gives this cell a user whose inbox it does "
                          "not keep; rebuild the cell",
                          SERVE_RETRY_MS);
        return FALSE;
    }
    return TRUE;
}

/* ---- read your own writes ---- */

static gint64
serve_wait_until(const Request *request, const Context *context)
{
    gint64 received_us = request_received_us(request);
    gint64 time_us = context->deadline_us - received_us;
    time_us -= MIN(time_us / 8, SERVE_ANSWER_US);
    return received_us + MIN(time_us, AT_LEAST_WAIT_MS_MAX * 1000);
}

/* The call waits for what it @need. TRUE: nobody waits any more. */
static gboolean
serve_park(Serve *serve, Request *request, AtLeast *need, gint64 until_us,
           WaitsRead read)
{
    switch (waits_park(serve->waits, request, need, until_us, read)) {
    case WAITS_PARKED:
        return FALSE;
    case WAITS_FULL:
        atleast_free(need);
        state_add(serve->state, METRIC_REFUSED, 1);
        reply_overloaded(request, SERVE_RETRY_MS);
        return FALSE;
    case WAITS_ENDED:
        break;
    }
    atleast_free(need);
    return TRUE;
}

/* FALSE: the call was answered, or waits and will be read again by @read.
 *late stays NULL where all that it asks for is applied. */
static gboolean
serve_check_at_least(Serve *serve, Request *request, const Context *context,
                     WaitsRead read, const char **late)
{
    State *state = serve->state;
    AtLeast *need = NULL;
    AtLeastFault fault;
    if (context->at_least.len == 0 || *late != NULL) {
        return TRUE;
    }
    switch (atleast_read(state, context->at_least, &need, &fault)) {
    case ATLEAST_REACHED:
        return TRUE;
    case ATLEAST_REFUSED:
        state_add(state, METRIC_REFUSED, 1);
        reply_invalid(request, "ctx.at_least", fault.reason, fault.limit);
        return FALSE;
    case ATLEAST_AHEAD:
        break;
    }
    if (state_stopped(state) != NULL) {
        atleast_free(need);
        return TRUE; /* the page says so */
    }
    *late = "at_least is not waited for: the cell is stopping";
    return serve_park(serve, request, need, serve_wait_until(request, context),
                      read);
}

/* ---- pages ---- */

/* struct PageRequest as it came; -1 and empty where absent. */
typedef struct PageArgs {
    WireBytes cursor;
    gint64 limit;
    gint64 direction;
    gboolean typed; /* every known field had its type */
} PageArgs;

static PageArgs
page_args_read(const Frame *frame)
{
    PageArgs args = {.limit = -1, .direction = -1, .typed = TRUE};
    WireReader reader;
    WireField field;
    if (!frame_struct(frame, 2, &reader)) {
        args.typed = frame->field[2].type == WIRE_STOP;
        return args;
    }
    while (wire_read_field(&reader, &field)) {
        if (field.id == 1 && field.type == WIRE_BINARY) {
            args.cursor = wire_read_bytes(&reader);
        } else if (field.id == 2 && field.type == WIRE_I32) {
            args.limit = wire_read_i32(&reader);
            args.limit = MAX(args.limit, 0);
        } else if (field.id == 3 && field.type == WIRE_I32) {
            args.direction = wire_read_i32(&reader);
            args.direction = MAX(args.direction, 0);
        } else {
            args.typed = args.typed && (field.id < 1 || field.id > 3);
            wire_skip(&reader, field.type);
        }
    }
    args.typed = args.typed && !reader.failed;
    return args;
}

static gboolean
serve_refuse(Request *request, const char *field, const char *reason,
             gint64 limit)
{
    reply_invalid(request, field, reason, limit);
    return FALSE;
}

static gboolean
serve_read_cursor(Request *request, WireBytes text, PageQuery *query)
{
    switch (cursor_read(text, query->kind, query->user, &query->from)) {
    case CURSOR_GOOD:
        return TRUE;
    case CURSOR_DAMAGED:
        return serve_refuse(request, "page.cursor",
                            "is damaged or not a cursor", -1);
    case CURSOR_FOREIGN:
        break;
    }
    return serve_refuse(request, "page.cursor",
                        "is another user's or another call's", -1);
}

/* Fill the rest of *query from argument 2; FALSE after the answer. */
static gboolean
serve_read_page(Request *request, PageQuery *query)
{
    PageArgs args = page_args_read(request_frame(request));
    if (!args.typed) {
        return serve_refuse(request, "page", "has a field of a wrong type", -1);
    }
    if (args.limit == 0 || args.limit > PAGE_LIMIT_MAX) {
        return serve_refuse(request, "page.limit", "must be 1 to the limit",
                            PAGE_LIMIT_MAX);
    }
    if (args.direction == 0 || args.direction > DIRECTION_NEWER) {
        return serve_refuse(request, "page.direction", "must be OLDER or NEWER",
                            -1);
    }
    query->limit = args.limit < 0 ? PAGE_LIMIT_DEFAULT : (guint)args.limit;
    query->older = args.direction != DIRECTION_NEWER;
    query->from = G_MAXINT64;
    if (args.cursor.len > 0) {
        return serve_read_cursor(request, args.cursor, query);
    }
    if (!query->older) {
        return serve_refuse(request, "page.cursor", "must be given with NEWER",
                            -1);
    }
    return TRUE;
}

static void
serve_page(Serve *serve, Request *request, const PageQuery *query,
           const char *late)
{
    GByteArray *message = reply_begin(request);
    wire_write_field(message, WIRE_STRUCT, REPLY_SUCCESS);
    if (page_write_late(serve->state, query, late, message)) {
        reply_send(request, message);
        return;
    }
    g_byte_array_unref(message);
    state_stop(serve->state, "the store is damaged; rebuild this cell");
    reply_unavailable(request, "the cell's store is damaged", SERVE_RETRY_MS);
}

static void
serve_dashboard(Request *request, gpointer user_data, const char *late)
{
    Serve *serve = user_data;
    PageQuery query = {.kind = CURSOR_DASHBOARD};
    Context context;
    if (serve_read_user(serve, request, "user", &query.user) &&
        serve_check_ready(serve, request, &context) &&
        serve_check_home(serve, request, query.user) &&
        serve_read_page(request, &query) &&
        serve_check_at_least(serve, request, &context, serve_dashboard,
                             &late)) {
        serve_page(serve, request, &query, late);
    }
}

static void
serve_get_dashboard(Request *request, gpointer user_data)
{
    serve_dashboard(request, user_data, NULL);
}

static void
serve_timeline(Request *request, gpointer user_data, const char *late)
{
    Serve *serve = user_data;
    PageQuery query = {.kind = CURSOR_TIMELINE};
    Context context;
    if (serve_read_user(serve, request, "author", &query.user) &&
        serve_check_ready(serve, request, &context) &&
        serve_read_page(request, &query) &&
        serve_check_at_least(serve, request, &context, serve_timeline, &late)) {
        serve_page(serve, request, &query, late);
    }
}

static void
serve_get_timeline(Request *request, gpointer user_data)
{
    serve_timeline(request, user_data, NULL);
}

/* ---- posts by id ---- */

/* Argument 2: at most POSTS_MAX ids; FALSE after the answer. */
static gboolean
serve_read_ids(Request *request, gint64 ret_ids[POSTS_MAX], gsize *ret_n)
{
    const FrameField *field = &request_frame(request)->field[2];
    WireReader reader;
    WireType type = WIRE_STOP;
    wire_reader_init(&reader, field->value.data, field->value.len);
    guint32 n = field->type == WIRE_LIST ? wire_read_list(&reader, &type) : 0;
    if (field->type != WIRE_LIST || (n > 0 && type != WIRE_I64)) {
        return serve_refuse(request, "posts", "must be a list of ids", -1);
    }
    if (n > POSTS_MAX) {
        return serve_refuse(request, "posts", "has too many ids", POSTS_MAX);
    }
    for (guint32 i = 0; i < n; i++) {
        ret_ids[i] = wire_read_i64(&reader);
        if (ret_ids[i] < 1) {
            return serve_refuse(request, "posts", "an id must be positive", 1);
        }
    }
    *ret_n = n;
    return TRUE;
}

static void
serve_posts(Request *request, gpointer user_data, const char *late)
{
    Serve *serve = user_data;
    Context context;
    gint64 ids[POSTS_MAX];
    gsize n;
    if (!serve_check_ready(serve, request, &context) ||
        !serve_read_ids(request, ids, &n) ||
        !serve_check_at_least(serve, request, &context, serve_posts, &late)) {
        return;
    }
    GByteArray *message = reply_begin(request);
    wire_write_field(message, WIRE_STRUCT, REPLY_SUCCESS);
    if (page_write_posts(serve->state, ids, n, late, message)) {
        reply_send(request, message);
        return;
    }
    g_byte_array_unref(message);
    state_stop(serve->state, "the store is damaged; rebuild this cell");
    reply_unavailable(request, "the cell's store is damaged", SERVE_RETRY_MS);
}

static void
serve_get_posts(Request *request, gpointer user_data)
{
    serve_posts(request, user_data, NULL);
}

/* ---- admin ---- */

static void
status_write_partitions(Serve *serve, GByteArray *out)
{
    State *state = serve->state;
    guint n = state->identity.partitions;
    g_autofree guint64 *end = g_new(guint64, n);
    gboolean known = log_ends_get(serve->ends, end);
    wire_write_field(out, WIRE_LIST, 10);
    wire_write_list(out, WIRE_STRUCT, n);
    for (guint i = 0; i < n; i++) {
        wire_field_i32(out, 1, (gint32)i);
        wire_field_i64(out, 2, (gint64)atomic_load(&state->next[i]));
        wire_field_i64(out, 3, known ? (gint64)end[i] : -1);
        wire_write_stop(out);
    }
}

/* A map<string, i64> of kinds, of @count of each. */
static void
status_write_kinds(State *state, GByteArray *out, gint16 field,
                   gint64 (*count)(State *state, guint kind))
{
    wire_write_field(out, WIRE_MAP, field);
    wire_write_map(out, WIRE_BINARY, WIRE_I64, EVENT_KIND_MAX);
    for (guint kind = 1; kind <= EVENT_KIND_MAX; kind++) {
        const char *name = event_kind_name((gint32)kind);
        wire_write_bytes(out, name, strlen(name));
        wire_write_i64(out, count(state, kind));
    }
}

static gint64
status_applied(State *state, guint kind)
{
    return metric_get(&state->metrics[METRIC_EVENTS + kind - 1]);
}

static gint64
status_kept(State *state, guint kind)
{
    return (gint64)fact_kept_count(state->store, kind);
}

static void
serve_write_status(Serve *serve, GByteArray *out)
{
    State *state = serve->state;
    g_autoptr(CellMap) map = mapfeed_get(state->feed);
    wire_field_i32(out, 1, (gint32)state->identity.cell);
    wire_field_string(out, 2, COMB_VERSION);
    wire_field_i64(out, 3, map != NULL ? cellmap_epoch(map) : 0);
    wire_field_i64(out, 4, metric_get(&state->metrics[METRIC_USERS]));
    wire_field_i64(out, 5, metric_get(&state->metrics[METRIC_EDGES]));
    wire_field_i64(out, 6, status_applied(state, EVENT_POST));
    wire_field_i64(out, 7, metric_get(&state->metrics[METRIC_DELIVERIES]));
    status_write_kinds(state, out, 8, status_applied);
    wire_field_i64(out, 9, (gint64)fact_quarantine_count(state->store));
    status_write_partitions(serve, out);
    wire_field_i64(out, 11, state_lag_ms(state));
    const char *stopped = state_stopped(state);
    if (stopped != NULL) {
        wire_field_string(out, 12, stopped);
    }
    wire_field_i64(out, 13,
                   (g_get_monotonic_time() - state->started_us) / 1000);
    status_write_kinds(state, out, 14, status_kept);
    wire_write_stop(out);
}

static void
serve_status(Serve *serve, Request *request)
{
    GByteArray *message = reply_begin(request);
    wire_write_field(message, WIRE_STRUCT, REPLY_SUCCESS);
    serve_write_status(serve, message);
    reply_send(request, message);
}

static void
serve_checkpoint(Serve *serve, Request *request)
{
    g_autoptr(GError) failure = NULL;
    Apply *apply = atomic_load(&serve->apply);
    if (apply == NULL) {
        reply_unavailable(request, "the cell is starting", SERVE_RETRY_MS);
    } else if (apply_checkpoint(apply, &failure)) {
        reply_void(request);
    } else {
        reply_unavailable(request, failure->message, SERVE_RETRY_MS);
    }
}

static void
serve_quarantine(Serve *serve, Request *request)
{
    State *state = serve->state;
    gint64 count = frame_i32(request_frame(request), 2, -1);
    if (count < 1 || count > QUARANTINE_MAX) {
        reply_invalid(request, "count", "must be 1 to the limit",
                      QUARANTINE_MAX);
        return;
    }
    GByteArray *message = reply_begin(request);
    wire_write_field(message, WIRE_LIST, REPLY_SUCCESS);
    quarantine_write(state->store, state->identity.partitions, (guint)count,
                     message);
    if (store_failure(state->store) == NULL) {
        reply_send(request, message);
        return;
    }
    g_byte_array_unref(message);
    reply_unavailable(request, store_failure(state->store), SERVE_RETRY_MS);
}

static gboolean
request_is(const Request *request, const char *name)
{
    WireBytes method = request_frame(request)->method;
    return method.len == strlen(name) &&
           memcmp(method.data, name, method.len) == 0;
}

/* On the admin thread. */
static void
serve_admin(gpointer data, gpointer user_data)
{
    Request *request = data;
    Serve *serve = user_data;
    if (request_is(request, "status")) {
        serve_status(serve, request);
    } else if (request_is(request, "listQuarantine")) {
        serve_quarantine(serve, request);
    } else {
        serve_checkpoint(serve, request);
    }
}

static void
serve_queue_admin(Request *request, gpointer user_data)
{
    Serve *serve = user_data;
    Context context;
    if (!context_read(request, &context)) {
        return;
    }
    if (!errands_push(serve->admin, request)) {
        reply_overloaded(request, SERVE_RETRY_MS);
    }
}

static const ServerMethod serve_methods[] = {
    {"getDashboard", serve_get_dashboard},
    {"getTimeline", serve_get_timeline},
    {"getPosts", serve_get_posts},
    {"status", serve_queue_admin},
    {"checkpoint", serve_queue_admin},
    {"listQuarantine", serve_queue_admin},
    {NULL, NULL},
};

/* ---- life ---- */

Serve *
serve_start(const ServeOptions *options, State *state, LogEnds *ends,
            GError **error)
{
    Serve *serve = g_new0(Serve, 1);
    serve->state = state;
    serve->ends = ends;
    serve->admin = errands_start(serve_admin, serve, SERVE_ADMIN_QUEUE_MAX);
    serve->waits = waits_new(state, options->threads, serve);
    ServerOptions server_options = {
        .host = options->host,
        .port = options->port,
        .threads = options->threads,
        .connections_max = options->connections_max != 0
                               ? options->connections_max
                               : SERVE_CONNECTIONS_MAX,
        .frame_bytes_max = FRAME_BYTES_MAX,
        .in_flight_max = SERVE_IN_FLIGHT_MAX,
        .queue_ms = options->queue_ms,
        .tls = options->tls,
        .methods = serve_methods,
        .user_data = serve,
    };
    serve->server = server_start(&server_options, error);
    if (serve->server == NULL) {
        errands_stop(serve->admin);
        waits_free(serve->waits);
        g_free(serve);
        return NULL;
    }
    return serve;
}

void
serve_set_apply(Serve *serve, Apply *apply)
{
    atomic_store(&serve->apply, apply);
}

guint16
serve_port(const Serve *serve)
{
    return server_port(serve->server);
}

void
serve_stats(Serve *serve, ServerStats *ret_stats)
{
    server_stats(serve->server, ret_stats);
}

Calls *
serve_calls(Serve *serve)
{
    return server_calls(serve->server);
}

void
serve_tell(Serve *serve, Section *section)
{
    serverstatus_tell(serve->server, section);
}

void
serve_stop(Serve *serve)
{
    waits_end(serve->waits);
    server_drain(serve->server, SERVE_DRAIN_MS);
    errands_stop(serve->admin);
    server_stop(serve->server);
    waits_free(serve->waits);
    g_free(serve);
}
