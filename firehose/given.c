#include "firehose/given.h"

#include "firehose/log.h"
#include "thrift/limits.h"

#include <string.h>

static gboolean
refuse(Request *request, const char *reason, gint64 limit)
{
    reply_invalid(request, "request", reason, limit);
    return FALSE;
}

gboolean
given_read(Request *request, const WireType types[GIVEN_FIELD_MAX + 1],
           Given *ret_given)
{
    WireReader reader;
    WireField field;

    memset(ret_given, 0, sizeof *ret_given);
    if (!frame_struct(request_frame(request), 2, &reader)) {
        return refuse(request, "is missing", -1);
    }
    while (wire_read_field(&reader, &field)) {
        WireBytes value = wire_read_value(&reader, field.type);

        if (field.id < 1 || field.id > GIVEN_FIELD_MAX ||
            types[field.id] == WIRE_STOP) {
            continue;
        }
        if (field.type != types[field.id]) {
            return refuse(request, "has a field of the wrong type", field.id);
        }
        ret_given->field[field.id] = (FrameField){field.type, value};
    }
    return TRUE;
}

gboolean
given_has(const Given *given, guint id, WireReader *ret_reader)
{
    const FrameField *field = &given->field[id];

    if (field->type == WIRE_STOP) {
        return FALSE;
    }
    wire_reader_init(ret_reader, field->value.data, field->value.len);
    return TRUE;
}

char *
given_client(Request *request, const char *field, const FrameField *value)
{
    g_autofree char *name = NULL;
    const char *fault = "is missing";
    WireReader reader;

    if (value->type == WIRE_BINARY) {
        WireBytes bytes;

        wire_reader_init(&reader, value->value.data, value->value.len);
        bytes = wire_read_bytes(&reader);
        name = g_strndup((const char *)bytes.data, bytes.len);
        fault = strlen(name) == bytes.len ? log_client_fault(name)
                                          : log_client_fault("");
    }
    if (fault != NULL) {
        reply_invalid(request, field, fault, CLIENT_ID_BYTES_MAX);
        return NULL;
    }
    return g_steal_pointer(&name);
}
