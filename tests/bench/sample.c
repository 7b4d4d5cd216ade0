#include "tests/bench/sample.h"

#include <stdio.h>

#define READER_ZIPF 0.8
#define READER_SHARE 0.3
#define READER_SPREAD G_GUINT64_CONSTANT(1000003)

guint32
sample_count(const World *world)
{
    return MIN(world->header->users, SAMPLE_MAX);
}

guint32
sample_user(const World *world, guint32 i)
{
    guint64 users = world->header->users;
    return (guint32)(i * users / sample_count(world));
}

GPtrArray *
sample_inboxes(const World *world, const guint32 *users, guint32 n,
               guint64 skip, guint64 posts)
{
    GPtrArray *inboxes = g_ptr_array_new_full(n, (GDestroyNotify)g_array_unref);
    g_autofree guint32 *place = g_new0(guint32, world->header->users);
    for (guint32 i = 0; i < n; i++) {
        place[users[i]] = i + 1;
        g_ptr_array_add(inboxes, g_array_new(FALSE, FALSE, sizeof(gint64)));
    }
    g_autoptr(Stream) stream = stream_new(world);
    for (guint64 i = 0; i < skip + posts; i++) {
        StreamPost post = stream_next(stream);
        gsize n_followers;
        const guint32 *followers =
            world_followers(world, post.author, &n_followers);
        for (gsize k = 0; i >= skip && k < n_followers; k++) {
            guint32 at = place[followers[k]];
            if (at != 0) {
                g_array_append_val(g_ptr_array_index(inboxes, at - 1), post.id);
            }
        }
    }
    return inboxes;
}

static void
digest_u64(XXH64_state_t *state, guint64 value)
{
    guint64 little = GUINT64_TO_LE(value);
    XXH64_update(state, &little, sizeof little);
}

void
sample_digest_init(SampleDigest *digest, gboolean tell)
{
    *digest = (SampleDigest){.state = XXH64_createState(), .tell = tell};
    XXH64_reset(digest->state, 0);
}

void
sample_digest_add(SampleDigest *digest, UserId user, const gint64 *ids, gsize n)
{
    digest_u64(digest->state, (guint64)user.v);
    digest_u64(digest->state, n);
    for (gsize i = 0; i < n; i++) {
        digest_u64(digest->state, (guint64)ids[i]);
    }
    digest->entries += n;
    if (digest->tell) {
        fprintf(stderr, "%" G_GINT64_FORMAT " %zu %016" G_GINT64_MODIFIER "x\n",
                user.v, n, (guint64)XXH64(ids, n * sizeof *ids, 0));
    }
}

guint64
sample_digest_end(SampleDigest *digest)
{
    guint64 value = XXH64_digest(digest->state);
    XXH64_freeState(digest->state);
    digest->state = NULL;
    return value;
}

static void
reverse(GArray *ids)
{
    for (guint i = 0, k = ids->len; i + 1 < k; i++) {
        gint64 *a = &g_array_index(ids, gint64, i);
        gint64 *b = &g_array_index(ids, gint64, --k);
        gint64 swap = *a;
        *a = *b;
        *b = swap;
    }
}

guint64
sample_expected(const World *world, guint64 skip, guint64 posts, gboolean tell,
                guint64 *ret_entries)
{
    guint32 n = sample_count(world);
    g_autofree guint32 *users = g_new(guint32, n);
    for (guint32 i = 0; i < n; i++) {
        users[i] = sample_user(world, i);
    }
    g_autoptr(GPtrArray) inboxes = sample_inboxes(world, users, n, skip, posts);
    SampleDigest digest;
    sample_digest_init(&digest, tell);
    for (guint32 i = 0; i < n; i++) {
        GArray *ids = g_ptr_array_index(inboxes, i);
        reverse(ids);
        sample_digest_add(&digest, world_user_id(world, users[i]),
                          (const gint64 *)(const void *)ids->data, ids->len);
    }
    *ret_entries = digest.entries;
    return sample_digest_end(&digest);
}

guint32
sample_reader(const World *world, Rng *rng)
{
    guint64 users = world->header->users;
    double active = (double)users * READER_SHARE;
    double power = 1 - READER_ZIPF;
    double u = rng_unit(rng);
    double rank = pow(u * (pow(active + 1, power) - 1) + 1, 1 / power) - 1;
    return (guint32)((guint64)rank * READER_SPREAD % users);
}
