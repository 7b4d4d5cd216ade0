/*
 * fuzz_answer.c - any bytes as an answer to combctl bench
 *
 * Every method, read as far as needed and whole. Of a malformed one it is said
 * what is wrong with it, of no other; a checked page has no more entries than
 * were asked for.
 */
#include "ops/combctl/bench_answer.h"
#include "ops/kit/ensure.h"

#define LIMIT 20

int LLVMFuzzerTestOneInput(const guint8 *data, size_t len);

static void
check_answer(WireBytes message, const AnswerAsked *asked)
{
    Answer answer = answer_read(message, asked);

    ensure(answer.kind < ANSWER_KINDS);
    ensure((answer.fault != NULL) == (answer.kind == ANSWER_MALFORMED));
    ensure(answer_name(answer.kind) != NULL);
    if (asked->check && answer.kind == ANSWER_GOOD) {
        ensure(answer.entries <= LIMIT);
    }
}

int
LLVMFuzzerTestOneInput(const guint8 *data, size_t len)
{
    for (guint method = 0; method < BENCH_METHODS; method++) {
        for (gint check = 0; check <= 1; check++) {
            AnswerAsked asked = {(BenchMethod)method, LIMIT, check};
            check_answer((WireBytes){data, len}, &asked);
        }
    }
    return 0;
}
