/*
 * The seal has one form, so that it can be checked without a parser: the last
 * 38 bytes of a sealed value are the field's header, the three numbers with
 * theirs, and the stop bytes of seal and event. The check is XXH64, seed 0, of
 * all that is before its own number's header: the last 13 bytes.
 */
#include "firehose/seal.h"

#include "firehose/event_private.h"
#include "ops/kit/ensure.h"

#include <string.h>
#include <xxhash.h>

enum {
    SEAL_FIELD_PRODUCER = 1,
    SEAL_FIELD_SEQUENCE = 2,
    SEAL_FIELD_CHECK = 3,
};

/* Type and id, before every field's value. */
#define FIELD_HEADER 3

/* From the end of the event. */
#define BEFORE_PRODUCER 32
#define BEFORE_SEQUENCE 21
#define BEFORE_CHECK 10
#define BEFORE_CHECK_HEADER 13

/* The field and the event's end, the numbers 0. */
static const guint8 form[SEAL_BYTES + 1] = {
    [0] = WIRE_STRUCT, [2] = EVENT_FIELD_SEAL,
    [3] = WIRE_I64,    [5] = SEAL_FIELD_PRODUCER,
    [14] = WIRE_I64,   [16] = SEAL_FIELD_SEQUENCE,
    [25] = WIRE_I64,   [27] = SEAL_FIELD_CHECK,
    [36] = WIRE_STOP,
};

static void
put_number(guint8 *at, guint64 number)
{
    guint64 big = GUINT64_TO_BE(number);

    memcpy(at, &big, sizeof big);
}

static gint64
get_number(const guint8 *at)
{
    guint64 big;

    memcpy(&big, at, sizeof big);
    return (gint64)GUINT64_FROM_BE(big);
}

void
seal_room(GByteArray *out)
{
    ensure(out->len > 0 && out->data[out->len - 1] == WIRE_STOP);
    g_byte_array_set_size(out, out->len - 1);
    g_byte_array_append(out, form, sizeof form);
}

void
seal_set(guint8 *value, gsize len, gint64 producer, gint64 sequence)
{
    guint8 *end = value + len;

    ensure(len > sizeof form);
    put_number(end - BEFORE_PRODUCER, (guint64)producer);
    put_number(end - BEFORE_SEQUENCE, (guint64)sequence);
    put_number(end - BEFORE_CHECK, XXH64(value, len - BEFORE_CHECK_HEADER, 0));
}

/* Whether the bytes are a seal's, whatever its numbers. */
static gboolean
has_form(const guint8 *at)
{
    static const guint8 numbers[] = {6, 17, 28};
    guint8 bytes[sizeof form];

    memcpy(bytes, at, sizeof bytes);
    for (gsize i = 0; i < G_N_ELEMENTS(numbers); i++) {
        put_number(bytes + numbers[i], 0);
    }
    return memcmp(bytes, form, sizeof form) == 0;
}

gboolean
seal_check(WireBytes value, WireBytes seal, Seal *ret_seal,
           EventFault *ret_fault)
{
    const guint8 *end = value.data + value.len;

    *ret_seal = (Seal){0, 0};
    if (seal.data == NULL) {
        return TRUE;
    }
    if (seal.data + seal.len + 1 != end) {
        return event_fault(ret_fault, "event.seal", "is not the last field",
                           -1);
    }
    /* The value begins no later than the field's header: it is as long. */
    if (seal.len != SEAL_BYTES - FIELD_HEADER || !has_form(end - sizeof form)) {
        return event_fault(ret_fault, "event.seal", "is malformed", -1);
    }
    ret_seal->producer = get_number(end - BEFORE_PRODUCER);
    ret_seal->sequence = get_number(end - BEFORE_SEQUENCE);
    if (ret_seal->producer < 1 || ret_seal->sequence < 0) {
        return event_fault(ret_fault, "event.seal", "is malformed", -1);
    }
    if ((guint64)get_number(end - BEFORE_CHECK) !=
        XXH64(value.data, value.len - BEFORE_CHECK_HEADER, 0)) {
        return event_fault(ret_fault, "event.seal",
                           "does not match what it seals", -1);
    }
    return TRUE;
}
