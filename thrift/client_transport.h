/*
 * client_transport.h - whole frames over a socket, for c_glib (private)
 *
 * A ThriftTransport that keeps one frame to send and one received in memory,
 * and a ThriftBinaryProtocol that tells it where messages begin and holds the
 * generated decoders to what frame_scan() has seen. A failure of the socket
 * is final, unless there is a way to connect anew.
 */
#pragma once

#include "thrift/tls_stream.h"
#include "thrift/wire.h"

#include <thrift/c_glib/protocol/thrift_binary_protocol.h>
#include <thrift/c_glib/transport/thrift_transport.h>

G_DEFINE_AUTOPTR_CLEANUP_FUNC(ThriftTransport, g_object_unref)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ThriftBinaryProtocol, g_object_unref)

/* ClientTransport and ClientProtocol, final types. */
G_DECLARE_FINAL_TYPE(ClientTransport, client_transport, CLIENT, TRANSPORT,
                     ThriftTransport)
G_DECLARE_FINAL_TYPE(ClientProtocol, client_protocol, CLIENT, PROTOCOL,
                     ThriftBinaryProtocol)

/**
 * client_transport_new() - frames over @fd
 *
 * @fd:         connected and non-blocking; owned from now on.
 * @timeout_ms: for each frame sent or received.
 */
ClientTransport *client_transport_new(int fd, guint timeout_ms);

/**
 * client_transport_shake() - speak TLS from here on, with a handshake first
 *
 * @stream: on the same socket; owned from now on.
 * Fails:   COMB_ERROR_IO with the reason, FALSE; the transport is closed.
 */
gboolean client_transport_shake(ClientTransport *transport, TlsStream *stream,
                                GError **error);

/* Connects anew: client_transport_adopt(), and _shake(), or FALSE. */
typedef gboolean (*ClientReopen)(gpointer user_data, GError **error);

/** client_transport_set_reopen() - what to do where a message is to be sent
 * and there is no connection. */
void client_transport_set_reopen(ClientTransport *transport,
                                 ClientReopen reopen, gpointer user_data);

/** client_transport_adopt() - go on over @fd; the transport is closed. Owns:
 * takes @fd. */
void client_transport_adopt(ClientTransport *transport, int fd);

/**
 * client_transport_set_call_ms() - from now on a deadline for whole calls
 *
 * Effect: from the next message's begin to the end of its answer, connecting
 *         included.
 */
void client_transport_set_call_ms(ClientTransport *transport, guint call_ms);

/** client_transport_deadline_us() - when what is done now must be done;
 * g_get_monotonic_time() scale. */
gint64 client_transport_deadline_us(const ClientTransport *transport);

/** client_transport_answers() - how many have come, ever. */
guint64 client_transport_answers(const ClientTransport *transport);

/** client_transport_begin() - a message is written: forget half of another. */
void client_transport_begin(ClientTransport *transport);

/**
 * client_transport_receive() - wait for the next frame; reads are from it
 *
 * Effect: forgets what was not read of the last one.
 * Fails:  COMB_ERROR_IO (timeout, closed), COMB_ERROR_CORRUPT (the frame is
 *         too long, or no reply that frame_scan() lets pass), FALSE.
 */
gboolean client_transport_receive(ClientTransport *transport, GError **error);

/** client_transport_rest() - what is not yet read of the frame; borrowed. */
WireBytes client_transport_rest(const ClientTransport *transport);

/** client_protocol_new() - the binary protocol over @transport, referenced. */
ClientProtocol *client_protocol_new(ClientTransport *transport);
