/*
 * gate.h - a gateway on the bench: over the memory log, with a client's socket
 *
 * Between gateway and log stands a log of the test's own that can hold acks
 * back or make them up, because what is hard about a gateway is the log that
 * does not answer. Calls are built and answers read with the hand codec.
 */
#pragma once

#include "firehose/event.h"
#include "firehose/gateway.h"
#include "firehose/log_driver.h"
#include "firehose/position.h"
#include "thrift/reply.h"

#include <pthread.h>

#define GATE_PENDING_BYTES_MAX 4096
#define GATE_PARTITIONS 4

typedef enum HandMode {
    HAND_PASS, /* to the memory log */
    HAND_HOLD, /* keep calls until hand_release() */
    HAND_SAY,  /* answer `outcome` at once, on the caller's thread */
} HandMode;

typedef struct HandLog {
    Log log;               /* first: the driver's view */
    Log *inner;            /* the memory log */
    pthread_mutex_t mutex; /* guards the rest */
    HandMode mode;
    LogAppendOutcome outcome; /* of HAND_SAY */
    GQueue held;              /* of HandCall, the oldest first; owned */
} HandLog;

typedef struct Gate {
    char *dir; /* the id clock's */
    LogCluster *cluster;
    HandLog hand; /* the firehose */
    Log *control;
    Metrics *metrics;
    MapFeed *feed;
    Gateway *gateway;
    int fd; /* a client's connection */
} Gate;

typedef struct Answer {
    GByteArray *message;
    Frame frame; /* of the message */
} Answer;

/* One PublishResult, or the refusal in it. */
typedef struct Result {
    gint64 id;
    Position position; /* where taken */
    gboolean taken;
    gboolean failed; /* good, but the log did not take it */
    WireBytes field; /* of a refusal */
    gint64 limit;
} Result;

/** hand_release() - acknowledge the oldest held call; FALSE: there is none. */
gboolean hand_release(HandLog *hand);

/** hand_set() - what the log does from now on. */
void hand_set(HandLog *hand, HandMode mode, LogAppendOutcome outcome);

/** hand_holds() - how many calls are held. */
guint hand_holds(HandLog *hand);

/** gate_start() - everything up, the map feed caught up. */
void gate_start(Gate *gate);

/** gate_end() - everything down and gone. */
void gate_end(Gate *gate);

/** call_begin() - a call up to its first argument. */
GByteArray *call_begin(const char *method);

/** call_send() - close @call with a context and send it. Owns: takes it. */
void call_send(const Gate *gate, GByteArray *call, gint32 deadline_ms,
               gint64 last_id);

/** answer_receive() - the next answer. Owns: answer_clear(). */
Answer answer_receive(const Gate *gate);

/** answer_clear() - free what an answer holds. */
void answer_clear(Answer *answer);

/** call_finish() - send with a long deadline, and receive. */
Answer call_finish(const Gate *gate, GByteArray *call);

/** answer_field() - which of the result's fields is there, exactly one. */
gint answer_field(const Answer *answer);

/** answer_assert_invalid() - an InvalidRequest of that field and limit. */
void answer_assert_invalid(const Answer *answer, const char *field,
                           gint64 limit);

/** result_read() - one PublishResult; ranges are the answer's. */
Result result_read(const Gate *gate, WireReader *reader);

/** field_assert() - @field is the text @expected. */
void field_assert(WireBytes field, const char *expected);

/** gate_put_follow() - the fields of an event FOLLOW; @id may be 0. */
void gate_put_follow(GByteArray *call, gint64 id, gint64 user, gint64 target);

/** gate_put_post() - field @id, a Post with @body. */
void gate_put_post(GByteArray *call, gint16 id, const char *body);

/** gate_logged_event() - the event that the log has there; its bytes go to
    @copy. */
Event gate_logged_event(Gate *gate, Position position, GByteArray *copy);

/** gate_publish_follow() - publish one FOLLOW. */
Answer gate_publish_follow(const Gate *gate, gint32 deadline_ms);

/** gate_form_follow() - the same by its friendly form. */
Answer gate_form_follow(const Gate *gate);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Answer, answer_clear)
