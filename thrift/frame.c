/*
 * frame.c - one message, looked over
 *
 * Strict binary header: four bytes 80 01 xx kind, the method's name, the
 * seqid; then one struct, the arguments or the result. Format:
 * https://github.com/apache/thrift/blob/master/doc/specs/
 * thrift-binary-protocol.md
 *
 * The scan walks the struct once and notes where fields 0 to 15 lie. It
 * refuses what the format does not forbid but nobody honest sends: a
 * top-level field twice. A router and a cell that read different ones of the
 * two would disagree about whom the call is for.
 *
 * ONEWAY is refused like an unknown kind: no method of ours is oneway, and a
 * caller that thinks so would never read the answer.
 */
#include "thrift/frame.h"

#include <string.h>

#define STRICT_VERSION 0x8001u

/* Reads up to the struct. The third byte is unused by the format. */
static FrameOutcome
scan_header(WireReader *reader, const guint8 *start, Frame *frame)
{
    guint32 word = (guint32)wire_read_i32(reader);
    guint kind = word & 0xff;

    if (reader->failed || word >> 16 != STRICT_VERSION) {
        return FRAME_NOT_THRIFT;
    }
    if (kind < FRAME_CALL || kind > FRAME_EXCEPTION) {
        return FRAME_BAD_HEADER;
    }
    frame->kind = (FrameKind)kind;
    frame->method = wire_read_bytes(reader);
    if (frame->method.len == 0 || frame->method.len > FRAME_METHOD_BYTES_MAX) {
        return FRAME_BAD_HEADER;
    }
    frame->seqid_at = (gsize)(reader->at - start);
    frame->seqid = wire_read_i32(reader);
    return reader->failed ? FRAME_BAD_HEADER : FRAME_OK;
}

static FrameOutcome
scan_body(WireReader *reader, Frame *frame)
{
    WireField field;

    while (wire_read_field(reader, &field)) {
        WireBytes value = wire_read_value(reader, field.type);
        FrameField *slot;

        if (field.id < 0 || field.id > FRAME_FIELD_MAX) {
            continue;
        }
        slot = &frame->field[field.id];
        if (slot->type != WIRE_STOP) {
            return FRAME_BAD_BODY;
        }
        *slot = (FrameField){field.type, value};
    }
    if (reader->failed || reader->at != reader->end) {
        return FRAME_BAD_BODY;
    }
    return FRAME_OK;
}

FrameOutcome
frame_scan(const void *data, gsize len, Frame *ret_frame)
{
    WireReader reader;
    FrameOutcome outcome;

    memset(ret_frame, 0, sizeof(*ret_frame));
    wire_reader_init(&reader, data, len);
    outcome = scan_header(&reader, data, ret_frame);
    if (outcome != FRAME_OK) {
        return outcome;
    }
    return scan_body(&reader, ret_frame);
}

void
frame_begin(GByteArray *out, FrameKind kind, WireBytes method, gint32 seqid)
{
    wire_write_i32(out, (gint32)(STRICT_VERSION << 16 | (guint32)kind));
    wire_write_bytes(out, method.data, method.len);
    wire_write_i32(out, seqid);
}

/* Field @id where it is there and of @type, else NULL. */
static const FrameField *
field_of_type(const Frame *frame, guint id, WireType type)
{
    if (id > FRAME_FIELD_MAX || frame->field[id].type != type) {
        return NULL;
    }
    return &frame->field[id];
}

static void
field_reader(const FrameField *field, WireReader *ret_reader)
{
    wire_reader_init(ret_reader, field->value.data, field->value.len);
}

gint64
frame_i64(const Frame *frame, guint id, gint64 fallback)
{
    const FrameField *field = field_of_type(frame, id, WIRE_I64);
    WireReader reader;

    if (field == NULL) {
        return fallback;
    }
    field_reader(field, &reader);
    return wire_read_i64(&reader);
}

gint32
frame_i32(const Frame *frame, guint id, gint32 fallback)
{
    const FrameField *field = field_of_type(frame, id, WIRE_I32);
    WireReader reader;

    if (field == NULL) {
        return fallback;
    }
    field_reader(field, &reader);
    return wire_read_i32(&reader);
}

gboolean
frame_struct(const Frame *frame, guint id, WireReader *ret_reader)
{
    const FrameField *field = field_of_type(frame, id, WIRE_STRUCT);

    if (field == NULL) {
        return FALSE;
    }
    field_reader(field, ret_reader);
    return TRUE;
}
