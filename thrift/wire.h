/*
 * wire.h - Thrift's strict binary encoding, read and written as bytes
 *
 * The daemons' own codec: bounded, without allocation, and equal to the
 * generated code's (tests/unit/test_wire.c compares them). Strings and
 * structs are borrowed ranges of the input, so that a stored post is copied
 * into a page as it is.
 *
 * Reading never fails in the middle: a reader that meets its end or nonsense
 * sets @failed, and from then on every read gives 0, empty or FALSE. Look at
 * @failed once, at the end.
 *
 * Format: https://github.com/apache/thrift/blob/master/doc/specs/
 * thrift-binary-protocol.md
 */
#pragma once

#include <glib.h>

/* Deepest nesting of structs and containers that is read. */
#define WIRE_DEPTH_MAX 16

typedef enum WireType {
    WIRE_STOP = 0,
    WIRE_BOOL = 2,
    WIRE_BYTE = 3,
    WIRE_DOUBLE = 4,
    WIRE_I16 = 6,
    WIRE_I32 = 8,
    WIRE_I64 = 10,
    WIRE_BINARY = 11,
    WIRE_STRUCT = 12,
    WIRE_MAP = 13,
    WIRE_SET = 14,
    WIRE_LIST = 15,
} WireType;

/* A borrowed range. */
typedef struct WireBytes {
    const guint8 *data;
    gsize len;
} WireBytes;

typedef struct WireReader {
    const guint8 *at;
    const guint8 *end;
    gboolean failed;
} WireReader;

typedef struct WireField {
    WireType type;
    gint16 id;
} WireField;

/** wire_reader_init() - read @len bytes at @data, borrowed. */
void wire_reader_init(WireReader *reader, const void *data, gsize len);

/**
 * wire_read_field() - the next field's header
 *
 * Effect: FALSE at the struct's end and on failure. After TRUE the caller
 *         reads a value of ret_field->type or calls wire_skip().
 */
gboolean wire_read_field(WireReader *reader, WireField *ret_field);

/* A value of that type; 0 on failure. */
gboolean wire_read_bool(WireReader *reader);
gint32 wire_read_i32(WireReader *reader);
gint64 wire_read_i64(WireReader *reader);

/** wire_read_bytes() - a string or binary, borrowed from the input. */
WireBytes wire_read_bytes(WireReader *reader);

/**
 * wire_read_list() - a list's or set's header
 *
 * Effect: the number of elements, each of *ret_type. Fails where the input
 *         is too short to hold so many.
 */
guint32 wire_read_list(WireReader *reader, WireType *ret_type);

/**
 * wire_skip() - pass over one value of @type
 *
 * Effect: fails where it is nested deeper than WIRE_DEPTH_MAX, or a struct in
 *         it has a field (of an id from 0 to 63) twice.
 */
void wire_skip(WireReader *reader, WireType type);

/** wire_skip_within() - likewise, at most @depth deep. */
void wire_skip_within(WireReader *reader, WireType type, guint depth);

/**
 * wire_read_value() - pass over one value of @type and borrow its bytes
 *
 * Effect: for a struct, its encoding with the final stop byte.
 */
WireBytes wire_read_value(WireReader *reader, WireType type);

/* Writing appends to @out and cannot fail. */
void wire_write_field(GByteArray *out, WireType type, gint16 id);
void wire_write_stop(GByteArray *out);
void wire_write_i32(GByteArray *out, gint32 value);
void wire_write_i64(GByteArray *out, gint64 value);
void wire_write_bytes(GByteArray *out, const void *data, gsize len);
void wire_write_list(GByteArray *out, WireType type, guint32 n);
void wire_write_map(GByteArray *out, WireType key, WireType value, guint32 n);

/* A field's header and value in one. */
void wire_field_bool(GByteArray *out, gint16 id, gboolean value);
void wire_field_i32(GByteArray *out, gint16 id, gint32 value);
void wire_field_i64(GByteArray *out, gint16 id, gint64 value);
void wire_field_bytes(GByteArray *out, gint16 id, const void *data, gsize len);
void wire_field_string(GByteArray *out, gint16 id, const char *value);
