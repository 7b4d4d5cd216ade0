#include "firehose/sealtrack.h"

#include <string.h>

/* Of a partition, the latest first. A gateway has a new one at each start and
   after each append that failed. */
#define PRODUCERS 32

typedef struct Producer {
    gint64 producer; /* 0: none */
    gint64 next;     /* sequence that must come */
} Producer;

struct SealTrack {
    Producer (*seen)[PRODUCERS]; /* per partition; owned */
};

SealTrack *
sealtrack_new(guint partitions)
{
    SealTrack *track = g_new0(SealTrack, 1);

    track->seen = g_malloc0_n(partitions, sizeof *track->seen);
    return track;
}

void
sealtrack_free(SealTrack *track)
{
    g_free(track->seen);
    g_free(track);
}

/* Moves @producer to the front; the one not seen for longest makes room. TRUE:
   it was there. */
static gboolean
bring_forward(Producer *seen, gint64 producer)
{
    guint at = 0;

    while (at < PRODUCERS - 1 && seen[at].producer != producer) {
        at++;
    }
    if (at > 0) {
        Producer found = seen[at];

        memmove(seen + 1, seen, at * sizeof *seen);
        seen[0] = found;
    }
    if (seen[0].producer == producer) {
        return TRUE;
    }
    seen[0] = (Producer){producer, 0};
    return FALSE;
}

SealTrackOutcome
sealtrack_note(SealTrack *track, guint partition, Seal seal, gint64 *ret_from)
{
    Producer *seen = track->seen[partition];
    gint64 expected;

    if (seal.producer == 0) {
        return SEALTRACK_NEXT;
    }
    if (!bring_forward(seen, seal.producer)) {
        seen->next = seal.sequence + 1;
        return SEALTRACK_FIRST;
    }
    expected = seen->next;
    if (seal.sequence < expected) {
        return SEALTRACK_AGAIN;
    }
    seen->next = seal.sequence + 1;
    if (seal.sequence == expected) {
        return SEALTRACK_NEXT;
    }
    *ret_from = expected;
    return SEALTRACK_HOLE;
}
