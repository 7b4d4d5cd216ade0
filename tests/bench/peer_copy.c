/*
 * For PostgreSQL: rows (user, post) in its binary COPY format, which psql
 * passes on, and the digest of what psql gives back.
 * Format: https://www.postgresql.org/docs/15/sql-copy.html, "Binary Format".
 */
#include "tests/bench/peer.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

typedef struct CopyRow {
    guint16 fields; /* big-endian, as all of it */
    guint32 user_len;
    guint64 user;
    guint32 post_len;
    guint64 post;
} __attribute__((packed)) CopyRow;

int
peer_copy(const Peer *peer)
{
    /* With its final NUL: signature, flags, length of the extension. */
    static const char head[] = "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0";
    static const char tail[] = "\377\377";
    g_autoptr(Stream) stream = peer_stream(peer);
    (void)fwrite(head, sizeof head, 1, stdout);
    for (guint64 i = 0; i < peer->plan.posts; i++) {
        StreamPost post = stream_next(stream);
        gsize n;
        const guint32 *followers =
            world_followers(peer->world, post.author, &n);
        for (gsize k = 0; k < n; k++) {
            UserId user = world_user_id(peer->world, followers[k]);
            CopyRow row = {GUINT16_TO_BE(2), GUINT32_TO_BE(8),
                           GUINT64_TO_BE((guint64)user.v), GUINT32_TO_BE(8),
                           GUINT64_TO_BE((guint64)post.id)};
            (void)fwrite(&row, sizeof row, 1, stdout);
        }
    }
    (void)fwrite(tail, sizeof tail - 1, 1, stdout);
    return ferror(stdout) != 0;
}

int
peer_rows_digest(const Peer *peer)
{
    const World *world = peer->world;
    g_autoptr(GArray) ids = g_array_new(FALSE, FALSE, sizeof(gint64));
    SampleDigest digest;
    gint64 user = 0;
    gint64 id = 0;
    gboolean have = scanf("%" SCNd64 "\t%" SCNd64, &user, &id) == 2;
    sample_digest_init(&digest, peer->tell);
    for (guint32 i = 0; i < sample_count(world); i++) {
        UserId who = world_user_id(world, sample_user(world, i));
        g_array_set_size(ids, 0);
        while (have && user <= who.v) {
            if (user == who.v) {
                g_array_append_val(ids, id);
            }
            have = scanf("%" SCNd64 "\t%" SCNd64, &user, &id) == 2;
        }
        sample_digest_add(&digest, who, (const gint64 *)(const void *)ids->data,
                          ids->len);
    }
    printf("{\"digest_entries\":%" G_GUINT64_FORMAT ",", digest.entries);
    printf("\"digest\":\"%016" G_GINT64_MODIFIER "x\"}\n",
           sample_digest_end(&digest));
    return 0;
}
