/*
 * given.h - the fields of a request that are there
 *
 * A request's struct is walked once: of each field the range of its value is
 * noted, where the type is right. Reading and checking is the caller's.
 */
#pragma once

#include "thrift/reply.h"

/* The highest field id noted. */
#define GIVEN_FIELD_MAX 8

/* The encoded values by field id, of the right type; borrowed. */
typedef struct Given {
    FrameField field[GIVEN_FIELD_MAX + 1];
} Given;

/**
 * given_read() - walk argument 2 of @request, a struct
 *
 * @types: of the fields that are known, by id; WIRE_STOP: none.
 * Effect: TRUE, or FALSE after it was answered with InvalidRequest.
 */
gboolean given_read(Request *request, const WireType types[GIVEN_FIELD_MAX + 1],
                    Given *ret_given);

/** given_has() - TRUE and a reader on the value of field @id, if there. */
gboolean given_has(const Given *given, guint id, WireReader *ret_reader);

/**
 * given_client() - a copy of a consumer's name, NULL after a refusal
 *
 * @value: of a string, or absent. @field: its name, for the refusal.
 */
char *given_client(Request *request, const char *field,
                   const FrameField *value);
