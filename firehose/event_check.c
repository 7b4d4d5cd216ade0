/*
 * What is in an event, held against the rules, once its structure was read
 * and what a client may leave out was filled in. The first fault is told, by
 * the name that clients know and the bound that was crossed.
 *
 * The rules are the same for gateway and cell, and look at nothing but the
 * event: a record that one cell refuses is refused by all (I8). To make a
 * rule stricter is therefore a new EVENT_VERSION; the log has records that
 * passed the old one.
 */
#include "firehose/event.h"

#include "firehose/event_private.h"
#include "firehose/seal.h"

PostId
event_post_id(const Event *event)
{
    if (event->kind == EVENT_EDIT) {
        return event->target_post;
    }
    return (PostId){event->id.v};
}

static gboolean
id_check(gint64 id, const char *name, EventFault *ret_fault)
{
    if (id == 0) {
        return event_fault(ret_fault, name, "is missing", -1);
    }
    if (id < 0) {
        return event_fault(ret_fault, name, "must be positive", 1);
    }
    return TRUE;
}

/* NUL is UTF-8, but GLib's check stops at it. */
static gboolean
text_valid(WireBytes text)
{
    const char *at = (const char *)text.data;
    const char *end;

    if (text.len == 0) {
        return TRUE;
    }
    end = at + text.len;
    while (at < end && !g_utf8_validate_len(at, (gsize)(end - at), &at)) {
        if (*at != '\0') {
            return FALSE;
        }
        at++;
    }
    return TRUE;
}

static gboolean
tags_check(const Post *post, EventFault *ret_fault)
{
    WireReader reader;

    if (post->n_tags == 0) {
        return TRUE;
    }
    if (post->n_tags > TAGS_MAX) {
        return event_fault(ret_fault, "event.post.tags", "has too many",
                           TAGS_MAX);
    }
    wire_reader_init(&reader, post->tags.data, post->tags.len);
    for (guint i = 0; i < post->n_tags; i++) {
        WireBytes tag = wire_read_bytes(&reader);

        if (tag.len == 0) {
            return event_fault(ret_fault, "event.post.tags", "has an empty one",
                               1);
        }
        if (tag.len > TAG_BYTES_MAX) {
            return event_fault(ret_fault, "event.post.tags",
                               "has one with too many bytes", TAG_BYTES_MAX);
        }
        /* A NUL would end the tag early for clients in C. */
        if (!g_utf8_validate_len((const char *)tag.data, tag.len, NULL)) {
            return event_fault(ret_fault, "event.post.tags",
                               "has one that is not UTF-8 or has a NUL", -1);
        }
    }
    return TRUE;
}

static gboolean
link_check(PostId link, PostId own, const char *name, EventFault *ret_fault)
{
    if (link.v < 0) {
        return event_fault(ret_fault, name, "must be positive", 1);
    }
    if (link.v == own.v) {
        return event_fault(ret_fault, name, "is the post itself", -1);
    }
    return TRUE;
}

static gboolean
post_check(const Post *post, EventFault *ret_fault)
{
    if (post->kind < POST_TEXT || post->kind > POST_KIND_MAX) {
        return event_fault(ret_fault, "event.post.kind", "is unknown",
                           POST_KIND_MAX);
    }
    if (post->body.len > BODY_BYTES_MAX) {
        return event_fault(ret_fault, "event.post.body", "has too many bytes",
                           BODY_BYTES_MAX);
    }
    if (post->kind == POST_TEXT && !text_valid(post->body)) {
        return event_fault(ret_fault, "event.post.body", "is not UTF-8", -1);
    }
    return tags_check(post, ret_fault) &&
           link_check(post->reply_to, post->id, "event.post.reply_to",
                      ret_fault) &&
           link_check(post->reblog_of, post->id, "event.post.reblog_of",
                      ret_fault);
}

gboolean
event_check(const Event *event, EventFault *ret_fault)
{
    const EventKindRule *rule = event_kind_rule(event->kind);

    gsize seal = event->seal_bytes.data != NULL ? SEAL_BYTES : 0;

    if (event->bytes.len > EVENT_BYTES_MAX + seal) {
        return event_fault(ret_fault, "event", "has too many bytes",
                           EVENT_BYTES_MAX);
    }
    if (!id_check(event->id.v, "event.id", ret_fault) ||
        !id_check(event->user.v, "event.user", ret_fault)) {
        return FALSE;
    }
    if (rule->target_user &&
        !id_check(event->target_user.v, "event.target_user", ret_fault)) {
        return FALSE;
    }
    if (rule->target_post &&
        !id_check(event->target_post.v, "event.target_post", ret_fault)) {
        return FALSE;
    }
    if (!rule->post) {
        return TRUE;
    }
    if (event->post.id.v != event_post_id(event).v) {
        return event_fault(ret_fault, "event.post.id",
                           event->kind == EVENT_EDIT ? "must be the target_post"
                                                     : "must be the event's id",
                           -1);
    }
    if (event->post.author.v != event->user.v) {
        return event_fault(ret_fault, "event.post.author",
                           "must be the event's user", -1);
    }
    return post_check(&event->post, ret_fault);
}
