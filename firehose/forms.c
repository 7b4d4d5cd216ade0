/*
 * The friendly forms: each is an event in other words. A call's arguments
 * are put under the field ids of struct Event as they are, types and all, and
 * what comes out goes the way of any published event. So a form can refuse
 * nothing that publish takes, and the other way round; only the fields have
 * the names of the form's arguments in what the caller is told.
 */
#include "firehose/gateway_private.h"

#include "ops/kit/ensure.h"

#include <string.h>

/* Argument ids, alike in all forms. */
enum {
    ARG_USER = 1,
    ARG_POST = 2,
    ARG_TARGET = 3,
    ARG_EVENT_ID = 4,
};

typedef struct Form {
    const char *method;
    EventKind kind;
    EventField target; /* what argument 3 is; 0: there is none */
} Form;

static const Form forms[] = {
    {"createPost", EVENT_POST, 0},
    {"editPost", EVENT_EDIT, EVENT_FIELD_TARGET_POST},
    {"deletePost", EVENT_DELETE, EVENT_FIELD_TARGET_POST},
    {"follow", EVENT_FOLLOW, EVENT_FIELD_TARGET_USER},
    {"unfollow", EVENT_UNFOLLOW, EVENT_FIELD_TARGET_USER},
    {"like", EVENT_LIKE, EVENT_FIELD_TARGET_POST},
    {"unlike", EVENT_UNLIKE, EVENT_FIELD_TARGET_POST},
    {"block", EVENT_BLOCK, EVENT_FIELD_TARGET_USER},
    {"unblock", EVENT_UNBLOCK, EVENT_FIELD_TARGET_USER},
    {"mute", EVENT_MUTE, EVENT_FIELD_TARGET_USER},
    {"unmute", EVENT_UNMUTE, EVENT_FIELD_TARGET_USER},
    {"markRead", EVENT_READ_MARK, EVENT_FIELD_TARGET_POST},
    {"deleteUser", EVENT_DELETE_USER, 0},
};

static const Form *
form_find(WireBytes method)
{
    for (gsize i = 0; i < G_N_ELEMENTS(forms); i++) {
        if (strlen(forms[i].method) == method.len &&
            memcmp(forms[i].method, method.data, method.len) == 0) {
            return &forms[i];
        }
    }
    return NULL;
}

static void
put_field(GByteArray *out, EventField id, const FrameField *field)
{
    if (field->type == WIRE_STOP) {
        return;
    }
    wire_write_field(out, field->type, (gint16)id);
    g_byte_array_append(out, field->value.data, (guint)field->value.len);
}

static void
form_encode(GByteArray *out, const Form *form, const Frame *frame)
{
    wire_field_i32(out, EVENT_FIELD_KIND, (gint32)form->kind);
    put_field(out, EVENT_FIELD_ID, &frame->field[ARG_EVENT_ID]);
    put_field(out, EVENT_FIELD_USER, &frame->field[ARG_USER]);
    if (form->target != 0) {
        put_field(out, form->target, &frame->field[ARG_TARGET]);
    }
    if (form->kind == EVENT_POST || form->kind == EVENT_EDIT) {
        put_field(out, EVENT_FIELD_POST, &frame->field[ARG_POST]);
    }
    wire_write_stop(out);
}

const char *
form_field(const char *field)
{
    static const char prefix[] = "event.";

    if (strcmp(field, "event.id") == 0) {
        return "event_id";
    }
    if (strcmp(field, "event.target_user") == 0) {
        return "target";
    }
    if (strcmp(field, "event.target_post") == 0) {
        return "post_id";
    }
    if (g_str_has_prefix(field, prefix)) {
        return field + strlen(prefix);
    }
    return field;
}

void
form_call(Request *request, gpointer user_data)
{
    const Frame *frame = request_frame(request);
    const Form *form = form_find(frame->method);
    g_autoptr(GByteArray) event = NULL;
    Context context;

    ensure(form != NULL);
    if (!context_read(request, &context)) {
        return;
    }
    event =
        g_byte_array_sized_new((guint)frame->field[ARG_POST].value.len + 64);
    form_encode(event, form, frame);
    publish_events(user_data, request, &context, PUBLISH_ONE,
                   &(WireBytes){event->data, event->len}, 1);
}
