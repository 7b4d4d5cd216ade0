/*
 * buildinfo.c - what CMake and the compiler say
 */
#include "ops/kit/buildinfo.h"

#ifdef __clang__
#define COMPILER __VERSION__
#else
#define COMPILER "GCC " __VERSION__
#endif

const BuildInfo *
buildinfo_get(void)
{
    static const BuildInfo info = {
        .version = COMB_VERSION,
        .commit = COMB_COMMIT,
        .compiler = COMPILER,
        .sanitizer = COMB_SANITIZER,
    };

    return &info;
}
