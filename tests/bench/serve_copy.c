/*
 * The world as rows of text, as COPY reads them. Bodies are letters and
 * blanks: nothing in them needs quoting.
 */
#include "tests/bench/serve.h"

#include "firehose/event.h"

#include <stdio.h>

int
serve_copy_follows(const Serve *serve)
{
    const World *world = serve->world;
    for (guint32 user = 0; user < world->header->users; user++) {
        gsize n;
        const guint32 *authors = world_follows(world, user, &n);
        for (gsize i = 0; i < n; i++) {
            printf("%" G_GINT64_FORMAT "\t%" G_GINT64_FORMAT "\n",
                   world_user_id(world, user).v,
                   world_user_id(world, authors[i]).v);
        }
    }
    return 0;
}

int
serve_copy_posts(const Serve *serve)
{
    const World *world = serve->world;
    StreamPlan plan =
        stream_plan(world, (guint64)serve->fill * world->header->users, 0);
    g_autoptr(Stream) stream = stream_new(world);
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    for (guint64 i = 0; i < plan.fill_posts; i++) {
        StreamPost post = stream_next(stream);
        Event event;
        EventFault fault;
        g_byte_array_set_size(bytes, 0);
        stream_event(stream, &post, bytes);
        if (!event_decode(bytes->data, bytes->len, &event, &fault)) {
            serve_fail("event", fault.reason);
        }
        printf("%" G_GINT64_FORMAT "\t%" G_GINT64_FORMAT "\t%.*s\n", event.id.v,
               event.user.v, (int)event.post.body.len,
               (const char *)event.post.body.data);
    }
    return 0;
}
