#include "cell/key.h"

#include "ops/kit/ensure.h"

#include <string.h>

static void
key_add(Key *key, const void *data, gsize len)
{
    ensure(key->len + len <= KEY_BYTES_MAX);
    memcpy(key->data + key->len, data, len);
    key->len = (guint8)(key->len + len);
}

static void
key_add_u32(Key *key, guint32 v)
{
    guint32 be = GUINT32_TO_BE(v);
    key_add(key, &be, sizeof be);
}

static void
key_add_i64(Key *key, gint64 v)
{
    gint64 be = GINT64_TO_BE(v);
    key_add(key, &be, sizeof be);
}

static Key
key_pair(char letter, gint64 first, gint64 second)
{
    Key key = key_letter(letter);
    key_add_i64(&key, first);
    key_add_i64(&key, second);
    return key;
}

Key
key_letter(char letter)
{
    Key key = {0};
    key_add(&key, &letter, 1);
    return key;
}

Key
key_meta(const char *name)
{
    Key key = key_letter('m');
    key_add(&key, name, strlen(name));
    return key;
}

Key
key_position(guint partition)
{
    Key key = key_letter('o');
    key_add_u32(&key, partition);
    return key;
}

Key
key_post(PostId post)
{
    Key key = key_letter('p');
    key_add_i64(&key, post.v);
    return key;
}

Key
key_timeline(UserId author, PostId post)
{
    return key_pair('t', author.v, post.v);
}

Key
key_tombstone(PostId post, UserId actor)
{
    return key_pair('d', post.v, actor.v);
}

Key
key_edges(UserId follower, UserId first)
{
    return key_pair('f', follower.v, first.v);
}

Key
key_chunk(UserId user, PostId first)
{
    return key_pair('i', user.v, first.v);
}

Key
key_floor(UserId user)
{
    Key key = key_letter('w');
    key_add_i64(&key, user.v);
    return key;
}

Key
key_kept(EventId event)
{
    Key key = key_letter('k');
    key_add_i64(&key, event.v);
    return key;
}

Key
key_kept_count(guint kind)
{
    Key key = key_letter('n');
    key_add_u32(&key, kind);
    return key;
}

Key
key_quarantine(guint partition, guint64 offset)
{
    Key key = key_letter('q');
    key_add_u32(&key, partition);
    key_add_i64(&key, (gint64)offset);
    return key;
}

gboolean
key_is(WireBytes bytes, char letter, gsize len)
{
    return bytes.len == len && bytes.data[0] == (guint8)letter;
}

gint64
key_i64(WireBytes bytes, gsize at)
{
    gint64 be;
    ensure(at + sizeof be <= bytes.len);
    memcpy(&be, bytes.data + at, sizeof be);
    return GINT64_FROM_BE(be);
}
