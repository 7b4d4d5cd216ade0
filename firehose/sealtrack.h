/*
 * sealtrack.h - the sequences of producers, followed by a reader
 *
 * What a reader has seen of each partition's latest producers: enough to tell
 * of a record whether it is the next of its producer. Bounded; knows nothing
 * of what was before the first record it is told of.
 */
#pragma once

#include "firehose/event.h"

typedef struct SealTrack SealTrack;

typedef enum SealTrackOutcome {
    SEALTRACK_NEXT,  /* the next one, or it has no seal */
    SEALTRACK_FIRST, /* the first that is seen of this producer */
    SEALTRACK_AGAIN, /* its number was there before */
    SEALTRACK_HOLE,  /* numbers before it were not */
} SealTrackOutcome;

/** sealtrack_new() - nothing is known yet. Owns: the caller. Thread: one. */
SealTrack *sealtrack_new(guint partitions);
void sealtrack_free(SealTrack *track);

/**
 * sealtrack_note() - a record with @seal comes next in @partition
 *
 * Effect: SEALTRACK_HOLE: *ret_from is the first number that is missing, the
 *         last is the one before the seal's.
 */
SealTrackOutcome sealtrack_note(SealTrack *track, guint partition, Seal seal,
                                gint64 *ret_from);
