/*
 * ops/kit/admin: the HTTP port, asked over a plain socket.
 */
#include "ops/kit/admin.h"

#include "ops/kit/daemon.h"
#include "ops/kit/error.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

typedef struct Fixture {
    Metrics *metrics;
    Status *status;
    Admin *admin;
    _Atomic(const char *) sick; /* what the health probe says */
} Fixture;

static const Setting no_settings[] = {{0}};

static Metric table[] = {
    {"comb_test_total", NULL, METRIC_COUNTER, "Counts.", 5}};

static char *
probe_health(gpointer user_data)
{
    Fixture *fixture = user_data;

    return g_strdup(fixture->sick);
}

static char *
probe_ready(gpointer user_data)
{
    (void)user_data;
    return g_strdup("applying the log");
}

static Fixture *
fixture_new(void)
{
    Fixture *fixture = g_new0(Fixture, 1);
    g_autoptr(GError) error = NULL;
    AdminOptions options = {.host = "127.0.0.1",
                            .healthy = probe_health,
                            .ready = probe_ready,
                            .user_data = fixture};

    fixture->metrics = metrics_new();
    metrics_register(fixture->metrics, table, G_N_ELEMENTS(table));
    options.metrics = fixture->metrics;
    fixture->status = status_new("test", "A daemon.", no_settings, NULL);
    options.status = fixture->status;
    fixture->admin = admin_start(&options, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(admin_port(fixture->admin), >, 0);
    return fixture;
}

static void
fixture_free(Fixture *fixture)
{
    admin_stop(fixture->admin);
    metrics_free(fixture->metrics);
    status_free(fixture->status);
    g_free(fixture);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Fixture, fixture_free)

static int
connect_to(const Fixture *fixture)
{
    struct sockaddr_in addr = {.sin_family = AF_INET,
                               .sin_port = htons(admin_port(fixture->admin)),
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    g_assert_cmpint(connect(fd, (struct sockaddr *)&addr, sizeof addr), ==, 0);
    return fd;
}

/* All bytes that the port answers to @request, until it closes. */
static char *
ask(const Fixture *fixture, const char *request)
{
    GString *answer = g_string_new(NULL);
    int fd = connect_to(fixture);
    char part[4096];
    gssize n;

    g_assert_cmpint(send(fd, request, strlen(request), MSG_NOSIGNAL), ==,
                    (gssize)strlen(request));
    while ((n = recv(fd, part, sizeof part, 0)) > 0) {
        g_string_append_len(answer, part, n);
    }
    close(fd);
    return g_string_free(answer, FALSE);
}

static void
assert_answer(const Fixture *fixture, const char *request, const char *status,
              const char *content)
{
    g_autofree char *answer = ask(fixture, request);

    if (!g_str_has_prefix(answer, status) || !strstr(answer, content)) {
        g_test_message("%s gave %s", request, answer);
        g_test_fail();
    }
}

/* /metrics is Prometheus' text with its content type. */
static void
test_metrics(void)
{
    g_autoptr(Fixture) fixture = fixture_new();

    assert_answer(fixture, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n",
                  "HTTP/1.1 200 ", "\r\n\r\n# HELP comb_test_total Counts.\n");
    assert_answer(fixture, "GET /metrics HTTP/1.0\r\n\r\n", "HTTP/1.0 200 ",
                  "Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n");
}

/* /healthz follows its probe from ok to the reason and back. */
static void
test_health(void)
{
    g_autoptr(Fixture) fixture = fixture_new();
    const char *request = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";

    assert_answer(fixture, request, "HTTP/1.1 200 ", "\r\n\r\nok\n");
    fixture->sick = "gap in partition 3";
    assert_answer(fixture, request, "HTTP/1.1 503 ",
                  "\r\n\r\ngap in partition 3\n");
    fixture->sick = NULL;
    assert_answer(fixture, request, "HTTP/1.1 200 ", "\r\n\r\nok\n");
}

/* /readyz asks the other probe. */
static void
test_ready(void)
{
    g_autoptr(Fixture) fixture = fixture_new();

    assert_answer(fixture, "GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n",
                  "HTTP/1.1 503 ", "\r\n\r\napplying the log\n");
}

/* /status is a page that says why it is not ready, and reloads when asked. */
static void
test_status(void)
{
    g_autoptr(Fixture) fixture = fixture_new();
    const char *request = "GET /status HTTP/1.1\r\nHost: x\r\n\r\n";

    assert_answer(fixture, request, "HTTP/1.1 200 ",
                  "Content-Type: text/html; charset=utf-8\r\n");
    assert_answer(fixture, request, "HTTP/1.1 200 ",
                  "Content-Security-Policy: default-src 'none';");
    assert_answer(fixture, request, "HTTP/1.1 200 ",
                  "<title>comb-test: not ready: applying the log</title>");
    assert_answer(fixture,
                  "GET /status?x=<&refresh=7 HTTP/1.1\r\nHost: x\r\n\r\n",
                  "HTTP/1.1 200 ", "content=\"7\"");
    assert_answer(fixture, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n",
                  "HTTP/1.1 200 ", "\ncomb_build_info{daemon=\"test\",");
}

/* HEAD has the status and length of its GET, and not a byte of its body. */
static void
test_head(void)
{
    static const char *const paths[] = {"/metrics", "/status", "/healthz",
                                        "/readyz", "/nothing"};
    g_autoptr(Fixture) fixture = fixture_new();

    for (gsize i = 0; i < G_N_ELEMENTS(paths); i++) {
        g_autofree char *head =
            g_strdup_printf("HEAD %s HTTP/1.1\r\nHost: x\r\n\r\n", paths[i]);
        g_autofree char *get =
            g_strdup_printf("GET %s HTTP/1.1\r\nHost: x\r\n\r\n", paths[i]);
        g_autofree char *short_answer = ask(fixture, head);
        g_autofree char *answer = ask(fixture, get);

        g_assert_true(strncmp(short_answer, answer, 13) == 0);
        g_assert_nonnull(strstr(short_answer, "\r\nContent-Length: "));
        g_assert_true(g_str_has_suffix(short_answer, "\r\n\r\n"));
    }
}

/* What is not offered is refused with the code that says why. */
static void
test_refusals(void)
{
    static const struct {
        const char *request;
        const char *status;
        const char *content;
    } rows[] = {
        {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 404 ", "/metrics"},
        {"GET /metrics/x HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 404 ", ""},
        {"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi",
         "HTTP/1.1 405 ", "Allow: GET, HEAD\r\n"},
        {"DELETE /healthz HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 405 ",
         "Allow: GET, HEAD\r\n"},
        {"PUT /status HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 405 ", ""},
        {"POST /readyz HTTP/1.1\r\nHost: x\r\nContent-Length: 9999\r\n\r\n",
         "HTTP/1.1 413 ", ""},
        {"nonsense\r\n\r\n", "HTTP/1.1 400 ", ""},
    };
    g_autoptr(Fixture) fixture = fixture_new();

    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        assert_answer(fixture, rows[i].request, rows[i].status,
                      rows[i].content);
    }
}

/* Headers beyond the bound are refused, and the port goes on answering. */
static void
test_long_headers(void)
{
    g_autoptr(Fixture) fixture = fixture_new();
    g_autofree char *filler = g_strnfill(20000, 'a');
    const char *const starts[] = {"GET /healthz HTTP/1.1\r\nX: ",
                                  "GET /healthz?"};

    for (gsize i = 0; i < G_N_ELEMENTS(starts); i++) {
        g_autofree char *request =
            g_strconcat(starts[i], filler, "\r\n\r\n", NULL);
        g_autofree char *answer = ask(fixture, request);

        g_assert_null(strstr(answer, "200 OK"));
    }
    assert_answer(fixture, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
                  "HTTP/1.1 200 ", "ok\n");
}

/* Who sends a byte now and then is cut off after 10 seconds, not kept. */
static void
test_slow_sender(void)
{
    g_autoptr(Fixture) fixture = fixture_new();
    int fd = connect_to(fixture);
    gint64 began = g_get_monotonic_time();
    const struct timeval never = {1, 0};
    char byte;

    g_assert_cmpint(
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &never, sizeof never), ==, 0);
    while (send(fd, "G", 1, MSG_NOSIGNAL) == 1 && recv(fd, &byte, 1, 0) < 0 &&
           g_get_monotonic_time() - began < 30 * G_USEC_PER_SEC) {
    }
    close(fd);
    g_assert_cmpint(g_get_monotonic_time() - began, >=, 9 * G_USEC_PER_SEC);
    g_assert_cmpint(g_get_monotonic_time() - began, <, 20 * G_USEC_PER_SEC);
    assert_answer(fixture, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
                  "HTTP/1.1 200 ", "ok\n");
}

/* With so many waiting, further ones are cut at once; whole requests are
   answered as soon as those have gone. */
static void
test_many_waiting(void)
{
    enum { CONNECTIONS = 160 };
    g_autoptr(Fixture) fixture = fixture_new();
    int fds[CONNECTIONS];
    guint closed = 0;

    for (guint i = 0; i < CONNECTIONS; i++) {
        fds[i] = connect_to(fixture);
    }
    g_usleep(500000);
    for (guint i = 0; i < CONNECTIONS; i++) {
        char byte;

        closed += recv(fds[i], &byte, 1, MSG_DONTWAIT) == 0;
        close(fds[i]);
    }
    g_assert_cmpuint(closed, ==, CONNECTIONS - 128);
}

/* Peers that go away, or send nonsense, do not count as waiting. */
static void
test_many_gone(void)
{
    g_autoptr(Fixture) fixture = fixture_new();

    for (guint i = 0; i < 400; i++) {
        g_autofree char *answer = NULL;

        if (i % 2 == 0) {
            close(connect_to(fixture));
        } else {
            answer = ask(fixture, "nonsense\r\n\r\n");
        }
    }
    /* One that may wait, and does. */
    int fd = connect_to(fixture);
    char answer[12];

    g_usleep(100000);
    g_assert_cmpint(send(fd, "GET /healthz HTTP/1.0\r\n\r\n", 25, MSG_NOSIGNAL),
                    ==, 25);
    g_assert_cmpint(recv(fd, answer, sizeof answer, MSG_WAITALL), ==, 12);
    g_assert_true(memcmp(answer, "HTTP/1.0 200", 12) == 0);
    close(fd);
}

/* A taken port and an impossible address are errors of the start. */
static void
test_bad_address(void)
{
    g_autoptr(Fixture) fixture = fixture_new();
    AdminOptions taken = {.host = "127.0.0.1",
                          .port = admin_port(fixture->admin),
                          .metrics = fixture->metrics};
    AdminOptions foreign = {.host = "192.0.2.1", .metrics = fixture->metrics};
    g_autoptr(GError) error = NULL;

    g_assert_null(admin_start(&taken, &error));
    g_assert_error(error, COMB_ERROR, COMB_ERROR_IO);
    g_assert_nonnull(strstr(error->message, "Address already in use"));
    g_clear_error(&error);
    g_assert_null(admin_start(&foreign, &error));
    g_assert_error(error, COMB_ERROR, COMB_ERROR_IO);
    g_assert_nonnull(strstr(error->message, "192.0.2.1:0"));
}

/* Starting and stopping at once neither hangs nor leaks. */
static void
test_stop_at_once(void)
{
    for (guint i = 0; i < 50; i++) {
        g_autoptr(Fixture) fixture = fixture_new();
    }
    admin_stop(NULL);
}

int
main(int argc, char **argv)
{
    daemon_begin();
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/admin/metrics", test_metrics);
    g_test_add_func("/admin/health", test_health);
    g_test_add_func("/admin/ready", test_ready);
    g_test_add_func("/admin/status", test_status);
    g_test_add_func("/admin/head", test_head);
    g_test_add_func("/admin/refusals", test_refusals);
    g_test_add_func("/admin/long-headers", test_long_headers);
    g_test_add_func("/admin/slow-sender", test_slow_sender);
    g_test_add_func("/admin/many-waiting", test_many_waiting);
    g_test_add_func("/admin/many-gone", test_many_gone);
    g_test_add_func("/admin/bad-address", test_bad_address);
    g_test_add_func("/admin/stop-at-once", test_stop_at_once);
    return g_test_run();
}
