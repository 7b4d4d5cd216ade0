/*
 * bench_answer.h - what an answer says, as far as a load generator must know
 *
 * An answer is read up to what is counted: kind, seqid, entries, `complete`;
 * 1 us for a page of 20 posts. With --check it is decoded whole, and must make
 * sense besides.
 */
#pragma once

#include "thrift/wire.h"

typedef enum BenchMethod {
    BENCH_DASHBOARD,
    BENCH_TIMELINE,
    BENCH_POSTS,
    BENCH_METHODS,
} BenchMethod;

/* What became of a call. The exceptions have their field's number in every
   method (types.thrift). */
typedef enum AnswerKind {
    ANSWER_GOOD = 0,
    ANSWER_INVALID = 1,
    ANSWER_NOT_HOMED = 2,
    ANSWER_OVERLOADED = 3,
    ANSWER_DEADLINE = 4,
    ANSWER_UNAVAILABLE = 5,
    ANSWER_NOT_FOUND = 6,
    ANSWER_DENIED = 7,
    ANSWER_APPLICATION, /* Thrift's own exception: no such method, ... */
    ANSWER_MALFORMED,   /* it does not scan, or --check found a fault */
    ANSWER_KINDS,
} AnswerKind;

typedef struct Answer {
    AnswerKind kind;
    gint32 seqid;
    guint32 entries;   /* of a page; posts found */
    gboolean complete; /* of a page; TRUE of posts */
    const char *fault; /* of a malformed one; static */
} Answer;

/* What was asked, for whoever checks the answer. */
typedef struct AnswerAsked {
    BenchMethod method;
    guint limit;    /* entries at most */
    gboolean check; /* decode it whole */
} AnswerAsked;

/** answer_name() - "overloaded", for people and JSON; static. */
const char *answer_name(AnswerKind kind);

/** answer_read() - @message: one whole message without its length. */
Answer answer_read(WireBytes message, const AnswerAsked *asked);
