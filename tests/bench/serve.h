/*
 * serve.h - the commands of comb-bench-serve: what page benchmarks need beside
 * the daemon and combctl bench
 *
 * The world is the same as the engine's benchmarks' (world.h, stream.h), but
 * in a plain local log that comb-solo opens as its own.
 */
#pragma once

#include "tests/bench/stream.h"

typedef struct Serve {
    char *graph;        /* --graph: the world's file */
    char *log;          /* --log: the local log's directory */
    char *readers;      /* --readers: a file of ids, one a line */
    char *address;      /* --address: a server's HOST:PORT */
    gint64 users;       /* --users: for a world that is to be made */
    gint64 fill;        /* --fill: entries a user */
    gint64 limit;       /* --limit: posts in a page */
    gint64 connections; /* --connections */
    gint64 depth;       /* --depth: pages under way on each */
    gint64 seed;        /* --seed: of who is asked for */
    double duration_s;  /* --duration-s */
    double warmup_s;    /* --warmup-s */
    double zipf;        /* --zipf */
    World *world;       /* NULL without --graph; owned */
} Serve;

typedef int (*ServeCommand)(const Serve *serve);

/** serve_fail() - say why and end the process. */
void serve_fail(const char *what, const char *why) G_GNUC_NORETURN;

/** serve_check() - end the process where there is an error. */
void serve_check(const char *what, GError *error);

/** serve_log() - write the world's follows and the fill's posts. */
int serve_log(const Serve *serve);

/** serve_readers() - print the ids of the active users with a full page, in
 * the order of how often they read. */
int serve_readers(const Serve *serve);

/** serve_digest() - fold the first pages of the readers into one number, as
 * the service at --address gives them. */
int serve_digest(const Serve *serve);

/** serve_expected() - the same from the world itself. */
int serve_expected(const Serve *serve);

/** serve_copy_follows() - (user, author) rows, for PostgreSQL's COPY. */
int serve_copy_follows(const Serve *serve);

/** serve_copy_posts() - (id, author, body) rows, likewise. */
int serve_copy_posts(const Serve *serve);

/** serve_limit() - answer every call with one page, precomputed: what sockets
 * allow. */
int serve_limit(const Serve *serve);

/** serve_redis_fill() - put the readers' inboxes and the posts into the
 * redis-server at --address. */
int serve_redis_fill(const Serve *serve);

/** serve_redis_read() - read pages from it, closed loop. */
int serve_redis_read(const Serve *serve);

/** serve_redis_digest() - serve_digest() of what redis-server gives. */
int serve_redis_digest(const Serve *serve);
