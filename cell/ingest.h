/*
 * ingest.h - the log turned into state, a batch at a time
 *
 *     log -> decode, check -> facts -> ids into inboxes -> commit -> seal
 *
 * Each step reads a batch of records, joins each into the rows (facts.h),
 * runs the effects on inboxes and commits rows and position together. What is
 * no valid event is set aside and never stops the log (I8). What cannot be
 * right - a gap, a store that fails - fails the step for good with a reason
 * (I10).
 *
 * No clock in here, and no thread but the one that may read ahead: apply.h
 * runs it as the cell's thread, the simulation step by step.
 */
#pragma once

#include "cell/state.h"
#include "firehose/log_ends.h"

typedef struct Ingest Ingest;

typedef enum IngestOutcome {
    INGEST_APPLIED, /* some records were */
    INGEST_IDLE,    /* nothing came within the time */
    INGEST_FAILED,  /* never again: *error says why */
} IngestOutcome;

/**
 * ingest_new() - at @next, not reading yet
 *
 * @state, @firehose, @ends: borrowed, outlive it.
 * @ends:   of the log; NULL: whoever asks this log itself never waits.
 * @next:   per partition, where to read from (state_open()); copied.
 * Thread:  one at a time, here and below.
 */
Ingest *ingest_new(State *state, Log *firehose, LogEnds *ends,
                   const guint64 *next);
void ingest_free(Ingest *ingest);

/**
 * ingest_found() - make an empty store this cell's, with @map's homes
 *
 * Fails: COMB_ERROR_IO, _FULL.
 */
gboolean ingest_found(Ingest *ingest, CellMap *map, GError **error);

/**
 * ingest_open() - begin to read, and note the log's end as the target
 *
 * Effect: State.ready becomes TRUE once the target is applied. Before it, the
 *         last record that the store has applied is compared with the log;
 *         where that is another one, or has lost what comes next, the state
 *         is stopped, and ready where it is whole.
 * Fails:  COMB_ERROR_UNREACHABLE: try again; else as log_marks_check() and
 *         log_reader_open().
 */
gboolean ingest_open(Ingest *ingest, GError **error);

/**
 * ingest_read_ahead() - have the log read by a thread (ahead.h), once open
 *
 * Effect: steps apply what it has read; without it each reads for itself.
 */
void ingest_read_ahead(Ingest *ingest);

/**
 * ingest_step() - apply the next records
 *
 * Effect: waits up to @timeout_ms for them.
 * Fails:  as log_reader_next() and store_batch_commit(); COMB_ERROR_FULL also
 *         where the memory budget is used up.
 */
IngestOutcome ingest_step(Ingest *ingest, gint timeout_ms, GError **error);

/**
 * ingest_finish() - put what is pending into the last inbox
 *
 * Effect: a checkpoint after it leaves nothing to replay.
 * Fails:  as ingest_step().
 */
gboolean ingest_finish(Ingest *ingest, GError **error);

/** ingest_pending() - whether ingest_finish() has something to do. */
gboolean ingest_pending(const Ingest *ingest);

/** ingest_next() - per partition, the offset to apply next; borrowed. */
const guint64 *ingest_next(const Ingest *ingest);

/**
 * ingest_replay_from() - per partition, where a replay must begin
 *
 * Effect: all below is in the state, and what inboxes lose in a crash comes
 *         back by applying again from here.
 */
void ingest_replay_from(const Ingest *ingest, guint64 *ret_next);

/** ingest_report() - tell the log's own tools what is applied, once open. */
void ingest_report(Ingest *ingest);
