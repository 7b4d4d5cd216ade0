/*
 * client_public.c - what the installed library adds to the generated code
 *
 * A thin coat over client.h: a client with a context of its own and the three
 * services. c_glib's types are mended by a constructor, that is before anything
 * else of the process can have used one, in any thread. So the library is a
 * shared one: a static one in two plug-ins would register each type twice.
 *
 * The socket waits for GRACE_MS longer than the service is told that the answer
 * is of use, so that its answer about the deadline still comes in.
 */
#include "thrift/comb/client.h"

#include "ops/kit/error.h"
#include "thrift/client.h"

#include <signal.h>

#define CONNECT_MS_DEFAULT 2000
#define GRACE_MS 500

struct CombClient {
    Client *client;             /* owned */
    Tls *tls;                   /* owned; NULL: plain text */
    char *caller;               /* owned; NULL: not told */
    CombDashboardIf *dashboard; /* owned, as the next two */
    CombFirehoseIf *firehose;
    CombCellIf *cell;
    CombRequestContext *context; /* owned; of the call last begun */
};

__attribute__((constructor)) static void
on_load(void)
{
    client_init();
}

/* ---- life ---- */

/* Whether a write to a closed socket would kill the process. */
static gboolean
is_pipe_deadly(void)
{
    struct sigaction now;

    return sigaction(SIGPIPE, NULL, &now) == 0 &&
           (now.sa_flags & SA_SIGINFO) == 0 && now.sa_handler == SIG_DFL;
}

static gboolean
open_tls(const CombClientOptions *options, Tls **ret_tls, GError **error)
{
    g_auto(TlsFiles) files = {
        .ca = g_strdup(options->tls_ca),
        .cert = g_strdup(options->tls_cert),
        .key = g_strdup(options->tls_key),
    };

    if (!tls_files_given(&files)) {
        *ret_tls = NULL;
        return TRUE;
    }
    if (is_pipe_deadly()) {
        g_set_error_literal(error, COMB_ERROR, COMB_ERROR_SETTING,
                            "TLS needs SIGPIPE to be ignored: "
                            "signal(SIGPIPE, SIG_IGN)");
        return FALSE;
    }
    return tls_files_check(&files, TLS_CLIENT, "tls", error) &&
           tls_open(TLS_CLIENT, &files, ret_tls, error);
}

/* A generated client of @type. */
static gpointer
service_new(Client *client, GType type)
{
    return g_object_new(type, "input_protocol", client_protocol(client),
                        "output_protocol", client_protocol(client), NULL);
}

CombClient *
comb_client_new(const CombClientOptions *options, GError **error)
{
    CombClient *self;
    Tls *tls;

    if (!open_tls(options, &tls, error)) {
        return NULL;
    }
    ClientOptions inner = {
        .host = options->host != NULL ? options->host : "127.0.0.1",
        .port = options->port,
        .connect_ms = options->connect_timeout_ms != 0
                          ? options->connect_timeout_ms
                          : CONNECT_MS_DEFAULT,
        .call_ms = CONNECT_MS_DEFAULT,
        .tls = tls,
    };
    self = g_new0(CombClient, 1);
    self->tls = tls;
    self->caller = g_strdup(options->caller);
    self->client = client_new(&inner);
    self->dashboard = service_new(self->client, COMB_TYPE_DASHBOARD_CLIENT);
    self->firehose = service_new(self->client, COMB_TYPE_FIREHOSE_CLIENT);
    self->cell = service_new(self->client, COMB_TYPE_CELL_CLIENT);
    return self;
}

void
comb_client_free(CombClient *self)
{
    if (self == NULL) {
        return;
    }
    g_clear_object(&self->context);
    g_object_unref(self->dashboard);
    g_object_unref(self->firehose);
    g_object_unref(self->cell);
    client_close(self->client);
    if (self->tls != NULL) {
        tls_close(self->tls);
    }
    g_free(self->caller);
    g_free(self);
}

/* ---- calls ---- */

CombDashboardIf *
comb_client_dashboard(CombClient *self)
{
    return self->dashboard;
}

CombFirehoseIf *
comb_client_firehose(CombClient *self)
{
    return self->firehose;
}

CombCellIf *
comb_client_cell(CombClient *self)
{
    return self->cell;
}

CombRequestContext *
comb_client_begin(CombClient *self, guint deadline_ms)
{
    CombRequestContext *context = g_object_new(COMB_TYPE_REQUEST_CONTEXT, NULL);

    context->caller = g_strdup(self->caller);
    context->__isset_caller = self->caller != NULL;
    context->deadline_ms = (gint32)MIN(deadline_ms, G_MAXINT32);
    context->__isset_deadline_ms = TRUE;
    client_set_call_ms(self->client, MIN(deadline_ms, G_MAXINT32) + GRACE_MS);
    g_clear_object(&self->context);
    self->context = context;
    return context;
}

void
comb_client_read_after(CombRequestContext *context, GByteArray *position)
{
    if (position == NULL) {
        return;
    }
    g_ptr_array_add(context->at_least, g_byte_array_ref(position));
    context->__isset_at_least = TRUE;
}

guint
comb_client_retry_ms(CombClient *self)
{
    return client_retry_ms(self->client);
}

/* ---- what was thrown ---- */

void
comb_refusals_clear(CombRefusals *refusals)
{
    g_clear_object(&refusals->invalid);
    g_clear_object(&refusals->not_homed);
    g_clear_object(&refusals->overloaded);
    g_clear_object(&refusals->deadline);
    g_clear_object(&refusals->unavailable);
    g_clear_object(&refusals->not_found);
    g_clear_object(&refusals->denied);
}

static char *
explain_invalid(const CombInvalidRequest *invalid)
{
    if (!invalid->__isset_limit) {
        return g_strdup_printf("%s %s", invalid->field, invalid->reason);
    }
    return g_strdup_printf("%s %s (limit %" G_GINT64_FORMAT ")", invalid->field,
                           invalid->reason, invalid->limit);
}

char *
comb_refusals_explain(const CombRefusals *refusals)
{
    if (refusals->invalid != NULL) {
        return explain_invalid(refusals->invalid);
    }
    if (refusals->not_homed != NULL) {
        return g_strdup_printf("cell %d is not the user's home",
                               refusals->not_homed->cell);
    }
    if (refusals->overloaded != NULL) {
        return refusals->overloaded->reason == NULL
                   ? g_strdup("too much at once")
                   : g_strdup_printf("too much at once: %s",
                                     refusals->overloaded->reason);
    }
    if (refusals->deadline != NULL) {
        return g_strdup_printf("the deadline %s", refusals->deadline->reason);
    }
    if (refusals->unavailable != NULL) {
        return g_strdup_printf("not available: %s",
                               refusals->unavailable->reason);
    }
    if (refusals->not_found != NULL) {
        return g_strdup_printf("%s not found", refusals->not_found->what);
    }
    if (refusals->denied != NULL) {
        return g_strdup_printf("not permitted: %s", refusals->denied->reason);
    }
    return NULL;
}

gint
comb_refusals_retry_ms(const CombRefusals *refusals)
{
    if (refusals->overloaded != NULL) {
        return refusals->overloaded->retry_after_ms;
    }
    if (refusals->unavailable != NULL) {
        return refusals->unavailable->retry_after_ms;
    }
    return refusals->deadline != NULL ? 0 : -1;
}
