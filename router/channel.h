/*
 * channel.h - frames to and from one address (private)
 *
 * A connection, made without waiting: the name is looked up, the socket
 * connected, TLS shaken hands where there is some. What is sent before that
 * waits. Frames that are sent in one turn of the event loop leave together,
 * and those that came together are read together.
 *
 * Thread: the one whose event base it is on.
 */
#pragma once

#include "thrift/tls.h"
#include "thrift/wire.h"

#include <event2/dns.h>
#include <event2/event.h>

typedef struct Channel Channel;

typedef struct ChannelOptions {
    struct event_base *base;
    struct evdns_base *dns;
    const char *host; /* a name or an address; copied */
    guint16 port;
    Tls *tls;              /* a client's, outlives it; NULL: plain text */
    gsize frame_bytes_max; /* of a frame that comes */
    /* A frame came; borrowed for the call. One of no bytes: what came is no
       frame or too long, and the channel is to be freed. */
    void (*received)(gpointer user_data, WireBytes frame);
    /* The connection is over, or was never made; @why is borrowed and follows
       "cell N ...". Called once, not from channel_open() or channel_put(), and
       nothing is called after it. */
    void (*lost)(gpointer user_data, const char *why);
    gpointer user_data;
} ChannelOptions;

/** channel_open() - begin to connect. Owns: the caller; channel_free(). */
Channel *channel_open(const ChannelOptions *options);

/**
 * channel_put() - send a frame of @len bytes
 *
 * Effect: room for them, to be written before anything else is called.
 */
guint8 *channel_put(Channel *channel, gsize len);

/** channel_unsent() - bytes that the kernel has not taken yet. */
gsize channel_unsent(const Channel *channel);

/** channel_was_open() - whether it was connected, and had shaken hands. */
gboolean channel_was_open(const Channel *channel);

/** channel_free() - close and free; may be called from its callbacks. */
void channel_free(Channel *channel);
