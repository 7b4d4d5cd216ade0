/*
 * fuzz_event.c - any bytes as an event, from the log and from a client
 *
 * What a client's event is stamped into must be what a cell accepts, sealed or
 * not, and stamping that again must change nothing. A refusal names a field and
 * a reason, and leaves the output as it was.
 */
#include "firehose/event.h"
#include "firehose/seal.h"
#include "ops/kit/ensure.h"

#include <string.h>

#define PRODUCER 77
#define GIVEN_ID (G_GINT64_CONSTANT(1732269600123) << 21)

int LLVMFuzzerTestOneInput(const guint8 *data, size_t len);

static void
check_event(const Event *event)
{
    Post post;

    ensure(event->id.v > 0 && event->user.v > 0);
    ensure(event_kind_name((gint32)event->kind) != NULL);
    if (event->kind == EVENT_POST || event->kind == EVENT_EDIT) {
        ensure(post_decode(event->post_bytes, &post));
        ensure(post.body.len <= BODY_BYTES_MAX && post.n_tags <= TAGS_MAX);
    }
}

static void
check_fault(const EventFault *fault)
{
    ensure(fault->field != NULL && fault->reason != NULL);
}

static void
check_decode(const guint8 *data, gsize len)
{
    EventFault fault = {NULL, NULL, -1};
    Event event;

    if (event_decode(data, len, &event, &fault)) {
        check_event(&event);
    } else {
        check_fault(&fault);
    }
}

/* Stamps what was stamped: the same bytes. */
static void
check_again(const GByteArray *stamped)
{
    g_autoptr(GByteArray) again = g_byte_array_new();
    WireBytes in = {stamped->data, stamped->len};
    EventFault fault;
    Event event;

    ensure(event_decode(stamped->data, stamped->len, &event, &fault));
    ensure(event_stamp(in, (EventId){1}, again, &event, &fault));
    ensure(again->len == stamped->len);
    ensure(memcmp(again->data, stamped->data, again->len) == 0);
}

/* Seals what was stamped: the same event; stamped again it is as it was, and
   with one bit of what is sealed changed it is refused. */
static void
check_sealed(const GByteArray *stamped)
{
    g_autoptr(GByteArray) sealed = g_byte_array_new();
    g_autoptr(GByteArray) again = g_byte_array_new();
    EventFault fault;
    Event event;

    g_byte_array_append(sealed, stamped->data, stamped->len);
    seal_room(sealed);
    seal_set(sealed->data, sealed->len, PRODUCER, stamped->len);
    ensure(event_decode(sealed->data, sealed->len, &event, &fault));
    check_event(&event);
    ensure(event.seal.producer == PRODUCER);
    ensure(event.seal.sequence == stamped->len);
    ensure(event_stamp((WireBytes){sealed->data, sealed->len}, (EventId){1},
                       again, &event, &fault));
    ensure(again->len == stamped->len);
    ensure(memcmp(again->data, stamped->data, again->len) == 0);
    sealed->data[stamped->len / 2] ^= 1;
    ensure(!event_decode(sealed->data, sealed->len, &event, &fault));
}

static void
check_stamp(const guint8 *data, gsize len)
{
    g_autoptr(GByteArray) out = g_byte_array_new();
    WireBytes in = {data, len};
    EventFault fault = {NULL, NULL, -1};
    Event event;

    if (event_stamp(in, (EventId){GIVEN_ID}, out, &event, &fault)) {
        check_event(&event);
        check_again(out);
        check_sealed(out);
    } else {
        check_fault(&fault);
        ensure(out->len == 0);
    }
}

int
LLVMFuzzerTestOneInput(const guint8 *data, size_t len)
{
    Post post;

    check_decode(data, len);
    check_stamp(data, len);
    (void)post_decode((WireBytes){data, len}, &post);
    return 0;
}
