/*
 * peer.h - others do the same work: the same edges, posts and order
 *
 * Each command of comb-bench-peer delivers the first posts of a world's
 * measured range (--prefix deliveries) in the peer's own best way and prints
 * one line of JSON: rate, server time a delivery, bytes an entry, and the
 * digest of the sample's inboxes, which must be the cell's.
 */
#pragma once

#include "tests/bench/sample.h"

typedef struct Peer {
    char *graph;     /* --graph */
    char *socket;    /* --socket: of a redis-server */
    char *dir;       /* --dir: for a RocksDB; must not exist */
    gint64 fill;     /* --fill: as comb-bench-cell's */
    gint64 prefix;   /* --prefix: likewise */
    gboolean tell;   /* --tell: likewise */
    World *world;    /* owned */
    StreamPlan plan; /* its measured range is the prefix */
} Peer;

/* What a peer's run came to. */
typedef struct PeerResult {
    double seconds;
    gint64 cpu_us;          /* of the server; 0: not known */
    double bytes_per_entry; /* 0: not known */
    guint64 digest;
    guint64 digest_entries;
} PeerResult;

/** peer_print() - the line of JSON. */
void peer_print(const Peer *peer, const PeerResult *result);

/** peer_stream() - the world's posts, at the first measured one. */
Stream *peer_stream(const Peer *peer);

/* LPUSH inbox:<user> <id>; the other: ZADD by time, the id as member. */
int peer_redis_list(const Peer *peer);
int peer_redis_zset(const Peer *peer);

/* One row a delivery: key user, inverted time, id. */
int peer_rocksdb_rows(const Peer *peer);

/* The rows in PostgreSQL's binary COPY format, on standard output. */
int peer_copy(const Peer *peer);

/* The digest of rows "user<TAB>id" on standard input, sorted by user, newest
   first. */
int peer_rows_digest(const Peer *peer);
