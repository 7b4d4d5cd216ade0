/*
 * The operators' HTTP port, on libevent's evhttp.
 *
 * admin_start() binds on the caller's thread, so that a taken port is an
 * error of the start, and then leaves everything to one thread, which runs
 * the loop and the probes until admin_stop(). Nothing here waits for the data
 * path, and a stuck data path still answers /metrics.
 *
 * Everything is small and short-lived: a request has 8 KiB of headers and
 * 1 KiB of body (which is ignored) at most, a connection carries one request
 * and is closed when it is silent for 5 seconds. The port is for operators
 * and monitoring: bind it where only they can reach it.
 *
 * Failures: a probe that blocks stalls this port alone. A client that goes
 * away is libevent's to clean up.
 */
#include "ops/kit/admin.h"

#include "ops/kit/ensure.h"
#include "ops/kit/http.h"

#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/thread.h>
#include <pthread.h>
#include <string.h>

#define HEADERS_BYTES_MAX 8192

#define TEXT_PLAIN "text/plain; charset=utf-8"
#define TEXT_METRICS "text/plain; version=0.0.4; charset=utf-8"

struct Admin {
    AdminOptions options;    /* host is not kept */
    struct event_base *base; /* the thread's, but for loopexit */
    struct evhttp *http;     /* the thread's while it runs */
    HttpGate gate;           /* of http */
    guint16 port;            /* the one that was bound */
    pthread_t thread;        /* runs the loop */
    gboolean running;        /* there is a thread to join */
};

static void
reply(struct evhttp_request *request, int code, const char *type,
      const char *text)
{
    struct evkeyvalq *headers = evhttp_request_get_output_headers(request);
    struct evbuffer *body = evhttp_request_get_output_buffer(request);

    evhttp_add_header(headers, "Content-Type", type);
    evhttp_add_header(headers, "Connection", "close");
    evbuffer_add(body, text, strlen(text));
    evhttp_send_reply(request, code, NULL, NULL);
}

/* TRUE for GET; everything else is answered here. */
static gboolean
accept_get(struct evhttp_request *request)
{
    if (evhttp_request_get_command(request) == EVHTTP_REQ_GET) {
        return TRUE;
    }
    evhttp_add_header(evhttp_request_get_output_headers(request), "Allow",
                      "GET");
    reply(request, HTTP_BADMETHOD, TEXT_PLAIN, "only GET\n");
    return FALSE;
}

static void
answer_metrics(struct evhttp_request *request, void *user_data)
{
    Admin *admin = user_data;

    if (accept_get(request)) {
        g_autofree char *text = metrics_text(admin->options.metrics);

        reply(request, HTTP_OK, TEXT_METRICS, text);
    }
}

static void
answer_probe(const Admin *admin, struct evhttp_request *request,
             AdminProbe probe)
{
    g_autofree char *reason = NULL;

    if (!accept_get(request)) {
        return;
    }
    reason = probe ? probe(admin->options.user_data) : NULL;
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
answer_other(struct evhttp_request *request, void *user_data)
{
    (void)user_data;
    reply(request, HTTP_NOTFOUND, TEXT_PLAIN,
          "try /metrics, /healthz or /readyz\n");
}

static void
route_requests(Admin *admin)
{
    evhttp_set_cb(admin->http, "/metrics", answer_metrics, admin);
    evhttp_set_cb(admin->http, "/healthz", answer_healthz, admin);
    evhttp_set_cb(admin->http, "/readyz", answer_readyz, admin);
    evhttp_set_gencb(admin->http, answer_other, admin);
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
    route_requests(admin);
    admin->port = options->port;
    admin->gate.whose = HTTP_ADMIN;
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
    event_base_free(admin->base);
    g_free(admin);
}
