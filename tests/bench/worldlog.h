/*
 * worldlog.h - a firehose whose follows are computed and whose posts are real
 *
 * One partition. Offsets 0 to E - 1 are the follow events of a world's E
 * edges, user after user, made as they are read: hundreds of millions of
 * records that need no disk. From E on come the records of a durable local
 * log, through that log's own reader, their offsets shifted by E: what is
 * measured is really fetched.
 *
 * Where the log ends can be held back and released step by step, which is how
 * a paced firehose is made of one that is all there.
 */
#pragma once

#include "firehose/log.h"
#include "tests/bench/world.h"

/* A follow event of these is this long. */
#define WORLDLOG_FOLLOW_BYTES 48

/**
 * worldlog_open() - the log of @world and @posts
 *
 * @world, @posts: borrowed, outlive the log; @posts has one partition.
 * @end:    borrowed: offsets below it are there to be read, as far as they
 *          exist; somebody may raise it at any time. NULL: all are.
 * Effect:  its identity is a text of the world's digest and of @posts'.
 *          Appends are refused: append to @posts.
 * Owns:    the caller; log_close().
 */
Log *worldlog_open(const World *world, Log *posts, _Atomic guint64 *end);

/** worldlog_follow() - the follow event of edge number @edge, the follower
 * being @user. */
void worldlog_follow(const World *world, guint64 edge, guint32 user,
                     guint8 ret_value[WORLDLOG_FOLLOW_BYTES]);
