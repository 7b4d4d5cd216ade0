/*
 * Pages from redis-server, closed loop: as many readers as connections times
 * depth, each of which asks for its list, then for the posts in it, then is
 * another reader. What is asked on one connection at one moment goes out with
 * one write, so that the server finds many commands at once, as it does best.
 */
#include "tests/bench/serve_redis.h"

#include "ops/combctl/bench_latency.h"
#include "ops/combctl/bench_users.h"
#include "tests/bench/serve.h"
#include "tests/bench/usage.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define IN_BYTES (1024 * 1024)
#define DEPTH_MAX 1024
#define ID_BYTES sizeof(gint64)

/* A reader under way. */
typedef struct Reader {
    double begin_us;
    gboolean bodies; /* has its list and waits for the posts */
} Reader;

typedef struct Line {
    int fd;
    guint8 *in; /* IN_BYTES; owned */
    gsize in_len;
    GByteArray *out;
    Reader readers[DEPTH_MAX]; /* a ring, in the order of commands */
    guint first;
    guint n;
} Line;

typedef struct Run {
    const Serve *serve;
    Users *users;
    Latency *latency;
    guint64 pages;    /* in the window */
    guint64 posts;    /* in them */
    guint64 bytes;    /* that came in the window */
    double window_us; /* when it begins */
    double end_us;
} Run;

/* ---- commands ---- */

static void
add_text(GByteArray *out, const char *text)
{
    g_byte_array_append(out, (const guint8 *)text, (guint)strlen(text));
}

static void
push_reader(Line *line, Reader reader)
{
    line->readers[(line->first + line->n++) % DEPTH_MAX] = reader;
}

static void
add_key(GByteArray *out, char letter, gint64 id)
{
    guint8 key[REDIS_KEY_BYTES];
    redis_key(letter, id, key);
    add_text(out, "$9\r\n");
    g_byte_array_append(out, key, sizeof key);
    add_text(out, "\r\n");
}

static void
ask_list(Run *run, Line *line)
{
    char end[64];
    char last[16];
    (void)snprintf(last, sizeof last, "%d", (int)run->serve->limit - 1);
    (void)snprintf(end, sizeof end, "$1\r\n0\r\n$%zu\r\n%s\r\n", strlen(last),
                   last);
    add_text(line->out, "*4\r\n$6\r\nLRANGE\r\n");
    add_key(line->out, 'i', users_draw(run->users));
    add_text(line->out, end);
    push_reader(line, (Reader){usage_now_us(), FALSE});
}

/* @ids: the list as it came. */
static void
ask_posts(Line *line, Reader reader, const guint8 **ids, guint n)
{
    char head[32];
    (void)snprintf(head, sizeof head, "*%u\r\n$4\r\nMGET\r\n", n + 1);
    add_text(line->out, head);
    for (guint i = 0; i < n; i++) {
        gint64 id;
        memcpy(&id, ids[i], sizeof id);
        add_key(line->out, 'p', GINT64_FROM_BE(id));
    }
    reader.bodies = TRUE;
    push_reader(line, reader);
}

/* ---- answers ---- */

/* A line "*20\r\n" or "$540\r\n" of this kind; its number; *at moves on.
   -1: not whole yet. */
static gint64
take_number(const Line *line, gsize *at, char kind)
{
    const guint8 *from = line->in + *at;
    const guint8 *end = memchr(from, '\n', line->in_len - *at);
    if (end == NULL) {
        return -1;
    }
    if (*from != (guint8)kind) {
        serve_fail("redis", "answered something else");
    }
    *at += (gsize)(end - from) + 1;
    return strtol((const char *)from + 1, NULL, 10);
}

/* One whole array of strings from *at on; FALSE: it is not there yet. */
static gboolean
take_array(const Line *line, gsize *at, const guint8 **items, guint *ret_n)
{
    gsize here = *at;
    gint64 n = take_number(line, &here, '*');
    for (gint64 i = 0; i < n; i++) {
        gint64 len = take_number(line, &here, '$');
        if (len < 0 || here + (gsize)len + 2 > line->in_len) {
            return FALSE;
        }
        items[i] = line->in + here;
        here += (gsize)len + 2;
    }
    if (n < 0) {
        return FALSE;
    }
    *at = here;
    *ret_n = (guint)n;
    return TRUE;
}

static void
count_page(Run *run, const Reader *reader, guint posts)
{
    double now = usage_now_us();
    if (now >= run->window_us && now < run->end_us) {
        run->pages++;
        run->posts += posts;
        latency_add(run->latency, (guint64)((now - reader->begin_us) * 1000));
    }
}

static void
take_answers(Run *run, Line *line)
{
    const guint8 *items[256];
    gsize at = 0;
    guint n;
    while (line->n > 0 && take_array(line, &at, items, &n)) {
        Reader reader = line->readers[line->first];
        line->first = (line->first + 1) % DEPTH_MAX;
        line->n--;
        if (!reader.bodies) {
            ask_posts(line, reader, items, n);
        } else {
            count_page(run, &reader, n);
            ask_list(run, line);
        }
    }
    line->in_len -= at;
    memmove(line->in, line->in + at, line->in_len);
}

static void
flush(Line *line)
{
    gsize sent = 0;
    while (sent < line->out->len) {
        ssize_t n = send(line->fd, line->out->data + sent,
                         line->out->len - sent, MSG_NOSIGNAL);
        if (n < 0 && errno != EINTR) {
            serve_fail("redis", g_strerror(errno));
        }
        sent += (gsize)MAX(n, 0);
    }
    g_byte_array_set_size(line->out, 0);
}

static void
on_readable(Run *run, Line *line)
{
    ssize_t got = recv(line->fd, line->in + line->in_len,
                       IN_BYTES - line->in_len, MSG_DONTWAIT);
    if (got < 0 && errno == EAGAIN) {
        return;
    }
    if (got <= 0) {
        serve_fail("redis", "the connection is lost");
    }
    double now = usage_now_us();
    line->in_len += (gsize)got;
    run->bytes += now >= run->window_us && now < run->end_us ? (gsize)got : 0;
    take_answers(run, line);
    flush(line);
}

/* ---- the run ---- */

static Line *
line_open(const Serve *serve)
{
    const char *colon = strrchr(serve->address, ':');
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                                  .sin_port = htons((guint16)atoi(colon + 1))};
    int on = 1;
    Line *line = g_new0(Line, 1);
    line->in = g_malloc(IN_BYTES);
    line->out = g_byte_array_new();
    line->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (line->fd < 0 || connect(line->fd, (struct sockaddr *)(void *)&address,
                                sizeof address) != 0) {
        serve_fail("redis", g_strerror(errno));
    }
    (void)setsockopt(line->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return line;
}

static void
line_close(gpointer data)
{
    Line *line = data;
    close(line->fd);
    g_byte_array_unref(line->out);
    g_free(line->in);
    g_free(line);
}

static void
run_loop(Run *run, const GPtrArray *lines, int epoll)
{
    struct epoll_event events[64];
    gint64 cpu = -1;
    for (guint i = 0; i < lines->len; i++) {
        Line *line = g_ptr_array_index(lines, i);
        for (guint k = 0; k < (guint)run->serve->depth; k++) {
            ask_list(run, line);
        }
        flush(line);
    }
    for (double now = 0; now < run->end_us; now = usage_now_us()) {
        if (cpu < 0 && now >= run->window_us) {
            cpu = usage_cpu_us();
        }
        int n = epoll_wait(epoll, events, G_N_ELEMENTS(events), 100);
        for (int i = 0; i < n; i++) {
            on_readable(run, events[i].data.ptr);
        }
    }
    cpu = usage_cpu_us() - cpu;
    printf("{\"calls_per_s\":%.1f,\"bytes_per_s\":%.0f,"
           "\"entries_per_call\":%.3f,\"p50_us\":%.1f,\"p99_us\":%.1f,"
           "\"client_cpu_us_per_call\":%.3f}\n",
           (double)run->pages / run->serve->duration_s,
           (double)run->bytes / run->serve->duration_s,
           (double)run->posts / (double)MAX(run->pages, 1),
           (double)latency_percentile(run->latency, 50) / 1000,
           (double)latency_percentile(run->latency, 99) / 1000,
           (double)cpu / (double)MAX(run->pages, 1));
}

int
serve_redis_read(const Serve *serve)
{
    GError *error = NULL;
    GArray *readers = users_read(serve->readers, &error);
    serve_check("readers", error);
    g_autoptr(Users) users =
        users_new(readers, serve->zipf, (guint64)serve->seed);
    g_autoptr(Latency) latency = latency_new();
    g_autoptr(GPtrArray) lines = g_ptr_array_new_with_free_func(line_close);
    double now = usage_now_us();
    Run run = {.serve = serve,
               .users = users,
               .latency = latency,
               .window_us = now + serve->warmup_s * 1e6};
    run.end_us = run.window_us + serve->duration_s * 1e6;
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    for (gint64 i = 0; i < serve->connections; i++) {
        Line *line = line_open(serve);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = line};
        (void)epoll_ctl(epoll, EPOLL_CTL_ADD, line->fd, &event);
        g_ptr_array_add(lines, line);
    }
    run_loop(&run, lines, epoll);
    close(epoll);
    return 0;
}
