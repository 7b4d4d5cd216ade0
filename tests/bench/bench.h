/*
 * bench.h - the commands of comb-bench-cell
 *
 * Each prints one line of JSON on standard output; tests/bench/run makes the
 * tables. All need a world (--graph); the plan says which of its posts fill
 * the inboxes beforehand and which are measured.
 */
#pragma once

#include "tests/bench/rig.h"
#include "tests/bench/stream.h"

typedef struct Bench {
    char *graph;         /* --graph: the world's file */
    char *cell;          /* --cell: the cell's directory */
    char *log;           /* --log: the local log's */
    gint64 users;        /* --users: for a world that is to be made */
    gint64 seed;         /* --seed: likewise */
    gint64 fill;         /* --fill: entries a user before the measured range */
    gint64 deliveries;   /* --deliveries: in the measured range, asked for */
    gint64 prefix;       /* --prefix: of it, what digests cover; 0: nothing */
    gint64 readers;      /* --readers: pages/s beside the load; 0: none */
    gint64 rate;         /* --rate: deliveries/s of a paced load; 0: none */
    gint64 rounds;       /* --rounds: of what is repeated in one process */
    gint64 seconds;      /* --seconds: of load before a kill */
    gint64 checkpoint_s; /* --checkpoint-s: as the daemon's setting */
    gboolean tell;       /* --tell: each inbox's digest on stderr */
    const char *self;    /* how this program was called */
    World *world;        /* owned */
    StreamPlan plan;
} Bench;

/** bench_end_of_fill() - the log's offset after the fill. */
guint64 bench_end_of_fill(const Bench *bench);

/** bench_end() - the log's offset after the measured range. */
guint64 bench_end(const Bench *bench);

/** bench_rig() - open the cell; records below @end may be applied. */
Rig *bench_rig(const Bench *bench, guint64 end);

typedef int (*BenchCommand)(const Bench *bench);

/** bench_prepare() - make the log of the posts, and the cell: the whole graph
 * and the fill applied, cleanly stopped. */
int bench_prepare(const Bench *bench);

/** bench_apply() - B1: apply the measured range up to a checkpoint. */
int bench_apply(const Bench *bench);

/** bench_digest() - of the sample's inboxes, by pages. */
int bench_digest(const Bench *bench);

/** bench_expected() - the same from the world itself. */
int bench_expected(const Bench *bench);

/** bench_bigpost() - B3: the celebrity posts. */
int bench_bigpost(const Bench *bench);

/** bench_deep() - B4: pages far down. */
int bench_deep(const Bench *bench);

/** bench_restart() - B7: kill a loaded cell, time the next one's start. */
int bench_restart(const Bench *bench);

/** bench_load() - the one that is killed: applies at a pace until then. */
int bench_load(const Bench *bench);

/** bench_probe() - the one that starts: tells when it is ready. */
int bench_probe(const Bench *bench);

/** bench_memory() - B8: bytes of memory an open cell has. */
int bench_memory(const Bench *bench);

/** bench_rest() - B8: bytes on disk after a full compaction. */
int bench_rest(const Bench *bench);

/** bench_feed() - read the whole log and do nothing: what the log allows. */
int bench_feed(const Bench *bench);

/** bench_limit() - the machine's own limit: random appends into slots. */
int bench_limit(const Bench *bench);
