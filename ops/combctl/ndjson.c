/*
 * ndjson.c - a line of an imported file becomes an event
 *
 * Two tables say it all: which keys there are and how each is read, and which
 * of them a kind of event wants and allows. A line is parsed by jansson, then
 * walked once, each key through its reader; what was there is a set of bits
 * that is compared with the kind's.
 *
 * The event is filled in place and its byte arrays are used again, since an
 * import makes hundreds of thousands of them.
 */
#include "ops/combctl/ndjson.h"

#include "ops/kit/error.h"

#include <jansson.h>
#include <string.h>

typedef enum Key {
    KEY_KIND = 1 << 0,
    KEY_ID = 1 << 1,
    KEY_USER = 1 << 2,
    KEY_TARGET = 1 << 3,
    KEY_POST = 1 << 4,
    KEY_POST_KIND = 1 << 5,
    KEY_BODY = 1 << 6,
    KEY_BODY_BASE64 = 1 << 7,
    KEY_TAGS = 1 << 8,
    KEY_REPLY_TO = 1 << 9,
    KEY_REBLOG_OF = 1 << 10,
    KEY_PLACE = 1 << 11, /* any of a streamed event's place in the log */
} Key;

#define KEYS_ALWAYS (KEY_KIND | KEY_USER)
#define KEYS_CONTENT                                                           \
    (KEY_POST_KIND | KEY_BODY | KEY_BODY_BASE64 | KEY_TAGS | KEY_REPLY_TO |    \
     KEY_REBLOG_OF)

typedef struct KindRow {
    const char *word;   /* in the format */
    CombEventKind kind; /* in the IDL */
    guint wanted;       /* keys besides KEYS_ALWAYS */
    guint allowed;      /* keys besides those and the id */
} KindRow;

static const KindRow kinds[] = {
    {"post", COMB_EVENT_KIND_POST, 0, KEYS_CONTENT},
    {"edit", COMB_EVENT_KIND_EDIT, KEY_POST, KEYS_CONTENT},
    {"delete", COMB_EVENT_KIND_DELETE, KEY_POST, 0},
    {"follow", COMB_EVENT_KIND_FOLLOW, KEY_TARGET, 0},
    {"unfollow", COMB_EVENT_KIND_UNFOLLOW, KEY_TARGET, 0},
    {"like", COMB_EVENT_KIND_LIKE, KEY_POST, 0},
    {"unlike", COMB_EVENT_KIND_UNLIKE, KEY_POST, 0},
    {"block", COMB_EVENT_KIND_BLOCK, KEY_TARGET, 0},
    {"unblock", COMB_EVENT_KIND_UNBLOCK, KEY_TARGET, 0},
    {"mute", COMB_EVENT_KIND_MUTE, KEY_TARGET, 0},
    {"unmute", COMB_EVENT_KIND_UNMUTE, KEY_TARGET, 0},
    {"read_mark", COMB_EVENT_KIND_READ_MARK, KEY_POST, 0},
    {"delete_user", COMB_EVENT_KIND_DELETE_USER, 0, 0},
};

static const char *const post_kinds[] = {
    [COMB_POST_KIND_TEXT] = "text",   [COMB_POST_KIND_PHOTO] = "photo",
    [COMB_POST_KIND_QUOTE] = "quote", [COMB_POST_KIND_LINK] = "link",
    [COMB_POST_KIND_CHAT] = "chat",   [COMB_POST_KIND_AUDIO] = "audio",
    [COMB_POST_KIND_VIDEO] = "video", [COMB_POST_KIND_ANSWER] = "answer",
};

/* Where a line's keys go while it is read. */
typedef struct Reading {
    CombEvent *event;   /* filled */
    Names *names;       /* remembers */
    const KindRow *row; /* of the key "kind"; NULL until it came */
    const char *key;    /* being read */
    guint seen;         /* set of Key */
} Reading;

static gboolean
bad(const Reading *reading, const char *what, GError **error)
{
    g_set_error(error, COMB_ERROR, COMB_ERROR_INPUT, "\"%s\" %s", reading->key,
                what);
    return FALSE;
}

static gboolean
read_integer(Reading *reading, const json_t *value, gint64 *ret_number,
             GError **error)
{
    if (!json_is_integer(value)) {
        return bad(reading, "is not a whole number", error);
    }
    *ret_number = json_integer_value(value);
    return TRUE;
}

static gboolean
read_user(Reading *reading, const json_t *value, gint64 *ret_user,
          GError **error)
{
    if (!json_is_string(value)) {
        return json_is_integer(value)
                   ? read_integer(reading, value, ret_user, error)
                   : bad(reading, "is neither a number nor a name", error);
    }
    const char *name = json_string_value(value);
    gsize len = json_string_length(value);
    if (len == 0 || strlen(name) != len) {
        return bad(reading, "is empty or holds a NUL", error);
    }
    *ret_user = names_remember(reading->names, name, len).v;
    return TRUE;
}

static gboolean
read_kind(Reading *reading, const json_t *value, GError **error)
{
    const char *word = json_string_value(value);

    for (guint i = 0; i < G_N_ELEMENTS(kinds); i++) {
        if (g_strcmp0(word, kinds[i].word) == 0) {
            reading->row = &kinds[i];
            reading->event->kind = kinds[i].kind;
            reading->event->__isset_kind = TRUE;
            return TRUE;
        }
    }
    return bad(reading, "is no kind of event", error);
}

static gboolean
read_id(Reading *reading, const json_t *value, GError **error)
{
    reading->event->__isset_id = TRUE;
    if (!read_integer(reading, value, &reading->event->id, error)) {
        return FALSE;
    }
    /* The gateway would give it one, and another the next time. */
    return reading->event->id != 0 || bad(reading, "is 0", error);
}

static gboolean
read_actor(Reading *reading, const json_t *value, GError **error)
{
    reading->event->__isset_user = TRUE;
    return read_user(reading, value, &reading->event->user, error);
}

static gboolean
read_target(Reading *reading, const json_t *value, GError **error)
{
    reading->event->__isset_target_user = TRUE;
    return read_user(reading, value, &reading->event->target_user, error);
}

static gboolean
read_post(Reading *reading, const json_t *value, GError **error)
{
    reading->event->__isset_target_post = TRUE;
    return read_integer(reading, value, &reading->event->target_post, error);
}

static gboolean
read_post_kind(Reading *reading, const json_t *value, GError **error)
{
    const char *word = json_string_value(value);

    if (word == NULL ||
        !ndjson_post_kind_of(word, &reading->event->post->kind)) {
        return bad(reading, "is no kind of post", error);
    }
    return TRUE;
}

/* The post's body, empty. */
static GByteArray *
body_begin(CombPost *post)
{
    if (post->body == NULL) {
        post->body = g_byte_array_new();
    }
    post->__isset_body = TRUE;
    return g_byte_array_set_size(post->body, 0);
}

static gboolean
read_body(Reading *reading, const json_t *value, GError **error)
{
    if (!json_is_string(value)) {
        return bad(reading, "is not a string", error);
    }
    g_byte_array_append(body_begin(reading->event->post),
                        (const guint8 *)json_string_value(value),
                        (guint)json_string_length(value));
    return TRUE;
}

/* Whether g_base64_decode(), which forgives all, may be let loose on @text. */
static gboolean
is_base64(const char *text, gsize len)
{
    gsize digits = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                "abcdefghijklmnopqrstuvwxyz0123456789+/");
    gsize padding = strspn(text + digits, "=");

    return len % 4 == 0 && padding <= 2 && digits + padding == len;
}

static gboolean
read_body_base64(Reading *reading, const json_t *value, GError **error)
{
    const char *text = json_string_value(value);
    gsize len = 0;

    if (text == NULL || !is_base64(text, json_string_length(value))) {
        return bad(reading, "is not base64", error);
    }
    g_autofree guchar *bytes = g_base64_decode(text, &len);
    g_byte_array_append(body_begin(reading->event->post), bytes, (guint)len);
    return TRUE;
}

static gboolean
read_tags(Reading *reading, const json_t *value, GError **error)
{
    CombPost *post = reading->event->post;
    gsize n = json_array_size(value);

    if (!json_is_array(value)) {
        return bad(reading, "is not a list", error);
    }
    for (gsize i = 0; i < n; i++) {
        const json_t *tag = json_array_get(value, i);
        const char *text = json_string_value(tag);
        if (text == NULL || strlen(text) != json_string_length(tag)) {
            return bad(reading, "holds what is not a string, or a NUL", error);
        }
        g_ptr_array_add(post->tags, g_strdup(text));
    }
    post->__isset_tags = TRUE;
    return TRUE;
}

static gboolean
read_reply_to(Reading *reading, const json_t *value, GError **error)
{
    reading->event->post->__isset_reply_to = TRUE;
    return read_integer(reading, value, &reading->event->post->reply_to, error);
}

static gboolean
read_reblog_of(Reading *reading, const json_t *value, GError **error)
{
    reading->event->post->__isset_reblog_of = TRUE;
    return read_integer(reading, value, &reading->event->post->reblog_of,
                        error);
}

/* A stream's lines can be imported; where they were is of no use then. */
static gboolean
pass_over(Reading *reading, const json_t *value, GError **error)
{
    (void)reading;
    (void)value;
    (void)error;
    return TRUE;
}

typedef struct KeyRow {
    const char *word; /* in the format */
    Key key;
    gboolean (*read)(Reading *reading, const json_t *value, GError **error);
} KeyRow;

static const KeyRow keys[] = {
    {"kind", KEY_KIND, read_kind},
    {"id", KEY_ID, read_id},
    {"user", KEY_USER, read_actor},
    {"target", KEY_TARGET, read_target},
    {"post", KEY_POST, read_post},
    {"post_kind", KEY_POST_KIND, read_post_kind},
    {"body", KEY_BODY, read_body},
    {"body_base64", KEY_BODY_BASE64, read_body_base64},
    {"tags", KEY_TAGS, read_tags},
    {"reply_to", KEY_REPLY_TO, read_reply_to},
    {"reblog_of", KEY_REBLOG_OF, read_reblog_of},
    {"position", KEY_PLACE, pass_over},
    {"partition", KEY_PLACE, pass_over},
    {"offset", KEY_PLACE, pass_over},
    {"logged_ms", KEY_PLACE, pass_over},
};

const char *
ndjson_kind(CombEventKind kind)
{
    for (guint i = 0; i < G_N_ELEMENTS(kinds); i++) {
        if (kinds[i].kind == kind) {
            return kinds[i].word;
        }
    }
    return "?";
}

gboolean
ndjson_kind_of(const char *word, CombEventKind *ret_kind)
{
    for (guint i = 0; i < G_N_ELEMENTS(kinds); i++) {
        if (strcmp(word, kinds[i].word) == 0) {
            *ret_kind = kinds[i].kind;
            return TRUE;
        }
    }
    return FALSE;
}

const char *
ndjson_post_kind(CombPostKind kind)
{
    gboolean known =
        kind >= COMB_POST_KIND_TEXT && kind < (int)G_N_ELEMENTS(post_kinds);

    return known ? post_kinds[kind] : "?";
}

gboolean
ndjson_post_kind_of(const char *word, CombPostKind *ret_kind)
{
    for (guint i = COMB_POST_KIND_TEXT; i < G_N_ELEMENTS(post_kinds); i++) {
        if (strcmp(word, post_kinds[i]) == 0) {
            *ret_kind = (CombPostKind)i;
            return TRUE;
        }
    }
    return FALSE;
}

static void
event_reset(CombEvent *event)
{
    CombPost *post = event->post;

    event->__isset_version = FALSE;
    event->__isset_id = FALSE;
    event->__isset_kind = FALSE;
    event->__isset_user = FALSE;
    event->__isset_target_user = FALSE;
    event->__isset_target_post = FALSE;
    event->__isset_post = FALSE;
    post->__isset_id = FALSE;
    post->__isset_author = FALSE;
    post->kind = COMB_POST_KIND_TEXT;
    post->__isset_kind = TRUE;
    post->__isset_body = FALSE;
    post->__isset_tags = FALSE;
    g_ptr_array_set_size(post->tags, 0);
    post->__isset_reply_to = FALSE;
    post->__isset_reblog_of = FALSE;
}

static gboolean
read_key(Reading *reading, const json_t *value, GError **error)
{
    for (guint i = 0; i < G_N_ELEMENTS(keys); i++) {
        if (strcmp(reading->key, keys[i].word) == 0) {
            reading->seen |= keys[i].key;
            return keys[i].read(reading, value, error);
        }
    }
    return bad(reading, "is no key of this format", error);
}

/* The word of the lowest key in @set, which is not empty. */
static const char *
key_word(guint set)
{
    guint i = 0;

    while ((keys[i].key & set) == 0) {
        i++;
    }
    return keys[i].word;
}

/* Compares the keys that came with those that the kind wants and allows. */
static gboolean
check_keys(const Reading *reading, gboolean need_id, GError **error)
{
    guint wanted = KEYS_ALWAYS | (need_id ? KEY_ID : 0U);
    guint allowed = wanted | KEY_ID | KEY_PLACE;
    const guint bodies = KEY_BODY | KEY_BODY_BASE64;

    if (reading->row != NULL) {
        wanted |= reading->row->wanted;
        allowed |= reading->row->wanted | reading->row->allowed;
    }
    if ((wanted & ~reading->seen) != 0) {
        g_set_error(error, COMB_ERROR, COMB_ERROR_INPUT, "\"%s\" is missing",
                    key_word(wanted & ~reading->seen));
        return FALSE;
    }
    if ((reading->seen & ~allowed) != 0) {
        g_set_error(error, COMB_ERROR, COMB_ERROR_INPUT,
                    "\"%s\" does not go with kind \"%s\"",
                    key_word(reading->seen & ~allowed), reading->row->word);
        return FALSE;
    }
    if ((reading->seen & bodies) == bodies) {
        g_set_error_literal(error, COMB_ERROR, COMB_ERROR_INPUT,
                            "\"body\" and \"body_base64\" exclude each other");
        return FALSE;
    }
    return TRUE;
}

gboolean
ndjson_parse(const char *line, gsize len, gboolean need_id, Names *names,
             CombEvent *event, GError **error)
{
    Reading reading = {.event = event, .names = names};
    json_error_t problem;
    json_t *value = NULL;
    json_auto_t *object = json_loadb(
        line, len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &problem);

    if (!json_is_object(object)) {
        g_set_error(error, COMB_ERROR, COMB_ERROR_INPUT,
                    "not a JSON object: %s",
                    object == NULL ? problem.text : "something else");
        return FALSE;
    }
    event_reset(event);
    json_object_foreach(object, reading.key, value)
    {
        if (!read_key(&reading, value, error)) {
            return FALSE;
        }
    }
    event->__isset_post =
        reading.row != NULL && (reading.row->allowed & KEYS_CONTENT) != 0;
    return check_keys(&reading, need_id, error);
}
