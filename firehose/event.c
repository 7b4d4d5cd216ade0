/*
 * An event's life: a client encodes it, the gateway stamps it (event_stamp),
 * the log keeps it, cells decode it (event_decode). Both ends run the same
 * two steps: read the structure (here), then check what is in it
 * (event_check.c). A cell checks
 * again, and where the record lies (event_of_record), because anybody may write
 * to the topic, and every cell must refuse the same records (I8); so nothing
 * here looks at a clock, a setting or the state.
 *
 * Stamping makes one canonical encoding: version, id, kind and user; the
 * other fields as they came, in their order; the post last, itself with id,
 * author and kind first. So the post that is stored and served is one range
 * of the record's bytes, and stamping twice changes nothing. Fields that we do
 * not know are copied, for a newer reader. A field that we know but the kind
 * does not use is copied and ignored. A seal is somebody else's and left out:
 * who logs the event puts its own behind it (seal.h).
 *
 * An id of 0 means absent, for clients whose languages cannot leave a field
 * out. Faults are static words: a bad event costs no memory.
 */
#include "firehose/event.h"

#include "firehose/event_private.h"
#include "firehose/partition.h"
#include "firehose/seal.h"
#include "ops/kit/ensure.h"

#include <string.h>

/* Field ids: 0 names the struct itself; ids without a rule are not known. */
#define FIELD_SELF 0
#define FIELD_MAX EVENT_FIELD_SEAL

enum {
    POST_FIELD_ID = 1,
    POST_FIELD_AUTHOR = 2,
    POST_FIELD_KIND = 3,
    POST_FIELD_BODY = 4,
    POST_FIELD_TAGS = 5,
    POST_FIELD_REPLY_TO = 6,
    POST_FIELD_REBLOG_OF = 7,
};

/* How a field is called in a fault, and its type on the wire. */
typedef struct FieldRule {
    const char *name;
    WireType type;
} FieldRule;

static const FieldRule event_rules[FIELD_MAX + 1] = {
    [FIELD_SELF] = {"event", WIRE_STRUCT},
    [EVENT_FIELD_VERSION] = {"event.version", WIRE_I32},
    [EVENT_FIELD_ID] = {"event.id", WIRE_I64},
    [EVENT_FIELD_KIND] = {"event.kind", WIRE_I32},
    [EVENT_FIELD_USER] = {"event.user", WIRE_I64},
    [EVENT_FIELD_TARGET_USER] = {"event.target_user", WIRE_I64},
    [EVENT_FIELD_TARGET_POST] = {"event.target_post", WIRE_I64},
    [EVENT_FIELD_POST] = {"event.post", WIRE_STRUCT},
    [EVENT_FIELD_SEAL] = {"event.seal", WIRE_STRUCT},
};

static const FieldRule post_rules[FIELD_MAX + 1] = {
    [FIELD_SELF] = {"event.post", WIRE_STRUCT},
    [POST_FIELD_ID] = {"event.post.id", WIRE_I64},
    [POST_FIELD_AUTHOR] = {"event.post.author", WIRE_I64},
    [POST_FIELD_KIND] = {"event.post.kind", WIRE_I32},
    [POST_FIELD_BODY] = {"event.post.body", WIRE_BINARY},
    [POST_FIELD_TAGS] = {"event.post.tags", WIRE_LIST},
    [POST_FIELD_REPLY_TO] = {"event.post.reply_to", WIRE_I64},
    [POST_FIELD_REBLOG_OF] = {"event.post.reblog_of", WIRE_I64},
};

static const EventKindRule kind_rules[EVENT_KIND_MAX + 1] = {
    [EVENT_POST] = {"post", .post = TRUE},
    [EVENT_EDIT] = {"edit", .target_post = TRUE, .post = TRUE},
    [EVENT_DELETE] = {"delete", .target_post = TRUE},
    [EVENT_FOLLOW] = {"follow", .target_user = TRUE},
    [EVENT_UNFOLLOW] = {"unfollow", .target_user = TRUE},
    [EVENT_LIKE] = {"like", .target_post = TRUE},
    [EVENT_UNLIKE] = {"unlike", .target_post = TRUE},
    [EVENT_BLOCK] = {"block", .target_user = TRUE},
    [EVENT_UNBLOCK] = {"unblock", .target_user = TRUE},
    [EVENT_MUTE] = {"mute", .target_user = TRUE},
    [EVENT_UNMUTE] = {"unmute", .target_user = TRUE},
    [EVENT_READ_MARK] = {"read_mark", .target_post = TRUE},
    [EVENT_DELETE_USER] = {"delete_user"},
};

/* How deep an event's field may be. A post is four levels down in a page, and
   the page must still scan (WIRE_DEPTH_MAX). */
#define FIELD_DEPTH_MAX 8

/* The encoded values of a struct's known fields, by id. */
typedef struct Fields {
    WireBytes value[FIELD_MAX + 1]; /* data is NULL where absent */
} Fields;

/* ---- reading the structure ---- */

static gboolean
fields_read(Fields *ret_fields, const FieldRule *rules, WireBytes bytes,
            EventFault *ret_fault)
{
    WireReader reader;
    WireField field;

    memset(ret_fields, 0, sizeof(*ret_fields));
    wire_reader_init(&reader, bytes.data, bytes.len);
    while (wire_read_field(&reader, &field)) {
        const guint8 *start = reader.at;

        wire_skip_within(&reader, field.type, FIELD_DEPTH_MAX);
        if (reader.failed) {
            break;
        }
        if (field.id < 1 || field.id > FIELD_MAX ||
            rules[field.id].name == NULL) {
            continue;
        }
        if (field.type != rules[field.id].type) {
            return event_fault(ret_fault, rules[field.id].name,
                               "has the wrong type", -1);
        }
        if (ret_fields->value[field.id].data != NULL) {
            return event_fault(ret_fault, rules[field.id].name,
                               "is given twice", -1);
        }
        ret_fields->value[field.id] =
            (WireBytes){start, (gsize)(reader.at - start)};
    }
    if (reader.failed || reader.at != reader.end) {
        return event_fault(ret_fault, rules[FIELD_SELF].name, "is malformed",
                           -1);
    }
    return TRUE;
}

static gint64
field_i64(const Fields *fields, guint id)
{
    WireReader reader;

    if (fields->value[id].data == NULL) {
        return 0;
    }
    wire_reader_init(&reader, fields->value[id].data, fields->value[id].len);
    return wire_read_i64(&reader);
}

static gint32
field_i32(const Fields *fields, guint id, gint32 fallback)
{
    WireReader reader;

    if (fields->value[id].data == NULL) {
        return fallback;
    }
    wire_reader_init(&reader, fields->value[id].data, fields->value[id].len);
    return wire_read_i32(&reader);
}

static WireBytes
field_bytes(const Fields *fields, guint id)
{
    WireReader reader;

    if (fields->value[id].data == NULL) {
        return (WireBytes){NULL, 0};
    }
    wire_reader_init(&reader, fields->value[id].data, fields->value[id].len);
    return wire_read_bytes(&reader);
}

static gboolean
tags_read(WireBytes list, Post *post, EventFault *ret_fault)
{
    WireReader reader;
    WireType type;

    if (list.data == NULL) {
        return TRUE;
    }
    wire_reader_init(&reader, list.data, list.len);
    post->n_tags = wire_read_list(&reader, &type);
    if (type != WIRE_BINARY) {
        return event_fault(ret_fault, "event.post.tags", "has the wrong type",
                           -1);
    }
    post->tags = (WireBytes){reader.at, (gsize)(reader.end - reader.at)};
    return TRUE;
}

static gboolean
post_read(WireBytes bytes, Post *ret_post, EventFault *ret_fault)
{
    Fields fields;

    if (!fields_read(&fields, post_rules, bytes, ret_fault)) {
        return FALSE;
    }
    *ret_post = (Post){
        .id.v = field_i64(&fields, POST_FIELD_ID),
        .author.v = field_i64(&fields, POST_FIELD_AUTHOR),
        .kind = field_i32(&fields, POST_FIELD_KIND, POST_TEXT),
        .body = field_bytes(&fields, POST_FIELD_BODY),
        .reply_to.v = field_i64(&fields, POST_FIELD_REPLY_TO),
        .reblog_of.v = field_i64(&fields, POST_FIELD_REBLOG_OF),
    };
    return tags_read(fields.value[POST_FIELD_TAGS], ret_post, ret_fault);
}

/* The version and the kind say how to read the rest, so they are checked here;
   everything else by event_check(). */
static gboolean
event_read(WireBytes bytes, Event *ret_event, EventFault *ret_fault)
{
    Fields fields;
    gint32 kind;

    if (!fields_read(&fields, event_rules, bytes, ret_fault)) {
        return FALSE;
    }
    if (field_i32(&fields, EVENT_FIELD_VERSION, EVENT_VERSION) !=
        EVENT_VERSION) {
        return event_fault(ret_fault, "event.version", "is unknown",
                           EVENT_VERSION);
    }
    kind = field_i32(&fields, EVENT_FIELD_KIND, 0);
    if (event_kind_name(kind) == NULL) {
        return event_fault(ret_fault, "event.kind",
                           kind == 0 ? "is missing" : "is unknown",
                           EVENT_KIND_MAX);
    }
    memset(ret_event, 0, sizeof(*ret_event));
    ret_event->bytes = bytes;
    ret_event->seal_bytes = fields.value[EVENT_FIELD_SEAL];
    ret_event->kind = (EventKind)kind;
    ret_event->id.v = field_i64(&fields, EVENT_FIELD_ID);
    ret_event->user.v = field_i64(&fields, EVENT_FIELD_USER);
    if (kind_rules[kind].target_user) {
        ret_event->target_user.v = field_i64(&fields, EVENT_FIELD_TARGET_USER);
    }
    if (kind_rules[kind].target_post) {
        ret_event->target_post.v = field_i64(&fields, EVENT_FIELD_TARGET_POST);
    }
    if (!kind_rules[kind].post) {
        return TRUE;
    }
    ret_event->post_bytes = fields.value[EVENT_FIELD_POST];
    if (ret_event->post_bytes.data == NULL) {
        return event_fault(ret_fault, "event.post", "is missing", -1);
    }
    return post_read(ret_event->post_bytes, &ret_event->post, ret_fault);
}

/* ---- the log's form ---- */

gboolean
event_decode(const void *data, gsize len, Event *ret_event,
             EventFault *ret_fault)
{
    Event event;

    if (!event_read((WireBytes){data, len}, &event, ret_fault) ||
        !seal_check(event.bytes, event.seal_bytes, &event.seal, ret_fault) ||
        !event_check(&event, ret_fault)) {
        return FALSE;
    }
    *ret_event = event;
    return TRUE;
}

/* ---- stamping ---- */

/* Bits of fields_copy(). */
#define FIELD_BIT(id) (1U << (id))
#define POST_WRITTEN                                                           \
    (FIELD_BIT(POST_FIELD_ID) | FIELD_BIT(POST_FIELD_AUTHOR) |                 \
     FIELD_BIT(POST_FIELD_KIND))
#define EVENT_WRITTEN                                                          \
    (FIELD_BIT(EVENT_FIELD_VERSION) | FIELD_BIT(EVENT_FIELD_ID) |              \
     FIELD_BIT(EVENT_FIELD_KIND) | FIELD_BIT(EVENT_FIELD_USER) |               \
     FIELD_BIT(EVENT_FIELD_SEAL))

/* Copies the fields of a struct as they are, but those in @except. */
static void
fields_copy(GByteArray *out, WireBytes bytes, guint except)
{
    WireReader reader;
    WireField field;
    const guint8 *from = bytes.data;

    wire_reader_init(&reader, bytes.data, bytes.len);
    while (wire_read_field(&reader, &field)) {
        wire_skip(&reader, field.type);
        if (field.id < 1 || field.id > FIELD_MAX ||
            (except & FIELD_BIT(field.id)) == 0) {
            g_byte_array_append(out, from, (guint)(reader.at - from));
        }
        from = reader.at;
    }
    ensure(!reader.failed);
}

static void
post_write(GByteArray *out, const Event *event)
{
    wire_field_i64(out, POST_FIELD_ID, event->post.id.v);
    wire_field_i64(out, POST_FIELD_AUTHOR, event->post.author.v);
    wire_field_i32(out, POST_FIELD_KIND, event->post.kind);
    fields_copy(out, event->post_bytes, POST_WRITTEN);
    wire_write_stop(out);
}

static void
event_write(GByteArray *out, const Event *event)
{
    gboolean post = kind_rules[event->kind].post;

    wire_field_i32(out, EVENT_FIELD_VERSION, EVENT_VERSION);
    wire_field_i64(out, EVENT_FIELD_ID, event->id.v);
    wire_field_i32(out, EVENT_FIELD_KIND, (gint32)event->kind);
    wire_field_i64(out, EVENT_FIELD_USER, event->user.v);
    fields_copy(out, event->bytes,
                EVENT_WRITTEN | (post ? FIELD_BIT(EVENT_FIELD_POST) : 0));
    if (post) {
        wire_write_field(out, WIRE_STRUCT, EVENT_FIELD_POST);
        post_write(out, event);
    }
    wire_write_stop(out);
}

static void
event_complete(Event *event, EventId id)
{
    if (event->id.v == 0) {
        event->id = id;
    }
    if (!kind_rules[event->kind].post) {
        return;
    }
    if (event->post.id.v == 0) {
        event->post.id = event_post_id(event);
    }
    if (event->post.author.v == 0) {
        event->post.author = event->user;
    }
}

gboolean
event_stamp(WireBytes in, EventId id, GByteArray *out, Event *ret_event,
            EventFault *ret_fault)
{
    guint start = out->len;
    WireBytes stamped;
    Event event;

    if (!event_read(in, &event, ret_fault)) {
        return FALSE;
    }
    event_complete(&event, id);
    if (!event_check(&event, ret_fault)) {
        return FALSE;
    }
    event_write(out, &event);
    stamped = (WireBytes){out->data + start, out->len - start};
    if (stamped.len > EVENT_BYTES_MAX) {
        g_byte_array_set_size(out, start);
        return event_fault(ret_fault, "event", "has too many bytes",
                           EVENT_BYTES_MAX);
    }
    ensure(event_read(stamped, ret_event, ret_fault));
    return TRUE;
}

gboolean
event_of_record(const LogRecord *record, guint partitions, Event *ret_event,
                EventFault *ret_fault)
{
    static const EventFault misplaced = {"record.partition",
                                         "is not that of the event's user", -1};
    guint8 key[PARTITION_KEY_BYTES];

    if (!event_decode(record->value.data, record->value.len, ret_event,
                      ret_fault)) {
        return FALSE;
    }
    partition_key(ret_event->user, key);
    if (partition_of(key, sizeof key, partitions) != record->partition) {
        *ret_fault = misplaced;
        return FALSE;
    }
    return TRUE;
}

gint64
event_peek_id(WireBytes in)
{
    WireReader reader;
    WireField field;

    wire_reader_init(&reader, in.data, in.len);
    while (wire_read_field(&reader, &field)) {
        if (field.id == EVENT_FIELD_ID && field.type == WIRE_I64) {
            return wire_read_i64(&reader);
        }
        wire_skip(&reader, field.type);
    }
    return 0;
}

gboolean
post_decode(WireBytes bytes, Post *ret_post)
{
    EventFault fault;

    return post_read(bytes, ret_post, &fault);
}

const EventKindRule *
event_kind_rule(EventKind kind)
{
    return &kind_rules[kind];
}

const char *
event_kind_name(gint32 kind)
{
    if (kind < 1 || kind > EVENT_KIND_MAX) {
        return NULL;
    }
    return kind_rules[kind].name;
}
