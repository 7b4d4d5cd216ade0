/*
 * bench_request.h - calls, encoded once and then only filled in
 *
 * What differs from call to call - seqid, user, post ids - has a fixed place
 * in a message of fixed length, so that a call costs a copy of some 100 bytes.
 */
#pragma once

#include "ops/combctl/bench_answer.h"

/* What is the same in all calls. */
typedef struct RequestForm {
    guint limit;        /* entries of a page; ids of a getPosts */
    guint deadline_ms;  /* of the request context */
    const char *caller; /* borrowed */
} RequestForm;

typedef struct RequestPattern {
    GByteArray *bytes; /* with the length prefix; owned */
    gsize seqid_at;    /* 4 bytes */
    gsize ids_at;      /* 8 bytes each: the user, or the posts */
    guint ids;         /* how many */
} RequestPattern;

/** request_pattern_init() - the message of @method. */
void request_pattern_init(RequestPattern *pattern, BenchMethod method,
                          const RequestForm *form);
void request_pattern_clear(RequestPattern *pattern);

/** request_write() - append a call to @out. @ids: as many as it has. */
void request_write(const RequestPattern *pattern, gint32 seqid,
                   const gint64 *ids, GByteArray *out);
