/*
 * tls_stream.c - TLS over a non-blocking socket
 *
 * OpenSSL keeps a queue of errors for each thread, and reads it to say what
 * became of a call: it is emptied before each, or another stream's failure
 * would be taken for this one's.
 */
#include "thrift/tls_stream.h"

#include "ops/kit/ensure.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <string.h>

struct TlsStream {
    SSL *session;     /* owned */
    char *identity;   /* of the peer, once the handshake is over; or NULL */
    const char *why;  /* static or g_strerror()'s; NULL: nothing is wrong */
    gboolean settled; /* the handshake is over, and nothing failed since */
    gboolean broken;  /* TLS itself has failed */
};

TlsStream *
tls_stream_new(Tls *tls, int fd, const char *host)
{
    TlsStream *stream = g_new0(TlsStream, 1);

    stream->session = tls_session(tls, host);
    ensure(SSL_set_fd(stream->session, fd) == 1);
    return stream;
}

/* What OpenSSL's @result means, right after the call. */
static TlsOutcome
judge(TlsStream *stream, int result)
{
    int cause = errno;

    switch (SSL_get_error(stream->session, result)) {
    case SSL_ERROR_NONE:
        return TLS_DONE;
    case SSL_ERROR_WANT_READ:
        return TLS_WANTS_READ;
    case SSL_ERROR_WANT_WRITE:
        return TLS_WANTS_WRITE;
    case SSL_ERROR_ZERO_RETURN:
        return TLS_ENDED;
    case SSL_ERROR_SYSCALL:
        stream->settled = FALSE;
        stream->why = cause != 0 ? g_strerror(cause) : "the peer has closed";
        return TLS_CUT;
    default:
        break;
    }
    stream->settled = FALSE;
    stream->broken = TRUE;
    stream->why = tls_explain(stream->session, ERR_peek_last_error());
    if (stream->why == NULL) {
        stream->why = "no TLS";
    }
    return TLS_BROKEN;
}

static void
before_call(void)
{
    ERR_clear_error();
    errno = 0;
}

TlsOutcome
tls_stream_shake(TlsStream *stream)
{
    TlsOutcome outcome;

    before_call();
    outcome = judge(stream, SSL_do_handshake(stream->session));
    if (outcome == TLS_DONE) {
        stream->identity = tls_identity(stream->session);
        stream->settled = TRUE;
    }
    return outcome;
}

TlsOutcome
tls_stream_read(TlsStream *stream, gpointer data, gsize len, gsize *ret_got)
{
    *ret_got = 0;
    before_call();
    return judge(stream, SSL_read_ex(stream->session, data, len, ret_got));
}

/* The socket takes nothing more: the peer may have said why before it hung up,
   as a server does that does not like our certificate. */
static TlsOutcome
ask_why(TlsStream *stream)
{
    const char *why = stream->why;
    TlsOutcome outcome;
    char byte;
    gsize got;

    outcome = tls_stream_read(stream, &byte, sizeof byte, &got);
    if (outcome == TLS_BROKEN) {
        return outcome;
    }
    stream->why = why;
    return TLS_CUT;
}

TlsOutcome
tls_stream_write(TlsStream *stream, gconstpointer data, gsize len,
                 gsize *ret_sent)
{
    TlsOutcome outcome;

    *ret_sent = 0;
    before_call();
    outcome = judge(stream, SSL_write_ex(stream->session, data, len, ret_sent));
    return outcome == TLS_CUT ? ask_why(stream) : outcome;
}

gboolean
tls_stream_is_midway(const TlsStream *stream)
{
    /* "RB": a record's header is there, its body is awaited. */
    return SSL_has_pending(stream->session) || SSL_in_init(stream->session) ||
           strcmp(SSL_rstate_string(stream->session), "RB") == 0;
}

gboolean
tls_stream_is_broken(const TlsStream *stream)
{
    return stream->broken;
}

const char *
tls_stream_why(const TlsStream *stream)
{
    return stream->why;
}

const char *
tls_stream_identity(const TlsStream *stream)
{
    return stream->identity;
}

void
tls_stream_free(TlsStream *stream)
{
    if (stream->settled) {
        before_call();
        SSL_shutdown(stream->session);
    }
    ERR_clear_error();
    SSL_free(stream->session);
    g_free(stream->identity);
    g_free(stream);
}
