/*
 * fuzz_admin.c - any bytes at the admin port, and on the status page
 *
 * What begins like a request (G, H, P) is sent to a real admin port as it is;
 * whatever comes back, the port must answer the next one. Everything is also
 * taken as lines of text from outside: query, caller, trace, names, reasons.
 * The page must be UTF-8, and have the same tags and attributes as one with
 * harmless texts in their places: no text can make markup.
 */
#include "ops/kit/admin.h"
#include "ops/kit/ensure.h"
#include "ops/kit/html.h"
#include "ops/kit/statuspage.h"

#include <arpa/inet.h>
#include <event2/thread.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define LINES 6
#define ANSWER_BYTES_MAX (1 << 20)

int LLVMFuzzerTestOneInput(const guint8 *data, size_t len);

static const Setting no_settings[] = {{0}};
static const char *const names[] = {"getDashboard", NULL};

/* ---- the port ---- */

static Admin *
start_admin(void)
{
    AdminOptions options = {.host = "127.0.0.1"};
    Admin *admin;

    signal(SIGPIPE, SIG_IGN);
    ensure(evthread_use_pthreads() == 0);
    options.metrics = metrics_new();
    options.status = status_new("fuzz", "A target.", no_settings, NULL);
    admin = admin_start(&options, NULL);
    ensure(admin != NULL);
    return admin;
}

/* Sends all of it, and where @ends says that this is all: a peer that does may
   get no answer. Gives how many bytes came back. */
static gsize
ask(guint16 port, const void *data, gsize len, gboolean ends)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    char part[4096];
    gsize sum = 0;
    gssize n;

    ensure(connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
    (void)send(fd, data, len, MSG_NOSIGNAL);
    if (ends) {
        shutdown(fd, SHUT_WR);
    }
    while ((n = recv(fd, part, sizeof(part), 0)) > 0) {
        sum += (gsize)n;
        ensure(sum < ANSWER_BYTES_MAX);
    }
    close(fd);
    return sum;
}

static void
check_port(const guint8 *data, gsize len)
{
    static Admin *admin; /* one for all inputs */
    static const char health[] = "GET /healthz HTTP/1.0\r\n\r\n";

    if (admin == NULL) {
        admin = start_admin();
    }
    ask(admin_port(admin), data, len, TRUE);
    ensure(ask(admin_port(admin), health, strlen(health), FALSE) > 0);
}

/* ---- the page ---- */

static void
add_call(Calls *calls, const char *caller, const char *trace)
{
    SlowCall call = {.us = 5, .ended = 1, .user = -1};

    g_strlcpy(call.caller, caller, sizeof(call.caller));
    g_strlcpy(call.trace, trace, sizeof(call.trace));
    calls_record(calls, 0, &call);
    calls_record_slow(calls, 0, &call);
}

static char *
render(char *const *line, guint refresh_s)
{
    Calls *calls = calls_new(names, 1);
    Section *section = section_new(line[3]);
    const SectionPartition partition = {0, 1, 2, 3};
    const StatusSetting setting = {line[3], line[4]};
    const StatusView view = {
        .daemon = line[3],
        .summary = line[4],
        .build = buildinfo_get(),
        .unhealthy = line[5],
        .unready = line[5],
        .settings = &setting,
        .n_settings = 1,
        .sections = &section,
        .n_sections = 1,
        .refresh_s = refresh_s,
    };
    char *page;

    add_call(calls, line[1], line[2]);
    calls_view(calls, 2, &section->calls);
    section->has_calls = TRUE;
    section_fact(section, line[3], "%s", line[4]);
    section_partition(section, &partition);
    page = statuspage_render(&view);
    section_free(section);
    calls_free(calls);
    return page;
}

/* What @page has of what makes markup. */
static guint
count_markup(const char *page)
{
    guint n = 0;

    for (const char *c = page; *c != '\0'; c++) {
        n += strchr("<>\"'", *c) != NULL;
    }
    return n;
}

static void
check_page(char *const *line)
{
    char harmless[] = "x";
    char *plain[LINES] = {harmless, harmless, harmless,
                          harmless, harmless, harmless};
    guint refresh_s = statuspage_refresh(line[0]);
    g_autofree char *page = render(line, refresh_s);
    g_autofree char *model = render(plain, refresh_s);

    ensure(refresh_s <= 3600);
    ensure(g_utf8_validate(page, -1, NULL));
    ensure(count_markup(page) == count_markup(model));
}

int
LLVMFuzzerTestOneInput(const guint8 *data, size_t len)
{
    g_autofree char *text = g_strndup((const char *)data, len);
    g_auto(GStrv) found = g_strsplit(text, "\n", LINES);
    char nothing[] = "";
    char *line[LINES];

    for (guint i = 0, n = g_strv_length(found); i < LINES; i++) {
        line[i] = i < n ? found[i] : nothing;
    }
    check_page(line);
    g_autoptr(GString) out = g_string_new(NULL);

    html_escape(out, (const char *)data, len);
    /* What replaces a character has three bytes, and the longest four. */
    ensure(out->len * 4 >= len * 3 && strpbrk(out->str, "<>\"'") == NULL);
    if (len > 0 && strchr("GHP", data[0]) != NULL) {
        check_port(data, len);
    }
    return 0;
}
