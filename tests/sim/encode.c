/* Events as a gateway would log them; fields in the order of types.thrift. */
#include "tests/sim/world.h"

static void
encode_post(const SimEvent *event, gint64 id, const char *body)
{
    GByteArray *out = event->bytes;
    wire_field_i64(out, 1, id);
    wire_field_i64(out, 2, event->user);
    wire_field_i32(out, 3, POST_TEXT);
    wire_field_string(out, 4, body);
    if (event->reply_to != 0) {
        wire_field_i64(out, 6, event->reply_to);
    }
    if (event->reblog_of != 0) {
        wire_field_i64(out, 7, event->reblog_of);
    }
    wire_write_stop(out);
}

static gboolean
targets_user(guint kind)
{
    return kind == EVENT_FOLLOW || kind == EVENT_UNFOLLOW ||
           (kind >= EVENT_BLOCK && kind <= EVENT_UNMUTE);
}

static gboolean
targets_post(guint kind)
{
    return kind == EVENT_EDIT || kind == EVENT_DELETE || kind == EVENT_LIKE ||
           kind == EVENT_UNLIKE || kind == EVENT_READ_MARK;
}

void
sim_event_encode(SimEvent *event, const char *body)
{
    GByteArray *out = event->bytes = g_byte_array_new();
    wire_field_i32(out, EVENT_FIELD_VERSION, EVENT_VERSION);
    wire_field_i64(out, EVENT_FIELD_ID, event->id);
    wire_field_i32(out, EVENT_FIELD_KIND, (gint32)event->kind);
    wire_field_i64(out, EVENT_FIELD_USER, event->user);
    if (targets_user(event->kind)) {
        wire_field_i64(out, EVENT_FIELD_TARGET_USER, event->target);
    } else if (targets_post(event->kind)) {
        wire_field_i64(out, EVENT_FIELD_TARGET_POST, event->target);
    }
    if (event->kind == EVENT_POST || event->kind == EVENT_EDIT) {
        wire_write_field(out, WIRE_STRUCT, EVENT_FIELD_POST);
        event->post_at = out->len;
        encode_post(
            event, event->kind == EVENT_POST ? event->id : event->target, body);
        event->post_len = out->len - event->post_at;
    }
    wire_write_stop(out);
}
