/*
 * The operators' HTTP port, on libevent's evhttp.
 *
 * admin_start() binds on the caller's thread, so that a taken port is an
 * error of the start, and then leaves everything to one thread, which runs
 * the loop and the probes until admin_stop(). Nothing here waits for the data
 * path, and a stuck data path still answers /metrics.
 *
 * Everything is small and short-lived: a request has 8 KiB of headers, its URL
 * among them, and 1 KiB of body (which is ignored) at most, and 10 seconds to
 * arrive; a connection carries one request and is closed when it is silent for
 * 5 seconds. The port is for operators and monitoring: bind it where only they
 * can reach it.
 *
 * Failures: a probe that blocks stalls this port alone. A client that goes
 * away is libevent's to clean up.
 */
#include "ops/kit/admin.h"

#include "ops/kit/ensure.h"
#include "ops/kit/http.h"
#include "ops/kit/patience.h"
#include "ops/kit/statuspage.h"

#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/thread.h>
#include <pthread.h>
#include <string.h>

#define HEADERS_BYTES_MAX 8192

#define PATIENCE_S 10
#define WAITING_MAX 128

#define TEXT_PLAIN "text/plain; charset=utf-8"
#define TEXT_METRICS "text/plain; version=0.0.4; charset=utf-8"
#define TEXT_HTML "text/html; charset=utf-8"
/* The page has a style of its own and nothing else. */
#define PAGE_POLICY                                                            \
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; "           \
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

struct Admin {
    AdminOptions options;    /* host is not kept */
    struct event_base *base; /* the thread's, but for loopexit */
    struct evhttp *http;     /* the thread's while it runs */
    HttpGate gate;           /* of http */
    Patience *patience;      /* likewise */
    struct event *tick;      /* likewise; NULL without a status */
    guint16 port;            /* the one that was bound */
    pthread_t thread;        /* runs the loop */
    gboolean running;        /* there is a thread to join */
};

static void
set_header(struct evhttp_request *request, const char *name, const char *value)
{
    evhttp_add_header(evhttp_request_get_output_headers(request), name, value);
}

/* A HEAD has the headers of its GET and no body, which libevent would send. */
static void
reply(struct evhttp_request *request, int code, const char *type,
      const char *text)
{
    g_autofree char *length = g_strdup_printf("%zu", strlen(text));

    set_header(request, "Content-Type", type);
    set_header(request, "Content-Length", length);
    set_header(request, "X-Content-Type-Options", "nosniff");
    set_header(request, "Cache-Control", "no-store");
    set_header(request, "Connection", "close");
    if (evhttp_request_get_command(request) != EVHTTP_REQ_HEAD) {
        evbuffer_add(evhttp_request_get_output_buffer(request), text,
                     strlen(text));
    }
    evhttp_send_reply(request, code, NULL, NULL);
}

/* TRUE for GET and HEAD; everything else is answered here. */
static gboolean
accept_get(const Admin *admin, struct evhttp_request *request)
{
    enum evhttp_cmd_type method = evhttp_request_get_command(request);

    patience_end(admin->patience, request);
    if (method == EVHTTP_REQ_GET || method == EVHTTP_REQ_HEAD) {
        return TRUE;
    }
    set_header(request, "Allow", "GET, HEAD");
    reply(request, HTTP_BADMETHOD, TEXT_PLAIN, "only GET and HEAD\n");
    return FALSE;
}

static void
answer_metrics(struct evhttp_request *request, void *user_data)
{
    Admin *admin = user_data;

    if (accept_get(admin, request)) {
        g_autofree char *tables = metrics_text(admin->options.metrics);
        g_autoptr(GString) text = g_string_new(tables);

        if (admin->options.status != NULL) {
            status_metrics(admin->options.status, text);
        }
        reply(request, HTTP_OK, TEXT_METRICS, text->str);
    }
}

/* Why not, or NULL. Owns: the caller frees. */
static char *
ask_probe(const Admin *admin, AdminProbe probe)
{
    return probe != NULL ? probe(admin->options.user_data) : NULL;
}

static void
answer_probe(const Admin *admin, struct evhttp_request *request,
             AdminProbe probe)
{
    g_autofree char *reason = NULL;

    if (!accept_get(admin, request)) {
        return;
    }
    reason = ask_probe(admin, probe);
    if (reason) {
        g_autofree char *text = g_strconcat(reason, "\n", NULL);

        reply(request, HTTP_SERVUNAVAIL, TEXT_PLAIN, text);
        return;
    }
    reply(request, HTTP_OK, TEXT_PLAIN, "ok\n");
}

static void
answer_healthz(struct evhttp_request *request, void *user_data)
{
    Admin *admin = user_data;

    answer_probe(admin, request, admin->options.healthy);
}

static void
answer_readyz(struct evhttp_request *request, void *user_data)
{
    Admin *admin = user_data;

    answer_probe(admin, request, admin->options.ready);
}

static void
answer_status(struct evhttp_request *request, void *user_data)
{
    Admin *admin = user_data;
    const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(request);

    if (!accept_get(admin, request)) {
        return;
    }
    g_autofree char *unhealthy = ask_probe(admin, admin->options.healthy);
    g_autofree char *unready = ask_probe(admin, admin->options.ready);
    StatusAsk ask = {unhealthy, unready,
                     statuspage_refresh(evhttp_uri_get_query(uri))};
    g_autofree char *page = status_page(admin->options.status, &ask);

    set_header(request, "Content-Security-Policy", PAGE_POLICY);
    reply(request, HTTP_OK, TEXT_HTML, page);
}

static void
answer_other(struct evhttp_request *request, void *user_data)
{
    Admin *admin = user_data;

    patience_end(admin->patience, request);
    reply(request, HTTP_NOTFOUND, TEXT_PLAIN,
          "try /status, /metrics, /healthz or /readyz\n");
}

static void
route_requests(Admin *admin)
{
    evhttp_set_cb(admin->http, "/metrics", answer_metrics, admin);
    evhttp_set_cb(admin->http, "/healthz", answer_healthz, admin);
    evhttp_set_cb(admin->http, "/readyz", answer_readyz, admin);
    if (admin->options.status != NULL) {
        evhttp_set_cb(admin->http, "/status", answer_status, admin);
    }
    evhttp_set_gencb(admin->http, answer_other, admin);
}

static void
on_tick(evutil_socket_t fd, short what, void *user_data)
{
    (void)fd;
    (void)what;
    status_tick(user_data);
}

static void
start_ticking(Admin *admin)
{
    const struct timeval every = {CALLS_TICK_S, 0};

    if (admin->options.status != NULL) {
        admin->tick = event_new(admin->base, -1, EV_PERSIST, on_tick,
                                admin->options.status);
        ensure(admin->tick != NULL && event_add(admin->tick, &every) == 0);
    }
}

static void *
run_loop(void *user_data)
{
    Admin *admin = user_data;

    event_base_dispatch(admin->base);
    return NULL;
}

Admin *
admin_start(const AdminOptions *options, GError **error)
{
    Admin *admin = g_new0(Admin, 1);

    admin->options = *options;
    admin->options.host = NULL;
    admin->base = event_base_new();
    ensure(admin->base);
    /* Fails where daemon_begin() was not called: loopexit would not wake. */
    ensure(evthread_make_base_notifiable(admin->base) == 0);
    admin->http = evhttp_new(admin->base);
    ensure(admin->http);
    http_limit(admin->http, HEADERS_BYTES_MAX);
    admin->patience = patience_new(PATIENCE_S, WAITING_MAX);
    route_requests(admin);
    start_ticking(admin);
    admin->port = options->port;
    admin->gate.whose = HTTP_ADMIN;
    admin->gate.patience = admin->patience;
    if (!http_bind(admin->http, &admin->gate, options->host, &admin->port,
                   error)) {
        admin_stop(admin);
        return NULL;
    }
    ensure(pthread_create(&admin->thread, NULL, run_loop, admin) == 0);
    admin->running = TRUE;
    return admin;
}

guint16
admin_port(const Admin *admin)
{
    return admin->port;
}

void
admin_stop(Admin *admin)
{
    if (!admin) {
        return;
    }
    if (admin->running) {
        event_base_loopexit(admin->base, NULL);
        pthread_join(admin->thread, NULL);
    }
    evhttp_free(admin->http);
    patience_free(admin->patience);
    g_clear_pointer(&admin->tick, event_free);
    event_base_free(admin->base);
    g_free(admin);
}
