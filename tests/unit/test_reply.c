/*
 * test_reply.c - refusals and the call's context, seen by a generated client
 *
 * The server's getDashboard answers with the refusal whose field id is the
 * user asked for; its getTimeline reads the context and tells what it found:
 * as_of is last_id, lag_ms the time left until the deadline.
 */
#include "thrift/client.h"
#include "thrift/context.h"
#include "thrift/limits.h"

#include <comb_cell.h>
#include <comb_dashboard.h>
#include <string.h>

static void
on_get_dashboard(Request *request, gpointer user_data)
{
    (void)user_data;
    switch (frame_i64(request_frame(request), 1, 0)) {
    case REPLY_INVALID:
        reply_invalid(request, "page.limit", "is wrong", 100);
        break;
    case REPLY_NOT_HOMED:
        reply_not_homed(request, 3, 12);
        break;
    case REPLY_OVERLOADED:
        reply_overloaded_by(request, "too many bees", 250);
        break;
    case REPLY_DEADLINE:
        reply_deadline(request, "late");
        break;
    case REPLY_DENIED:
        reply_denied(request, "web may not call getDashboard");
        break;
    default:
        reply_unavailable(request, "down", 500);
        break;
    }
}

static void
on_get_timeline(Request *request, gpointer user_data)
{
    gint64 received_us = request_received_us(request);
    GByteArray *message;
    Context context;

    (void)user_data;
    if (!context_read(request, &context)) {
        return;
    }
    message = reply_begin(request);
    wire_write_field(message, WIRE_STRUCT, 0);
    wire_field_bytes(message, 2, context.caller.data, context.caller.len);
    wire_field_i64(message, 6, context.last_id);
    wire_field_i64(message, 7, (context.deadline_us - received_us) / 1000);
    wire_write_stop(message);
    reply_send(request, message);
}

static void
on_checkpoint(Request *request, gpointer user_data)
{
    (void)user_data;
    reply_void(request);
}

typedef struct Fixture {
    Server *server;
    Client *client;
    CombDashboardIf *dashboard;
    CombRequestContext *ctx;
    CombPageRequest *wanted;
    CombPage *page;
    CombInvalidRequest *invalid;
    CombNotHomed *not_homed;
    CombOverloaded *overloaded;
    CombDeadlineExceeded *deadline;
    CombUnavailable *unavailable;
    CombPermissionDenied *denied;
} Fixture;

static void
set_up(Fixture *f)
{
    static const ServerMethod methods[] = {
        {"getDashboard", on_get_dashboard},
        {"getTimeline", on_get_timeline},
        {"checkpoint", on_checkpoint},
        {NULL, NULL},
    };
    const ServerOptions options = {
        .host = "127.0.0.1",
        .threads = 1,
        .connections_max = 16,
        .frame_bytes_max = FRAME_BYTES_MAX,
        .in_flight_max = 64,
        .queue_ms = 60000, /* a loaded machine is not what this is about */
        .methods = methods,
    };
    g_autoptr(GError) error = NULL;

    memset(f, 0, sizeof(*f));
    f->server = server_start(&options, &error);
    g_assert_no_error(error);
    f->client = client_open("127.0.0.1", server_port(f->server), 5000, &error);
    g_assert_no_error(error);
    f->dashboard = g_object_new(COMB_TYPE_DASHBOARD_CLIENT, "input_protocol",
                                client_protocol(f->client), "output_protocol",
                                client_protocol(f->client), NULL);
    f->ctx = g_object_new(COMB_TYPE_REQUEST_CONTEXT, NULL);
    f->wanted = g_object_new(COMB_TYPE_PAGE_REQUEST, NULL);
    f->page = g_object_new(COMB_TYPE_PAGE, NULL);
}

static void
tear_down(Fixture *f)
{
    g_clear_object(&f->invalid);
    g_clear_object(&f->not_homed);
    g_clear_object(&f->overloaded);
    g_clear_object(&f->deadline);
    g_clear_object(&f->unavailable);
    g_clear_object(&f->denied);
    g_object_unref(f->page);
    g_object_unref(f->wanted);
    g_object_unref(f->ctx);
    g_object_unref(f->dashboard);
    client_close(f->client);
    server_stop(f->server);
}

static void
refuse(Fixture *f, ReplyField how)
{
    g_autoptr(GError) error = NULL;

    g_assert_false(comb_dashboard_client_get_dashboard(
        f->dashboard, &f->page, (gint64)how, f->wanted, f->ctx, &f->invalid,
        &f->not_homed, &f->overloaded, &f->deadline, &f->unavailable,
        &f->denied, &error));
}

/* TRUE: the handler liked the context. */
static gboolean
send_context(Fixture *f)
{
    g_autoptr(GError) error = NULL;

    return comb_dashboard_client_get_timeline(
        f->dashboard, &f->page, 1, f->wanted, f->ctx, &f->invalid,
        &f->overloaded, &f->deadline, &f->unavailable, &f->denied, &error);
}

/* InvalidRequest arrives with its field, reason and limit. */
static void
test_invalid(void)
{
    Fixture f;

    set_up(&f);
    refuse(&f, REPLY_INVALID);
    g_assert_cmpstr(f.invalid->field, ==, "page.limit");
    g_assert_cmpstr(f.invalid->reason, ==, "is wrong");
    g_assert_true(f.invalid->__isset_limit);
    g_assert_cmpint(f.invalid->limit, ==, 100);
    tear_down(&f);
}

/* NotHomed arrives with who answered and the epoch. */
static void
test_not_homed(void)
{
    Fixture f;

    set_up(&f);
    refuse(&f, REPLY_NOT_HOMED);
    g_assert_cmpint(f.not_homed->cell, ==, 3);
    g_assert_cmpint(f.not_homed->epoch, ==, 12);
    tear_down(&f);
}

/* Overloaded arrives with why, and when to come back. */
static void
test_overloaded(void)
{
    Fixture f;

    set_up(&f);
    refuse(&f, REPLY_OVERLOADED);
    g_assert_cmpint(f.overloaded->retry_after_ms, ==, 250);
    g_assert_cmpstr(f.overloaded->reason, ==, "too many bees");
    tear_down(&f);
}

/* DeadlineExceeded arrives with its reason. */
static void
test_deadline(void)
{
    Fixture f;

    set_up(&f);
    refuse(&f, REPLY_DEADLINE);
    g_assert_cmpstr(f.deadline->reason, ==, "late");
    tear_down(&f);
}

/* Unavailable arrives with its reason and when to come back. */
static void
test_unavailable(void)
{
    Fixture f;

    set_up(&f);
    refuse(&f, REPLY_UNAVAILABLE);
    g_assert_cmpstr(f.unavailable->reason, ==, "down");
    g_assert_cmpint(f.unavailable->retry_after_ms, ==, 500);
    tear_down(&f);
}

/* PermissionDenied arrives with its reason. */
static void
test_denied(void)
{
    Fixture f;

    set_up(&f);
    refuse(&f, REPLY_DENIED);
    g_assert_cmpstr(f.denied->reason, ==, "web may not call getDashboard");
    tear_down(&f);
}

/* A void method's answer is an empty result. */
static void
test_void(void)
{
    Fixture f;
    CombCellIf *cell;
    g_autoptr(GError) error = NULL;

    set_up(&f);
    cell = g_object_new(COMB_TYPE_CELL_CLIENT, "input_protocol",
                        client_protocol(f.client), "output_protocol",
                        client_protocol(f.client), NULL);
    g_assert_true(comb_cell_client_checkpoint(
        cell, f.ctx, &f.invalid, &f.overloaded, &f.deadline, &f.unavailable,
        &f.denied, &error));
    g_assert_no_error(error);
    g_object_unref(cell);
    tear_down(&f);
}

/* An empty context means the defaults. */
static void
test_context_default(void)
{
    Fixture f;

    set_up(&f);
    g_assert_true(send_context(&f));
    g_assert_cmpint(f.page->lag_ms, ==, CONTEXT_DEADLINE_MS_DEFAULT);
    g_assert_cmpint(f.page->as_of, ==, 0);
    g_assert_cmpstr(f.page->older, ==, "");
    tear_down(&f);
}

/* What the caller says is what the handler gets; unknown parts do not matter.
 */
static void
test_context_given(void)
{
    Fixture f;

    set_up(&f);
    g_object_set(f.ctx, "caller", "web", "deadline_ms", 1234, "traceparent",
                 "00-0-0-00", "last_id", (gint64)99, NULL);
    g_assert_true(send_context(&f));
    g_assert_cmpint(f.page->lag_ms, ==, 1234);
    g_assert_cmpint(f.page->as_of, ==, 99);
    g_assert_cmpstr(f.page->older, ==, "web");
    tear_down(&f);
}

static void
assert_context_refused(const char *property, gint64 value, const char *field)
{
    Fixture f;

    set_up(&f);
    if (strcmp(property, "deadline_ms") == 0) {
        g_object_set(f.ctx, property, (gint)value, NULL);
    } else {
        g_object_set(f.ctx, property, value, NULL);
    }
    g_assert_false(send_context(&f));
    g_assert_nonnull(f.invalid);
    g_assert_cmpstr(f.invalid->field, ==, field);
    tear_down(&f);
}

/* Deadlines and ids out of bounds are refused by name. */
static void
test_context_bounds(void)
{
    assert_context_refused("deadline_ms", 0, "ctx.deadline_ms");
    assert_context_refused("deadline_ms", -1, "ctx.deadline_ms");
    assert_context_refused("deadline_ms", CONTEXT_DEADLINE_MS_MAX + 1,
                           "ctx.deadline_ms");
    assert_context_refused("last_id", -1, "ctx.last_id");
}

/* A caller's name has at most CONTEXT_CALLER_BYTES_MAX bytes. */
static void
test_context_caller(void)
{
    g_autofree char *most = g_strnfill(CONTEXT_CALLER_BYTES_MAX, 'c');
    g_autofree char *more = g_strnfill(CONTEXT_CALLER_BYTES_MAX + 1, 'c');
    Fixture f;

    set_up(&f);
    g_object_set(f.ctx, "caller", most, NULL);
    g_assert_true(send_context(&f));
    g_object_set(f.ctx, "caller", more, NULL);
    g_assert_false(send_context(&f));
    g_assert_cmpstr(f.invalid->field, ==, "ctx.caller");
    tear_down(&f);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    client_init();
    g_test_add_func("/reply/invalid", test_invalid);
    g_test_add_func("/reply/not-homed", test_not_homed);
    g_test_add_func("/reply/overloaded", test_overloaded);
    g_test_add_func("/reply/deadline", test_deadline);
    g_test_add_func("/reply/unavailable", test_unavailable);
    g_test_add_func("/reply/denied", test_denied);
    g_test_add_func("/reply/void", test_void);
    g_test_add_func("/reply/context-default", test_context_default);
    g_test_add_func("/reply/context-given", test_context_given);
    g_test_add_func("/reply/context-bounds", test_context_bounds);
    g_test_add_func("/reply/context-caller", test_context_caller);
    return g_test_run();
}
