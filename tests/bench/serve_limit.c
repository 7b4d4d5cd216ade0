/*
 * What a server could do that had nothing to think about: one thread, epoll,
 * every call answered with the same page by reference, the seqid put in. The
 * page is a real one, the median of some readers', so that the bytes are those
 * that the cell sends.
 */
#include "tests/bench/serve_inboxes.h"

#include "ops/combctl/bench_users.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define SAMPLE 101
#define IN_BYTES 65536
#define WAITING_MAX 4096
#define AT_ONCE 64
#define EVENTS 256
#define PREFIX_BYTES sizeof(guint32)

/* What is sent: @head up to the seqid, 4 bytes of it, then @tail. */
typedef struct Still {
    GByteArray *head;
    GByteArray *tail;
} Still;

typedef struct Peer {
    int fd;
    guint8 in[IN_BYTES];
    gsize in_len;
    guint32 seqid[WAITING_MAX]; /* a ring of calls to answer; big-endian */
    guint first;
    guint n;
    gsize sent; /* of the first one's answer */
    gboolean blocked;
} Peer;

static gint
by_length(gconstpointer a, gconstpointer b)
{
    const GByteArray *left = *(GByteArray *const *)a;
    const GByteArray *right = *(GByteArray *const *)b;
    return (left->len > right->len) - (left->len < right->len);
}

/* The median page of some readers. */
static GByteArray *
find_page(const Serve *serve)
{
    GError *error = NULL;
    g_autoptr(GPtrArray) pages =
        g_ptr_array_new_with_free_func((GDestroyNotify)g_byte_array_unref);
    g_autoptr(GArray) readers = users_read(serve->readers, &error);
    serve_check("readers", error);
    g_autoptr(Call) call = call_open(serve->address, &error);
    serve_check(serve->address, error);
    guint n = MIN(readers->len, SAMPLE);
    for (guint i = 0; i < n; i++) {
        gint64 user = g_array_index(readers, gint64, readers->len / n * i);
        g_ptr_array_add(pages, serve_ask(serve, call, user));
    }
    g_ptr_array_sort(pages, by_length);
    return g_byte_array_ref(g_ptr_array_index(pages, n / 2));
}

static void
still_init(Still *still, const GByteArray *page)
{
    static const char method[] = "getDashboard";
    WireBytes name = {(const guint8 *)method, sizeof method - 1};
    still->head = g_byte_array_new();
    still->tail = g_byte_array_new();
    wire_write_field(still->tail, WIRE_STRUCT, 0);
    g_byte_array_append(still->tail, page->data, page->len);
    wire_write_stop(still->tail);
    wire_write_i32(still->head, 0);
    frame_begin(still->head, FRAME_REPLY, name, 0);
    guint32 len = GUINT32_TO_BE(
        (guint32)(still->head->len - PREFIX_BYTES + still->tail->len));
    memcpy(still->head->data, &len, sizeof len);
    g_byte_array_set_size(still->head,
                          still->head->len - (guint)sizeof(guint32));
}

/* The first @sent bytes of @vector are gone already. */
static void
skip_sent(struct iovec *vector, gsize sent)
{
    for (guint i = 0; sent > 0; i++) {
        gsize n = MIN(sent, vector[i].iov_len);
        vector[i].iov_base = (guint8 *)vector[i].iov_base + n;
        vector[i].iov_len -= n;
        sent -= n;
    }
}

/* FALSE: the socket takes no more now. */
static gboolean
send_some(Peer *peer, const Still *still)
{
    struct iovec vector[AT_ONCE * 3];
    guint n = MIN(peer->n, AT_ONCE);
    gsize each = still->head->len + sizeof(guint32) + still->tail->len;
    for (guint i = 0; i < n; i++) {
        guint32 *seqid = &peer->seqid[(peer->first + i) % WAITING_MAX];
        vector[3 * i] = (struct iovec){still->head->data, still->head->len};
        vector[3 * i + 1] = (struct iovec){seqid, sizeof *seqid};
        vector[3 * i + 2] = (struct iovec){still->tail->data, still->tail->len};
    }
    skip_sent(vector, peer->sent);
    struct msghdr message = {.msg_iov = vector, .msg_iovlen = 3 * n};
    ssize_t wrote = sendmsg(peer->fd, &message, MSG_NOSIGNAL);
    if (wrote < 0) {
        return FALSE;
    }
    peer->sent += (gsize)wrote;
    guint done = (guint)(peer->sent / each);
    peer->sent -= done * each;
    peer->first = (peer->first + done) % WAITING_MAX;
    peer->n -= done;
    return done == n;
}

static void
answer(Peer *peer, const Still *still, int epoll)
{
    while (peer->n > 0 && send_some(peer, still)) {
    }
    gboolean blocked = peer->n > 0;
    if (blocked != peer->blocked) {
        struct epoll_event event = {
            .events = blocked ? EPOLLIN | EPOLLOUT : EPOLLIN, .data.ptr = peer};
        (void)epoll_ctl(epoll, EPOLL_CTL_MOD, peer->fd, &event);
        peer->blocked = blocked;
    }
}

/* Takes the calls that are whole. A call: length, version, name, seqid. */
static void
take_calls(Peer *peer)
{
    gsize at = 0;
    while (peer->in_len - at > 3 * PREFIX_BYTES && peer->n < WAITING_MAX) {
        guint32 len;
        guint32 name;
        memcpy(&len, peer->in + at, sizeof len);
        memcpy(&name, peer->in + at + 2 * PREFIX_BYTES, sizeof name);
        len = GUINT32_FROM_BE(len);
        name = GUINT32_FROM_BE(name);
        if (peer->in_len - at < PREFIX_BYTES + len) {
            break;
        }
        memcpy(&peer->seqid[(peer->first + peer->n++) % WAITING_MAX],
               peer->in + at + 3 * PREFIX_BYTES + name, sizeof(guint32));
        at += PREFIX_BYTES + len;
    }
    peer->in_len -= at;
    memmove(peer->in, peer->in + at, peer->in_len);
}

/* FALSE: it has gone. */
static gboolean
read_calls(Peer *peer)
{
    ssize_t got =
        recv(peer->fd, peer->in + peer->in_len, IN_BYTES - peer->in_len, 0);
    if (got <= 0) {
        return got < 0 && errno == EAGAIN;
    }
    peer->in_len += (gsize)got;
    take_calls(peer);
    return TRUE;
}

static void
accept_peer(int listener, int epoll)
{
    int on = 1;
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
        return;
    }
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    Peer *peer = g_new0(Peer, 1);
    peer->fd = fd;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = peer};
    (void)epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}

static int
listen_somewhere(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr *any = (struct sockaddr *)(void *)&address;
    if (fd < 0 || bind(fd, any, len) != 0 || listen(fd, 128) != 0 ||
        getsockname(fd, any, &len) != 0) {
        serve_fail("listen", g_strerror(errno));
    }
    printf("ready limit=127.0.0.1:%u\n", ntohs(address.sin_port));
    (void)fflush(stdout);
    return fd;
}

static void
serve_event(const struct epoll_event *event, const Still *still, int epoll)
{
    Peer *peer = event->data.ptr;
    if (!read_calls(peer)) {
        close(peer->fd);
        g_free(peer);
        return;
    }
    answer(peer, still, epoll);
}

/* Until it is killed. */
int
serve_limit(const Serve *serve)
{
    Still still;
    g_autoptr(GByteArray) page = find_page(serve);
    still_init(&still, page);
    int listener = listen_somewhere();
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event events[EVENTS] = {{.events = EPOLLIN, .data.ptr = NULL}};
    (void)epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &events[0]);
    while (TRUE) {
        int n = epoll_wait(epoll, events, EVENTS, -1);
        for (int i = 0; i < n; i++) {
            if (events[i].data.ptr == NULL) {
                accept_peer(listener, epoll);
            } else {
                serve_event(&events[i], &still, epoll);
            }
        }
    }
}
