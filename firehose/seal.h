/*
 * seal.h - who wrote a record, which of theirs it is, and whether it is whole
 *
 * A gateway ends each event that it logs with a seal, Event's last field: its
 * producer number, drawn anew when it starts, a sequence that is dense from 0
 * for each producer and partition in the order of the log, and a check over
 * all that is before it. Whoever reads the log sees by it what is missing,
 * what is there twice and what was damaged. Format: firehose/format.md.
 */
#pragma once

#include "firehose/event.h"

/* What a seal adds to an event's encoding. */
#define SEAL_BYTES 37

/**
 * seal_room() - end the event at the end of @out with an empty seal
 *
 * @out: ends with a struct Event that has none; grows by SEAL_BYTES.
 */
void seal_room(GByteArray *out);

/** seal_set() - fill in the seal of @value, which has room for one. */
void seal_set(guint8 *value, gsize len, gint64 producer, gint64 sequence);

/**
 * seal_check() - read and check the seal of an event in the log
 *
 * @value: the whole event.
 * @seal:  its field's value, without header; data is NULL where there is none.
 * Effect: TRUE and *ret_seal (producer 0: there is none), or FALSE and
 *         *ret_fault.
 */
gboolean seal_check(WireBytes value, WireBytes seal, Seal *ret_seal,
                    EventFault *ret_fault);
