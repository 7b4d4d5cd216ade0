/*
 * pending.h - the posts whose fan-out is under way
 *
 * The fan-out of an author with very many followers is cut into slices, so
 * that other authors' posts go on between them. Its post is seen at once all
 * the same: readers take it from here until it is in the last tail. One
 * thread adds and takes; any read, without waiting.
 */
#pragma once

#include "thrift/id.h"

#include <stdatomic.h>

#define PENDING_MAX 32

typedef struct Pending {
    _Atomic gint64 posts[PENDING_MAX]; /* 0: a free place */
} Pending;

/** pending_add() - before the post is committed; FALSE where it is full. */
gboolean pending_add(Pending *pending, PostId post);

/** pending_take() - after it is in every tail. */
void pending_take(Pending *pending, PostId post);

/** pending_read() - the posts, each once, ascending; how many. Thread: any. */
guint pending_read(const Pending *pending, gint64 ret_posts[PENDING_MAX]);
