/*
 * post.c - one event from the command line: post, follow, delete and the like
 *
 * All are the gateway's publish with a single event, and the table at the end
 * says which. Without --id the gateway gives the event its id; a call
 * that was not answered may then have been taken all the same, and is not
 * tried again by itself.
 */
#include "ops/combctl/connect.h"
#include "ops/combctl/ndjson.h"
#include "ops/kit/error.h"

#include <stdio.h>
#include <string.h>

typedef struct PostFlags {
    char **tags;      /* owned */
    char *kind;       /* of the post, as a word; owned */
    gint64 reply_to;  /* 0: none */
    gint64 reblog_of; /* 0: none */
    gint64 id;        /* 0: the gateway gives one */
} PostFlags;

static void
flags_clear(PostFlags *flags)
{
    g_strfreev(flags->tags);
    g_free(flags->kind);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(PostFlags, flags_clear)

static gboolean
parse_flags(Ctl *ctl, const CtlCommand *command, PostFlags *flags, char ***argv,
            GError **error)
{
    const GOptionEntry post_entries[] = {
        {"id", 0, 0, G_OPTION_ARG_INT64, &flags->id,
         "The event's id; the same again changes nothing", "N"},
        {"tag", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &flags->tags,
         "A tag; may be given again", "T"},
        {"kind", 0, 0, G_OPTION_ARG_FILENAME, &flags->kind,
         "text (default) photo quote link chat audio video answer", "K"},
        {"reply-to", 0, 0, G_OPTION_ARG_INT64, &flags->reply_to,
         "The parent's id", "N"},
        {"reblog-of", 0, 0, G_OPTION_ARG_INT64, &flags->reblog_of,
         "The original's id", "N"},
        {NULL, 0, 0, G_OPTION_ARG_NONE, NULL, NULL, NULL},
    };
    const GOptionEntry entries[] = {post_entries[0], post_entries[5]};
    gboolean is_post = command->variant == COMB_EVENT_KIND_POST;
    const CtlSyntax syntax = {.command = command,
                              .entries = is_post ? post_entries : entries,
                              .words_min = 2,
                              .words_max = 2};

    return ctl_parse(ctl, &syntax, argv, error);
}

/* The user that @word means; its name is remembered. */
static gboolean
take_user(Ctl *ctl, const char *word, gint64 *ret_user, GError **error)
{
    UserId user;
    const char *name = NULL;

    if (!names_parse(word, &user, &name)) {
        return ctl_usage_error(error, "\"%s\" is no user", word);
    }
    if (name != NULL) {
        (void)names_remember(ctl_names(ctl), name, strlen(name));
    }
    *ret_user = user.v;
    return TRUE;
}

static gboolean
fill_post(CombEvent *event, const PostFlags *flags, const char *body,
          GError **error)
{
    CombPost *post = event->post;

    post->kind = COMB_POST_KIND_TEXT;
    if (flags->kind != NULL && !ndjson_post_kind_of(flags->kind, &post->kind)) {
        return ctl_usage_error(error, "--kind %s: no kind of post",
                               flags->kind);
    }
    event->__isset_post = TRUE;
    post->__isset_kind = TRUE;
    post->body = g_byte_array_append(g_byte_array_new(), (const guint8 *)body,
                                     (guint)strlen(body));
    post->__isset_body = TRUE;
    for (char **tag = flags->tags; tag != NULL && *tag != NULL; tag++) {
        g_ptr_array_add(post->tags, g_strdup(*tag));
    }
    post->__isset_tags = flags->tags != NULL;
    post->reply_to = flags->reply_to;
    post->__isset_reply_to = flags->reply_to != 0;
    post->reblog_of = flags->reblog_of;
    post->__isset_reblog_of = flags->reblog_of != 0;
    return TRUE;
}

/* Whether the second word is a user, of all but posts. */
static gboolean
wants_target(CombEventKind kind)
{
    return kind != COMB_EVENT_KIND_DELETE && kind != COMB_EVENT_KIND_LIKE &&
           kind != COMB_EVENT_KIND_UNLIKE;
}

static gboolean
fill_event(Ctl *ctl, const PostFlags *flags, char **words, CombEvent *event,
           GError **error)
{
    event->__isset_kind = TRUE;
    event->id = flags->id;
    event->__isset_id = flags->id != 0;
    event->__isset_user = TRUE;
    if (!take_user(ctl, words[0], &event->user, error)) {
        return FALSE;
    }
    if (event->kind == COMB_EVENT_KIND_POST) {
        return fill_post(event, flags, words[1], error);
    }
    if (wants_target(event->kind)) {
        event->__isset_target_user = TRUE;
        return take_user(ctl, words[1], &event->target_user, error);
    }
    event->__isset_target_post = TRUE;
    if (!g_ascii_string_to_signed(words[1], 10, G_MININT64, G_MAXINT64,
                                  &event->target_post, NULL)) {
        return ctl_usage_error(error, "\"%s\" is no post's id", words[1]);
    }
    return TRUE;
}

/* Publishes @event and gives what became of it, which the log has. */
static CombPublishResult *
publish_event(const Peer *gateway, CombEvent *event, GError **error)
{
    g_auto(Refusals) refusals = {0};
    g_autoptr(GPtrArray) events = g_ptr_array_new();
    g_autoptr(GPtrArray) results =
        g_ptr_array_new_with_free_func(g_object_unref);

    g_ptr_array_add(events, event);
    if (!comb_firehose_client_publish(
            gateway->service, &results, events, gateway->context,
            &refusals.invalid, &refusals.overloaded, &refusals.deadline,
            &refusals.unavailable, &refusals.denied, error)) {
        (void)refusals_explain(&refusals, gateway, error);
        return NULL;
    }
    CombPublishResult *result =
        results->len == 1 ? g_ptr_array_index(results, 0) : NULL;
    if (result == NULL ||
        (!result->__isset_position && !result->__isset_refused)) {
        g_set_error(error, COMB_ERROR, COMB_ERROR_UNREACHABLE,
                    "%s did not log the event: %s", gateway->where,
                    result != NULL && result->__isset_failed
                        ? result->failed->reason
                        : "no position");
        return NULL;
    }
    if (result->__isset_refused) {
        g_autofree char *text = refusals_text(result->refused);
        g_set_error_literal(error, COMB_ERROR, COMB_ERROR_INPUT, text);
        return NULL;
    }
    return g_object_ref(result);
}

static void
print_result(const Ctl *ctl, const char *name, const CombPublishResult *result)
{
    const GByteArray *bytes = result->position;

    if (!ctl->json) {
        printf("%s %" G_GINT64_FORMAT "\n", name, result->id);
        return;
    }
    /* base64url, as --at-least and the event stream take it. */
    g_autofree char *position = g_base64_encode(bytes->data, bytes->len);
    g_strdelimit(position, "+", '-');
    g_strdelimit(position, "/", '_');
    g_strdelimit(position, "=", '\0');
    printf("{\"kind\": \"%s\", \"id\": %" G_GINT64_FORMAT
           ", \"position\": \"%s\"}\n",
           name, result->id, position);
}

static gboolean
run_post(Ctl *ctl, const CtlCommand *command, char ***argv, GError **error)
{
    g_auto(PostFlags) flags = {0};
    g_autoptr(CombEvent) event = g_object_new(COMB_TYPE_EVENT, NULL);

    event->kind = (CombEventKind)command->variant;
    if (!parse_flags(ctl, command, &flags, argv, error) ||
        !fill_event(ctl, &flags, *argv, event, error)) {
        return FALSE;
    }
    g_autoptr(Peer) gateway = peer_open_gateway(ctl, error);
    g_autoptr(CombPublishResult) result =
        gateway != NULL ? publish_event(gateway, event, error) : NULL;
    if (result == NULL) {
        return FALSE;
    }
    print_result(ctl, command->name, result);
    return TRUE;
}

const CtlCommand *
post_commands(void)
{
    static const CtlCommand commands[] = {
        {"post", "USER BODY", "write a post", run_post, COMB_EVENT_KIND_POST},
        {"delete", "USER POST", "delete an own post", run_post,
         COMB_EVENT_KIND_DELETE},
        {"follow", "USER TARGET", "follow a user", run_post,
         COMB_EVENT_KIND_FOLLOW},
        {"unfollow", "USER TARGET", "follow no longer", run_post,
         COMB_EVENT_KIND_UNFOLLOW},
        {"like", "USER POST", "like a post", run_post, COMB_EVENT_KIND_LIKE},
        {"unlike", "USER POST", "like no longer", run_post,
         COMB_EVENT_KIND_UNLIKE},
        {"block", "USER TARGET", "block a user", run_post,
         COMB_EVENT_KIND_BLOCK},
        {"unblock", "USER TARGET", "block no longer", run_post,
         COMB_EVENT_KIND_UNBLOCK},
        {"mute", "USER TARGET", "mute a user", run_post, COMB_EVENT_KIND_MUTE},
        {"unmute", "USER TARGET", "mute no longer", run_post,
         COMB_EVENT_KIND_UNMUTE},
        {NULL, NULL, NULL, NULL, 0},
    };

    return commands;
}
