#include "tests/bench/stream.h"

#include "firehose/event.h"
#include "ops/kit/ensure.h"

#include <string.h>

#define STREAM_RNG (G_GUINT64_CONSTANT(2) << 40)
#define STREAM_TEXT (G_GUINT64_CONSTANT(3) << 40)
#define STREAM_NODES 4
#define TEXT_BYTES (256 * 1024)
#define WORDS 4096

struct Stream {
    const World *world; /* borrowed */
    Alias *authors;     /* by rate; owned */
    Rng rng;
    double ms;   /* of the newest post */
    double gap;  /* mean milliseconds between posts */
    gint64 last; /* the newest post's id */
    char *text;  /* TEXT_BYTES, out of which bodies are cut; owned */
};

/* Words of 2 to 9 letters, the common ones often: about as compressible as
   what people write. */
static char *
stream_text(guint64 seed)
{
    char *text = g_malloc(TEXT_BYTES);
    Rng rng;
    rng_init(&rng, seed, STREAM_TEXT);
    gsize at = 0;
    while (at < TEXT_BYTES) {
        double u = rng_unit(&rng);
        guint64 word = rng_mix((guint64)(WORDS * u * u * u));
        gsize len = 2 + word % 8;
        for (gsize i = 0; i < len && at < TEXT_BYTES; i++) {
            word = rng_mix(word);
            text[at++] = (char)('a' + word % 26);
        }
        if (at < TEXT_BYTES) {
            text[at++] = ' ';
        }
    }
    return text;
}

Stream *
stream_new(const World *world)
{
    Stream *stream = g_new0(Stream, 1);
    guint32 users = world->header->users;
    g_autofree double *rates = g_new(double, users);
    for (guint32 i = 0; i < users; i++) {
        rates[i] = (double)world->rates[i];
    }
    stream->world = world;
    stream->authors = alias_new(rates, users);
    stream->ms = (double)WORLD_POSTS_MS;
    stream->gap = 1000 / (STREAM_POSTS_PER_USER_S * users);
    stream->text = stream_text(world->header->seed);
    rng_init(&stream->rng, world->header->seed, STREAM_RNG);
    return stream;
}

void
stream_free(Stream *stream)
{
    g_free(stream->authors);
    g_free(stream->text);
    g_free(stream);
}

StreamPost
stream_make(Stream *stream, guint32 author)
{
    StreamPost post = {.author = author};
    stream->ms -= stream->gap * log(rng_unit(&stream->rng));
    guint node = rng_below(&stream->rng, STREAM_NODES);
    post.id = id_make((gint64)stream->ms, 0, node);
    if (post.id <= stream->last) {
        post.id = stream->last + (G_GINT64_CONSTANT(1) << ID_NODE_BITS);
    }
    stream->last = post.id;
    world_followers(stream->world, author, &post.fan_out);
    return post;
}

StreamPost
stream_next(Stream *stream)
{
    return stream_make(stream, alias_draw(stream->authors, &stream->rng));
}

guint64
stream_skip(Stream *stream, guint64 deliveries, guint64 *ret_deliveries)
{
    guint64 posts = 0;
    guint64 sum = 0;
    while (sum < deliveries) {
        sum += stream_next(stream).fan_out;
        posts++;
    }
    if (ret_deliveries != NULL) {
        *ret_deliveries = sum;
    }
    return posts;
}

StreamPlan
stream_plan(const World *world, guint64 fill, guint64 measured)
{
    g_autoptr(Stream) stream = stream_new(world);
    StreamPlan plan;
    plan.fill_posts = stream_skip(stream, fill, &plan.fill_deliveries);
    plan.fill_id = MAX(stream_id(stream), 1);
    plan.posts = stream_skip(stream, measured, &plan.deliveries);
    plan.last_id = MAX(stream_id(stream), 1);
    return plan;
}

gint64
stream_id(const Stream *stream)
{
    return stream->last;
}

void
stream_event(const Stream *stream, const StreamPost *post, GByteArray *out)
{
    enum { KIND = 3, USER = 4, POST = 7, POST_BODY = 4 };
    g_autoptr(GByteArray) draft = g_byte_array_sized_new(1024);
    Rng rng;
    rng_init(&rng, (guint64)post->id, 0);
    gsize len =
        STREAM_BODY_MIN + rng_below(&rng, STREAM_BODY_MAX - STREAM_BODY_MIN);
    gsize from = rng_below(&rng, TEXT_BYTES - STREAM_BODY_MAX);
    UserId author = world_user_id(stream->world, post->author);
    wire_field_i32(draft, KIND, EVENT_POST);
    wire_field_i64(draft, USER, author.v);
    wire_write_field(draft, WIRE_STRUCT, POST);
    wire_field_bytes(draft, POST_BODY, stream->text + from, len);
    wire_write_stop(draft);
    wire_write_stop(draft);
    Event event;
    EventFault fault;
    WireBytes bytes = {draft->data, draft->len};
    ensure(event_stamp(bytes, (EventId){post->id}, out, &event, &fault));
}
