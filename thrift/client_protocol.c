/*
 * client_protocol.c - c_glib's binary protocol, held to what was scanned
 *
 * Where a message begins, the transport is told, so that what an earlier
 * failure left behind is not taken for part of it.
 *
 * frame_scan() has found an answer to be sound as it describes itself. The
 * generated decoder compares the types of fields with those it expects, but
 * not the types of a list's elements: bytes that were sent, and scanned, as
 * a list of bytes are decoded as the structs expected there, with sizes and
 * nesting that nobody has looked at. So the end of each container is noted
 * when it is entered; inside, only its own element type may be entered; and
 * it must be left where it ends. A decoder that reads other scalars than
 * were sent runs at most to the container's last element.
 *
 * A decoder that fails does not leave what it has entered; with the next
 * message it starts again.
 */
#include "thrift/client_transport.h"

#include "ops/kit/error.h"

/* The result struct, and WIRE_DEPTH_MAX in it. */
#define DEPTH_MAX (1 + WIRE_DEPTH_MAX)

/* A struct or container being read. */
typedef struct Level {
    ThriftType element; /* what may be entered in it; T_STOP: anything */
    ThriftType key;     /* likewise, in a map */
    gsize rest;         /* bytes of the frame after it; of containers */
} Level;

struct _ClientProtocol {
    ThriftBinaryProtocol parent_instance;
    Level level[DEPTH_MAX]; /* from the result struct inwards */
    guint depth;            /* levels in use */
};

G_DEFINE_TYPE(ClientProtocol, client_protocol, THRIFT_TYPE_BINARY_PROTOCOL)

static const ThriftProtocolClass *
binary(void)
{
    return THRIFT_PROTOCOL_CLASS(client_protocol_parent_class);
}

static WireBytes
rest_of(const ClientProtocol *self)
{
    const ThriftProtocol *protocol = &self->parent_instance.parent;

    return client_transport_rest(CLIENT_TRANSPORT(protocol->transport));
}

static gint32
refuse(GError **error)
{
    g_set_error_literal(error, COMB_ERROR, COMB_ERROR_CORRUPT,
                        "the answer is not of the types expected");
    return -1;
}

/* Whether a value of @type may be entered here. */
static gboolean
may_enter(const ClientProtocol *self, ThriftType type)
{
    const Level *level;

    if (self->depth == 0) {
        return TRUE;
    }
    level = &self->level[self->depth - 1];
    return self->depth < DEPTH_MAX &&
           (level->element == T_STOP || level->element == type ||
            level->key == type);
}

/* Enters a container of @n elements, whose header has been read. */
static gboolean
enter_container(ClientProtocol *self, ThriftType key, ThriftType element,
                guint32 n)
{
    WireBytes rest = rest_of(self);
    WireReader reader;

    wire_reader_init(&reader, rest.data, rest.len);
    for (guint32 i = 0; i < n && !reader.failed; i++) {
        if (key != T_STOP) {
            wire_skip(&reader, (WireType)key);
        }
        wire_skip(&reader, (WireType)element);
    }
    if (reader.failed) {
        return FALSE;
    }
    self->level[self->depth] =
        (Level){element, key, (gsize)(reader.end - reader.at)};
    self->depth++;
    return TRUE;
}

static gint32
read_struct_begin(ThriftProtocol *protocol, gchar **name, GError **error)
{
    ClientProtocol *self = CLIENT_PROTOCOL(protocol);

    if (!may_enter(self, T_STRUCT)) {
        return refuse(error);
    }
    self->level[self->depth] = (Level){T_STOP, T_STOP, 0};
    self->depth++;
    return binary()->read_struct_begin(protocol, name, error);
}

static gint32
read_struct_end(ThriftProtocol *protocol, GError **error)
{
    CLIENT_PROTOCOL(protocol)->depth--;
    return binary()->read_struct_end(protocol, error);
}

static gint32
read_map_begin(ThriftProtocol *protocol, ThriftType *key, ThriftType *value,
               guint32 *size, GError **error)
{
    ClientProtocol *self = CLIENT_PROTOCOL(protocol);
    gint32 read;

    if (!may_enter(self, T_MAP)) {
        return refuse(error);
    }
    read = binary()->read_map_begin(protocol, key, value, size, error);
    if (read >= 0 && !enter_container(self, *key, *value, *size)) {
        return refuse(error);
    }
    return read;
}

static gint32
read_list_begin(ThriftProtocol *protocol, ThriftType *element, guint32 *size,
                GError **error)
{
    ClientProtocol *self = CLIENT_PROTOCOL(protocol);
    gint32 read;

    if (!may_enter(self, T_LIST)) {
        return refuse(error);
    }
    read = binary()->read_list_begin(protocol, element, size, error);
    if (read >= 0 && !enter_container(self, T_STOP, *element, *size)) {
        return refuse(error);
    }
    return read;
}

static gint32
read_set_begin(ThriftProtocol *protocol, ThriftType *element, guint32 *size,
               GError **error)
{
    ClientProtocol *self = CLIENT_PROTOCOL(protocol);
    gint32 read;

    if (!may_enter(self, T_SET)) {
        return refuse(error);
    }
    read = binary()->read_set_begin(protocol, element, size, error);
    if (read >= 0 && !enter_container(self, T_STOP, *element, *size)) {
        return refuse(error);
    }
    return read;
}

static gint32
read_container_end(ThriftProtocol *protocol, GError **error)
{
    ClientProtocol *self = CLIENT_PROTOCOL(protocol);

    self->depth--;
    if (rest_of(self).len != self->level[self->depth].rest) {
        return refuse(error);
    }
    return 0;
}

static gint32
write_message_begin(ThriftProtocol *protocol, const gchar *name,
                    const ThriftMessageType type, const gint32 seqid,
                    GError **error)
{
    client_transport_begin(CLIENT_TRANSPORT(protocol->transport));
    return binary()->write_message_begin(protocol, name, type, seqid, error);
}

static gint32
read_message_begin(ThriftProtocol *protocol, gchar **name,
                   ThriftMessageType *type, gint32 *seqid, GError **error)
{
    CLIENT_PROTOCOL(protocol)->depth = 0;
    if (!client_transport_receive(CLIENT_TRANSPORT(protocol->transport),
                                  error)) {
        return -1;
    }
    return binary()->read_message_begin(protocol, name, type, seqid, error);
}

static void
client_protocol_class_init(ClientProtocolClass *class)
{
    ThriftProtocolClass *protocol = THRIFT_PROTOCOL_CLASS(class);

    protocol->write_message_begin = write_message_begin;
    protocol->read_message_begin = read_message_begin;
    protocol->read_struct_begin = read_struct_begin;
    protocol->read_struct_end = read_struct_end;
    protocol->read_map_begin = read_map_begin;
    protocol->read_map_end = read_container_end;
    protocol->read_list_begin = read_list_begin;
    protocol->read_list_end = read_container_end;
    protocol->read_set_begin = read_set_begin;
    protocol->read_set_end = read_container_end;
}

static void
client_protocol_init(ClientProtocol *self)
{
    self->depth = 0;
}

ClientProtocol *
client_protocol_new(ClientTransport *transport)
{
    return g_object_new(client_protocol_get_type(), "transport", transport,
                        NULL);
}
