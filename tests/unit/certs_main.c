/*
 * comb-certs DIR - make the usual certificates (certs.h) for test programs
 * that are run a second time, over TLS.
 */
#include "tests/unit/certs.h"

#include <stdio.h>

int
main(int argc, char **argv)
{
    if (argc != 2 || g_mkdir_with_parents(argv[1], 0700) != 0) {
        fputs("usage: comb-certs DIR\n", stderr);
        return 2;
    }
    certs_make_all(argv[1]);
    return 0;
}
