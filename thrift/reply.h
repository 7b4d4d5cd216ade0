/*
 * reply.h - answers: results, and the refusals that every method shares
 *
 * A result is a message of kind REPLY whose struct has field 0 (the value)
 * or the field of one exception, numbered alike in every method.
 */
#pragma once

#include "thrift/server.h"

/* Field ids of the exceptions, the same in every method (types.thrift). */
typedef enum ReplyField {
    REPLY_SUCCESS = 0,
    REPLY_INVALID = 1,
    REPLY_NOT_HOMED = 2,
    REPLY_OVERLOADED = 3,
    REPLY_DEADLINE = 4,
    REPLY_UNAVAILABLE = 5,
    REPLY_NOT_FOUND = 6,
    REPLY_DENIED = 7,
} ReplyField;

/**
 * reply_begin() - a result message for @request, up to its first field
 *
 * Owns: gives the array; the caller writes field 0 (wire.h), then calls
 *       reply_send().
 */
GByteArray *reply_begin(const Request *request);

/** reply_send() - close the result struct and answer. Owns: takes @message. */
void reply_send(Request *request, GByteArray *message);

/** reply_void() - answer a void method. */
void reply_void(Request *request);

/** reply_invalid() - InvalidRequest; @limit is left out where negative. */
void reply_invalid(Request *request, const char *field, const char *reason,
                   gint64 limit);
void reply_not_homed(Request *request, guint cell, gint64 epoch);
void reply_overloaded(Request *request, gint retry_after_ms);

/** reply_overloaded_by() - likewise, with what there is too much of. */
void reply_overloaded_by(Request *request, const char *reason,
                         gint retry_after_ms);
void reply_deadline(Request *request, const char *reason);
void reply_unavailable(Request *request, const char *reason,
                       gint retry_after_ms);
void reply_not_found(Request *request, const char *what);
void reply_denied(Request *request, const char *reason);

/**
 * reply_write_invalid() - the fields of an InvalidRequest struct and its stop
 *
 * Effect: for results that carry one inside (PublishResult).
 */
void reply_write_invalid(GByteArray *out, const char *field, const char *reason,
                         gint64 limit);

/** reply_write_unavailable() - likewise for Unavailable. */
void reply_write_unavailable(GByteArray *out, const char *reason,
                             gint retry_after_ms);
