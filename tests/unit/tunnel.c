/*
 * tunnel.c - a plain socket that is TLS at its other end
 *
 * A thread a tunnel, on a session that OpenSSL runs by itself: nothing of
 * thrift/ is on this side. Half a hang-up is passed on as TLS has it, a whole
 * one as a reset.
 */
#include "tests/unit/tunnel.h"

#include "tests/unit/certs.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PIECE 4096

typedef struct Tunnel {
    SSL *session;
    int inner;      /* plain, to the test */
    int outer;      /* TLS, to the server */
    char up[PIECE]; /* from the test, not sent yet */
    char down[PIECE];
    gsize up_len;
    gsize down_len;
    gboolean up_ended;   /* the test has finished sending */
    gboolean down_ended; /* the server has */
} Tunnel;

const char *
tunnel_dir(void)
{
    return g_getenv("COMB_TEST_CERTS");
}

static SSL *
new_session(const char *dir, int fd)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    g_auto(TlsFiles) files = certs_files(dir, "client", "ca");
    SSL *session;

    g_assert_cmpint(
        SSL_CTX_use_certificate_file(context, files.cert, SSL_FILETYPE_PEM), ==,
        1);
    g_assert_cmpint(
        SSL_CTX_use_PrivateKey_file(context, files.key, SSL_FILETYPE_PEM), ==,
        1);
    g_assert_cmpint(SSL_CTX_load_verify_file(context, files.ca), ==, 1);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE |
                                  SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    session = SSL_new(context);
    SSL_CTX_free(context);
    SSL_set_fd(session, fd);
    return session;
}

/* The test has finished sending, or closed. FALSE: it is over. */
static gboolean
end_up(Tunnel *tunnel)
{
    struct pollfd inner = {.fd = tunnel->inner};
    struct linger reset = {1, 0};

    tunnel->up_ended = TRUE;
    if (poll(&inner, 1, 0) == 1 && (inner.revents & POLLHUP) != 0) {
        setsockopt(tunnel->outer, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
        return FALSE;
    }
    return SSL_shutdown(tunnel->session) >= 0;
}

/* FALSE: it is over. */
static gboolean
move_up(Tunnel *tunnel)
{
    gsize sent = 0;
    int result;

    if (tunnel->up_len == 0 && !tunnel->up_ended) {
        gssize got = recv(tunnel->inner, tunnel->up, PIECE, MSG_DONTWAIT);

        if (got == 0) {
            return end_up(tunnel);
        }
        tunnel->up_len = got > 0 ? (gsize)got : 0;
    }
    if (tunnel->up_len == 0) {
        return TRUE;
    }
    result = SSL_write_ex(tunnel->session, tunnel->up, tunnel->up_len, &sent);
    if (result != 1) {
        return SSL_get_error(tunnel->session, result) == SSL_ERROR_WANT_WRITE;
    }
    memmove(tunnel->up, tunnel->up + sent, tunnel->up_len - sent);
    tunnel->up_len -= sent;
    return TRUE;
}

static gboolean
move_down(Tunnel *tunnel)
{
    gssize sent;
    int result;

    if (tunnel->down_len == 0) {
        result = SSL_read_ex(tunnel->session, tunnel->down, PIECE,
                             &tunnel->down_len);
        if (result != 1) {
            tunnel->down_len = 0;
            return SSL_get_error(tunnel->session, result) ==
                   SSL_ERROR_WANT_READ;
        }
    }
    sent = send(tunnel->inner, tunnel->down, tunnel->down_len,
                MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent > 0) {
        memmove(tunnel->down, tunnel->down + sent,
                tunnel->down_len - (gsize)sent);
        tunnel->down_len -= (gsize)sent;
    }
    return sent >= 0 || errno == EAGAIN;
}

static short
events_of_inner(const Tunnel *tunnel)
{
    gboolean wants = tunnel->up_len == 0 && !tunnel->up_ended;

    return (short)((wants ? POLLIN : 0) | (tunnel->down_len > 0 ? POLLOUT : 0));
}

static short
events_of_outer(const Tunnel *tunnel)
{
    return (short)((tunnel->up_len > 0 ? POLLOUT : 0) |
                   (tunnel->down_len == 0 ? POLLIN : 0));
}

static void
run(Tunnel *tunnel)
{
    gboolean open = SSL_connect(tunnel->session) == 1;

    fcntl(tunnel->outer, F_SETFL, O_NONBLOCK);
    while (open) {
        struct pollfd waiting[] = {
            {.fd = tunnel->inner, .events = events_of_inner(tunnel)},
            {.fd = tunnel->outer, .events = events_of_outer(tunnel)},
        };
        open = move_up(tunnel) && move_down(tunnel);
        if (open && SSL_pending(tunnel->session) == 0) {
            poll(waiting, G_N_ELEMENTS(waiting), 10);
        }
    }
    SSL_free(tunnel->session);
    close(tunnel->outer);
    close(tunnel->inner);
    g_free(tunnel);
}

/* How many threads there are. Nobody has a handle of a tunnel, so that the end
   of the process waits for them: what they are still freeing is no leak. */
static _Atomic guint running;

static void
wait_for_all(void)
{
    for (guint i = 0; i < 5000 && running > 0; i++) {
        g_usleep(1000);
    }
}

static void *
run_counted(void *user_data)
{
    run(user_data);
    running--;
    return NULL;
}

int
tunnel_open(int fd)
{
    static gsize once;

    struct timeval wait = {20, 0};
    Tunnel *tunnel = g_new0(Tunnel, 1);
    pthread_t thread;
    int pair[2];

    /* As every process with TLS: OpenSSL writes with write(2). */
    g_assert_true(signal(SIGPIPE, SIG_IGN) != SIG_ERR);
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair),
                    ==, 0);
    setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
    tunnel->session = new_session(tunnel_dir(), fd);
    tunnel->inner = pair[1];
    tunnel->outer = fd;
    if (g_once_init_enter(&once)) {
        atexit(wait_for_all);
        g_once_init_leave(&once, 1);
    }
    running++;
    g_assert_cmpint(pthread_create(&thread, NULL, run_counted, tunnel), ==, 0);
    pthread_detach(thread);
    return pair[0];
}
