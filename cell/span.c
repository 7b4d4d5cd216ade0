#include "cell/span.h"

#include "ops/kit/ensure.h"

#include <sys/mman.h>

/* What grows in one step; the size of a huge page where it pays. */
#define SPAN_STEP_SMALL ((gsize)64 << 10)
#define SPAN_STEP_HUGE ((gsize)2 << 20)

static gsize
span_round_up(gsize bytes, gsize step)
{
    return (bytes + step - 1) / step * step;
}

void
span_init(Span *span, gsize bytes)
{
    bytes = span_round_up(bytes, SPAN_STEP_HUGE);
    /* One huge page more, so that the base can be aligned to one. */
    guint8 *at = mmap(NULL, bytes + SPAN_STEP_HUGE, PROT_NONE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    ensure(at != MAP_FAILED);
    gsize skip = (gsize)(-(guintptr)at % SPAN_STEP_HUGE);
    if (skip > 0) {
        munmap(at, skip);
    }
    munmap(at + skip + bytes, SPAN_STEP_HUGE - skip);
    *span = (Span){at + skip, 0, bytes};
}

void
span_grow(Span *span, gsize bytes)
{
    if (bytes <= span->used) {
        return;
    }
    gboolean huge = bytes >= SPAN_STEP_HUGE;
    gsize to = span_round_up(bytes, huge ? SPAN_STEP_HUGE : SPAN_STEP_SMALL);
    ensure(to <= span->bytes);
    int failed = mprotect(span->base, to, PROT_READ | PROT_WRITE);
    ensure(failed == 0);
    if (huge) {
        /* Where the system has none, small pages do. */
        (void)madvise(span->base, to, MADV_HUGEPAGE);
    }
    span->used = to;
}

void
span_clear(Span *span)
{
    if (span->base != NULL) {
        munmap(span->base, span->bytes);
    }
    *span = (Span){0};
}
