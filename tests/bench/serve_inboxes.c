#include "tests/bench/serve_inboxes.h"

#include "ops/combctl/bench_users.h"
#include "tests/kit/page_seen.h"
#include "thrift/limits.h"

#include <stdio.h>

#define ACTIVE_OF_TEN 3

/* ---- inboxes ---- */

void
inboxes_make(Inboxes *inboxes, const Serve *serve)
{
    const World *world = serve->world;
    guint32 users = world->header->users;
    inboxes->plan = stream_plan(world, (guint64)serve->fill * users, 0);
    inboxes->at = g_new0(guint64, (gsize)users + 2);
    inboxes->ids = g_new(gint64, inboxes->plan.fill_deliveries);
    /* Counted two places ahead, so that filling moves each to its own. */
    for (guint turn = 0; turn < 2; turn++) {
        g_autoptr(Stream) stream = stream_new(world);
        for (guint64 i = 0; i < inboxes->plan.fill_posts; i++) {
            StreamPost post = stream_next(stream);
            gsize n;
            const guint32 *to = world_followers(world, post.author, &n);
            for (gsize k = 0; k < n; k++) {
                if (turn == 0) {
                    inboxes->at[to[k] + 2]++;
                } else {
                    inboxes->ids[inboxes->at[to[k] + 1]++] = post.id;
                }
            }
        }
        for (guint32 i = 2; turn == 0 && i < users + 2; i++) {
            inboxes->at[i] += inboxes->at[i - 1];
        }
    }
}

void
inboxes_clear(Inboxes *inboxes)
{
    g_clear_pointer(&inboxes->at, g_free);
    g_clear_pointer(&inboxes->ids, g_free);
}

gboolean
inboxes_is_reader(const Inboxes *inboxes, const Serve *serve, guint32 user)
{
    return user % 10 < ACTIVE_OF_TEN &&
           inboxes->at[user + 1] - inboxes->at[user] >= (guint64)serve->limit;
}

int
serve_readers(const Serve *serve)
{
    g_auto(Inboxes) inboxes = {0};
    inboxes_make(&inboxes, serve);
    for (guint32 i = 0; i < serve->world->header->users; i++) {
        if (inboxes_is_reader(&inboxes, serve, i)) {
            printf("%" G_GINT64_FORMAT "\n", world_user_id(serve->world, i).v);
        }
    }
    return 0;
}

/* ---- first pages, as one number ---- */

int
serve_print_digest(SampleDigest *digest)
{
    guint64 entries = digest->entries;
    guint64 number = sample_digest_end(digest);
    printf("{\"digest\":\"%016" G_GINT64_MODIFIER
           "x\",\"entries\":%" G_GUINT64_FORMAT "}\n",
           number, entries);
    return 0;
}

int
serve_expected(const Serve *serve)
{
    g_auto(Inboxes) inboxes = {0};
    SampleDigest digest;
    inboxes_make(&inboxes, serve);
    sample_digest_init(&digest, FALSE);
    for (guint32 user = 0, n = 0; user < serve->world->header->users; user++) {
        gint64 page[PAGE_LIMIT_MAX];
        if (!inboxes_is_reader(&inboxes, serve, user) ||
            n++ % DIGEST_EVERY != 0) {
            continue;
        }
        for (guint i = 0; i < (guint)serve->limit; i++) {
            page[i] = inboxes.ids[inboxes.at[user + 1] - 1 - i];
        }
        sample_digest_add(&digest, world_user_id(serve->world, user), page,
                          (gsize)serve->limit);
    }
    return serve_print_digest(&digest);
}

GByteArray *
serve_ask(const Serve *serve, Call *call, gint64 user)
{
    g_autoptr(GByteArray) none = g_byte_array_new();
    CallPage page = {"getDashboard", user, none, (gint32)serve->limit};
    Frame frame;
    GError *error = NULL;
    if (!call_send_page(call, 1, &page, &error) ||
        !call_receive(call, &frame, &error)) {
        serve_check(serve->address, error);
    }
    if (frame.field[0].type != WIRE_STRUCT) {
        serve_fail(serve->address, "answered no page");
    }
    GByteArray *bytes = g_byte_array_new();
    return g_byte_array_append(bytes, frame.field[0].value.data,
                               (guint)frame.field[0].value.len);
}

int
serve_digest(const Serve *serve)
{
    GError *error = NULL;
    g_autoptr(GArray) readers = users_read(serve->readers, &error);
    serve_check("readers", error);
    g_autoptr(Call) call = call_open(serve->address, &error);
    serve_check(serve->address, error);
    SampleDigest digest;
    sample_digest_init(&digest, FALSE);
    for (guint i = 0; i < readers->len; i += DIGEST_EVERY) {
        gint64 user = g_array_index(readers, gint64, i);
        g_auto(PageSeen) seen = {0};
        g_autoptr(GArray) ids = g_array_new(FALSE, FALSE, sizeof(gint64));
        if (!page_seen_read(serve_ask(serve, call, user), &seen)) {
            serve_fail(serve->address, "a page that does not decode");
        }
        for (guint k = 0; k < seen.entries->len; k++) {
            gint64 id = g_array_index(seen.entries, SeenEntry, k).id;
            g_array_append_val(ids, id);
        }
        sample_digest_add(&digest, (UserId){user},
                          (const gint64 *)(const void *)ids->data, ids->len);
    }
    return serve_print_digest(&digest);
}
