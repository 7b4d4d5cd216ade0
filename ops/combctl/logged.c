/*
 * logged.c - an event of the log, for people and as JSON
 */
#include "ops/combctl/logged.h"

#include "ops/combctl/ndjson.h"
#include "ops/combctl/text.h"

#include <jansson.h>
#include <stdio.h>

#define BODY_COLUMNS 60

/* What a post says, on one line. Gives. */
static char *
body_text(const CombPost *post)
{
    if (post->body == NULL) {
        return g_strdup("");
    }
    if (!g_utf8_validate((const char *)post->body->data, post->body->len,
                         NULL)) {
        return g_strdup_printf("%u bytes", post->body->len);
    }
    return text_line(post->body->data, post->body->len, BODY_COLUMNS);
}

void
logged_print_text(const CombLoggedEvent *logged, const Names *names)
{
    g_autofree char *time = text_time(logged->logged_ms);
    const CombEvent *event = logged->event;

    if (!logged->__isset_event) {
        printf("%s  undecodable  %d:%" G_GINT64_FORMAT "  %s\n", time,
               logged->partition, logged->offset, logged->undecodable);
        return;
    }
    g_autofree char *user = names_show(names, (UserId){event->user});
    printf("%s  %-11s  %s", time, ndjson_kind(event->kind), user);
    if (event->__isset_target_user && event->target_user != 0) {
        g_autofree char *target =
            names_show(names, (UserId){event->target_user});
        printf("  %s", target);
    }
    if (event->__isset_target_post && event->target_post != 0) {
        printf("  %" G_GINT64_FORMAT, event->target_post);
    }
    if (event->__isset_post) {
        g_autofree char *body = body_text(event->post);
        printf("  %s", body);
    }
    putchar('\n');
}

static void
set_body(json_t *object, const GByteArray *body)
{
    json_t *text =
        json_stringn((const char *)body->data, body->len); /* UTF-8 only */

    if (text != NULL) {
        json_object_set_new(object, "body", text);
        return;
    }
    g_autofree char *base64 = g_base64_encode(body->data, body->len);
    json_object_set_new(object, "body_base64", json_string(base64));
}

static void
set_post(json_t *object, const CombPost *post)
{
    json_object_set_new(object, "post_kind",
                        json_string(ndjson_post_kind(post->kind)));
    if (post->body != NULL) {
        set_body(object, post->body);
    }
    if (post->tags->len > 0) {
        json_t *tags = json_array();
        for (guint i = 0; i < post->tags->len; i++) {
            json_array_append_new(
                tags, json_string(g_ptr_array_index(post->tags, i)));
        }
        json_object_set_new(object, "tags", tags);
    }
    if (post->reply_to != 0) {
        json_object_set_new(object, "reply_to", json_integer(post->reply_to));
    }
    if (post->reblog_of != 0) {
        json_object_set_new(object, "reblog_of", json_integer(post->reblog_of));
    }
}

static void
set_event(json_t *object, const CombEvent *event)
{
    json_object_set_new(object, "kind", json_string(ndjson_kind(event->kind)));
    json_object_set_new(object, "id", json_integer(event->id));
    json_object_set_new(object, "user", json_integer(event->user));
    if (event->__isset_target_user && event->target_user != 0) {
        json_object_set_new(object, "target", json_integer(event->target_user));
    }
    if (event->__isset_target_post && event->target_post != 0) {
        json_object_set_new(object, "post", json_integer(event->target_post));
    }
    if (event->__isset_post) {
        set_post(object, event->post);
    }
}

void
logged_print_json(const CombLoggedEvent *logged)
{
    json_auto_t *object = json_object();

    json_object_set_new(object, "position",
                        json_stringn((const char *)logged->position->data,
                                     logged->position->len));
    json_object_set_new(object, "partition", json_integer(logged->partition));
    json_object_set_new(object, "offset", json_integer(logged->offset));
    json_object_set_new(object, "logged_ms", json_integer(logged->logged_ms));
    if (logged->__isset_event) {
        set_event(object, logged->event);
    } else {
        json_object_set_new(object, "kind", json_string("undecodable"));
        json_object_set_new(object, "reason", json_string(logged->undecodable));
    }
    json_dumpf(object, stdout, JSON_COMPACT);
    putchar('\n');
}
