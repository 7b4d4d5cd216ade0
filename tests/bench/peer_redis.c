/*
 * Two peers in one: Twitter's lists and Mastodon's sorted sets. Commands are
 * written as bytes and answers counted as lines (hiredis' formatting and
 * parsing would be the bottleneck; it does the rest), thousands go out before
 * their answers are read, and the next thousands are on their way while those
 * are: the server never waits.
 *
 * Every user's key is there before the clock starts, as the cell's users are;
 * the entry that makes it is older than all posts, and the digest skips it.
 */
#include "tests/bench/peer.h"

#include "tests/bench/usage.h"

#include <errno.h>
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WINDOW 8192
#define ASK_MAX 256
#define OLDEST 1

typedef struct RedisPeer {
    const Peer *peer;      /* borrowed */
    redisContext *context; /* owned */
    gboolean sorted;       /* ZADD, else LPUSH */
    GByteArray *commands;  /* not sent yet; owned */
    guint n;               /* of them */
    guint waiting;         /* answers to commands that were sent */
} RedisPeer;

static void
redis_fail(const char *what)
{
    fprintf(stderr, "comb-bench-peer: redis: %s\n", what);
    exit(EXIT_FAILURE);
}

static redisReply *
redis_reply(RedisPeer *redis)
{
    void *reply = NULL;
    if (redisGetReply(redis->context, &reply) != REDIS_OK) {
        redis_fail(redis->context->errstr);
    }
    if (((redisReply *)reply)->type == REDIS_REPLY_ERROR) {
        redis_fail(((redisReply *)reply)->str);
    }
    return reply;
}

static void
redis_send(RedisPeer *redis)
{
    const guint8 *at = redis->commands->data;
    const guint8 *end = at + redis->commands->len;
    while (at < end) {
        ssize_t n = write(redis->context->fd, at, (gsize)(end - at));
        if (n < 0 && errno != EINTR) {
            redis_fail(g_strerror(errno));
        }
        at += MAX(n, 0);
    }
    g_byte_array_set_size(redis->commands, 0);
}

/* Read answers, numbers all of them and so a line each, until only @left
   are to come. */
static void
redis_take(RedisPeer *redis, guint left)
{
    char bytes[65536];
    while (redis->waiting > left) {
        ssize_t got = read(redis->context->fd, bytes, sizeof bytes);
        if (got <= 0) {
            redis_fail("the connection is lost");
        }
        for (ssize_t i = 0; i < got; i++) {
            if (bytes[i] == '-') {
                redis_fail("a command was refused");
            }
            redis->waiting -= bytes[i] == '\n';
        }
    }
}

/* Send what was added and read the answers to what was sent before it. The
   server queues answers rather than wait, so a blocking write is no danger. */
static void
redis_turn(RedisPeer *redis)
{
    redis_send(redis);
    redis->waiting += redis->n;
    redis_take(redis, redis->n);
    redis->n = 0;
}

static void
redis_drain(RedisPeer *redis)
{
    redis_turn(redis);
    redis_turn(redis);
}

static void
add_text(GByteArray *out, const char *text, gsize len)
{
    g_byte_array_append(out, (const guint8 *)text, (guint)len);
}

/* "inbox:<user>" as a bulk string. */
static void
add_key(GByteArray *out, UserId user)
{
    char digits[24];
    gsize at = sizeof digits;
    guint64 left = (guint64)user.v;
    do {
        digits[--at] = (char)('0' + left % 10);
        left /= 10;
    } while (left > 0);
    gsize len = 6 + sizeof digits - at;
    char head[] = "$00\r\ninbox:";
    gsize from = len < 10 ? 1 : 0; /* the protocol has no leading zeros */
    head[from] = '$';
    head[1] = len < 10 ? '$' : (char)('0' + len / 10);
    head[2] = (char)('0' + len % 10);
    add_text(out, head + from, sizeof head - 1 - from);
    add_text(out, digits + at, sizeof digits - at);
    add_text(out, "\r\n", 2);
}

static void
redis_deliver(RedisPeer *redis, UserId user, gint64 id)
{
    static const char push[] = "*3\r\n$5\r\nLPUSH\r\n";
    static const char add[] = "*4\r\n$4\r\nZADD\r\n";
    GByteArray *out = redis->commands;
    gint64 big = GINT64_TO_BE(id);
    if (redis->sorted) {
        char score[48];
        add_text(out, add, sizeof add - 1);
        add_key(out, user);
        char ms[24];
        int len = snprintf(ms, sizeof ms, "%" G_GINT64_FORMAT, id_ms(id));
        len = snprintf(score, sizeof score, "$%d\r\n%s\r\n", len, ms);
        add_text(out, score, (gsize)len);
    } else {
        add_text(out, push, sizeof push - 1);
        add_key(out, user);
    }
    add_text(out, "$8\r\n", 4);
    g_byte_array_append(out, (const guint8 *)&big, sizeof big);
    add_text(out, "\r\n", 2);
    if (++redis->n == WINDOW) {
        redis_turn(redis);
    }
}

/* A number of the server's INFO; 0 where it says none. */
static double
redis_info(RedisPeer *redis, const char *name)
{
    redisReply *reply = redisCommand(redis->context, "INFO everything");
    double value = 0;
    const char *at = reply == NULL ? NULL : strstr(reply->str, name);
    if (at != NULL) {
        value = g_ascii_strtod(at + strlen(name), NULL);
    }
    freeReplyObject(reply);
    return value;
}

static gint64
redis_cpu_us(RedisPeer *redis)
{
    return (gint64)((redis_info(redis, "used_cpu_sys:") +
                     redis_info(redis, "used_cpu_user:")) *
                    1e6);
}

/* ---- what is there afterwards ---- */

static void
digest_reply(const RedisPeer *redis, SampleDigest *digest, UserId user,
             const redisReply *reply)
{
    g_autoptr(GArray) ids = g_array_new(FALSE, FALSE, sizeof(gint64));
    for (gsize i = 0; i < reply->elements; i++) {
        gint64 id;
        memcpy(&id, reply->element[i]->str, sizeof id);
        id = GINT64_FROM_BE(id);
        if (id > redis->peer->plan.fill_id) {
            g_array_append_val(ids, id);
        }
    }
    sample_digest_add(digest, user, (const gint64 *)(const void *)ids->data,
                      ids->len);
}

static void
redis_digest(RedisPeer *redis, PeerResult *result)
{
    const World *world = redis->peer->world;
    const char *form =
        redis->sorted ? "ZREVRANGE inbox:%lld 0 -1" : "LRANGE inbox:%lld 0 -1";
    SampleDigest digest;
    sample_digest_init(&digest, redis->peer->tell);
    guint32 n = sample_count(world);
    for (guint32 from = 0; from < n; from += ASK_MAX) {
        guint32 to = MIN(from + ASK_MAX, n);
        for (guint32 i = from; i < to; i++) {
            UserId user = world_user_id(world, sample_user(world, i));
            (void)redisAppendCommand(redis->context, form, (long long)user.v);
        }
        for (guint32 i = from; i < to; i++) {
            UserId user = world_user_id(world, sample_user(world, i));
            redisReply *reply = redis_reply(redis);
            digest_reply(redis, &digest, user, reply);
            freeReplyObject(reply);
        }
    }
    result->digest_entries = digest.entries;
    result->digest = sample_digest_end(&digest);
}

/* ---- the run ---- */

static void
redis_make_keys(RedisPeer *redis)
{
    const World *world = redis->peer->world;
    for (guint32 user = 0; user < world->header->users; user++) {
        redis_deliver(redis, world_user_id(world, user), OLDEST);
    }
    redis_drain(redis);
}

static void
redis_deliver_all(RedisPeer *redis, Stream *stream)
{
    const Peer *peer = redis->peer;
    for (guint64 i = 0; i < peer->plan.posts; i++) {
        StreamPost post = stream_next(stream);
        gsize n;
        const guint32 *followers =
            world_followers(peer->world, post.author, &n);
        for (gsize k = 0; k < n; k++) {
            UserId user = world_user_id(peer->world, followers[k]);
            redis_deliver(redis, user, post.id);
        }
    }
    redis_drain(redis);
}

static int
redis_run(const Peer *peer, gboolean sorted)
{
    RedisPeer redis = {.peer = peer,
                       .context = redisConnectUnix(peer->socket),
                       .sorted = sorted,
                       .commands = g_byte_array_new()};
    PeerResult result = {0};
    if (redis.context == NULL || redis.context->err != 0) {
        redis_fail("cannot connect");
    }
    redis.context->reader->maxbuf = 0; /* keep the buffer between answers */
    double empty = redis_info(&redis, "used_memory:");
    redis_make_keys(&redis);
    double keyed = redis_info(&redis, "used_memory:");
    g_autoptr(Stream) stream = peer_stream(peer);
    gint64 cpu = redis_cpu_us(&redis);
    double begin = usage_now_us();
    redis_deliver_all(&redis, stream);
    result.seconds = (usage_now_us() - begin) / 1e6;
    result.cpu_us = redis_cpu_us(&redis) - cpu;
    double full = redis_info(&redis, "used_memory:");
    /* Keys count as in a full inbox, not as in one of a few entries. */
    result.bytes_per_entry =
        (keyed - empty) / (double)MAX(peer->plan.fill_deliveries, 1) +
        (full - keyed) / (double)peer->plan.deliveries;
    redis_digest(&redis, &result);
    peer_print(peer, &result);
    g_byte_array_unref(redis.commands);
    redisFree(redis.context);
    return 0;
}

int
peer_redis_list(const Peer *peer)
{
    return redis_run(peer, FALSE);
}

int
peer_redis_zset(const Peer *peer)
{
    return redis_run(peer, TRUE);
}
