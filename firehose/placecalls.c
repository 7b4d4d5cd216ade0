/*
 * placecalls.c - getPartitions, commit, rewind, getLag
 *
 * What a consumer's place is, how far it is behind and how to move it: each
 * call asks the log a few questions, or some fifty for each time that it has
 * to find (place_time_of()), and so has a thread of its own
 * (blockingcall.h). Places are the log's (log_place_load()); nothing of them
 * is kept here.
 */
#include "firehose/blockingcall.h"
#include "firehose/bookmark.h"
#include "firehose/given.h"
#include "ops/kit/error.h"

#include <string.h>

/* Fields of struct RewindRequest. */
enum {
    REWIND_CLIENT = 1,
    REWIND_TO = 2,
    REWIND_POSITION = 3,
    REWIND_SHIFT = 4,
    REWIND_DRY_RUN = 5,
    REWIND_OR_EARLIEST = 6,
};

/* Any of these calls; what does not belong to it stays empty. */
typedef struct PlaceCall {
    BlockingCall call;
    char *client;
    GBytes *position; /* a copy; NULL: none */
    Place place;      /* rewind: to where; its position is in position */
    gboolean shifts;  /* rewind: by shift and not to place */
    gint64 shift;     /* events */
    gboolean dry_run;
    guint64 *old;      /* by partition: the place that is committed */
    guint64 *next;     /* by partition: the place that will be */
    GByteArray *items; /* encoded structs, one a partition */
} PlaceCall;

typedef gboolean (*PutPart)(PlaceCall *self, guint partition, GError **error);

static void
place_call_clear(BlockingCall *call)
{
    PlaceCall *self = (PlaceCall *)call;

    g_free(self->client);
    g_clear_pointer(&self->position, g_bytes_unref);
    g_free(self->old);
    g_free(self->next);
    g_byte_array_unref(self->items);
}

/* NULL after an answer. */
static PlaceCall *
place_call_new(Gateway *gateway, Request *request,
               void (*run)(BlockingCall *call))
{
    guint partitions = log_partitions(gateway->firehose);
    Context context;
    PlaceCall *self;

    if (!context_read(request, &context)) {
        return NULL;
    }
    self = g_new0(PlaceCall, 1);
    blockingcall_init(&self->call, gateway, request, &context);
    self->call.run = run;
    self->call.clear = place_call_clear;
    self->old = g_new0(guint64, partitions);
    self->next = g_new0(guint64, partitions);
    self->items = g_byte_array_new();
    return self;
}

/* A copy: the deadline may answer, and the request goes, while it is used. */
static void
take_position(PlaceCall *self, WireBytes bytes)
{
    self->position = g_bytes_new(bytes.data, bytes.len);
    self->place.kind = PLACE_POSITION;
    self->place.position.data =
        g_bytes_get_data(self->position, &self->place.position.len);
}

/* ---- answers ---- */

static Log *
log_of(const PlaceCall *self)
{
    return self->call.gateway->firehose;
}

/* A list with what @put writes for each partition. */
static void
answer_list(PlaceCall *self, PutPart put)
{
    guint partitions = log_partitions(log_of(self));
    g_autoptr(GError) error = NULL;
    GByteArray *message;

    for (guint i = 0; i < partitions; i++) {
        if (!put(self, i, &error)) {
            blockingcall_unavailable(&self->call, error->message);
            return;
        }
    }
    if (!blockingcall_claim(&self->call)) {
        return;
    }
    message = reply_begin(self->call.request);
    wire_write_field(message, WIRE_LIST, REPLY_SUCCESS);
    wire_write_list(message, WIRE_STRUCT, partitions);
    g_byte_array_append(message, self->items->data, self->items->len);
    reply_send(self->call.request, message);
}

static gboolean
load_old(PlaceCall *self)
{
    g_autoptr(GError) error = NULL;

    if (!log_place_load(log_of(self), self->client, self->old, &error)) {
        blockingcall_unavailable(&self->call, error->message);
        return FALSE;
    }
    return TRUE;
}

/* Through the member that has the partitions, where there are members. */
static gboolean
store_place(PlaceCall *self, GError **error)
{
    switch (members_commit(self->call.gateway->members, self->client,
                           self->next, error)) {
    case MEMBERS_STORED:
        return TRUE;
    case MEMBERS_REFUSED:
        return FALSE;
    case MEMBERS_NONE:
    default:
        return log_place_store(log_of(self), self->client, self->next, error);
    }
}

static gboolean
store_next(PlaceCall *self, const char *field, gboolean as_member)
{
    g_autoptr(GError) error = NULL;

    if (as_member
            ? store_place(self, &error)
            : log_place_store(log_of(self), self->client, self->next, &error)) {
        return TRUE;
    }
    if (g_error_matches(error, COMB_ERROR, COMB_ERROR_GAP)) {
        blockingcall_invalid(&self->call, field, error->message, -1);
    } else {
        blockingcall_unavailable(&self->call, error->message);
    }
    return FALSE;
}

/* ---- getPartitions ---- */

static gboolean
put_bounds(PlaceCall *self, guint partition, GError **error)
{
    GByteArray *out = self->items;
    Log *log = log_of(self);
    guint64 first;
    guint64 end;
    gint64 first_ms;
    gint64 last_ms;

    if (!log_bounds(log, partition, &first, &end, error)) {
        return FALSE;
    }
    wire_field_i32(out, 1, (gint32)partition);
    wire_field_i64(out, 2, (gint64)first);
    wire_field_i64(out, 3, (gint64)end);
    if (first < end) {
        if (!place_time_of(log, partition, first, &first_ms, error) ||
            !place_time_of(log, partition, end - 1, &last_ms, error)) {
            return FALSE;
        }
        wire_field_i64(out, 4, first_ms);
        wire_field_i64(out, 5, last_ms);
    }
    wire_write_stop(out);
    return TRUE;
}

static void
run_partitions(BlockingCall *call)
{
    answer_list((PlaceCall *)call, put_bounds);
}

void
partitions_call(Request *request, gpointer user_data)
{
    PlaceCall *self = place_call_new(user_data, request, run_partitions);

    if (self != NULL) {
        blockingcall_start(&self->call, TRUE);
    }
}

/* ---- commit ---- */

static const char *
commit_fault(BookmarkOutcome outcome)
{
    switch (outcome) {
    case BOOKMARK_ALL:
    case BOOKMARK_SOME:
        return NULL;
    case BOOKMARK_EVENT:
        return "is of one event: commit what a fetch or a stream gave";
    case BOOKMARK_FOREIGN:
        return "is of another log";
    case BOOKMARK_MALFORMED:
    default:
        return "is no position";
    }
}

static void
run_commit(BlockingCall *call)
{
    PlaceCall *self = (PlaceCall *)call;

    if (store_next(self, "position", TRUE) && blockingcall_claim(call)) {
        reply_void(call->request);
    }
}

/* Reads arguments 2 and 3. FALSE after an answer. */
static gboolean
read_commit(PlaceCall *self)
{
    Request *request = self->call.request;
    const FrameField *field = request_frame(request)->field;
    const Gateway *gateway = self->call.gateway;
    const char *fault = "is missing";
    WireReader reader;
    Position event;

    self->client = given_client(request, "client_id", &field[2]);
    if (self->client == NULL) {
        return FALSE;
    }
    if (field[3].type == WIRE_BINARY) {
        wire_reader_init(&reader, field[3].value.data, field[3].value.len);
        fault = commit_fault(
            bookmark_read(wire_read_bytes(&reader), gateway->check,
                          log_partitions(log_of(self)), self->next, &event));
    }
    if (fault != NULL) {
        reply_invalid(request, "position", fault, -1);
    }
    return fault == NULL;
}

void
commit_call(Request *request, gpointer user_data)
{
    PlaceCall *self = place_call_new(user_data, request, run_commit);

    if (self != NULL) {
        blockingcall_start(&self->call, read_commit(self));
    }
}

/* ---- rewind ---- */

static gboolean
put_change(PlaceCall *self, guint partition, GError **error)
{
    GByteArray *out = self->items;

    (void)error;
    wire_field_i32(out, 1, (gint32)partition);
    if (self->old[partition] != LOG_NO_PLACE) {
        wire_field_i64(out, 2, (gint64)self->old[partition]);
    }
    wire_field_i64(out, 3, (gint64)self->next[partition]);
    wire_write_stop(out);
    return TRUE;
}

/* FALSE after an answer. */
static gboolean
find_shifted(PlaceCall *self)
{
    Log *log = log_of(self);
    g_autoptr(GError) error = NULL;

    for (guint i = 0; i < log_partitions(log); i++) {
        guint64 first;
        guint64 end;

        if (self->old[i] == LOG_NO_PLACE) {
            blockingcall_invalid(&self->call, "request.shift_by",
                                 "has nothing to begin with: the client has "
                                 "committed nothing in a partition, the limit",
                                 i);
            return FALSE;
        }
        if (!log_bounds(log, i, &first, &end, &error)) {
            blockingcall_unavailable(&self->call, error->message);
            return FALSE;
        }
        self->next[i] = place_shift(self->old[i], self->shift, first, end);
    }
    return TRUE;
}

/* FALSE after an answer. */
static gboolean
find_place(PlaceCall *self)
{
    const Gateway *gateway = self->call.gateway;
    const PlaceLog in = {gateway->firehose, gateway->check,
                         gateway->retention_ms};
    g_autoptr(GError) error = NULL;
    PlaceFault fault;

    switch (place_resolve(&in, &self->place, self->next, &fault, &error)) {
    case PLACE_FOUND:
        return TRUE;
    case PLACE_REFUSED:
        blockingcall_invalid(&self->call,
                             self->position != NULL ? "request.position"
                                                    : "request.to",
                             fault.reason, fault.limit);
        return FALSE;
    case PLACE_FAILED:
    default:
        blockingcall_unavailable(&self->call, error->message);
        return FALSE;
    }
}

static void
run_rewind(BlockingCall *call)
{
    PlaceCall *self = (PlaceCall *)call;

    if (load_old(self) &&
        (self->shifts ? find_shifted(self) : find_place(self)) &&
        (self->dry_run || store_next(self, "request", FALSE))) {
        answer_list(self, put_change);
    }
}

/* FALSE after an answer. */
static gboolean
read_to(PlaceCall *self, WireBytes text)
{
    g_autofree char *to = g_strndup((const char *)text.data, text.len);
    PlaceFault fault;

    if (place_parse(to, g_get_real_time() / 1000, &self->place, &fault)) {
        return TRUE;
    }
    reply_invalid(self->call.request, "request.to", fault.reason, fault.limit);
    return FALSE;
}

static gboolean
read_where(PlaceCall *self, const Given *given)
{
    WireReader to;
    WireReader position;
    WireReader shift;
    gboolean has_to = given_has(given, REWIND_TO, &to);
    gboolean has_position = given_has(given, REWIND_POSITION, &position);

    self->shifts = given_has(given, REWIND_SHIFT, &shift);
    if (has_to + has_position + self->shifts != 1) {
        reply_invalid(self->call.request, "request",
                      "has not one of to, position and shift_by", 1);
        return FALSE;
    }
    if (self->shifts) {
        self->shift = wire_read_i64(&shift);
    }
    if (has_position) {
        take_position(self, wire_read_bytes(&position));
    }
    return !has_to || read_to(self, wire_read_bytes(&to));
}

/* FALSE after an answer. */
static gboolean
read_rewind(PlaceCall *self)
{
    static const WireType types[GIVEN_FIELD_MAX + 1] = {
        [REWIND_CLIENT] = WIRE_BINARY,   [REWIND_TO] = WIRE_BINARY,
        [REWIND_POSITION] = WIRE_BINARY, [REWIND_SHIFT] = WIRE_I64,
        [REWIND_DRY_RUN] = WIRE_BOOL,    [REWIND_OR_EARLIEST] = WIRE_BOOL,
    };
    Request *request = self->call.request;
    WireReader reader;
    Given given;

    if (!given_read(request, types, &given)) {
        return FALSE;
    }
    self->client =
        given_client(request, "request.client_id", &given.field[REWIND_CLIENT]);
    if (self->client == NULL || !read_where(self, &given)) {
        return FALSE;
    }
    if (given_has(&given, REWIND_DRY_RUN, &reader)) {
        self->dry_run = wire_read_bool(&reader);
    }
    if (given_has(&given, REWIND_OR_EARLIEST, &reader)) {
        self->place.or_earliest = wire_read_bool(&reader);
    }
    return TRUE;
}

void
rewind_call(Request *request, gpointer user_data)
{
    PlaceCall *self = place_call_new(user_data, request, run_rewind);

    if (self != NULL) {
        blockingcall_start(&self->call, read_rewind(self));
    }
}

/* ---- getLag ---- */

static gboolean
put_behind(PlaceCall *self, guint partition, guint64 first, guint64 end,
           GError **error)
{
    guint64 next = self->old[partition];
    gint64 waits_ms = 0;
    gint64 taken_ms;

    if (next < end) {
        if (!place_time_of(log_of(self), partition, MAX(next, first), &taken_ms,
                           error)) {
            return FALSE;
        }
        waits_ms = MAX(g_get_real_time() / 1000 - taken_ms, 0);
    }
    wire_field_i64(self->items, 3, (gint64)next);
    wire_field_i64(self->items, 4, next < end ? (gint64)(end - next) : 0);
    wire_field_i64(self->items, 5, waits_ms);
    return TRUE;
}

static gboolean
put_lag(PlaceCall *self, guint partition, GError **error)
{
    GByteArray *out = self->items;
    guint64 first;
    guint64 end;

    if (!log_bounds(log_of(self), partition, &first, &end, error)) {
        return FALSE;
    }
    wire_field_i32(out, 1, (gint32)partition);
    wire_field_i64(out, 2, (gint64)end);
    if (self->old[partition] != LOG_NO_PLACE &&
        !put_behind(self, partition, first, end, error)) {
        return FALSE;
    }
    wire_write_stop(out);
    return TRUE;
}

static void
run_lag(BlockingCall *call)
{
    PlaceCall *self = (PlaceCall *)call;

    if (load_old(self)) {
        answer_list(self, put_lag);
    }
}

void
lag_call(Request *request, gpointer user_data)
{
    PlaceCall *self = place_call_new(user_data, request, run_lag);

    if (self != NULL) {
        self->client = given_client(request, "client_id",
                                    &request_frame(request)->field[2]);
        blockingcall_start(&self->call, self->client != NULL);
    }
}
