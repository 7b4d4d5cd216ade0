/*
 * Tumblr's way, in the fastest store that we know for it: a row a delivery,
 * key of 24 bytes (user, inverted milliseconds, post id, big-endian), no
 * value. The write-ahead log is off, as the cell's is; rows are written in
 * sorted batches of some thousands, each with the position that it reaches;
 * the clock stops when the last memtable is flushed. Compaction is paid for by
 * the same core, as far as it comes while the clock runs.
 */
#include "tests/bench/peer.h"

#include "tests/bench/usage.h"

#include <rocksdb/c.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROW_BYTES 24
#define BATCH_ROWS 4096
#define BUFFER_BYTES ((size_t)64 << 20)

typedef struct Row {
    guint64 word[3]; /* big-endian */
} Row;

G_STATIC_ASSERT(sizeof(Row) == ROW_BYTES);

typedef struct RocksPeer {
    const Peer *peer; /* borrowed */
    rocksdb_t *db;
    rocksdb_options_t *options;
    rocksdb_writeoptions_t *write;
    rocksdb_readoptions_t *read;
    rocksdb_writebatch_t *batch;
    Row *rows; /* BATCH_ROWS; owned */
    gsize n;
} RocksPeer;

static void
check_words(const char *words)
{
    if (words != NULL) {
        fprintf(stderr, "comb-bench-peer: rocksdb: %s\n", words);
        exit(EXIT_FAILURE);
    }
}

static void
rocks_open(RocksPeer *rocks)
{
    char *words = NULL;
    rocksdb_options_t *options = rocksdb_options_create();
    rocksdb_options_set_create_if_missing(options, 1);
    rocksdb_options_set_error_if_exists(options, 1);
    rocksdb_options_set_write_buffer_size(options, BUFFER_BYTES);
    rocksdb_options_set_max_write_buffer_number(options, 4);
    rocksdb_options_set_max_open_files(options, -1);
    rocksdb_options_set_compression(options, rocksdb_lz4_compression);
    rocksdb_options_set_bottommost_compression(options,
                                               rocksdb_zstd_compression);
    rocksdb_options_set_info_log_level(options, 4);
    rocksdb_options_increase_parallelism(options, 2);
    rocks->options = options;
    rocks->write = rocksdb_writeoptions_create();
    rocksdb_writeoptions_disable_WAL(rocks->write, 1);
    rocks->read = rocksdb_readoptions_create();
    rocks->batch = rocksdb_writebatch_create();
    rocks->rows = g_new(Row, BATCH_ROWS);
    rocks->db = rocksdb_open(options, rocks->peer->dir, &words);
    check_words(words);
}

static void
rocks_close(RocksPeer *rocks)
{
    rocksdb_close(rocks->db);
    rocksdb_writebatch_destroy(rocks->batch);
    rocksdb_readoptions_destroy(rocks->read);
    rocksdb_writeoptions_destroy(rocks->write);
    rocksdb_options_destroy(rocks->options);
    g_free(rocks->rows);
}

static int
compare_rows(const void *a, const void *b)
{
    return memcmp(a, b, ROW_BYTES);
}

/* Write what was collected, and that it is there. */
static void
rocks_commit(RocksPeer *rocks, guint64 position)
{
    char *words = NULL;
    qsort(rocks->rows, rocks->n, sizeof(Row), compare_rows);
    rocksdb_writebatch_clear(rocks->batch);
    for (gsize i = 0; i < rocks->n; i++) {
        rocksdb_writebatch_put(rocks->batch, (const char *)&rocks->rows[i],
                               ROW_BYTES, "", 0);
    }
    rocksdb_writebatch_put(rocks->batch, "position", 8, (const char *)&position,
                           sizeof position);
    rocksdb_write(rocks->db, rocks->write, rocks->batch, &words);
    check_words(words);
    rocks->n = 0;
}

static void
rocks_deliver_all(RocksPeer *rocks, Stream *stream)
{
    const Peer *peer = rocks->peer;
    for (guint64 i = 0; i < peer->plan.posts; i++) {
        StreamPost post = stream_next(stream);
        guint64 inverted = ~(guint64)id_ms(post.id);
        gsize n;
        const guint32 *followers =
            world_followers(peer->world, post.author, &n);
        for (gsize k = 0; k < n; k++) {
            UserId user = world_user_id(peer->world, followers[k]);
            rocks->rows[rocks->n++] =
                (Row){{GUINT64_TO_BE((guint64)user.v), GUINT64_TO_BE(inverted),
                       GUINT64_TO_BE((guint64)post.id)}};
            if (rocks->n == BATCH_ROWS) {
                rocks_commit(rocks, i);
            }
        }
    }
    rocks_commit(rocks, peer->plan.posts);
    char *words = NULL;
    rocksdb_flushoptions_t *wait = rocksdb_flushoptions_create();
    rocksdb_flush(rocks->db, wait, &words);
    check_words(words);
    rocksdb_flushoptions_destroy(wait);
}

/* The ids of one user's rows, newest first. */
static void
rocks_inbox(rocksdb_iterator_t *iter, UserId user, GArray *ids)
{
    guint64 big = GUINT64_TO_BE((guint64)user.v);
    g_array_set_size(ids, 0);
    rocksdb_iter_seek(iter, (const char *)&big, sizeof big);
    for (; rocksdb_iter_valid(iter); rocksdb_iter_next(iter)) {
        size_t len;
        const char *key = rocksdb_iter_key(iter, &len);
        if (len != ROW_BYTES || memcmp(key, &big, sizeof big) != 0) {
            break;
        }
        Row row;
        memcpy(&row, key, sizeof row);
        gint64 id = (gint64)GUINT64_FROM_BE(row.word[2]);
        guint at = ids->len; /* rows of one millisecond ascend */
        while (at > 0 && g_array_index(ids, gint64, at - 1) < id) {
            at--;
        }
        g_array_insert_val(ids, at, id);
    }
}

static void
rocks_digest(RocksPeer *rocks, PeerResult *result)
{
    const World *world = rocks->peer->world;
    g_autoptr(GArray) ids = g_array_new(FALSE, FALSE, sizeof(gint64));
    rocksdb_iterator_t *iter = rocksdb_create_iterator(rocks->db, rocks->read);
    SampleDigest digest;
    sample_digest_init(&digest, rocks->peer->tell);
    for (guint32 i = 0; i < sample_count(world); i++) {
        UserId user = world_user_id(world, sample_user(world, i));
        rocks_inbox(iter, user, ids);
        sample_digest_add(&digest, user,
                          (const gint64 *)(const void *)ids->data, ids->len);
    }
    rocksdb_iter_destroy(iter);
    result->digest_entries = digest.entries;
    result->digest = sample_digest_end(&digest);
}

int
peer_rocksdb_rows(const Peer *peer)
{
    RocksPeer rocks = {.peer = peer};
    PeerResult result = {0};
    usage_pin(USAGE_SERVER_CORE);
    rocks_open(&rocks);
    g_autoptr(Stream) stream = peer_stream(peer);
    gint64 cpu = usage_cpu_us();
    double begin = usage_now_us();
    rocks_deliver_all(&rocks, stream);
    result.seconds = (usage_now_us() - begin) / 1e6;
    result.cpu_us = usage_cpu_us() - cpu;
    rocks_digest(&rocks, &result);
    uint64_t bytes = 0;
    rocksdb_compact_range(rocks.db, NULL, 0, NULL, 0);
    (void)rocksdb_property_int(rocks.db, "rocksdb.total-sst-files-size",
                               &bytes);
    result.bytes_per_entry = (double)bytes / (double)peer->plan.deliveries;
    rocks_close(&rocks);
    peer_print(peer, &result);
    return 0;
}
