/*
 * The peer of B2: a reader's inbox is a list of 8-byte ids, newest first, a
 * post a string; a page is LRANGE, then MGET of what it gave. Keys are short:
 * a letter and 8 bytes. Lists hold all that the reader's inbox holds.
 */
#include "tests/bench/serve_redis.h"

#include "firehose/event.h"
#include "ops/combctl/bench_users.h"
#include "tests/bench/serve_inboxes.h"
#include "thrift/limits.h"

#include <hiredis/hiredis.h>
#include <stdlib.h>
#include <string.h>

#define PUSH_MAX 1000
#define WINDOW 1000

void
redis_key(char letter, gint64 id, guint8 ret_key[REDIS_KEY_BYTES])
{
    gint64 big = GINT64_TO_BE(id);
    ret_key[0] = (guint8)letter;
    memcpy(ret_key + 1, &big, sizeof big);
}

static redisContext *
redis_open(const Serve *serve)
{
    const char *colon = strrchr(serve->address, ':');
    g_autofree char *host =
        g_strndup(serve->address, (gsize)(colon - serve->address));
    redisContext *context = redisConnect(host, atoi(colon + 1));
    if (context == NULL || context->err != 0) {
        serve_fail("redis", context != NULL ? context->errstr : "no memory");
    }
    return context;
}

/* ---- filling ---- */

typedef struct Fill {
    redisContext *context;
    guint waiting; /* answers */
} Fill;

static void
fill_take(Fill *fill, guint left)
{
    while (fill->waiting > left) {
        void *reply = NULL;
        if (redisGetReply(fill->context, &reply) != REDIS_OK) {
            serve_fail("redis", fill->context->errstr);
        }
        if (((redisReply *)reply)->type == REDIS_REPLY_ERROR) {
            serve_fail("redis", ((redisReply *)reply)->str);
        }
        freeReplyObject(reply);
        fill->waiting--;
    }
}

static void
fill_send(Fill *fill, int n, const char **words, const size_t *lengths)
{
    if (redisAppendCommandArgv(fill->context, n, words, lengths) != REDIS_OK) {
        serve_fail("redis", fill->context->errstr);
    }
    fill->waiting++;
    if (fill->waiting == WINDOW) {
        fill_take(fill, 0);
    }
}

static void
fill_posts(Fill *fill, const Serve *serve, guint64 posts)
{
    g_autoptr(Stream) stream = stream_new(serve->world);
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    for (; posts > 0; posts--) {
        StreamPost post = stream_next(stream);
        guint8 key[REDIS_KEY_BYTES];
        Event event;
        EventFault fault;
        g_byte_array_set_size(bytes, 0);
        stream_event(stream, &post, bytes);
        if (!event_decode(bytes->data, bytes->len, &event, &fault)) {
            serve_fail("event", fault.reason);
        }
        redis_key('p', post.id, key);
        const char *words[] = {"SET", (const char *)key,
                               (const char *)event.post_bytes.data};
        size_t lengths[] = {3, sizeof key, event.post_bytes.len};
        fill_send(fill, 3, words, lengths);
    }
}

/* RPUSH, newest first. */
static void
fill_inbox(Fill *fill, UserId user, const gint64 *ids, gsize n)
{
    const char *words[PUSH_MAX + 2] = {"RPUSH"};
    size_t lengths[PUSH_MAX + 2] = {5, REDIS_KEY_BYTES};
    gint64 big[PUSH_MAX];
    guint8 key[REDIS_KEY_BYTES];
    redis_key('i', user.v, key);
    words[1] = (const char *)key;
    while (n > 0) {
        guint some = (guint)MIN(n, PUSH_MAX);
        for (guint i = 0; i < some; i++) {
            big[i] = GINT64_TO_BE(ids[--n]);
            words[i + 2] = (const char *)&big[i];
            lengths[i + 2] = sizeof big[i];
        }
        fill_send(fill, (int)some + 2, words, lengths);
    }
}

int
serve_redis_fill(const Serve *serve)
{
    g_auto(Inboxes) inboxes = {0};
    Fill fill = {redis_open(serve), 0};
    inboxes_make(&inboxes, serve);
    fill_posts(&fill, serve, inboxes.plan.fill_posts);
    for (guint32 user = 0; user < serve->world->header->users; user++) {
        if (inboxes_is_reader(&inboxes, serve, user)) {
            fill_inbox(&fill, world_user_id(serve->world, user),
                       inboxes.ids + inboxes.at[user],
                       inboxes.at[user + 1] - inboxes.at[user]);
        }
    }
    fill_take(&fill, 0);
    redisFree(fill.context);
    return 0;
}

/* ---- what is there ---- */

int
serve_redis_digest(const Serve *serve)
{
    GError *error = NULL;
    g_autoptr(GArray) readers = users_read(serve->readers, &error);
    serve_check("readers", error);
    redisContext *context = redis_open(serve);
    SampleDigest digest;
    sample_digest_init(&digest, FALSE);
    for (guint i = 0; i < readers->len; i += DIGEST_EVERY) {
        gint64 user = g_array_index(readers, gint64, i);
        gint64 ids[PAGE_LIMIT_MAX];
        guint8 key[REDIS_KEY_BYTES];
        redis_key('i', user, key);
        redisReply *reply = redisCommand(context, "LRANGE %b 0 %d", key,
                                         sizeof key, (int)serve->limit - 1);
        if (reply == NULL || reply->type != REDIS_REPLY_ARRAY) {
            serve_fail("redis", "no list");
        }
        for (gsize k = 0; k < reply->elements; k++) {
            memcpy(&ids[k], reply->element[k]->str, sizeof ids[k]);
            ids[k] = GINT64_FROM_BE(ids[k]);
        }
        sample_digest_add(&digest, (UserId){user}, ids, reply->elements);
        freeReplyObject(reply);
    }
    redisFree(context);
    return serve_print_digest(&digest);
}
