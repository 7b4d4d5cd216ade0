/*
 * fuzz_frame.c - any bytes as a message
 *
 * What frame_scan() lets pass must be as it says: fields lie inside the
 * message, can be read again, and what is read as a struct ends where the
 * scan said. Header written from what was read gives the same header.
 */
#include "ops/kit/ensure.h"
#include "thrift/frame.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const guint8 *data, size_t len);

static void
check_field(const FrameField *field, const guint8 *data, gsize len)
{
    WireReader reader;

    if (field->type == WIRE_STOP) {
        return;
    }
    ensure(field->value.data >= data && field->value.len <= len);
    ensure(field->value.data + field->value.len <= data + len);
    wire_reader_init(&reader, field->value.data, field->value.len);
    wire_skip(&reader, field->type);
    ensure(!reader.failed && reader.at == reader.end);
}

/* Walks a struct's fields one by one instead of skipping it whole. */
static void
check_struct(const Frame *frame, guint id)
{
    WireReader reader;
    WireField field;

    if (!frame_struct(frame, id, &reader)) {
        return;
    }
    while (wire_read_field(&reader, &field)) {
        WireBytes value = wire_read_value(&reader, field.type);

        ensure(value.len > 0 && !reader.failed);
    }
    ensure(!reader.failed && reader.at == reader.end);
}

static void
check_header(const Frame *frame, const guint8 *data)
{
    g_autoptr(GByteArray) header = g_byte_array_new();

    frame_begin(header, frame->kind, frame->method, frame->seqid);
    ensure(header->len == frame->seqid_at + sizeof(gint32));
    /* all but the third byte, which the format leaves unused */
    ensure(memcmp(header->data, data, 2) == 0);
    ensure(memcmp(header->data + 3, data + 3, header->len - 3) == 0);
}

int
LLVMFuzzerTestOneInput(const guint8 *data, size_t len)
{
    Frame frame;

    if (frame_scan(data, len, &frame) != FRAME_OK) {
        return 0;
    }
    check_header(&frame, data);
    for (guint id = 0; id <= FRAME_FIELD_MAX; id++) {
        check_field(&frame.field[id], data, len);
        check_struct(&frame, id);
        frame_i64(&frame, id, 0);
        frame_i32(&frame, id, 0);
    }
    return 0;
}
